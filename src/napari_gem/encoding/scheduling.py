"""Who encodes which tile: this process, or others that see the same work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from napari_gem.encoding.batches import encode_tiles
from napari_gem.encoding.tiles import grid_shape, plan_tiles
from napari_gem.images.tile_reading import read_ahead, read_tile, zoomed_length

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.parameters import EncodeParameters
    from napari_gem.encoding.batches import TileFeatures
    from napari_gem.encoding.tiles import Tiles
    from napari_gem.models.model import Model


class Sink(Protocol):
    """Takes the features of an image, from its first patch row to its last.

    Attributes
    ----------
    done
        Patch rows that are kept, also those of an earlier run that was stopped.
    folder
        Where what is unfinished may be kept; None if all is in memory.
    tile_embeddings
        (tiles, channels) float32, to be filled.
    """

    tile_embeddings: NDArray[np.float32]

    @property
    def done(self) -> int: ...  # noqa: D102
    @property
    def folder(self) -> Path | None: ...  # noqa: D102

    def write(self, rows: slice, features: NDArray[np.float32]) -> None:
        """Take (those rows, columns, channels); rows left out are zero."""

    def finish(self) -> LazyArray:
        """Give all of it back: (rows, columns, channels)."""


@dataclass(frozen=True, eq=False)
class TileWork:
    """An image that is to be encoded in one way.

    Attributes
    ----------
    pixels, appearance, parameters
        See `napari_gem.encoding.encode.encode_steps`.
    patch_size
        Side of the model's patches in pixels.
    """

    pixels: LazyArray
    appearance: Appearance
    parameters: EncodeParameters
    patch_size: int

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width = (
            zoomed_length(n, self.parameters.zoom) for n in self.pixels.shape[:2]
        )
        return grid_shape(height, width, self.patch_size)

    @cached_property
    def tiles(self) -> Tiles:
        """All tiles of the image."""
        return plan_tiles(*self.grid, self.parameters.tile, self.parameters.overlap)

    def read(self, number: int) -> NDArray[np.float32]:
        """Read what the model sees of a tile: (height, width, 3), 0 to 1."""
        where = self.tiles[number].pixels(self.patch_size)
        zoom = self.parameters.zoom
        return read_tile(self.pixels, self.appearance, zoom, self.patch_size, where)


class Schedule(Protocol):
    """Has tiles encoded."""

    def __call__(
        self, work: TileWork, numbers: Sequence[int], sink: Sink, /
    ) -> Generator[TileFeatures | str, None, None]:
        """Yield the features of these tiles in this order.

        A text between them says what is waited for; there the caller may stop.
        """


class LocalSchedule:
    """Encodes in this process.

    Parameters
    ----------
    model, batch
        See `napari_gem.encoding.batches.encode_tiles`.
    """

    def __init__(self, model: Model, batch: int | None = None) -> None:
        self._model = model
        self._batch = batch

    def __call__(
        self, work: TileWork, numbers: Sequence[int], _: object = None, /
    ) -> Generator[TileFeatures, None, None]:
        """Read one tile ahead, and encode."""
        images = read_ahead(work.read, numbers)
        yield from encode_tiles(self._model, images, work.parameters, self._batch)
