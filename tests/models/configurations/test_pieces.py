"""What the package tokenizers may be told to do with a text."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from napari_gem.core.errors import GemError
from napari_gem.models import configurations

pytestmark = pytest.mark.contact("configurations")

WORDS = {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "a": 1}}


def check(**changed: Any) -> None:
    content = json.dumps({"version": "1.0", "model": WORDS} | changed).encode()
    assert configurations.check_file("tokenizer.json", content, "x") == content


def steps(*inner: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(inner)}


def replace(pattern: str, content: str, kind: str = "Regex") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def split(pattern: str) -> dict[str, Any]:
    whole = {"Regex": pattern}
    return {"type": "Split", "pattern": whole, "behavior": "Isolated", "invert": False}


def table(*entries: bytes) -> dict[str, Any]:
    tree = bytes(1024)
    content = len(tree).to_bytes(4, "little") + tree + b"\0".join([*entries, b""])
    coded = base64.b64encode(content).decode()
    return {"type": "Precompiled", "precompiled_charsmap": coded}


MARKS = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
    "pair": [],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}},
}

PATTERNS = [  # of CLIP, SigLIP, T5, GPT-2, Llama 3, GPT-4o
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    r"""[!"\#\$%\&'\(\)\*\+,\-\.:;=\?@\[\\\]\^_`\{\|\}\~]""",
    r"\s+",
    r" {2,}",
    r"^\s+|\s+$",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_of_known_models_pass(pattern: str) -> None:
    check(normalizer=replace(pattern, " "), pre_tokenizer=split(pattern))


def test_steps_of_known_models_pass() -> None:
    check(
        normalizer=steps(
            {"type": "Lowercase"},
            table("\ufdfa".encode(), b"1", b""),
            replace(" ", "\u2581", "String"),
            {"type": "Prepend", "prepend": "\u2581"},
        ),
        pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True},
        post_processor=MARKS,
        model=WORDS | {"max_input_chars_per_word": 100, "dropout": None},
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nested": ({"normalizer": replace("(a+)+$", "")}, "tried for hours"),
    "choice": ({"pre_tokenizer": split("(a|aa)+$")}, "tried for hours"),
    "many": ({"pre_tokenizer": split(".*.*.*.*.*x")}, "tried for hours"),
    "back": ({"pre_tokenizer": split(r"(.*)\1x")}, "tried for hours"),
    "deep": ({"pre_tokenizer": split("(" * 1500 + ")" * 1500)}, "text of 3,000"),
    "doubled": ({"normalizer": steps(*[replace("a", "aa", "String")] * 40)}, "longer"),
    "bytes": ({"normalizer": steps(*[{"type": "ByteLevel"}] * 9)}, "longer"),
    "between": ({"normalizer": replace("", "aa", "String")}, "empty pattern"),
    "before": (
        {"normalizer": steps(*[{"type": "Prepend", "prepend": "aaa"}] * 9)},
        "longer",
    ),
    "table": ({"normalizer": table(b"a" * 1000)}, "longer"),
    "no table": (
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "//8="}},
        "damaged 'precompiled_charsmap'",
    ),
    "steps": ({"normalizer": steps(*[{"type": "NFC"}] * 200)}, "at most 100"),
    "marks": (
        {"post_processor": MARKS | {"single": MARKS["single"] * 200}},
        "too many marks",
    ),
    "chance": ({"model": WORDS | {"dropout": 0.1}}, "another one each time"),
    "long words": ({"model": WORDS | {"max_input_chars_per_word": 10**9}}, "at most"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_takes_hours_or_grows_is_refused(case: str) -> None:
    changed, message = BAD[case]
    with pytest.raises(GemError, match=message):
        check(**changed)


def test_lists_of_pieces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configurations.pieces, "_MOST_PIECES", 10)
    for name in ("vocab.txt", "merges.txt"):
        assert configurations.check_file(name, b"a\n" * 10, "x")
        with pytest.raises(GemError, match="pieces of words"):
            configurations.check_file(name, b"a\n" * 11, "x")
