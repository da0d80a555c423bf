"""PASCAL Context, 59 classes (cs.stanford.edu/~roozbeh/pascal-context).

As mmsegmentation's converter leaves it beside the images of VOC 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_listed

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "context59": "VOC2010/ with JPEGImages/, SegmentationClassContext/, ImageSets/; "
    "no background",
    "context60": "the same, with background",
}
MASKS = "SegmentationClassContext"


def read(kind: str, root: Path, split: str) -> Dataset:
    """List the images of ``ImageSets/SegmentationContext/SPLIT.txt``."""
    inside = ("VOC2010", "VOCdevkit/VOC2010")
    folder = find_root(root, ["JPEGImages", MASKS], *inside)
    found = read_classes("context", background=kind == "context60")
    listing = folder / "ImageSets" / "SegmentationContext" / f"{split or 'val'}.txt"
    samples = pair_listed(listing, folder / "JPEGImages", folder / MASKS)
    return Dataset(kind, found.title, found.classes, samples, found.format)
