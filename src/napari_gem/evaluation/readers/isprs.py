"""Tiles of ISPRS Potsdam and Vaihingen (isprs.org), as mmsegmentation cuts them.

Masks may hold numbers, or the colours of the original ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "potsdam": "img_dir/val/ and ann_dir/val/",
    "vaihingen": "img_dir/val/ and ann_dir/val/",
}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List ``img_dir/SPLIT`` and ``ann_dir/SPLIT``."""
    folder = find_root(root, ["img_dir", "ann_dir"], kind)
    split = split or "val"
    found = read_classes(kind)
    samples = pair_files(folder / "img_dir" / split, folder / "ann_dir" / split, ".png")
    return Dataset(kind, found.title, found.classes, samples, found.format)
