"""FloodNet (github.com/BinaLab/FloodNet-Supervised_v1.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"floodnet": "val/ with val-org-img/ and val-label-img/"}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List ``SPLIT/SPLIT-org-img`` and ``SPLIT/SPLIT-label-img``."""
    split = split or "val"
    folder = find_root(root, [split], "FloodNet-Supervised_v1.0") / split
    found = read_classes("floodnet")
    samples = pair_files(
        folder / f"{split}-org-img", folder / f"{split}-label-img", ".jpg", "_lab.png"
    )
    return Dataset(kind, found.title, found.classes, samples, found.format)
