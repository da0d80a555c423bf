"""LoveDA (zenodo.org/records/5706578), unpacked, or as mmsegmentation re-orders it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset, Sample
from napari_gem.evaluation.listing import find_root, pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"loveda": "Val/ with Rural/ and Urban/, or img_dir/val/ and ann_dir/val/"}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List rural and urban images of a split."""
    split = split or "val"
    classes = read_classes("loveda")
    samples: tuple[Sample, ...] = ()
    if (root / "img_dir").is_dir():
        folder = find_root(root, ["img_dir", "ann_dir"])
        samples = pair_files(
            folder / "img_dir" / split, folder / "ann_dir" / split, ".png"
        )
    else:
        folder = find_root(root, [split.capitalize()]) / split.capitalize()
        for scene in ("Rural", "Urban"):
            where = folder / scene
            pairs = pair_files(where / "images_png", where / "masks_png", ".png")
            samples += tuple(
                Sample(f"{scene}/{pair.name}", pair.image, pair.mask) for pair in pairs
            )
    return Dataset(kind, classes.title, classes.classes, samples, classes.format)
