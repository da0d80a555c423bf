"""ADE20K-150, the scene parsing benchmark (sceneparsing.csail.mit.edu)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"ade20k": "ADEChallengeData2016/ with images/ and annotations/"}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List ``images/SPLIT`` and ``annotations/SPLIT``."""
    folder = find_root(root, ["images", "annotations"], "ADEChallengeData2016")
    split = split or "validation"
    found = read_classes("ade20k")
    samples = pair_files(
        folder / "images" / split, folder / "annotations" / split, ".jpg"
    )
    return Dataset(kind, found.title, found.classes, samples, found.format)
