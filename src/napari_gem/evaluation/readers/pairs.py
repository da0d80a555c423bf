"""Data sets that are pairs of files in folders; each is an entry of `LAYOUTS`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset
from napari_gem.evaluation.listing import find_root, pair_files, pair_listed

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Where the files of a data set are; ``{}`` stands for the split.

    Attributes
    ----------
    about
        A line for the user.
    images, masks
        Folders of the images and the masks.
    split
        The one that is measured in papers.
    inside
        Folders in which all of this may be.
    classes
        Name of the list of classes; empty for the name of the data set.
    background
        Whether the background is a class.
    listing
        File with the names of the images; empty for all files.
    image_ending, mask_ending
        What follows the name that image and mask have in common.
    converted_ending
        The same for masks whose values were converted to numbers from 0; if there are
        any, the original masks, with ``label_ids``, are not read.
    short_side
        Pixels of the shorter side in the sliding-window protocol.
    """

    about: str
    images: str
    masks: str
    split: str = "val"
    inside: tuple[str, ...] = ()
    classes: str = ""
    background: bool = True
    listing: str = ""
    image_ending: str = ".jpg"
    mask_ending: str = ".png"
    converted_ending: str = ""
    short_side: int = 336


def _pascal(about: str, classes: str, year: str, part: str = "") -> Layout:
    """PASCAL VOC and PASCAL Context, without a class for the background."""
    return Layout(
        about,
        images="JPEGImages",
        masks=f"SegmentationClass{part}",
        inside=(f"VOC{year}", f"VOCdevkit/VOC{year}"),
        classes=classes,
        background=False,
        listing=f"ImageSets/Segmentation{part}/{{}}.txt",
    )


def _isprs(name: str) -> Layout:
    """Tiles of ISPRS Potsdam or Vaihingen (isprs.org), as mmsegmentation cuts them.

    Masks may hold numbers, or the colours of the original ones.
    """
    return Layout(
        "img_dir/val/ and ann_dir/val/",
        images="img_dir/{}",
        masks="ann_dir/{}",
        inside=(name,),
        image_ending=".png",
    )


# host.robots.ox.ac.uk/pascal/VOC/voc2012
_VOC = _pascal(
    "VOC2012/ with JPEGImages/, SegmentationClass/, ImageSets/; no background",
    "voc",
    "2012",
)
# cs.stanford.edu/~roozbeh/pascal-context, as mmsegmentation's converter leaves it
# beside the images of VOC 2010
_CONTEXT = _pascal(
    "VOC2010/ with JPEGImages/, SegmentationClassContext/, ImageSets/; no background",
    "context",
    "2010",
    "Context",
)
_WITH_BACKGROUND: Any = {"about": "the same, with background", "background": True}

LAYOUTS = {
    "voc20": _VOC,
    "voc21": replace(_VOC, **_WITH_BACKGROUND),
    "context59": _CONTEXT,
    "context60": replace(_CONTEXT, **_WITH_BACKGROUND),
    # the scene parsing benchmark (sceneparsing.csail.mit.edu)
    "ade20k": Layout(
        "ADEChallengeData2016/ with images/ and annotations/",
        images="images/{}",
        masks="annotations/{}",
        split="validation",
        inside=("ADEChallengeData2016",),
    ),
    # COCO-Stuff 164k (github.com/nightrome/cocostuff): stuffthingmaps_trainval2017.zip,
    # or what mmsegmentation's converter writes beside it
    "coco-stuff": Layout(
        "images/val2017/ and annotations/val2017/",
        images="images/{}",
        masks="annotations/{}",
        split="val2017",
        inside=("coco_stuff164k",),
        converted_ending="_labelTrainIds.png",
    ),
    # cityscapes-dataset.com, 19 classes
    "cityscapes": Layout(
        "leftImg8bit/val/CITY/ and gtFine/val/CITY/",
        images="leftImg8bit/{}",
        masks="gtFine/{}",
        inside=("cityscapes",),
        image_ending="_leftImg8bit.png",
        mask_ending="_gtFine_labelIds.png",
        converted_ending="_gtFine_labelTrainIds.png",
        short_side=560,
    ),
    # github.com/BinaLab/FloodNet-Supervised_v1.0
    "floodnet": Layout(
        "val/ with val-org-img/ and val-label-img/",
        images="{0}/{0}-org-img",
        masks="{0}/{0}-label-img",
        inside=("FloodNet-Supervised_v1.0",),
        mask_ending="_lab.png",
    ),
    # github.com/MarcWong/UDD
    "udd5": Layout(
        "val/ with src/ and gt/",
        images="{}/src",
        masks="{}/gt",
        inside=("UDD5", "UDD/UDD5"),
        image_ending=".JPG",
    ),
    "potsdam": _isprs("potsdam"),
    "vaihingen": _isprs("vaihingen"),
}

KINDS = {kind: layout.about for kind, layout in LAYOUTS.items()}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List the pairs of a split."""
    layout = LAYOUTS[kind]
    split = split or layout.split
    places = layout.images.format(split), layout.masks.format(split)
    marks = dict.fromkeys(place.partition("/")[0] for place in places)
    folder = find_root(root, marks, *layout.inside)
    images, masks = (folder / place for place in places)
    ending, ids = layout.mask_ending, ""
    if layout.converted_ending:
        converted = any(masks.rglob(f"*{layout.converted_ending}"))
        ending = layout.converted_ending if converted else ending
        ids = "" if converted else "label_ids"
    if layout.listing:
        samples = pair_listed(folder / layout.listing.format(split), images, masks)
    else:
        samples = pair_files(images, masks, layout.image_ending, ending)
    classes = read_classes(
        layout.classes or kind, ids=ids, background=layout.background
    )
    return Dataset(
        kind,
        classes.title,
        classes.classes,
        samples,
        classes.format,
        layout.short_side,
    )
