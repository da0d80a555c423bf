"""Which pixels of a result count: those in its region that hold data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.bounds import is_large
from napari_gem.core.region import inside_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.core.results import Features


def inside_pixels(
    features: Features, step: int, rows: slice, width: int
) -> NDArray[np.bool_] | None:
    """Tell which pixels of some rows of a result count.

    Parameters
    ----------
    features
        With the region and what holds data.
    step
        Image pixels per pixel of the result along each axis. Previews of large images
        know of no data what was read so far.
    rows
        Rows of the result.
    width
        Its width.

    Returns
    -------
    NDArray[np.bool_] | None
        (rows, width); None for all of them.
    """
    inside = inside_rows(features.region, step, rows, width)
    valid = features.valid
    if valid is None:
        return inside
    columns = slice(0, width)
    if inside is not None:
        touched = np.flatnonzero(inside.any(axis=0))
        if not touched.size:
            return inside
        columns = slice(int(touched[0]), int(touched[-1]) + 1)
    down, right = (
        slice(part.start * step, min(part.stop * step, length), step)
        for part, length in zip((rows, columns), features.image_shape, strict=True)
    )
    holds: NDArray[np.bool_]
    coarse = getattr(valid, "coarse", None)
    if coarse and step > 1 and is_large(features.image_shape):
        holds = coarse(step)[rows, columns]
    else:
        holds = np.asarray(valid[down, right])
    if holds.all():
        return inside
    if inside is None:
        return holds
    counted = inside.copy()
    counted[:, columns] &= holds
    return counted
