"""Connected regions that are too small become background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_gem.core.memory import IfItFits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import WritableArray
    from napari_gem.core.parameters import LabelParameters


BAND = 512
"""Rows that are looked at together where the memory does not suffice for all."""


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
    rows = len(labels)
    bands = [slice(at, min(at + BAND, rows)) for at in range(0, rows, BAND)]
    for _ in remove_small_steps(labels, bands, size):
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
    sizes: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    pairs: list[NDArray[np.int64]] = []
    count, above = 0, None
    for done, band in enumerate(bands, start=1):
        part = np.asarray(labels[band])
        regions, added = _number(part, count)
        sizes.append(np.bincount(regions[part > 0] - count - 1, minlength=added))
        if above is not None:
            same = (part[0] == above[0]) & (part[0] > 0)
            pairs.append(np.stack([above[1][same], regions[0][same]]))
        above = part[-1], regions[-1]
        count += added
        yield done
    touching = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
    graph = coo_array((np.ones(touching.shape[1]), tuple(touching)), (count + 1,) * 2)
    _, joined = connected_components(graph, directed=False)
    small = np.bincount(joined, np.concatenate(sizes))[joined] < size
    count = 0
    for done, band in enumerate(bands, start=len(bands) + 1):
        part = np.asarray(labels[band])
        regions, added = _number(part, count)
        part[small[regions]] = 0
        labels[band] = part
        count += added
        yield done


def _number(
    labels: NDArray[np.unsignedinteger[Any]], first: int
) -> tuple[NDArray[np.int64], int]:
    """Give the connected regions of all labels numbers from ``first`` + 1 on."""
    numbers = np.zeros(labels.shape, np.int64)
    count = 0
    for label in np.unique(labels):
        if label:
            regions, added = ndimage.label(labels == label)
            inside = regions > 0
            numbers[inside] = regions[inside] + (first + count)
            count += added
    return numbers, count
