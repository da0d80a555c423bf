"""What ``tokenizer.json`` may tell the package tokenizers to do with a text.

That package reads the file as data and runs nothing of it. But a text can be made
longer and longer, a pattern can be tried for hours, and a dropped piece is another one
each time.
"""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from napari_gem.models.configurations.fields import UnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")
_STEPS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_MOST_PIECES = 2_000_000
_MOST_STEPS = 100
"""SigLIP has about ten."""

_MOST_GROWTH = 1000
"""So many times may all steps together make a text longer."""

_LONGEST_TEXT = 2000
_LONGEST_TABLE = 2_000_000
"""Characters; a table by which SigLIP's texts are normalised has half a million."""

_LONGEST_ENTRY = 256
"""Bytes that such a table has for a character; the longest of Unicode has 33."""

_LONGEST_WORD = 10_000
"""Characters of a word that a model looks for pieces of; BERT has 100."""

_MOST_MARKS = 100
"""Around a text."""

_BYTES = 4
"""A letter of UTF-8 has so many bytes at most."""

_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[[^]]*\]")
_BACK = re.compile(r"\\[1-9kg]|\(\?[(~]")
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_WITHOUT_END = re.compile(r"[*+]|\{\d*,\}")
_MOST_WITHOUT_END = 3
"""Repetitions in one alternative of a pattern; those of known models have up to 3."""


def check_pieces(stated: Any) -> None:
    """Check what ``tokenizer.json`` says beside the tokens."""
    _check_model(stated["model"])
    for name in _STEPS:
        _check_texts(name, stated.get(name))
        steps = list(_steps(stated.get(name)))
        if len(steps) > _MOST_STEPS:
            raise UnusableError(
                f"'{name}' has {len(steps)} steps and should have at most {_MOST_STEPS}"
            )
    growth = 1.0
    for name in _STEPS[:2]:
        for step in _steps(stated.get(name)):
            growth *= _growth(name, step)
            if growth > _MOST_GROWTH:
                raise UnusableError(f"'{name}' makes texts much longer")
    _check_marks(stated.get("post_processor"))


def check_vocabulary(vocabulary: Any) -> None:
    """Check pieces of words with their numbers, or with their scores."""
    if not isinstance(vocabulary, dict | list):
        raise UnusableError(_TOO_MANY)
    check_count(len(vocabulary))


def check_count(count: int) -> None:
    """Check how many pieces of words there are."""
    if count > _MOST_PIECES:
        raise UnusableError(_TOO_MANY)


_TOO_MANY = f"it should list at most {_MOST_PIECES:,} pieces of words"


def _check_model(model: Any) -> None:
    if model.get("type", "BPE") not in _MODELS:
        raise UnusableError(f"'model.type' should be one of {', '.join(_MODELS)}")
    check_vocabulary(model.get("vocab"))
    check_vocabulary(model.get("merges") or [])
    if model.get("dropout"):
        raise UnusableError(
            "'model.dropout' should be 0: with it a text is another one each time"
        )
    longest = model.get("max_input_chars_per_word", 0)
    if not isinstance(longest, int) or longest > _LONGEST_WORD:
        raise UnusableError(
            f"'model.max_input_chars_per_word' should be at most {_LONGEST_WORD:,}"
        )


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    """Find the tables that tell a step; `parse` bounds how deep they lie."""
    if isinstance(part, dict):
        if "type" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _steps(inner)


def _growth(name: str, step: dict[str, Any]) -> float:
    """Say how much longer a step makes a text at most."""
    pattern = step.get("pattern")
    replaced = 1
    if isinstance(pattern, dict):
        regex, text = pattern.get("Regex"), pattern.get("String")
        if isinstance(regex, str):
            _check_regex(name, regex)
        if isinstance(text, str):
            replaced = len(text)
        if regex == "" or text == "":
            raise UnusableError(f"'{name}' has an empty pattern")
    kind = step["type"]
    if kind == "Replace":
        return max(1, len(str(step.get("content", ""))) / replaced)
    if kind == "Prepend":
        return max(1, len(str(step.get("prepend", ""))))
    if kind == "Precompiled":
        _check_table(name, step.get("precompiled_charsmap"))
    return _BYTES if kind == "ByteLevel" else 1


def _check_regex(name: str, pattern: str) -> None:
    """Refuse patterns whose time grows without bounds with the text."""
    plain = _CLASS.sub("c", _ESCAPED.sub("x", pattern))
    endless = [len(_WITHOUT_END.findall(part)) for part in plain.split("|")]
    if (
        _BACK.search(pattern)
        or _REPEATED_GROUP.search(plain)
        or max(endless) > _MOST_WITHOUT_END
    ):
        raise UnusableError(
            f"'{name}' has the pattern {pattern[:60]!r}, which could be tried for hours"
        )


def _check_table(name: str, table: Any) -> None:
    """Refuse a table of characters and what stands for them that is none, or grows.

    It is a number of bytes, a tree of so many, and texts that end with a zero.
    """
    try:
        content = base64.b64decode(table, validate=True)
    except (ValueError, TypeError):
        content = b""
    start = 4 + int.from_bytes(content[:4], "little")
    if len(content) < 8 or start % 4 or start > len(content):
        raise UnusableError(f"'{name}' has a damaged 'precompiled_charsmap'")
    ends = [-1, *(m.start() for m in re.finditer(b"\0", content[start:]))]
    ends.append(len(content) - start)
    if max(end - begin for begin, end in pairwise(ends)) > _LONGEST_ENTRY:
        raise UnusableError(f"'{name}' makes texts much longer")


def _check_marks(part: Any) -> None:
    """Check what is put around each text."""
    for step in _steps(part):
        marks = [step.get("single"), step.get("pair")]
        special = step.get("special_tokens")
        if isinstance(special, dict):
            for mark in special.values():
                marks += list(mark.values()) if isinstance(mark, dict) else []
        if any(isinstance(m, list) and len(m) > _MOST_MARKS for m in marks):
            raise UnusableError("'post_processor' puts too many marks around a text")


def _check_texts(name: str, part: Any, key: str = "") -> None:
    """Go through tables and lists; `parse` bounds how deep they lie."""
    if isinstance(part, dict):
        for inner, value in part.items():
            _check_texts(name, value, inner)
    elif isinstance(part, list):
        for value in part:
            _check_texts(name, value, key)
    elif isinstance(part, str):
        most = _LONGEST_TABLE if key == "precompiled_charsmap" else _LONGEST_TEXT
        if len(part) > most:
            raise UnusableError(f"'{name}' holds a text of {len(part):,} characters")
