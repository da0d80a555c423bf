"""Any images with masks: ``images/``, ``masks/`` and ``classes.txt``.

A line of ``classes.txt`` is a class: its words with commas between, the first being its
name. Its value in the masks is the number of the line, counted from 0, or a number and
a colon before the words. ``ignore: 255`` gives a value that counts nowhere (255 does if
it is no class). A class ``background`` without further words takes the model's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.evaluation.class_lists import parse_class
from napari_gem.evaluation.datasets import Dataset, DatasetClass, MaskFormat
from napari_gem.evaluation.listing import pair_files, read_lines
from napari_gem.evaluation.metrics import IGNORED

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"folder": "images/, masks/ with the same names, classes.txt"}

_NUMBERED = re.compile(r"\s*(\d+)\s*:(.*)")
_IGNORE = re.compile(r"\s*ignore\s*:\s*([\d\s,]+)", re.IGNORECASE)


def read(kind: str, root: Path, split: str) -> Dataset:
    """List such a folder; a split is a folder in ``images/`` and in ``masks/``."""
    classes, numbers = _read_classes(root / "classes.txt")
    samples = pair_files(root / "images" / split, root / "masks" / split, "", "")
    return Dataset(kind, root.resolve().name, classes, samples, MaskFormat(numbers))


def _read_classes(path: Path) -> tuple[tuple[DatasetClass, ...], dict[int, int]]:
    if not path.is_file():
        raise GemError(
            f"There is no '{path}'. Write it: a line for each class, in the order of "
            "the numbers in the masks, with commas between its words."
        )
    classes: list[DatasetClass] = []
    numbers: dict[int, int] = {}
    ignored: list[int] = []
    for line in filter(str.strip, read_lines(path)):
        ignore, numbered = _IGNORE.fullmatch(line), _NUMBERED.fullmatch(line)
        if ignore:
            ignored += map(int, ignore[1].replace(",", " ").split())
            continue
        value = int(numbered[1]) if numbered else len(classes)
        words = numbered[2] if numbered else line
        if not words.strip(" ,|") or value in numbers:
            raise GemError(
                f"The line '{line.strip()}' of '{path}' names no class, or a number a "
                "second time; write one class a line, such as '1: nucleus, nuclei'."
            )
        numbers[value] = len(classes)
        classes.append(parse_class(words))
    if not classes:
        raise GemError(f"'{path}' is empty; write one class a line.")
    for value in ignored or [255]:
        numbers.setdefault(value, IGNORED)
    return tuple(classes), numbers
