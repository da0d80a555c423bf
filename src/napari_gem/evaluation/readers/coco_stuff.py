"""COCO-Stuff 164k, 171 classes (github.com/nightrome/cocostuff).

With the original maps (``stuffthingmaps_trainval2017.zip``), or with those that
mmsegmentation's converter writes beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"coco-stuff": "images/val2017/ and annotations/val2017/"}
CONVERTED = "_labelTrainIds.png"


def read(kind: str, root: Path, split: str) -> Dataset:
    """List ``images/SPLIT`` and ``annotations/SPLIT``."""
    folder = find_root(root, ["images", "annotations"], "coco_stuff164k")
    split = split or "val2017"
    masks = folder / "annotations" / split
    converted = any(masks.glob(f"*{CONVERTED}"))
    ending = CONVERTED if converted else ".png"
    found = read_classes("coco-stuff", ids="" if converted else "label_ids")
    samples = pair_files(folder / "images" / split, masks, ".jpg", ending)
    return Dataset(kind, found.title, found.classes, samples, found.format)
