"""PASCAL VOC 2012 (host.robots.ox.ac.uk/pascal/VOC/voc2012)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_listed

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "voc20": "VOC2012/ with JPEGImages/, SegmentationClass/, ImageSets/; no background",
    "voc21": "the same, with background",
}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List the images of ``ImageSets/Segmentation/SPLIT.txt``."""
    inside = ("VOC2012", "VOCdevkit/VOC2012")
    folder = find_root(root, ["JPEGImages", "SegmentationClass"], *inside)
    found = read_classes("voc", background=kind == "voc21")
    listing = folder / "ImageSets" / "Segmentation" / f"{split or 'val'}.txt"
    samples = pair_listed(listing, folder / "JPEGImages", folder / "SegmentationClass")
    return Dataset(kind, found.title, found.classes, samples, found.format)
