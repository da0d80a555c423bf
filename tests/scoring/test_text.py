from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Example, Prompt
from napari_gem.prompts.parsing import (
    MOST_CLASSES,
    parse_prompts,
    read_words,
    write_words,
)
from napari_gem.scoring.text import MOST_TOKENS, embed_steps, embed_words, notices


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nucleus", [("nucleus",)]),
        ("nucleus, cell nucleus\nactin", [("nucleus", "cell nucleus"), ("actin",)]),
        ("  a   b ,, c ,\n\n , \n d", [("a b", "c"), ("d",)]),
        ("Ship, ship, SHIP", [("Ship",)]),
        ("nucleus, Nucleus, cell", [("nucleus", "cell")]),
        ("zellkern ä, 細胞", [("zellkern ä", "細胞")]),
        ("\"red, white and blue\", 'x'", [("red, white and blue", "x")]),
        ("'red, white' , flag", [("red, white", "flag")]),
        ('"a ""b"", c"', [('a "b", c',)]),
        ("crow's foot, dogs', '70s car", [("crow's foot", "dogs'", "'70s car")]),
        ('5" pipe, "smooth" muscle, "open', [('5" pipe', '"smooth" muscle', '"open')]),
    ],
)
def test_lines_are_classes_and_commas_synonyms(text: str, words: list) -> None:
    assert [prompt.words for prompt in parse_prompts(text)] == words


def test_lists_and_prompts_are_taken() -> None:
    prompts = parse_prompts(["a, b", Prompt(("c",))])
    assert [prompt.name for prompt in prompts] == ["a", "c"]
    assert parse_prompts(Prompt(("c",))) == (Prompt(("c",)),)
    assert parse_prompts(line for line in ("a", "b")) == parse_prompts("a\nb")


def test_words_of_a_prompt_are_cleaned_and_all_else_is_kept() -> None:
    prompt = Prompt((" a  b ", "A b", "", "c,d"), 7, "Name", (0, 0, 1), 0.3, False)
    assert parse_prompts([prompt]) == (replace(prompt, words=("a b", "c,d")),)


def test_a_class_of_examples_needs_no_words_but_a_title() -> None:
    shown = Prompt((), title="shown", examples=(Example((1.0, 2.0)),))
    assert parse_prompts([shown, "cell", Prompt((" ",), threshold=0.2)])[0] == shown
    with pytest.raises(GemError, match="nor a title"):
        parse_prompts([replace(shown, title="")])
    with pytest.raises(GemError, match="'shown' has neither words nor examples"):
        parse_prompts([replace(shown, examples=())])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (3, "The prompt 3 is no text"),
        (None, "The prompt None is no text"),
        (b"cell", "The prompt b'cell' is no text"),
        (["cell", 3], "The prompt 3 is no text"),
        ([["cell", "nucleus"]], "The prompt .* is no text"),
        (Prompt("cell"), "'cell' was given as words of a class"),
        (Prompt(("cell", 3)), "was given as words of a class"),
        (Prompt(("cell",), threshold=2), "threshold of 'cell' is 2"),
    ],
)
def test_what_is_no_prompt_is_told(line: object, message: str) -> None:
    with pytest.raises(GemError, match=message):
        parse_prompts(line)


@pytest.mark.parametrize("text", ["", "  \n\t", ",,\n,", []])
def test_no_word_is_refused(text: str | list) -> None:
    with pytest.raises(GemError, match="Type what to look for"):
        parse_prompts(text)


def test_the_commas_of_other_scripts_separate_words() -> None:
    typed = "细胞核\uff0c核、nucleus,نواة، \u201cخلية\u201d"
    assert read_words(typed) == ("细胞核", "核", "nucleus", "نواة", "\u201cخلية\u201d")
    assert read_words(write_words(["红\uff0c白", "نواة،"])) == ("红\uff0c白", "نواة،")


@given(st.lists(st.text(st.sampled_from("ab ,\uff0c،、'\"")), max_size=4))
def test_words_that_are_written_read_back(words: list[str]) -> None:
    cleaned = parse_prompts([Prompt(("x", *words))])[0].words
    assert read_words(write_words(cleaned)) == cleaned


def test_the_background_is_no_class_unless_an_older_file_has_it() -> None:
    with pytest.raises(GemError, match="'Background' is the name of label 0"):
        parse_prompts("cell\nBackground, dark")
    assert parse_prompts([Prompt(("background",))])[0].name == "background"


@pytest.mark.parametrize(
    "text", ["ship\nship", "ship, boat\nBoat", [Prompt(("a",)), "A "]]
)
def test_a_word_in_two_classes_is_refused(text: str | list) -> None:
    with pytest.raises(GemError, match="twice"):
        parse_prompts(text)


def test_too_many_classes_are_refused_with_their_number() -> None:
    with pytest.raises(GemError, match="500 classes"):
        parse_prompts([f"class {i}" for i in range(500)])
    assert len(parse_prompts([f"c {i}" for i in range(MOST_CLASSES)])) == MOST_CLASSES


class Reader:
    """A text tower that counts what it reads."""

    context_length = 8
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.read: list[str] = []
        self.calls: list[int] = []

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        self.read += texts
        self.calls.append(len(texts))
        return torch.tensor([[len(t), sum(map(ord, t)) % 7 + 1.0] for t in texts])

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]

    def kept_text(self, text: str) -> str:
        return " ".join(text.split()[:6])


def test_templates_are_averaged_and_words_read_once() -> None:
    reader, cache = Reader(), {}
    templates = ("{}", "a photo of a {}.")
    vectors = embed_words(reader, ["ship", "lake", "ship"], templates, cache)
    assert vectors.shape == (3, 2)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert (vectors[0] == vectors[2]).all()
    embed_words(reader, ["lake"], templates, cache)
    assert reader.read == [
        t.replace("{}", w) for w in ("ship", "lake") for t in templates
    ]
    alone = [embed_words(reader, ["ship"], (t,), {})[0] for t in templates]
    mean = np.mean(alone, axis=0)
    assert np.allclose(vectors[0], mean / np.linalg.norm(mean))


def test_many_words_are_read_in_batches_and_once() -> None:
    reader, cache = Reader(), {}
    words = [f"{'very ' * (i % 9)}thing {i}" for i in range(1000)]
    templates = tuple(f"{i} of {{}}." for i in range(80))
    seen = list(embed_steps(reader, words, templates, cache))
    assert len(reader.read) == 80_000
    assert set(reader.calls) == {128}  # of at most 8 tokens
    assert len(seen) == len(reader.calls) + 1
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, 1000, 1000)
    assert seen[1].seconds_left > 0
    reader.calls.clear()
    assert list(embed_steps(reader, words, templates, cache)) == []
    vectors = embed_words(reader, words, templates, cache)
    assert reader.calls == []
    alone = embed_words(reader, words[8:9], templates, {})
    assert np.allclose(vectors[8], alone[0])


def test_what_was_read_before_a_cancel_is_kept() -> None:
    reader, cache = Reader(), {}
    words, templates = [str(i) for i in range(100)], ("{}",) * 20
    steps = embed_steps(reader, words, templates, cache)
    for _ in range(3):
        next(steps)
    steps.close()
    read = len(reader.read)
    done = read // 20
    assert 0 < done == len(cache) < 100
    list(embed_steps(reader, words, templates, cache))
    assert len(reader.read) == 2000 + read % 20  # templates of the word it stopped at


def test_a_word_with_more_templates_than_a_batch_can_be_cancelled_within() -> None:
    reader, templates = Reader(), tuple(f"{i} {{}}" for i in range(300))
    vectors = embed_words(reader, ["a", "b"], templates, {})
    assert reader.calls == [128, 128, 128, 128, 88]
    alone = [embed_words(reader, ["b"], (t,), {})[0] for t in templates]
    mean = np.mean(alone, axis=0)
    assert np.allclose(vectors[1], mean / np.linalg.norm(mean))


def test_graphics_cards_read_more_at_once() -> None:
    reader = Reader()
    reader.device = torch.device("meta")
    embed_words(reader, [str(i) for i in range(3000)], ("{}",), {})
    assert reader.calls == [MOST_TOKENS // 8, 3000 - MOST_TOKENS // 8]


def test_of_many_unknown_words_a_few_are_named() -> None:
    words = parse_prompts([f"u{i}" for i in range(60)])
    (sentence,) = notices(Reader(), words, ("{}",), frozenset({"ship"}))
    assert sentence.startswith(
        "This model was not trained on 'u0', 'u1', 'u2' and 57 more: expect"
    )


def test_unknown_words_and_cut_prompts_are_told() -> None:
    long = "one two three four five six seven eight"
    prompts = parse_prompts(["ship", "unicorn, ship-lake", long])
    known = frozenset("ship lake one two three four five six seven eight".split())
    unknown, cut = notices(Reader(), prompts, ("{}",), known)
    assert "'unicorn'" in unknown
    assert "ship" not in unknown.replace("'unicorn'", "")
    assert "'one two three four five six'" in cut
    assert notices(Reader(), parse_prompts("unicorn"), ("{}",), frozenset()) == ()


@pytest.mark.contact("foreign text")
@pytest.mark.parametrize(
    "word",
    [
        "核",
        "נוקלאוס\u200f",
        "کتاب\u200cها",  # noqa: RUF001
        "क्\u200dष",
        "e\u0301\u0323",
        "👩\u200d🔬",
        "<b>cell</b> & 'so'",
        "=1+1",
    ],
)
def test_words_of_any_script_are_taken_as_they_are(word):
    assert parse_prompts(word)[0].words == (word,)


@pytest.mark.contact("foreign text")
@pytest.mark.parametrize("blank", ["\t", "\x0b", "\x1f", "\x85", "\xa0", "\u3000"])
def test_what_is_a_blank_becomes_one(blank):
    prompt = Prompt((f"a{blank}b",), title=f"c{blank}d\n")
    (parsed,) = parse_prompts([prompt])
    assert (parsed.words, parsed.title) == (("a b",), "c d")


@pytest.mark.contact("foreign text")
@pytest.mark.parametrize("text", ["a\x1b[0m", "\x00", "\u202eab", "\u2067ab", "\ud800"])
def test_a_word_that_commands_something_is_refused(text):
    for lines in (text, [Prompt((text,))], [Prompt(("a",), title=text)]):
        with pytest.raises(GemError, match=r"the characters \\[xu]") as refused:
            parse_prompts(lines)
        str(refused.value).encode()
