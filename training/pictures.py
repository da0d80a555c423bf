"""Crops of real pictures, and what is true of them, beside the drawn scenes.

Masks, boxes and points say only which classes a crop has, may have or has not, as the
masks of drawn scenes do. `docs/on-real-pictures.md` names the public sources, and
`training.lay_out_pictures` lays their downloads out as the folder that is read here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image
from skimage.draw import disk, ellipse
from skimage.filters import threshold_otsu

from training.captions import NUMBER_OF, UNLABELLED
from training.real_kinds import VEGETATION_INDEX
from training.scenes import BACKGROUND, COLOURS

THING_WIDTHS = (10, 64)
"""Width in pixels that a thing has in a crop of 64 pixels: smallest, largest."""

ONE_SIDED = 0.5
"""Share of the crops that are chosen among several for having much of one class.

What always comes together cannot be told apart: a crop of a smear has red cells and
bright background, unless one looks for another.
"""
_CANDIDATES = 6

_TREE_INDEX = 0.05
_TREE_RADIUS = 5


@dataclass(frozen=True)
class Picture:
    """A real picture with what is known of it.

    Attributes
    ----------
    image : numpy.ndarray
        ``(height, width, 3)``, uint8.
    labels : numpy.ndarray
        ``(height, width)``, uint8: number of the class in `ALL_CLASSES`, or
        `UNLABELLED`.
    possible : numpy.ndarray
        ``(height, width)``, uint8: place in `choices` of the classes that the pixel may
        show as well.
    choices : tuple of tuple of str
        Names of classes; the first is usually empty.
    domain : str
        Domain of its captions.
    width : float
        Usual width of its things, in pixels.
    weight : float
        How often it is drawn, relative to others of its domain.
    """

    image: np.ndarray
    labels: np.ndarray
    possible: np.ndarray
    choices: tuple[tuple[str, ...], ...]
    domain: str
    width: float
    weight: float = 1.0

    @cached_property
    def top(self) -> float:
        """The value that 99.8 % of the picture do not exceed; 1 at least."""
        return max(float(np.percentile(self.image, 99.8)), 1.0)

    @cached_property
    def numbers(self) -> np.ndarray:
        """Numbers of its classes, and `UNLABELLED` where something is not labelled."""
        return np.unique(self.labels)

    def draw_part(self, rng: Generator) -> tuple[slice, slice]:
        """Draw the place of a square crop, with things of any of `THING_WIDTHS`."""
        if rng.random() >= ONE_SIDED:
            return self._draw_place(rng)
        number = rng.choice(self.numbers)
        parts = [self._draw_place(rng) for _ in range(_CANDIDATES)]
        return max(parts, key=lambda part: (self.labels[part] == number).mean())

    def _draw_place(self, rng: Generator) -> tuple[slice, slice]:
        smallest, largest = (math.log(width) for width in THING_WIDTHS)
        width = math.exp(rng.uniform(smallest, largest))
        height_here, width_here = self.labels.shape
        side = round(64 / width * self.width)
        side = min(max(side, 16), height_here, width_here)
        y = int(rng.integers(height_here - side + 1))
        x = int(rng.integers(width_here - side + 1))
        return slice(y, y + side), slice(x, x + side)

    def classes_possible(self, part: tuple[slice, slice]) -> set[str]:
        """Name the classes that a part may show beside those of its labels."""
        return {
            name
            for code in np.unique(self.possible[part])
            for name in self.choices[code]
        }


class PictureStore:
    """The real pictures of a folder, by domain.

    Parameters
    ----------
    folder : pathlib.Path
        With the folders `nuclei`, `blood` and `trees`, each with `train` and `test`.
    part : str
        ``"train"`` or ``"test"``.
    """

    def __init__(self, folder: Path, part: str = "train") -> None:
        readers: Sequence[Callable[[Path], Iterator[Picture]]] = (
            read_nuclei,
            read_smears,
            read_trees,
        )
        names = ("nuclei", "blood", "trees")
        self._pictures: dict[str, list[Picture]] = {}
        for read, name in zip(readers, names, strict=True):
            for picture in read(folder / name / part):
                self._pictures.setdefault(picture.domain, []).append(picture)
        self._shares = {
            domain: np.cumsum([picture.weight for picture in pictures])
            for domain, pictures in self._pictures.items()
        }

    def draw(self, rng: Generator, domain: str) -> Picture | None:
        """Draw a picture of a domain; none if the domain has none."""
        if domain not in self._pictures:
            return None
        sums = self._shares[domain]
        place = int(np.searchsorted(sums, rng.uniform(0, sums[-1]), side="right"))
        return self._pictures[domain][min(place, len(sums) - 1)]


def expose(rng: Generator, crop: np.ndarray, picture: Picture) -> np.ndarray:
    """Vary the exposure of a real fluorescence crop, and tint some.

    Files are often dark: a third stays as it is; the others are stretched so that the
    brightest of the picture are dim to overexposed.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws everything.
    crop : numpy.ndarray
        ``(height, width, 3)``, uint8.
    picture : Picture
        Where it is from; crops of other domains are returned as they are.

    Returns
    -------
    numpy.ndarray
        Same shape, uint8.
    """
    if picture.domain != "fluorescence":
        return crop
    values = crop.astype(np.float32)
    if rng.random() < 0.65:
        values *= math.exp(rng.uniform(math.log(70), math.log(330))) / picture.top
    if rng.random() < 0.3:
        values += rng.uniform(0, 25)
    if rng.random() < 0.35:
        colour = np.array(list(COLOURS.values())[int(rng.integers(len(COLOURS)))])
        values = values.mean(axis=2, keepdims=True) * (colour / 255)
    return values.clip(0, 255).astype(np.uint8)


# Readers ---------------------------------------------------------------------------


def read_nuclei(folder: Path) -> Iterator[Picture]:
    """Read fluorescence and stained pictures with the mask of each nucleus."""
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sizes = [(row["kind"], row["height"], row["width"]) for row in rows]
    for row, size in zip(rows, sizes, strict=True):
        if row["kind"] not in ("fluorescence", "stained"):
            continue  # smears of whole cells, in which 'nuclei' cannot be learnt
        name = row["name"] + ".png"
        image = _read_rgb(folder / "images" / name)
        nuclei = np.asarray(Image.open(folder / "masks" / name)) > 0
        read = _label_fluorescence if row["kind"] == "fluorescence" else _label_stained
        yield read(
            image,
            nuclei,
            width=float(row["median_diameter_px"] or 20),
            weight=sizes.count(size) ** -0.5,
        )


def _label_fluorescence(
    image: np.ndarray, nuclei: np.ndarray, *, width: float, weight: float
) -> Picture:
    labels = np.where(nuclei, NUMBER_OF["nucleus"], NUMBER_OF[BACKGROUND])
    # a faint nucleus that nobody outlined is neither nucleus nor background
    grey = image.mean(axis=2)
    bright = np.median(grey[nuclei]) if nuclei.any() else np.inf
    unclear = ~nuclei & (grey > (bright + np.median(grey[~nuclei])) / 2)
    labels[unclear] = UNLABELLED
    possible = unclear.astype(np.uint8)
    choices = (("cell",), ("cell", "nucleus", BACKGROUND))
    return Picture(
        image, labels.astype(np.uint8), possible, choices, "fluorescence", width, weight
    )


def _label_stained(
    image: np.ndarray, nuclei: np.ndarray, *, width: float, weight: float
) -> Picture:
    grey = image.mean(axis=2)
    colourful = np.ptp(image.astype(int), axis=2)
    labels = np.full(nuclei.shape, NUMBER_OF["tissue"])
    possible = np.zeros(nuclei.shape, np.uint8)
    pale = (colourful < 35) & (grey > 140)
    labels[pale], possible[pale] = NUMBER_OF["bright background"], 1
    if nuclei.any() and not nuclei.all():
        middle = (np.median(grey[nuclei]) + np.median(grey[~nuclei])) / 2
        dark = ~nuclei & (grey < middle)
        labels[dark], possible[dark] = UNLABELLED, 2
    labels[nuclei], possible[nuclei] = NUMBER_OF["stained nucleus"], 0
    always = ("cell", "red blood cell")
    choices = (
        always,
        (*always, "lumen", "tissue", BACKGROUND),
        (*always, "stained nucleus", "tissue"),
    )
    return Picture(
        image, labels.astype(np.uint8), possible, choices, "histology", width, weight
    )


def read_smears(folder: Path) -> Iterator[Picture]:
    """Read stained blood smears with boxes of red and white cells and platelets."""
    with (folder / "boxes.csv").open(newline="") as file:
        boxes: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(file):
            boxes.setdefault(row["image"], []).append(row)
    for name, rows in boxes.items():
        image = _read_rgb(folder / "images" / name)
        yield _label_smear(image, rows)


def _label_smear(image: np.ndarray, boxes: list[dict[str, str]]) -> Picture:
    shape = image.shape[:2]
    green = image[..., 1].astype(float)
    pale = green > threshold_otsu(green)
    purple = (image[..., 2].astype(float) - green > 45) & ~pale
    labels = np.full(shape, UNLABELLED)
    labels[pale] = NUMBER_OF["bright background"]
    # things without a box: cells that nobody marked
    always = ("cell", "lumen", BACKGROUND)
    unmarked = (*always, "red blood cell")
    nucleated = ("white blood cell", "stained nucleus", "nucleus")
    choices = (always, unmarked, (*unmarked, *nucleated), (*always, *nucleated[1:]))
    possible = np.where(pale, 0, np.where(purple, 2, 1)).astype(np.uint8)
    widths = []
    for kind, name in (("RBC", "red blood cell"), ("WBC", "white blood cell")):
        for row in boxes:
            if row["class"] != kind:
                continue
            (y, x), (height, width) = _box(row)
            inside = ellipse(
                y + height / 2, x + width / 2, height / 2, width / 2, shape=shape
            )
            labels[inside] = NUMBER_OF[name]
            possible[inside] = 0 if kind == "RBC" else 3
            if kind == "RBC":
                widths.append(math.sqrt(height * width))
    for row in boxes:
        if row["class"] == "Platelets":
            (y, x), (height, width) = _box(row)
            here = slice(y, y + height), slice(x, x + width)
            labels[here], possible[here] = UNLABELLED, 1
    return Picture(
        image,
        labels.astype(np.uint8),
        possible,
        choices,
        "blood smear",
        float(np.median(widths)) if widths else 100.0,
    )


def _box(row: dict[str, str]) -> tuple[tuple[int, int], tuple[int, int]]:
    top, left, bottom, right = (
        max(0, int(row[name])) for name in ("ymin", "xmin", "ymax", "xmax")
    )
    return (top, left), (max(1, bottom - top), max(1, right - left))


def read_trees(folder: Path) -> Iterator[Picture]:
    """Read aerial tiles with near infrared and a point for each tree."""
    import tifffile

    for path in sorted((folder / "images").glob("*.tif")):
        bands = tifffile.imread(path)
        with (folder / "points" / f"{path.stem}.csv").open(newline="") as file:
            points = [(int(row["y"]), int(row["x"])) for row in csv.DictReader(file)]
        yield _label_trees(bands, points)


def _label_trees(bands: np.ndarray, points: list[tuple[int, int]]) -> Picture:
    shape = bands.shape[:2]
    red, green, infrared = (bands[..., band].astype(float) for band in (0, 1, 3))
    index = (infrared - red) / (infrared + red + 1e-6)
    wet = (green - infrared) / (green + infrared + 1e-6) > 0.1
    crowns = np.zeros(shape, bool)
    for point in points:
        crowns[disk(point, _TREE_RADIUS, shape=shape)] = True
    crowns &= index > _TREE_INDEX
    green_places = index > VEGETATION_INDEX
    labels = np.full(shape, UNLABELLED)
    labels[green_places] = NUMBER_OF["vegetation"]
    labels[crowns] = NUMBER_OF["tree"]
    # on these tiles are lawns, roofs, roads and pools without labels
    bare = ("building", "road", "sand", "field")
    living = ("grass", "field", "forest", "tree", "vegetation")
    choices = (
        ("forest", "grass"),
        living,
        (*bare, "vegetation"),
        (*bare, "water"),
        bare,
    )
    faint = (index > _TREE_INDEX) & ~green_places
    possible = np.select([crowns, green_places, faint, wet], [0, 1, 2, 3], 4)
    return Picture(
        np.ascontiguousarray(bands[..., :3]),
        labels.astype(np.uint8),
        possible.astype(np.uint8),
        choices,
        "aerial",
        width=14.0,
    )


def _read_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
