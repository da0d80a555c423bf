"""From the grid of a preview to that of its image."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_gem.types import Region


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
    first = region.rows[0] // step, region.columns[0] // step
    last = -(-region.rows[1] // step), -(-region.columns[1] // step)
    rows, columns = (
        slice(start * step, min(end * step, length))
        for start, end, length in zip(first, last, shape, strict=True)
    )
    if not region.polygon:
        return (rows, columns), None
    from skimage.draw import polygon2mask

    # a pixel of a preview has its middle between those that it stands for
    corners = (np.asarray(region.polygon) - (step - 1) / 2) / step - first
    coarse = polygon2mask((last[0] - first[0], last[1] - first[1]), corners)
    size = rows.stop - rows.start, columns.stop - columns.start
    mask = expand(coarse, step, size)
    mask.flags.writeable = False
    return (rows, columns), mask
