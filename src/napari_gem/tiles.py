"""Plan, blend and upsample: everything that lies on the patch grid.

One grid of patches covers the whole image and starts at its origin. Tiles begin and
end on it, so that stitching is exact indexing; only the last step leaves the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_gem.types import Region


@dataclass(frozen=True)
class Tile:
    """A rectangle of patches.

    Attributes
    ----------
    row, column
        First patch.
    rows, columns
        Number of patches along each axis.
    """

    row: int
    column: int
    rows: int
    columns: int

    @property
    def where(self) -> tuple[slice, slice]:
        """Index of the tile in an array on the patch grid."""
        return (
            slice(self.row, self.row + self.rows),
            slice(self.column, self.column + self.columns),
        )

    def pixels(self, patch: int) -> tuple[slice, slice]:
        """Index of the tile in the padded image, for patches of this many pixels."""
        rows, columns = self.where
        return (
            slice(rows.start * patch, rows.stop * patch),
            slice(columns.start * patch, columns.stop * patch),
        )


def tiles_of(
    region: Region | None,
    shape: Sequence[int],
    patch: float,
    tiles: Sequence[Tile],
) -> list[int]:
    """Numbers of the tiles that a region needs.

    Parameters
    ----------
    region
        In image pixels; None needs all tiles.
    shape
        (height, width) of the image.
    patch
        Image pixels per patch.
    tiles
        From `plan_tiles`.

    Raises
    ------
    GemError
        If the region is empty or leaves the image.
    """
    if region is None:
        return list(range(len(tiles)))
    for (start, stop), length in zip(
        (region.rows, region.columns), shape[:2], strict=True
    ):
        if not 0 <= start < stop <= length:
            raise GemError(
                f"The region's rows {region.rows} and columns {region.columns} do not "
                f"fit an image of {shape[0]} x {shape[1]} pixels. Choose another."
            )
    return [number for number, tile in enumerate(tiles) if _touch(tile, region, patch)]


def _touch(tile: Tile, region: Region, patch: float) -> bool:
    spans = (
        (tile.row, tile.rows, region.rows),
        (tile.column, tile.columns, region.columns),
    )
    # one patch more on each side: maps are interpolated between patches
    return all(
        (first - 1) * patch < stop and start < (first + count + 1) * patch
        for first, count, (start, stop) in spans
    )


def grid_shape(height: int, width: int, patch: int) -> tuple[int, int]:
    """Count the patches that cover an image: (rows, columns)."""
    return -(-height // patch), -(-width // patch)


def plan_tiles(rows: int, columns: int, tile: int, overlap: int) -> tuple[Tile, ...]:
    """Cover the patch grid with overlapping tiles.

    A grid larger than one tile is cut into the fewest tiles of full size that share
    at least ``overlap`` patches, spread evenly; they never leave the grid.

    Parameters
    ----------
    rows, columns
        Size of the patch grid, at least 1.
    tile
        Side of a tile in patches.
    overlap
        Patches that neighbours share at least.

    Raises
    ------
    GemError
        If ``tile`` is less than 1 or ``overlap`` not in 0..tile - 1.
    """
    if tile < 1 or not 0 <= overlap < tile:
        raise GemError(
            f"A tile of {tile} patches with an overlap of {overlap} came; expected at "
            "least 1 patch and an overlap smaller than the tile."
        )
    return tuple(
        Tile(row, column, min(tile, rows), min(tile, columns))
        for row in _starts(rows, tile, overlap)
        for column in _starts(columns, tile, overlap)
    )


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    return [round(i * (length - tile) / steps) for i in range(steps + 1)]


def pad_to_grid(image: NDArray[Any], patch: int) -> NDArray[Any]:
    """Enlarge an image at its bottom and right edge to whole patches.

    Parameters
    ----------
    image
        (height, width, channels).
    patch
        Side of a patch in pixels.

    Returns
    -------
    NDArray[Any]
        (rows * patch, columns * patch, channels): mirrored at the edge, or the edge
        repeated along an axis that is smaller than the padding.
    """
    for axis in (0, 1):
        size = image.shape[axis]
        missing = -size % patch
        if missing:
            width = [(0, 0)] * image.ndim
            width[axis] = (0, missing)
            image = np.pad(image, width, "reflect" if missing < size else "edge")
    return image


def _ramp(length: int, overlap: int) -> NDArray[np.float32]:
    inside = np.arange(1, length + 1, dtype=np.float32)
    ramp = np.minimum(np.minimum(inside, inside[::-1]) / (overlap + 1), 1)
    return ramp.astype(np.float32)


def blend(
    shape: tuple[int, int],
    overlap: int,
    pieces: Iterable[tuple[Tile, NDArray[np.floating[Any]]]],
) -> NDArray[np.float32]:
    """Join features of overlapping tiles and normalise the joined vectors.

    Each tile's features are brought to unit length, weighted by a ramp that falls
    towards the tile's edges, summed, and brought to unit length again.

    Parameters
    ----------
    shape
        (rows, columns) of the patch grid.
    overlap
        Length of the ramp in patches.
    pieces
        Tiles with their features, (rows, columns, channels) of the tile.

    Returns
    -------
    NDArray[np.float32]
        (rows, columns, channels), unit length.
    """
    joined: NDArray[np.float32] | None = None
    for tile, features in pieces:
        if joined is None:
            joined = np.zeros((*shape, features.shape[-1]), np.float32)
        weight = np.outer(_ramp(tile.rows, overlap), _ramp(tile.columns, overlap))
        joined[tile.where] += weight[..., None] * unit(features)
    if joined is None:
        raise ValueError("no tiles")
    return unit(joined)


def unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Bring vectors along the last axis to unit length; zero stays zero."""
    vectors = vectors.astype(np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(length, np.float32(1e-12))
    return scaled


def upsample(
    maps: NDArray[np.float32],
    patch: float | tuple[float, float],
    width: int,
    rows: slice,
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

    Returns
    -------
    NDArray[np.float32]
        (maps, rows.stop - rows.start, width).
    """
    down, across = patch if isinstance(patch, tuple) else (patch, patch)
    along_rows = _interpolate(maps, 1, np.arange(rows.start, rows.stop), down)
    return _interpolate(along_rows, 2, np.arange(width), across)


def _interpolate(
    maps: NDArray[np.float32], axis: int, pixels: NDArray[np.intp], patch: float
) -> NDArray[np.float32]:
    last = maps.shape[axis] - 1
    at = np.clip((pixels + 0.5) / patch - 0.5, 0, last)
    low = np.minimum(at.astype(np.intp), max(last - 1, 0))
    weight = (at - low).astype(np.float32)
    weight = weight[:, None] if axis == 1 else weight
    high = np.minimum(low + 1, last)
    below, above = maps.take(low, axis), maps.take(high, axis)
    between: NDArray[np.float32] = below + weight * (above - below)
    return between
