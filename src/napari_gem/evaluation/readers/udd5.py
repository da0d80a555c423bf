"""UDD5 (github.com/MarcWong/UDD)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"udd5": "val/ with src/ and gt/"}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List ``SPLIT/src`` and ``SPLIT/gt``."""
    split = split or "val"
    folder = find_root(root, [split], "UDD5", "UDD/UDD5") / split
    found = read_classes("udd5")
    samples = pair_files(folder / "src", folder / "gt", ".JPG")
    return Dataset(kind, found.title, found.classes, samples, found.format)
