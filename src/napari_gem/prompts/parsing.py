"""Reads words and prompts from typed text, and writes words so that they read back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.core.validation import check_prompts, check_texts
from napari_gem.prompts.ids import check_name

MOST_CLASSES = 200
"""Largest number of classes of a run: each has a map as large as the image."""

COMMAS = ",\uff0c\u060c\u3001"
"""What separates words: the comma of each script, and the Chinese one of lists."""

_WORD = re.compile(
    rf"""\s*(?:"((?:[^"]|"")*)"|'([^']*)'|([^{COMMAS}]*))\s*(?:[{COMMAS}]|$)"""
)
"""A word and the comma behind it. Quotation marks count only around a whole word, so
that ``5" pipe`` and ``crow's foot`` are words as they are."""


def read_words(text: str) -> tuple[str, ...]:
    r"""Read words with `COMMAS` or new lines between them, each once.

    Quotation marks keep a word with a comma together. If words differ only in case the
    first is kept.

    Examples
    --------
    >>> read_words("sky,  blue   sky\nSky,")
    ('sky', 'blue sky')
    >>> read_words('"red, white and blue", crow\'s foot')
    ('red, white and blue', "crow's foot")
    """
    return _clean(word for line in text.splitlines() for word in _split(line))


def write_words(words: Iterable[str]) -> str:
    """Write words with commas between them, so that `read_words` gives them back.

    Examples
    --------
    >>> write_words(["red, white and blue", "flag"])
    '"red, white and blue", flag'
    """
    return ", ".join(
        word
        if not set(COMMAS) & set(word) and word[:1] not in ('"', "'")
        else '"{}"'.format(word.replace('"', '""'))
        for word in words
    )


def parse_prompts(lines: str | Prompt | Iterable[str | Prompt]) -> tuple[Prompt, ...]:
    """Read prompts: one class a line, a comma between synonyms as for `read_words`.

    Blank lines, blanks around words and repeated words of a class are dropped. If words
    differ only in case the first is kept. Tabs and ends of lines count as blanks.

    Parameters
    ----------
    lines
        Text with one class a line, or the lines. A `Prompt` is one class; a comma in
        its words separates nothing.

    Raises
    ------
    GemError
        If no class is left, if a line is neither text nor a `Prompt`, if a line names
        the background, if two classes share a word, if there are more than
        `MOST_CLASSES` classes, or as `napari_gem.core.validation.check_prompts`.
    """
    prompts = [prompt for prompt in map(_parse, _lines(lines)) if prompt is not None]
    if not prompts:
        raise GemError("There is no prompt. Type what to look for, one class a line.")
    if len(prompts) > MOST_CLASSES:
        raise GemError(
            f"There are {len(prompts)} classes; one run can look for at most "
            f"{MOST_CLASSES}. Split the list into several runs."
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


def _lines(lines: object) -> Iterable[object]:
    if isinstance(lines, str):
        return lines.splitlines()
    if isinstance(lines, Prompt):
        return [lines]
    if isinstance(lines, Iterable) and not isinstance(lines, bytes):
        return lines
    return [lines]


def _parse(line: object) -> Prompt | None:
    """Read one class; None for a blank line."""
    if isinstance(line, str):
        words = _clean(_split(line))
        if not words:
            return None
        check_name(words[0])  # a `Prompt` may come from an older file
        return Prompt(words)
    if not isinstance(line, Prompt):
        raise GemError(
            f"The prompt {line!r} is no text. Give a text or a Prompt for each class."
        )
    check_texts("words of a class", line.words)
    title = " ".join(line.title.split())
    prompt = replace(line, title=title, words=_clean(line.words))
    return prompt if prompt.words or prompt.title or prompt.examples else None


def _split(line: str) -> list[str]:
    """Split a line at the commas between its words."""
    return [
        double.replace('""', '"') or single or plain
        for double, single, plain in _WORD.findall(line)
    ]


def _clean(words: Iterable[str]) -> tuple[str, ...]:
    """Strip words and leave out empty and repeated ones."""
    kept: dict[str, str] = {}
    for word in (" ".join(part.split()) for part in words):
        kept.setdefault(word.casefold(), word)
    kept.pop("", None)
    return tuple(kept.values())
