"""Cityscapes, 19 classes (cityscapes-dataset.com).

With the original ``labelIds``, or with the ``labelTrainIds`` made from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"cityscapes": "leftImg8bit/val/CITY/ and gtFine/val/CITY/"}
TRAIN_IDS, LABEL_IDS = "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png"


def read(kind: str, root: Path, split: str) -> Dataset:
    """List the cities of ``leftImg8bit/SPLIT`` and ``gtFine/SPLIT``."""
    folder = find_root(root, ["leftImg8bit", "gtFine"], "cityscapes")
    split = split or "val"
    masks = folder / "gtFine" / split
    train_ids = any(masks.rglob(f"*{TRAIN_IDS}"))
    found = read_classes("cityscapes", ids="" if train_ids else "label_ids")
    samples = pair_files(
        folder / "leftImg8bit" / split,
        masks,
        "_leftImg8bit.png",
        TRAIN_IDS if train_ids else LABEL_IDS,
    )
    return Dataset(kind, found.title, found.classes, samples, found.format, 560)
