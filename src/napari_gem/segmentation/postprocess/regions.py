"""Connected regions of labels that are read in bands of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray

BAND = 512
"""Rows that are looked at together where the memory does not suffice for all."""


def bands_of(rows: int) -> list[slice]:
    """Cut rows into bands, first to last."""
    return [slice(at, min(at + BAND, rows)) for at in range(0, rows, BAND)]


class Regions:
    """Numbers the regions of one label, band after band, and joins them at the seams.

    Pixels are connected along the axes, not diagonally.
    """

    def __init__(self) -> None:
        self._sizes = [np.zeros(1, np.int64)]
        self._labels = [np.zeros(1, np.int64)]
        self._pairs: list[NDArray[np.int64]] = []
        self._count = 0
        self._above: tuple[NDArray[Any], NDArray[np.int64]] | None = None

    def add(self, part: NDArray[np.unsignedinteger[Any]]) -> None:
        """Take the next band, (rows, width)."""
        numbers, labels = number_regions(part, self._count)
        added = len(labels)
        inside = numbers[part > 0] - self._count - 1
        self._sizes.append(np.bincount(inside, minlength=added))
        self._labels.append(labels)
        if self._above is not None:
            above, same = self._above, (part[0] == self._above[0]) & (part[0] > 0)
            self._pairs.append(np.stack([above[1][same], numbers[0][same]]))
        self._above = part[-1], numbers[-1]
        self._count += added

    def join(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Tell which parts of all bands are one region.

        Returns
        -------
        joined, sizes, labels
            For each part, of which the first is the background, the number of its
            region; for each region its pixels and its label.
        """
        touching = np.concatenate([np.zeros((2, 0), np.int64), *self._pairs], axis=1)
        shape = (self._count + 1,) * 2
        graph = coo_array((np.ones(touching.shape[1]), tuple(touching)), shape)
        count, joined = connected_components(graph, directed=False)
        sizes = np.bincount(joined, np.concatenate(self._sizes), minlength=count)
        labels = np.zeros(count, np.int64)
        labels[joined] = np.concatenate(self._labels)
        return joined, sizes.astype(np.int64), labels


def number_regions(
    labels: NDArray[np.unsignedinteger[Any]], first: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the connected regions of all labels numbers from ``first`` + 1 on.

    Returns
    -------
    numbers, labels
        Like the labels, 0 for background; and the label of each region.
    """
    numbers = np.zeros(labels.shape, np.int64)
    each: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    count = 0
    for label in np.unique(labels):
        if label:
            regions, added = ndimage.label(labels == label)
            inside = regions > 0
            numbers[inside] = regions[inside] + (first + count)
            each.append(np.full(added, label, np.int64))
            count += added
    return numbers, np.concatenate(each)


def count_steps(
    labels: LazyArray, bands: Sequence[slice]
) -> Generator[int, None, dict[int, tuple[int, int]]]:
    """Count pixels and connected regions of each label but 0.

    Parameters
    ----------
    labels
        (height, width); an array, or anything that is sliced like one.
    bands
        Rows that are read together, first to last.

    Yields
    ------
    int
        Bands done.

    Returns
    -------
    dict
        (pixels, regions) of each label that there is.
    """
    regions = Regions()
    for done, band in enumerate(bands, start=1):
        regions.add(np.asarray(labels[band]))
        yield done
    _, sizes, each = regions.join()
    pixels, count = np.bincount(each, sizes), np.bincount(each)
    return {
        int(label): (int(pixels[label]), int(count[label]))
        for label in np.unique(each[each > 0])
    }
