"""Features of tiles that wait to be blended, on a disk that several processes see."""

from __future__ import annotations

import shutil
import uuid
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.images.number_arrays import check_numbers

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray

    from napari_gem.encoding.batches import TileFeatures


class StoredTiles:
    """A zarr array with a chunk, which has a checksum, for each tile.

    Its shape is (tiles, patches of a tile + 1, channels), float32; the last row is the
    embedding of the tile.
    """

    def __init__(self, folder: Path, array: zarr.Array[Any]) -> None:
        self.folder = folder
        self.token = str(array.attrs["token"])
        self._array = array
        rows, columns = array.attrs["tile"]
        self._tile = int(rows), int(columns)

    def put(self, number: int, features: TileFeatures) -> None:
        """Write the features of a tile."""
        patches, view = features
        flat = patches.reshape(-1, patches.shape[-1])
        self._array[number] = np.concatenate([flat, view[None]])

    def has(self, number: int) -> bool:
        """Tell whether a tile was written; it may be damaged."""
        return self._place(number).is_dir()

    def get(self, number: int) -> TileFeatures | None:
        """Read the features of a tile; None if they are not there, or damaged."""
        try:
            stored: NDArray[np.float32] = np.asarray(self._array[number])
        except MemoryError:
            raise
        # checksums, codecs and the file system raise their own classes
        except Exception:  # noqa: BLE001
            return None
        if np.isnan(stored[:, 0]).any():
            return None
        return stored[:-1].reshape(*self._tile, -1), stored[-1]

    def drop(self, number: int) -> None:
        """Remove a tile."""
        shutil.rmtree(self._place(number), ignore_errors=True)

    def _place(self, number: int) -> Path:
        return self.folder / "c" / str(number)


def make_tiles(
    folder: Path, tiles: int, tile: tuple[int, int], channels: int
) -> StoredTiles:
    """Make a folder for tiles of that shape and number, or go on with one that fits."""
    import zarr
    from zarr.codecs import Crc32cCodec

    shape = tiles, prod(tile) + 1, channels
    old = open_tiles(folder)
    if old is not None and old._array.shape == shape and old._tile == tile:
        return old
    shutil.rmtree(folder, ignore_errors=True)
    array: zarr.Array[Any] = zarr.create_array(
        store=str(folder),
        shape=shape,
        chunks=(1, *shape[1:]),
        dtype="float32",
        compressors=[Crc32cCodec()],
        fill_value=float("nan"),
        attributes={"token": uuid.uuid4().hex, "tile": list(tile)},
    )
    return StoredTiles(folder, array)


def open_tiles(folder: Path, token: str = "") -> StoredTiles | None:
    """Open an array of tiles; None if it is not here, or has another token."""
    import zarr

    try:
        array = zarr.open_array(store=str(folder), mode="r+")
        check_numbers(array, folder.name, kinds="f")
        stored = StoredTiles(folder, array)
    # zarr and the file system raise their own classes
    except Exception:  # noqa: BLE001
        return None
    return stored if token in ("", stored.token) else None
