"""Typed words to prompts, and prompts to text embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.checks import check_prompts, check_texts
from napari_gem.memory import Portion
from napari_gem.steps import Clock
from napari_gem.tiles import unit
from napari_gem.types import GemError, Progress, Prompt

if TYPE_CHECKING:
    from collections.abc import Generator, MutableMapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.backbones import Backbone

MOST_CLASSES = 200
"""Classes of one run at most: each brings a map as large as the image."""

TOKENS = {"cpu": 1024}
MOST_TOKENS = 256 * 77
"""Tokens read between two points at which it can be cancelled, by device and else.

On a processor so many take about as long as a tile of an image.
"""


def parse_prompts(lines: str | Prompt | Iterable[str | Prompt]) -> tuple[Prompt, ...]:
    """Read prompts: one class a line, a comma between synonyms.

    Blank lines, blanks around words and repeated words of one class are dropped; of
    several spellings the first is kept. Tabs and ends of lines are blanks.

    Parameters
    ----------
    lines
        Text with one class a line, or the lines. A `Prompt` is one class; a comma in
        its words separates nothing.

    Raises
    ------
    GemError
        If no class is left, if something else than text or a `Prompt` came, if two
        classes share a word, if there are more than `MOST_CLASSES`, or as
        `napari_gem.checks.check_prompts`.
    """
    prompts = [prompt for prompt in map(_parse, _lines(lines)) if prompt is not None]
    if not prompts:
        raise GemError("There is no prompt. Type what to look for, one class a line.")
    if len(prompts) > MOST_CLASSES:
        raise GemError(
            f"{len(prompts)} classes came; at most {MOST_CLASSES} can be looked for in "
            "one run. Split the list into several runs."
        )
    check_prompts(prompts)
    seen: set[str] = set()
    for prompt in prompts:
        folded = {word.casefold(): word for word in prompt.words}
        for twice in folded.keys() & seen:
            raise GemError(
                f"'{folded[twice]}' stands twice in the prompts. Keep it in one class "
                "only."
            )
        seen |= folded.keys()
    return tuple(prompts)


def _lines(came: object) -> Iterable[object]:
    if isinstance(came, str):
        return came.splitlines()
    if isinstance(came, Prompt):
        return [came]
    if isinstance(came, Iterable) and not isinstance(came, bytes):
        return came
    return [came]


def _parse(line: object) -> Prompt | None:
    """Read one class; None for a blank line."""
    if isinstance(line, str):
        words = _clean(line.split(","))
        return Prompt(words) if words else None
    if not isinstance(line, Prompt):
        raise GemError(
            f"The prompt {line!r} came; expected text, or a Prompt, for each class."
        )
    check_texts("words of a class", line.words)
    title = " ".join(line.title.split())
    prompt = replace(line, title=title, words=_clean(line.words))
    return prompt if prompt.words or prompt.title or prompt.examples else None


def _clean(words: Iterable[str]) -> tuple[str, ...]:
    """Strip words and leave out empty ones and those that came before."""
    kept: dict[str, str] = {}
    for word in (" ".join(part.split()) for part in words):
        kept.setdefault(word.casefold(), word)
    kept.pop("", None)
    return tuple(kept.values())


def fill(templates: Sequence[str], word: str) -> list[str]:
    """Put a word into each template."""
    return [template.replace("{}", word) for template in templates]


def embed_words(
    backbone: Backbone,
    words: Sequence[str],
    templates: tuple[str, ...],
    cache: MutableMapping[tuple[str, tuple[str, ...]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Embed words: each template's embedding normalised, averaged, normalised again.

    Parameters
    ----------
    backbone
        Model that reads the text.
    words
        At least one.
    templates
        Sentences with ``{}`` for the word.
    cache
        Embeddings already made with this backbone; new ones are added.

    Returns
    -------
    NDArray[np.float32]
        (words, channels), unit length.
    """
    for _ in embed_steps(backbone, words, templates, cache):
        pass
    return np.stack([cache[word, templates] for word in words])


def embed_steps(
    backbone: Backbone,
    words: Sequence[str],
    templates: tuple[str, ...],
    cache: MutableMapping[tuple[str, tuple[str, ...]], NDArray[np.float32]],
) -> Generator[Progress, None, None]:
    """Embed words that are not in the cache yet, so many that it can be cancelled.

    Texts that do not fit the memory together are read by halves.

    Parameters
    ----------
    backbone, words, templates, cache
        As for `embed_words`.

    Yields
    ------
    Progress
        Before each batch and at the end; nothing if the cache has all words. Words that
        were embedded before the generator is closed stay in the cache.

    Raises
    ------
    GemError
        If there is no template, or the model gives no finite numbers.
    """
    count = len(templates)
    if not count:
        raise GemError("There is no template; expected at least one, such as '{}'.")
    missing = [w for w in dict.fromkeys(words) if (w, templates) not in cache]
    texts = [text for word in missing for text in fill(templates, word)]
    tokens = TOKENS.get(backbone.device.type, MOST_TOKENS)
    at_once = max(1, tokens // backbone.context_length)
    clock, done = Clock(len(missing)), 0

    def read_batch(some: slice) -> NDArray[np.float32]:
        read = backbone.encode_texts(texts[some]).float().cpu().numpy()
        if not np.isfinite(read).all():
            name = str(backbone.dtype).removeprefix("torch.")
            raise GemError(no_numbers("The text tower of the model", name))
        return unit(read)

    waiting: list[NDArray[np.float32]] = []  # for the other templates of their word
    if missing:
        yield clock.progress("Reading words", done)
    for some, embedded in Portion(at_once).over(slice(0, len(texts)), read_batch):
        waiting.append(embedded)
        whole = missing[done : some.stop // count]
        if whole:
            read = np.concatenate(waiting)
            of_whole, waiting = read[: len(whole) * count], [read[len(whole) * count :]]
            means = unit(of_whole.reshape(len(whole), count, -1).mean(axis=1))
            cache.update({(w, templates): m for w, m in zip(whole, means, strict=True)})
            done += len(whole)
        yield clock.progress("Reading words", done)


def no_numbers(what: str, precision: str) -> str:
    """Say that a model or a part of it computes nothing, and what to do."""
    wrong = f"{what} gave no finite numbers in {precision}."
    if precision == "float32":
        return f"{wrong} Its weights do not suit it. Choose another model."
    return f"{wrong} Choose precision float32."


def notices(
    backbone: Backbone,
    prompts: Sequence[Prompt],
    templates: Sequence[str],
    known_words: frozenset[str],
) -> tuple[str, ...]:
    """Say what the model will not understand.

    Parameters
    ----------
    backbone
        Model that reads the text.
    prompts
        What the user typed.
    templates
        Sentences around the words.
    known_words
        All lower-case words the model knows; empty means an open vocabulary.

    Returns
    -------
    tuple[str, ...]
        One sentence for unknown words, and one for each prompt that is cut.
    """
    said = []
    words = [word for prompt in prompts for word in prompt.words]
    unknown = [word for word in words if known_words and not _known(word, known_words)]
    if unknown:
        names = ", ".join(f"'{word}'" for word in unknown)
        said.append(
            f"This model was not trained on {names}: expect nothing sensible there. "
            "Choose a real CLIP model for free words."
        )
    for word in words:
        longest = max(fill(templates, word), key=len)
        if backbone.count_tokens([longest])[0] > backbone.context_length:
            said.append(
                f"'{word[:40]}…' is longer than the {backbone.context_length} tokens "
                f"that this model reads: it sees '{backbone.kept_text(longest)}'."
            )
    return tuple(said)


def _known(word: str, known_words: frozenset[str]) -> bool:
    parts = word.casefold().replace("-", " ").split()
    return all(part in known_words for part in parts)
