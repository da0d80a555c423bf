"""Kinds of real pictures, what is asked of them, and what is known to be true.

`read_kind` reads the folder that `training.lay_out_pictures` lays out:

- ``nuclei/{train,test}``: ``images/``, ``masks/``, ``index.csv``
- ``blood/{train,test}``: ``images/``, ``boxes.csv``
- ``trees/{train,test}``: ``images/`` (red, green, blue, near infrared), ``points/``
- ``geo/m_*.tif``: aerial scenes (red, green, blue, near infrared)

The stained sample of scikit-image is none of its files.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from skimage.color import rgb2hed
from skimage.filters import threshold_multiotsu, threshold_otsu

from napari_gem.images.samples import REAL, read_sample

PARTS = ("train", "test")

VEGETATION_INDEX = 0.15
"""(infrared - red) / (infrared + red) from which a pixel counts as vegetation."""

WATER_INDEX = 0.3
"""(green - infrared) / (green + infrared) from which a pixel counts as water."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, with where the asked things are.

    Attributes
    ----------
    name : str
        File name without its ending.
    image : numpy.ndarray
        ``(height, width, 3)``, uint8: all that the model gets.
    truth : dict
        Word to ``(height, width)`` bool. A word is missing where nothing is known.
    points : dict
        Word to ``(number, 2)`` rows and columns of its things.
    """

    name: str
    image: np.ndarray
    truth: dict[str, np.ndarray]
    points: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What is asked of pictures of a kind, and what a user would do without words.

    Attributes
    ----------
    word : str
        The word that is typed.
    otsu : callable
        Turns an image into a mask by Otsu's threshold.
    otsu_by : str
        What that threshold looks at, for the table.
    truth : str
        What it is compared with, for the table.
    """

    word: str
    otsu: Callable[[np.ndarray], np.ndarray]
    otsu_by: str
    truth: str


@dataclass(frozen=True)
class Kind:
    """Pictures of a kind, and what is asked of them.

    Attributes
    ----------
    title : str
        For the table.
    read : callable
        Folder and part to pairs: name of a picture, and a function that reads it.
    questions : tuple of Question
        What is asked.
    absent : tuple of str
        Words for things that are in none of the pictures.
    domain : str
        Of `napari_gem.core.parameters.DOMAINS`.
    stretch : bool
        Whether the pictures are stretched between percentiles, whatever the rule.
    zoom : float or None
        At which the pictures are encoded; none takes that of the model's card.
    """

    title: str
    read: Callable[[Path, str], list[tuple[str, Callable[[], Picture]]]]
    questions: tuple[Question, ...]
    absent: tuple[str, ...]
    domain: str
    stretch: bool = False
    zoom: float | None = None


# Otsu ------------------------------------------------------------------------------


def _grey(image: np.ndarray) -> np.ndarray:
    return image.mean(axis=2)


def _bright(image: np.ndarray) -> np.ndarray:
    grey = _grey(image)
    return grey > threshold_otsu(grey)


def _dark(image: np.ndarray) -> np.ndarray:
    grey = _grey(image)
    return grey <= threshold_otsu(grey)


def _darkest_green(image: np.ndarray) -> np.ndarray:
    green = image[..., 1]
    return green <= threshold_multiotsu(green, 3)[0]


def _green(image: np.ndarray) -> np.ndarray:
    red, green, blue = (image[..., band].astype(float) for band in range(3))
    excess = (2 * green - red - blue) / (red + green + blue + 1)
    return excess > threshold_otsu(excess)


# Readers ---------------------------------------------------------------------------

Entries = list[tuple[str, Callable[[], Picture]]]


def _nuclei_entries(folder: Path, part: str, *, kind: str) -> Entries:
    place = folder / "nuclei" / part
    with (place / "index.csv").open(newline="", encoding="utf-8") as file:
        names = sorted(
            row["name"] for row in csv.DictReader(file) if row["kind"] == kind
        )
    return [(name, partial(_read_nuclei, place, name)) for name in names]


def _read_nuclei(place: Path, name: str) -> Picture:
    image = _read_rgb(place / "images" / f"{name}.png")
    masks = np.asarray(Image.open(place / "masks" / f"{name}.png")) > 0
    return Picture(name, image, {"nuclei": masks})


def _smear_entries(folder: Path, part: str) -> Entries:
    place = folder / "blood" / part
    with (place / "boxes.csv").open(newline="", encoding="utf-8") as file:
        boxes: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(file):
            boxes.setdefault(row["image"], []).append(row)
    return [
        (Path(name).stem, partial(_read_smear, place / "images" / name, boxes[name]))
        for name in sorted(boxes)
    ]


def _read_smear(path: Path, boxes: list[dict[str, str]]) -> Picture:
    image = _read_rgb(path)
    truth = {}
    for name, word in (("RBC", "red blood cells"), ("WBC", "white blood cells")):
        marked = [row for row in boxes if row["class"] == name]
        if marked:  # cells without a box occur: no box says nothing
            truth[word] = mask = np.zeros(image.shape[:2], bool)
            for row in marked:
                left, top, right, bottom = (
                    max(0, round(float(row[side])))
                    for side in ("xmin", "ymin", "xmax", "ymax")
                )
                mask[top:bottom, left:right] = True
    return Picture(path.stem, image, truth)


def _tree_entries(folder: Path, part: str) -> Entries:
    paths = sorted((folder / "trees" / part / "images").glob("*.tif"))
    return [(path.stem, partial(_read_trees, path)) for path in paths]


def _read_trees(path: Path) -> Picture:
    bands = tifffile.imread(path)
    with (path.parents[1] / "points" / f"{path.stem}.csv").open(newline="") as file:
        rows = [(float(row["y"]), float(row["x"])) for row in csv.DictReader(file)]
    points = np.array(rows, int).reshape(-1, 2)
    points = points.clip(0, np.array(bands.shape[:2]) - 1)
    green = _index(bands, 3, 0) > VEGETATION_INDEX
    return Picture(
        path.stem, bands[..., :3].copy(), {"vegetation": green}, {"trees": points}
    )


def _scene_entries(folder: Path, part: str) -> Entries:
    """List the aerial scenes, none of which is for training."""
    paths = sorted((folder / "geo").glob("m_*.tif")) if part == "test" else []
    return [(path.stem, partial(_read_scene, path)) for path in paths]


def _read_scene(path: Path) -> Picture:
    bands = tifffile.imread(path)
    water = _index(bands, 1, 3) > WATER_INDEX
    return Picture(path.stem, bands[..., :3].copy(), {"water": water})


def _stained_sample_entries(_folder: Path, part: str) -> Entries:
    """List scikit-image's picture, which is not for training."""
    return [(REAL, _read_stained_sample)] if part == "test" else []


def _read_stained_sample() -> Picture:
    image = np.asarray(read_sample(REAL)[0].pixels)
    brown = rgb2hed(image)[..., 2]
    return Picture(REAL, image, {"brown stain": brown > threshold_otsu(brown)})


def _index(bands: np.ndarray, one: int, other: int) -> np.ndarray:
    """Return the normalised difference of two bands, -1 to 1."""
    first, second = bands[..., one].astype(float), bands[..., other].astype(float)
    return (first - second) / np.maximum(first + second, 1)


def _read_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


# Kinds -----------------------------------------------------------------------------

_OUTDOORS = ("water", "forest", "road", "buildings", "ships", "clouds")
_FLUORESCENCE = (
    *_OUTDOORS,
    "tissue",
    "brown stain",
    "lumen",
    "red blood cells",
    "white blood cells",
)
_STAINED = (*_OUTDOORS, "filaments", "mitochondria", "bacteria", "white blood cells")
_SMEARS = (*_OUTDOORS, "filaments", "mitochondria", "bacteria", "brown stain")
_AERIAL = (
    "nuclei",
    "mitochondria",
    "bacteria",
    "tissue",
    "brown stain",
    "lumen",
    "red blood cells",
    "white blood cells",
    "clouds",
)

_BRIGHT_NUCLEI = Question("nuclei", _bright, "bright pixels", "masks of nuclei")
_DARK_NUCLEI = Question("nuclei", _dark, "dark pixels", "masks of nuclei")

KINDS = {
    "fluorescence": Kind(
        "Fluorescence, as the file is",
        partial(_nuclei_entries, kind="fluorescence"),
        (_BRIGHT_NUCLEI,),
        _FLUORESCENCE,
        "fluorescence",
    ),
    "fluorescence-stretched": Kind(
        "Fluorescence, stretched",
        partial(_nuclei_entries, kind="fluorescence"),
        (_BRIGHT_NUCLEI,),
        _FLUORESCENCE,
        "fluorescence",
        stretch=True,
    ),
    "stained": Kind(
        "Stained tissue",
        partial(_nuclei_entries, kind="stained"),
        (_DARK_NUCLEI,),
        _STAINED,
        "histology",
    ),
    "pap": Kind(
        "Grey Pap smears",
        partial(_nuclei_entries, kind="brightfield"),
        (_DARK_NUCLEI,),
        _STAINED,
        "histology",
    ),
    "brown": Kind(
        "Stained sample of scikit-image",
        _stained_sample_entries,
        (Question("brown stain", _dark, "dark pixels", "the stain's channel"),),
        _STAINED,
        "histology",
    ),
    "blood": Kind(
        "Blood smears",
        _smear_entries,
        (
            Question("red blood cells", _dark, "dark pixels", "boxes of red cells"),
            Question(
                "white blood cells",
                _darkest_green,
                "the darkest of three classes of green",
                "boxes of white cells",
            ),
        ),
        _SMEARS,
        "biomedical",
        zoom=0.4,
    ),
    "trees": Kind(
        "Aerial tiles, 60 cm",
        _tree_entries,
        (
            Question("trees", _green, "excess green", "points of trees"),
            Question("vegetation", _green, "excess green", "the infrared index"),
        ),
        _AERIAL,
        "aerial",
    ),
    "naip": Kind(
        "Aerial scenes, 5 m",
        _scene_entries,
        (Question("water", _dark, "dark pixels", "the infrared index"),),
        _AERIAL,
        "aerial",
    ),
}
"""The kinds by the names that the command takes."""


def entries_of(folder: Path, name: str, part: str, limit: int | None) -> Entries:
    """List pictures of a kind: at most ``limit``, evenly among their sorted names."""
    entries = KINDS[name].read(folder, part)
    if limit is None or len(entries) <= limit:
        return entries
    places = np.linspace(0, len(entries) - 1, limit).round().astype(int)
    return [entries[place] for place in places]


def read_kind(
    folder: Path, name: str, part: str = "test", limit: int | None = None
) -> Iterator[Picture]:
    """Read pictures of a kind one after the other.

    Parameters
    ----------
    folder : pathlib.Path
        With the folders ``nuclei``, ``blood``, ``trees`` and ``geo``.
    name : str
        Key of `KINDS`.
    part : str
        One of `PARTS`.
    limit : int, optional
        How many at most; none reads all.

    Yields
    ------
    Picture
        The picture with its truth.
    """
    for _, read in entries_of(folder, name, part, limit):
        yield read()
