"""Patch grids read at the positions of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def upsample(
    maps: NDArray[np.float32],
    patch: float | tuple[float, float],
    width: int,
    rows: slice,
    window: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Interpolate maps from the patch grid to pixels, linearly along each axis.

    The value of a patch stands at its centre; beyond the outermost centres the edge
    value holds.

    Parameters
    ----------
    maps
        (maps, rows, columns) on the patch grid.
    patch
        Pixels per patch along each axis, or along rows and along columns.
    width
        Width of the image in pixels.
    rows
        Rows of pixels wanted, so that large images can be done in strips.
    window
        If the maps are only some rows of the patch grid: the first one, and the number
        of rows of the grid.

    Returns
    -------
    NDArray[np.float32]
        (maps, rows.stop - rows.start, width).
    """
    down, across = patch if isinstance(patch, tuple) else (patch, patch)
    first, count = window or (0, maps.shape[1])
    wanted = np.arange(rows.start, rows.stop)
    along_rows = _interpolate(maps, 1, wanted, down, first, count)
    return _interpolate(along_rows, 2, np.arange(width), across, 0, maps.shape[2])


def sample(
    maps: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Interpolate maps linearly at any places; beyond the outermost the edge holds.

    Parameters
    ----------
    maps
        (maps, rows, columns).
    rows, columns
        (height, width) each: places, where (0, 0) is the middle of the first value.

    Returns
    -------
    NDArray[np.float32]
        (maps, height, width).
    """
    import torch

    height, width = maps.shape[1:]
    # the middles of the outermost values are not at -1 and 1, but half a value inside
    right = torch.from_numpy(columns).add(0.5).mul_(2 / width).sub_(1)
    down = torch.from_numpy(rows).add(0.5).mul_(2 / height).sub_(1)
    sampled: NDArray[np.float32] = torch.nn.functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(maps))[None],
        torch.stack([right, down], dim=-1)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )[0].numpy()
    return sampled


def _interpolate(
    maps: NDArray[np.float32],
    axis: int,
    pixels: NDArray[np.intp],
    patch: float,
    first: int,
    count: int,
) -> NDArray[np.float32]:
    last = count - 1
    at = np.clip((pixels + 0.5) / patch - 0.5, 0, last)
    low = np.minimum(at.astype(np.intp), max(last - 1, 0))
    weight = (at - low).astype(np.float32)
    weight = weight[:, None] if axis == 1 else weight
    high = np.minimum(low + 1, last)
    below, above = maps.take(low - first, axis), maps.take(high - first, axis)
    between: NDArray[np.float32] = below + weight * (above - below)
    return between
