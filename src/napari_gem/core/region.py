"""The part of an image that is asked for, and which pixels it holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Region:
    """Part of an image.

    Attributes
    ----------
    rows, columns
        First pixel and the one behind the last.
    polygon
        Corners (row, column) in pixels; empty for the whole rectangle.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    polygon: tuple[tuple[float, float], ...] = ()


def expand(array: NDArray[Any], step: int, shape: Sequence[int]) -> NDArray[Any]:
    """Give a preview the size of what it stands for.

    Parameters
    ----------
    array
        Its pixel i along an axis stands for ``i * step`` to ``(i + 1) * step``.
    step
        1 or more.
    shape
        As many axes as the array; an axis that has its length already is left alone.

    Returns
    -------
    NDArray
        Of that shape; the array itself if there is nothing to do.
    """
    for axis, length in enumerate(shape):
        if array.shape[axis] != length:
            cut = (slice(None),) * axis + (slice(length),)
            array = np.repeat(array, step, axis)[cut]
    return np.ascontiguousarray(array) if step > 1 else array


@lru_cache(maxsize=2)
def inside(
    region: Region, step: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.bool_] | None]:
    """Tell which pixels of an image a result for a region is about.

    Parameters
    ----------
    region
        Part of the image.
    step
        Image pixels per pixel of the result along each axis.
    shape
        (height, width) of the image.

    Returns
    -------
    box
        Rows and columns of the image.
    mask
        Within the box, read-only; None for all of it.
    """
    coarse = covered(region, step)
    rows, columns = (
        slice(part.start * step, min(part.stop * step, length))
        for part, length in zip(coarse, shape, strict=True)
    )
    if not region.polygon:
        return (rows, columns), None
    size = rows.stop - rows.start, columns.stop - columns.start
    mask = expand(_polygon(region, step, coarse), step, size)
    mask.flags.writeable = False
    return (rows, columns), mask


def inside_rows(
    region: Region | None, step: int, rows: slice, width: int
) -> NDArray[np.bool_] | None:
    """As `segmentation.inside.inside_pixels`, for the region alone."""
    if region is None:
        return None
    down, right = covered(region, step)
    first, end = max(rows.start, down.start), min(rows.stop, down.stop)
    inside = np.zeros((rows.stop - rows.start, width), bool)
    if first < end:
        box = slice(first, end), right
        part = inside[first - rows.start : end - rows.start, right]
        part[:] = True
        if region.polygon:
            part &= _polygon(region, step, box)[:, : part.shape[1]]
    return inside


def covered(region: Region, step: int) -> tuple[slice, slice]:
    """Rows and columns of a result, ``step`` pixels each, that a region touches."""
    down, right = (
        slice(start // step, -(-end // step))
        for start, end in (region.rows, region.columns)
    )
    return down, right


def _polygon(region: Region, step: int, box: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Fill the polygon of a region within a box of the result."""
    from skimage.draw import polygon2mask

    # a pixel of a preview has its middle between those that it stands for
    corners = (np.asarray(region.polygon) - (step - 1) / 2) / step
    shape = tuple(part.stop - part.start for part in box)
    mask: NDArray[np.bool_] = polygon2mask(
        shape, corners - [part.start for part in box]
    )
    return mask
