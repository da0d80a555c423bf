"""What a data set is to us, and which kinds of folders can be read.

A kind of data set is a name in the ``KINDS`` of a module in `readers`, found by its
presence. Readers list files only; `masks.read_mask` opens one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
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
        As the data set calls it.
    words
        Synonyms to look for. Empty, for a background only: the words of the model.
    background
        Whether it is what none of the other classes is.
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
        Value in the file to the class's number, or to `metrics.IGNORED`.
    colors
        Red, green, blue (0 to 255) in the file to such a value, for masks in colour.
    nonzero
        True: all values but 0 mean the same as 1.
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
        (points,) float64, parts of the image's height and width from 0 to 1.
    numbers
        (points,) the class that was asked for.
    positive
        (points,) whether the point shows it.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    numbers: NDArray[np.int64]
    positive: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its truth; either file may be missing.

    Attributes
    ----------
    name
        Unique in the data set.
    image
        File.
    mask
        File; None if there are points.
    points
        None if there is a mask.
    """

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
        As typed: ``voc21``, ``folder`` ...
    title
        What the user reads.
    classes
        The number of a class is its position.
    samples
        In a fixed order, at least one.
    format
        What masks hold; None for points.
    short_side
        Pixels of the shorter side in the sliding-window protocol.
    folder, split
        Where it was read, and which part; empty for the usual one.
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
        Part of it; empty takes the one that is measured in papers.

    Raises
    ------
    GemError
        If the kind is not known, or the folder does not have its layout or no images.
    """
    if kind not in _readers():
        raise GemError(
            f"The data set '{kind}' came; expected one of {', '.join(list_kinds())}."
        )
    if not root.is_dir():
        raise GemError(f"There is no folder '{root}'. Give the data set's folder.")
    found = _readers()[kind][1](kind, root, split)
    return replace(found, folder=str(root.resolve()), split=split)


@cache
def _readers() -> dict[str, tuple[str, Callable[[str, Path, str], Dataset]]]:
    found: dict[str, Any] = {}
    for entry in iter_modules(readers.__path__):
        module = import_module(f"{readers.__name__}.{entry.name}")
        for kind, about in getattr(module, "KINDS", {}).items():
            found[kind] = (about, module.read)
    return found
