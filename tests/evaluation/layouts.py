"""Tiny data sets in the layouts in which the real ones come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SHAPE = (12, 16)


def write_image(path: Path, shape: tuple[int, int] = SHAPE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (*shape, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def write_mask(path: Path, values: np.ndarray, palette: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    if palette:
        picture.putpalette([i // 3 for i in range(768)])
    picture.save(path)
    return path


def stripes(*values: int) -> np.ndarray:
    """Columns of equal width with these values."""
    parts = np.array_split(np.arange(SHAPE[1]), len(values))
    mask = np.zeros(SHAPE, np.uint8)
    for value, columns in zip(values, parts, strict=True):
        mask[:, columns] = value
    return mask


def _listed(root: Path, masks: str, kind: str, values: tuple[int, ...]) -> Path:
    for name in ("2007_000033", "2007_000042"):
        write_image(root / "JPEGImages" / f"{name}.jpg")
        write_mask(root / masks / f"{name}.png", stripes(*values), palette=True)
    write_image(root / "JPEGImages" / "2007_000027.jpg")  # of another split
    listing = root / "ImageSets" / kind / "val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("2007_000033\n2007_000042\n")
    return root


def voc(root: Path) -> Path:
    _listed(
        root / "VOCdevkit" / "VOC2012",
        "SegmentationClass",
        "Segmentation",
        (0, 15, 255),
    )
    return root


def context(root: Path) -> Path:
    folder = root / "VOC2010"
    _listed(folder, "SegmentationClassContext", "SegmentationContext", (0, 1, 59))
    return root


def ade20k(root: Path) -> Path:
    name = "ADE_val_00000001"
    write_image(root / "images" / "validation" / f"{name}.jpg")
    write_image(root / "images" / "training" / "ADE_train_00000001.jpg")
    write_mask(root / "annotations" / "validation" / f"{name}.png", stripes(0, 1, 150))
    return root


def coco_stuff(root: Path, converted: bool = False) -> Path:
    write_image(root / "images" / "val2017" / "000000000139.jpg")
    masks = root / "annotations" / "val2017"
    # person, wood and unlabelled
    write_mask(masks / "000000000139.png", stripes(0, 181, 255))
    if converted:
        write_mask(masks / "000000000139_labelTrainIds.png", stripes(0, 170, 255))
    return root


def cityscapes(root: Path, train_ids: bool = False) -> Path:
    stem = "frankfurt/frankfurt_000000_000294"
    write_image(root / "leftImg8bit" / "val" / f"{stem}_leftImg8bit.png")
    masks = root / "gtFine" / "val"
    # road, ego vehicle and bicycle
    write_mask(masks / f"{stem}_gtFine_labelIds.png", stripes(7, 1, 33))
    write_mask(masks / f"{stem}_gtFine_color.png", stripes(1, 2, 3))
    if train_ids:
        path = masks / f"{stem}_gtFine_labelTrainIds.png"
        write_mask(path, stripes(0, 255, 18))
    return root


def loveda(root: Path, ordered: bool = False) -> Path:
    for scene, name in (("Rural", "2522"), ("Urban", "3514")):
        images, masks = root / "Val" / scene, root / "Val" / scene
        images, masks = images / "images_png", masks / "masks_png"
        if ordered:
            images, masks = root / "img_dir" / "val", root / "ann_dir" / "val"
        write_image(images / f"{name}.png")
        write_mask(masks / f"{name}.png", stripes(0, 1, 7))
    return root


def floodnet(root: Path) -> Path:
    folder = root / "FloodNet-Supervised_v1.0" / "val"
    write_image(folder / "val-org-img" / "6651.jpg")
    write_mask(folder / "val-label-img" / "6651_lab.png", stripes(0, 1, 9))
    return root


def udd5(root: Path) -> Path:
    write_image(root / "val" / "src" / "000001.JPG")
    write_mask(root / "val" / "gt" / "000001.png", stripes(0, 4, 255))
    return root


def isprs(root: Path, colored: bool = False) -> Path:
    name = "2_13_0_0_512_512.png"
    write_image(root / "img_dir" / "val" / name)
    values = stripes(1, 0, 6)
    if colored:
        colors = np.array([[0, 0, 0], [255, 255, 255], *[[255, 0, 0]] * 5], np.uint8)
        values = colors[values]
    write_mask(root / "ann_dir" / "val" / name, values)
    return root


def nuinsseg(root: Path) -> Path:
    for organ, name in (("human liver", "human_liver_01"), ("mouse fat", "mouse_1")):
        write_image(root / organ / "tissue images" / f"{name}.png")
        write_mask(root / organ / "mask binary" / f"{name}.png", stripes(0, 255))
    return root


def openimages(root: Path) -> Path:
    for name in ("0001eeaf4aed83f9", "000595fe6fee6369"):
        write_image(root / "validation" / f"{name}.jpg")
    (root / "oidv7-class-descriptions.csv").write_text(
        'LabelName,DisplayName\n/m/0cmf2,Airplane\n/m/01g317,"Person"\n'
    )
    rows = [
        "ImageId,X,Y,Label,EstimatedYesNo,Source,YesVotes,NoVotes,UnsureVotes,TextLabel",
        "0001eeaf4aed83f9,0.25,0.75,/m/0cmf2,yes,ih,3,0,0,",
        "0001eeaf4aed83f9,0.5,0.5,/m/0cmf2,no,cc,0,3,0,",
        "0001eeaf4aed83f9,0.1,0.1,/m/0cmf2,unsure,cc,0,0,3,",
        "0001eeaf4aed83f9,0.2,0.1,/m/01g317,no,cc,0,3,0,",
        "000595fe6fee6369,1.0,0.0,/m/01g317,yes,ih,2,1,0,",
        "000a1249af2bc5f0,0.5,0.5,/m/01g317,no,ih,0,3,0,",
    ]
    path = root / "oidv7-val-annotations-point-labels.csv"
    path.write_text("\n".join(rows) + "\n")
    return root


def folder(root: Path, classes: str = "background\nsquare, box\n") -> Path:
    write_image(root / "images" / "a.png")
    write_image(root / "images" / "b.jpg")
    write_mask(root / "masks" / "a.png", stripes(0, 1))
    write_mask(root / "masks" / "b.png", stripes(1, 255))
    (root / "classes.txt").write_text(classes)
    return root
