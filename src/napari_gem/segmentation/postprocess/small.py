"""Connected regions that are too small become background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_gem.core.memory import IfItFits
from napari_gem.segmentation.postprocess.regions import (
    Regions,
    bands_of,
    number_regions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import WritableArray
    from napari_gem.core.parameters import LabelParameters


def remove_small(
    labels: NDArray[np.unsignedinteger[Any]], parameters: LabelParameters, step: int = 1
) -> None:
    """Set connected regions of one label with too few pixels to 0, in place.

    Parameters
    ----------
    labels
        (height, width). Pixels are connected along the axes, not diagonally.
    parameters
        How many image pixels a region must have.
    step
        Image pixels per pixel of the labels along each axis.
    """
    size = parameters.minimum_size / step**2
    with IfItFits():
        _remove_at_once(labels, size)
        return
    for _ in remove_small_steps(labels, bands_of(len(labels)), size):
        pass


def _remove_at_once(labels: NDArray[np.unsignedinteger[Any]], size: float) -> None:
    for label in np.unique(labels):
        if label == 0 or size <= 1:
            continue
        regions, count = ndimage.label(labels == label)
        sizes = np.bincount(regions.ravel(), minlength=count + 1)
        small = sizes < size
        small[0] = False
        labels[small[regions]] = 0


def remove_small_steps(
    labels: WritableArray, bands: Sequence[slice], size: float
) -> Iterator[int]:
    """Do as `remove_small` with labels that are read and written in bands of rows.

    Parameters
    ----------
    labels
        (height, width), such as a zarr array; changed in place.
    bands
        Rows that are read together, first to last.
    size
        Pixels.

    Yields
    ------
    int
        Bands done, of twice their number: first all are counted.
    """
    if size <= 1:
        return
    regions = Regions()
    for done, band in enumerate(bands, start=1):
        regions.add(np.asarray(labels[band]))
        yield done
    joined, sizes, _ = regions.join()
    small = sizes[joined] < size
    small[0] = False
    count = 0
    for done, band in enumerate(bands, start=len(bands) + 1):
        part = np.asarray(labels[band])
        numbers, added = number_regions(part, count)
        part[small[numbers]] = 0
        labels[band] = part
        count += len(added)
        yield done
