"""Reads prompts from typed lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.core.validation import check_prompts, check_texts

MOST_CLASSES = 200
"""Largest number of classes of a run: each has a map as large as the image."""


def parse_prompts(lines: str | Prompt | Iterable[str | Prompt]) -> tuple[Prompt, ...]:
    """Read prompts: one class a line, a comma between synonyms.

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
        If no class is left, if a line is neither text nor a `Prompt`, if two classes
        share a word, if there are more than `MOST_CLASSES` classes, or as
        `napari_gem.core.validation.check_prompts`.
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
    """Strip words and leave out empty and repeated ones."""
    kept: dict[str, str] = {}
    for word in (" ".join(part.split()) for part in words):
        kept.setdefault(word.casefold(), word)
    kept.pop("", None)
    return tuple(kept.values())
