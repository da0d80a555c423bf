"""Data sets as records, and the kinds of folders that can be read.

Each module in `readers` has ``KINDS``, the names of its data sets with a line about
their folders, and ``read``; there is no list of the modules to edit. Readers list files
only; `masks.read_mask` opens one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import check_known
from napari_gem.evaluation import readers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Color = tuple[int, int, int]


@dataclass(frozen=True)
class DatasetClass:
    """One class of a data set.

    Attributes
    ----------
    name
        Name in the data set.
    words
        Synonyms to look for. Empty, for a background only, takes the model's words.
    background
        Whether it is everything that is no other class.
    """

    name: str
    words: tuple[str, ...]
    background: bool = False


@dataclass(frozen=True)
class MaskFormat:
    """What the values of a mask mean.

    Attributes
    ----------
    numbers
        Value in the file to the number of the class, or to `metrics.IGNORED`.
    colors
        Red, green, blue (0 to 255) in the file to such a value, for masks in colour.
    nonzero
        Whether all values but 0 mean the same as 1.
    """

    numbers: Mapping[int, int]
    colors: Mapping[Color, int] = field(default_factory=dict)
    nonzero: bool = False


@dataclass(frozen=True, eq=False)
class Points:
    """Point labels of one image.

    Attributes
    ----------
    rows, columns
        (points,) float64: place as a part of the image's height and width, 0 to 1.
    numbers
        (points,): number of the class that was asked for.
    positive
        (points,): whether the point shows it.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    numbers: NDArray[np.int64]
    positive: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its truth, a mask or points; either file may be missing."""

    name: str
    image: Path
    mask: Path | None = None
    points: Points | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, masks or points, and classes.

    Attributes
    ----------
    kind
        Name that the user typed: ``voc21``, ``folder`` ...
    title
        Name that the user reads.
    classes
        The number of a class is its position.
    samples
        Images in a fixed order, at least one.
    format
        What the values of masks mean; None for points.
    short_side
        Pixels of the shorter side in the sliding-window protocol.
    folder, split
        Its folder, and which part of it; empty for the usual one.
    """

    kind: str
    title: str
    classes: tuple[DatasetClass, ...]
    samples: tuple[Sample, ...]
    format: MaskFormat | None
    short_side: int = 336
    folder: str = ""
    split: str = ""


@cache
def list_kinds() -> dict[str, str]:
    """Kinds of data sets that can be read, each with a line about its folder."""
    return {kind: about for kind, (about, _) in sorted(_readers().items())}


def read_dataset(kind: str, root: Path, split: str = "") -> Dataset:
    """List the images and masks of a data set.

    Parameters
    ----------
    kind
        One of `list_kinds`.
    root
        Its folder.
    split
        Part of the data set; empty takes the one that is measured in papers.

    Raises
    ------
    GemError
        If the kind is not known, or the folder does not have its layout or no images.
    """
    check_known("kind of data set", kind, list_kinds())
    if not root.is_dir():
        raise GemError(f"There is no folder '{root}'. Give the data set's folder.")
    dataset = _readers()[kind][1](kind, root, split)
    return replace(dataset, folder=str(root.resolve()), split=split)


@cache
def _readers() -> dict[str, tuple[str, Callable[[str, Path, str], Dataset]]]:
    by_kind: dict[str, Any] = {}
    for entry in iter_modules(readers.__path__):
        module = import_module(f"{readers.__name__}.{entry.name}")
        for kind, about in getattr(module, "KINDS", {}).items():
            by_kind[kind] = (about, module.read)
    return by_kind
