"""Features of overlapping tiles to one field, a band of patch rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.arrays import unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_gem.encoding.tiles import Tile

    Write = Callable[[slice, NDArray[np.float32]], object]


class Blending:
    """Joins tiles that come row by row, and hands on each patch row when it is done.

    Each tile's features are brought to unit length, weighted by a ramp that falls
    towards the tile's edges, summed, and brought to unit length again.

    Parameters
    ----------
    shape
        (rows, columns) of the patch grid.
    overlap
        Length of the ramp in patches.
    write
        Called with patch rows, each once and in their order, and their features,
        (those rows, columns, channels); rows without tiles are left out.
    """

    def __init__(self, shape: tuple[int, int], overlap: int, write: Write) -> None:
        self._shape = shape
        self._overlap = overlap
        self._write = write
        self._first = 0
        self._sums: NDArray[np.float32] | None = None

    def add(self, tile: Tile, features: NDArray[np.floating[Any]]) -> None:
        """Add a tile; its first row is not above that of the tile before."""
        if self._sums is None:
            shape = tile.rows, self._shape[1], features.shape[-1]
            self._sums = np.zeros(shape, np.float32)
            self._first = tile.row
        if tile.row > self._first:
            self._hand_on(tile.row - self._first)
            self._first = tile.row
        weight = np.outer(
            _ramp(tile.rows, self._overlap), _ramp(tile.columns, self._overlap)
        )
        self._sums[: tile.rows, tile.where[1]] += weight[..., None] * unit_vectors(
            features
        )

    def close(self) -> None:
        """Hand on what is left."""
        if self._sums is not None:
            self._hand_on(len(self._sums))
            self._sums = None

    def _hand_on(self, count: int) -> None:
        sums = self._sums
        if sums is None:
            return
        count = min(count, len(sums))
        self._write(slice(self._first, self._first + count), unit_vectors(sums[:count]))
        kept = len(sums) - count
        sums[:kept] = sums[count:].copy()
        sums[kept:] = 0


def blend(
    shape: tuple[int, int],
    overlap: int,
    pieces: Iterable[tuple[Tile, NDArray[np.floating[Any]]]],
) -> NDArray[np.float32]:
    """Join tiles, row by row, to (rows, columns, channels) in memory; see `Blending`.

    Where no tile is, features are zero.
    """
    bands: list[tuple[slice, NDArray[np.float32]]] = []
    blending = Blending(shape, overlap, lambda rows, band: bands.append((rows, band)))
    for tile, features in pieces:
        blending.add(tile, features)
    blending.close()
    joined = np.zeros((*shape, bands[0][1].shape[-1]), np.float32)
    for rows, band in bands:
        joined[rows] = band
    return joined


def _ramp(length: int, overlap: int) -> NDArray[np.float32]:
    inside = np.arange(1, length + 1, dtype=np.float32)
    ramp = np.minimum(np.minimum(inside, inside[::-1]) / (overlap + 1), 1)
    return ramp.astype(np.float32)
