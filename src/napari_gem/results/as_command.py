"""A recipe said as a command."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.core.fields import parameters_of, values_of
from napari_gem.core.foreign_text import is_command
from napari_gem.core.parameters import LabelParameters
from napari_gem.core.prompts import label_ids
from napari_gem.models.domains import with_domain
from napari_gem.models.find import find_model
from napari_gem.prompts.parsing import parse_prompts, read_words, write_words
from napari_gem.results.recipe import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.region import Region
    from napari_gem.core.results import Recipe


RUN_IN_QUOTES = '"$%`!\u201c\u201d\u201e'
"""What cmd or PowerShell obeys between double quotes."""


def as_command(
    recipe: Recipe,
    image: Path | str = "image.tif",
    *,
    index: Sequence[int] = (),
    output: str = "segmentation",
) -> str:
    """Say a recipe as one line for a terminal.

    What makes the labels is said in options of ``napari-gem segment``. Where that is
    not possible (label ids out of order, examples, a colormap, a polygon ...) the
    line is one of ``napari-gem replay``, which needs the recipe's file. The colours
    of classes are left to the command. No shell runs anything that a word or a path
    holds; on Windows a path that cannot be quoted is left to the reader.

    Parameters
    ----------
    recipe
        How a result was made.
    image
        The image file that the command reads.
    index
        Positions along its leading axes, as for `napari_gem.images.files.read_image`.
    output
        The folder that it writes.
    """
    said = _options(recipe)
    image, output = _place(image, "image.tif"), _place(output, "segmentation")
    words = ["replay", NAME, image] if said is None else ["segment", image, *said]
    if index:
        words += ["--index", ",".join(map(str, index))]
    line = ["napari-gem", *words, "-o", output]
    return " ".join(map(_for_windows if sys.platform == "win32" else _for_posix, line))


def needs_file(recipe: Recipe) -> bool:
    """Tell whether `as_command` needs the recipe's file."""
    return _options(recipe) is None


def _options(recipe: Recipe) -> list[str] | None:
    words = recipe.score.background
    if recipe.squash or read_words(write_words(words)) != words:
        return None
    try:
        card = find_model(recipe.model)
    except GemError:  # a weights file, or a model of another computer
        return None
    parts = [
        _prompts(recipe.prompts),
        ["-m", recipe.model, "--precision", recipe.precision],
        ["--domain", recipe.score.domain],
        _pixels(recipe),
        _appearance(recipe.appearance),
        _region(recipe.region),
        _values(recipe.encode, card.encode),
        _values(recipe.score, with_domain(card.score, card, recipe.score.domain)),
        _values(recipe.label, LabelParameters()),
    ]
    said: list[str] = []
    for part in parts:
        if part is None:
            return None
        said += part
    return said if all(map(_can_be_quoted, said)) else None


def _prompts(prompts: Sequence[Prompt]) -> list[str] | None:
    lines = [write_words(prompt.words) for prompt in prompts]
    thresholds = {prompt.threshold for prompt in prompts}
    plain = all(
        line
        and not prompt.examples
        and prompt.on
        and prompt.title in ("", prompt.words[0])
        and _reads_back(line, prompt.words)
        for prompt, line in zip(prompts, lines, strict=True)
    )
    in_order = label_ids(prompts) == tuple(range(1, len(prompts) + 1))
    if not plain or not in_order or len(thresholds) > 1:
        return None
    said = [word for line in lines for word in ("-p", line)]
    if thresholds != {0.5}:
        said += ["--threshold", _number(thresholds.pop())]
    return said


def _reads_back(line: str, words: tuple[str, ...]) -> bool:
    try:
        return parse_prompts([line])[0].words == words
    except GemError:
        return False


def _pixels(recipe: Recipe) -> list[str] | None:
    """Say which bands are taken, and what stands for no data."""
    if recipe.factor != 1:  # the number of the level is not known
        return None
    said = [("--bands", recipe.bands), ("--nodata", recipe.nodata)]
    return [word for option, text in said if text for word in (option, text)]


def _appearance(appearance: Appearance) -> list[str] | None:
    if appearance.lut is not None or appearance.channels:
        return None
    low, high = appearance.limits
    said = ["--limits", _number(low), _number(high)]
    if appearance.gamma != 1:
        said += ["--gamma", _number(appearance.gamma)]
    return said


def _region(region: Region | None) -> list[str] | None:
    if region is None:
        return []
    if region.polygon:
        return None
    return ["--region", *(str(n) for n in (*region.rows, *region.columns))]


def _values(asked: Any, usual: Any) -> list[str] | None:
    """Say each value that is not the model's own in an option."""
    before, now = values_of(usual), values_of(asked)
    said: list[str] = []
    for each in parameters_of(asked):
        value = now[each.name]
        if value == before[each.name]:
            continue
        if value is None:  # no option takes a number back
            return None
        said += _value(each.name.replace("_", "-"), value)
    return said


def _value(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, tuple):  # of texts, an option each; an empty one for none
        texts = (
            [write_words((word,)) for word in value]
            if name == "background"
            else (value)
        )
        return [
            word for text in texts or ("",) for word in (f"--{name.rstrip('s')}", text)
        ]
    return [f"--{name}", value if isinstance(value, str) else _number(value)]


def _for_posix(word: str) -> str:
    """Quote a word for a shell; what a terminal would obey when pasted is spelled."""
    if not any(map(is_command, word)):
        return shlex.quote(word)
    spelled = "".join(
        "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
        if is_command(character)
        else re.sub(r"[\\']", lambda match: f"\\{match[0]}", character)
        for character in word
    )
    return f"$'{spelled}'"


def _for_windows(word: str) -> str:
    """Quote a word for cmd and for PowerShell alike."""
    if re.fullmatch(r"[\w+=:./\\-]+", word, re.ASCII):
        return word
    ending = len(word) - len(word.rstrip("\\"))
    return f'"{word}{chr(92) * ending}"'


def _can_be_quoted(word: str) -> bool:
    """Tell whether there is a way to write a word so that no shell runs it."""
    return sys.platform != "win32" or not (
        any(map(is_command, word)) or set(RUN_IN_QUOTES) & set(word)
    )


def _place(path: Path | str, usual: str) -> str:
    """Write a path that is no option and can be quoted; else the usual one."""
    text = str(path)
    if not _can_be_quoted(text):
        return usual
    return f".{os.sep}{text}" if text.startswith("-") else text


def _number(value: float) -> str:
    """Write a number so that it reads back the same."""
    return str(value) if isinstance(value, int) else repr(float(value))
