"""Classes of data sets: one TOML file each in ``classes/``.

A file has ``title``, ``source``, ``ignore`` (values of no class) and ``classes``: the
name of each, and after a bar its words where they differ from the name. Their values in
masks count from ``first``, or are a list of another name, with those that it ignores
in a list of that name and ``_ignored``. ``background`` names the class that is what
no other is; ``colors`` are those of masks in colour.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.evaluation.datasets import DatasetClass, MaskFormat
from napari_gem.evaluation.metrics import IGNORED

if TYPE_CHECKING:
    from napari_gem.evaluation.datasets import Color

_FOLDER = Path(__file__).parent / "classes"


@dataclass(frozen=True)
class ClassList:
    """Title of a data set, its classes, and the values that mean them."""

    title: str
    classes: tuple[DatasetClass, ...]
    format: MaskFormat


def read_classes(name: str, *, ids: str = "", background: bool = True) -> ClassList:
    """Read the file of this name in ``classes/``.

    ``ids`` names the entry that holds the values; empty counts from ``first``. Without
    ``background`` that is no class, and its pixels count nowhere.
    """
    entry = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    lines: list[str] = entry["classes"]
    values = entry.get(ids, []) or [
        entry.get("first", 0) + i for i in range(len(lines))
    ]
    classes = [parse_class(line, entry.get("background", "")) for line in lines]
    kept = [c for c in classes if background or not c.background]
    numbers = {
        value: kept.index(c) if c in kept else IGNORED
        for value, c in zip(values, classes, strict=True)
    }
    ignored = entry.get(f"{ids}_ignored", entry.get("ignore", []))
    numbers.update(dict.fromkeys(ignored, IGNORED))
    colors: dict[Color, int] = {}
    for color, value in entry.get("colors", []):
        colors[color[0], color[1], color[2]] = value
    return ClassList(entry["title"], tuple(kept), MaskFormat(numbers, colors))


def parse_class(line: str, background: str = "background") -> DatasetClass:
    """Read ``nucleus``, ``nucleus, cell nucleus`` or ``cells | leukocyte, lymphocyte``.

    ``background`` is the name of the background. Alone in a line it has no words.
    """
    title, bar, rest = line.partition("|")
    parts = (rest if bar else title).split(",")
    words = tuple(word for word in (" ".join(part.split()) for part in parts) if word)
    name = " ".join(title.split()) if bar else words[0]
    is_background = name.casefold() == background.casefold()
    if is_background and words == (name,):
        words = ()
    return DatasetClass(name, words, is_background)
