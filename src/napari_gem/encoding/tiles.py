"""The patch grid and its tiles.

One grid of patches covers the whole image and starts at its origin. Tiles begin and
end on it, so that stitching is exact indexing; only the last step leaves the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, overload

from napari_gem.core.errors import GemError
from napari_gem.core.validation import check_within

if TYPE_CHECKING:
    from napari_gem.core.parameters import EncodeParameters
    from napari_gem.core.region import Region


@dataclass(frozen=True)
class Tile:
    """A rectangle of patches: the first one, and how many along each axis."""

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

    def pixels(self, patch_size: int) -> tuple[slice, slice]:
        """Index of the tile in the padded image, for patches of this many pixels."""
        rows, columns = self.where
        return (
            slice(rows.start * patch_size, rows.stop * patch_size),
            slice(columns.start * patch_size, columns.stop * patch_size),
        )


@dataclass(frozen=True)
class Tiles(Sequence[Tile]):
    """Tiles of one size on a patch grid, row by row; made when asked for.

    Attributes
    ----------
    down, right
        First patch row and first patch column of each row and column of tiles.
    rows, columns
        Patches of a tile along each axis.
    """

    down: tuple[int, ...]
    right: tuple[int, ...]
    rows: int
    columns: int

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self.down) * len(self.right)

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tile, ...]: ...
    def __getitem__(self, index: int | slice) -> Tile | tuple[Tile, ...]:
        """Make the tile of this number, or several."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        row, column = divmod(range(len(self))[index], len(self.right))
        return Tile(self.down[row], self.right[column], self.rows, self.columns)


def tiles_seen(
    grid: Sequence[int],
    parameters: EncodeParameters,
    region: Region | None,
    shape: Sequence[int],
    patch: float,
) -> list[int]:
    """Numbers of the tiles of an encoded image that a region needs; see `tiles_of`.

    Parameters
    ----------
    grid
        Rows and columns of patches.
    parameters
        What it was encoded with: the tiles.
    region, shape, patch
        See `tiles_of`.
    """
    rows, columns = grid[:2]
    tiles = plan_tiles(rows, columns, parameters.tile, parameters.overlap)
    return tiles_of(region, shape, patch, tiles)


def tiles_of(
    region: Region | None,
    shape: Sequence[int],
    patch: float,
    tiles: Tiles,
) -> list[int]:
    """Numbers of the tiles that a region needs; None needs all.

    The shape is (height, width) of the image, and a patch has that many of its pixels.

    Raises
    ------
    GemError
        If the region is empty or leaves the image.
    """
    if region is None:
        return list(range(len(tiles)))
    check_within(region, shape)
    down, right = (
        [i for i, at in enumerate(starts) if _touches(at, count, span, patch)]
        for starts, count, span in (
            (tiles.down, tiles.rows, region.rows),
            (tiles.right, tiles.columns, region.columns),
        )
    )
    return [row * len(tiles.right) + column for row in down for column in right]


def box_of(
    region: Region, shape: Sequence[int], patch: float, tiles: Tiles, margin: int
) -> tuple[slice, slice]:
    """Rows and columns of the image that the tiles of a region see.

    ``margin`` pixels more are read when a tile is enlarged or shrunk; the other
    parameters are those of `tiles_of`.
    """
    numbers = tiles_of(region, shape, patch, tiles)
    first, last = tiles[numbers[0]], tiles[numbers[-1]]
    height, width = shape[:2]
    return (
        _pixels(first.row, last.row + last.rows, patch, margin, height),
        _pixels(first.column, last.column + last.columns, patch, margin, width),
    )


def _pixels(first: int, end: int, patch: float, margin: int, length: int) -> slice:
    return slice(
        max(0, int(first * patch) - margin), min(length, ceil(end * patch) + margin)
    )


def _touches(first: int, count: int, span: tuple[int, int], patch: float) -> bool:
    # one patch more on each side: maps are interpolated between patches
    return (first - 1) * patch < span[1] and span[0] < (first + count + 1) * patch


def grid_shape(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Count the patches that cover an image: (rows, columns)."""
    return -(-height // patch_size), -(-width // patch_size)


def plan_tiles(rows: int, columns: int, tile: int, overlap: int) -> Tiles:
    """Cover the patch grid with overlapping tiles.

    A grid larger than one tile is cut into the fewest tiles of full size that share at
    least ``overlap`` patches, spread evenly; they never leave the grid.

    Raises
    ------
    GemError
        If ``tile`` is less than 1 or ``overlap`` not in 0..tile - 1.
    """
    if tile < 1 or not 0 <= overlap < tile:
        raise GemError(
            f"A tile of {tile} patches cannot have an overlap of {overlap}; choose at "
            "least 1 patch and an overlap smaller than the tile."
        )
    return Tiles(
        tuple(_starts(rows, tile, overlap)),
        tuple(_starts(columns, tile, overlap)),
        min(tile, rows),
        min(tile, columns),
    )


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    return [round(i * (length - tile) / steps) for i in range(steps + 1)]
