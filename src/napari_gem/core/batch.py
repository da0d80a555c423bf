"""Many images by one recipe: what is asked, and what came of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["done", "finished", "kept", "failed"]
"""Of an image: segmented now; segmented before, by the same recipe; not done, since
other results are in its folder; or not done, since something is wrong with it."""

IMAGES = "Images"
"""Stage of the progress that counts images; others are of the image in work."""


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What a batch does with its folder.

    Attributes
    ----------
    write
        Which files are written for each image, as for `napari_gem.save`.
    resume
        Whether to go on with the batch in the folder: images that are finished, for the
        same bytes and the same recipe, are not done again.
    overwrite
        Whether results of other recipes, or of other bytes, are replaced.
    keep_going
        Whether an image that fails is left out; else the batch ends with it.
    """

    write: str = ""
    resume: bool = False
    overwrite: bool = False
    keep_going: bool = True


@dataclass(frozen=True)
class ClassMeasure:
    """How much of an image has a class.

    Attributes
    ----------
    name, label
        Of the class, and its number in the labels.
    share
        Part of the image, or of its region, without what holds no data, 0 to 1.
    pixels
        Number of pixels.
    regions
        Number of connected regions; pixels are connected along the axes.
    area
        In squares of the image's unit; None where the size of a pixel is not known.
    color
        Red, green and blue, each 0 to 1.
    """

    name: str
    label: int
    share: float
    pixels: int
    regions: int
    area: float | None = None
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ImageOutcome:
    """What came of one image of a batch.

    Attributes
    ----------
    name
        Of its folder, in the folder of the batch.
    path
        Of the image.
    state
        See `State`.
    problem
        Why it was not done: a sentence; empty if it was.
    classes
        In the order of the recipe; empty if it was not done.
    unit
        Of the pixel size; areas are in its squares. Empty if it is not known.
    crs
        Coordinate reference system; empty for none.
    notices
        Sentences for the user.
    """

    name: str
    path: str
    state: State
    problem: str = ""
    classes: tuple[ClassMeasure, ...] = ()
    unit: str = ""
    crs: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchReport:
    """What came of a batch.

    Attributes
    ----------
    folder
        With the folder of each image, ``report.csv`` and the contact sheet.
    outcomes
        Of the images, in their order.
    notices
        Sentences for the user about the whole.
    left
        Number of images that the batch did not come to.
    """

    folder: str
    outcomes: tuple[ImageOutcome, ...] = ()
    notices: tuple[str, ...] = ()
    left: int = 0

    @property
    def problems(self) -> tuple[ImageOutcome, ...]:
        """Images that were not done."""
        return tuple(one for one in self.outcomes if one.problem)
