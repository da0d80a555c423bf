"""Arrays in zarr folders that are written from the first row to the last."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.checked_files import DamagedError
from napari_gem.core.memory import is_out_of_memory
from napari_gem.images.number_arrays import check_numbers

if TYPE_CHECKING:
    from pathlib import Path

    import zarr
    from numpy.typing import NDArray

CHUNK_BYTES = 1 << 22
"""Bytes of a chunk of features, about."""

DAMAGED = (
    "The features kept on disk are damaged or gone. Run again, then the image is "
    "encoded anew."
)


class RowWriter:
    """Collects rows and writes them when a row of chunks is full.

    Parameters
    ----------
    array
        A zarr array; what is not written in it is zero.
    axis
        Its axis of rows.
    done
        Rows that are written already, a multiple of the chunks' rows; they are skipped.
    end
        Row behind the last that is to be written, where chunks end; None for all.
    """

    def __init__(
        self,
        array: zarr.Array[Any],
        axis: int = 0,
        done: int = 0,
        end: int | None = None,
    ) -> None:
        self.done = done
        self._array = array
        self._axis = axis
        self._rows = int(array.shape[axis]) if end is None else end
        self._step = int(array.chunks[axis])
        self._next = done
        self._is_empty = True
        self._full = np.zeros(self._shape(), array.dtype)

    def write(self, rows: slice, part: NDArray[Any]) -> bool:
        """Take rows below those before; rows left out are zero.

        Returns
        -------
        bool
            Whether something was written to the disk.
        """
        before = self.done
        for row in range(max(rows.start, self._next), rows.stop):
            self._go_to(row)
            target = self._at(row - self.done, row - self.done + 1)
            first = row - rows.start
            self._full[target] = part[self._index(first, first + 1)]
            self._is_empty = False
            self._next = row + 1
        self._go_to(self._next)
        return self.done > before

    def close(self) -> None:
        """Write what is left."""
        self._go_to(self._rows)
        if self.done < self._rows:
            self._flush(self._rows - self.done)

    def _go_to(self, row: int) -> None:
        while row >= self.done + self._step:
            self._flush(self._step)
        self._next = max(self._next, row)

    def _flush(self, count: int) -> None:
        if not self._is_empty:  # rows that were left out are zero as they are
            part = self._full[self._at(0, count)]
            self._array[self._index(self.done, self.done + count)] = part
            self._full[...] = 0
            self._is_empty = True
        self.done += count

    def _shape(self) -> tuple[int, ...]:
        shape = list(self._array.shape)
        shape[self._axis] = min(self._step, self._rows)
        return tuple(shape)

    def _index(self, first: int, end: int) -> tuple[slice, ...]:
        return (*(slice(None),) * self._axis, slice(first, end))

    _at = _index


def create_features(path: Path, shape: tuple[int, int, int]) -> zarr.Array[Any]:
    """Make an empty array of features: half precision, with a checksum a chunk."""
    import zarr
    from zarr.codecs import Crc32cCodec

    side = max(16, int(np.sqrt(CHUNK_BYTES / (2 * shape[2]))))
    array: zarr.Array[Any] = zarr.create_array(
        store=str(path),
        shape=shape,
        chunks=(min(side, shape[0]), min(side, shape[1]), shape[2]),
        dtype="float16",
        compressors=[Crc32cCodec()],
        fill_value=float("nan"),  # what was never written is not taken for features
        config={"write_empty_chunks": True},
    )
    return array


class StoredFeatures:
    """Features on disk that are read, and checked, when they are sliced.

    Parameters
    ----------
    path
        The zarr array.
    keep
        Kept as long as this is, such as a lock.
    """

    def __init__(self, path: Path, keep: object = None) -> None:
        self.path = path
        self._keep = keep
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.chunks: tuple[int, ...] = tuple(self._array.chunks)
        self.dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        self.ndim = len(self.shape)

    def __getstate__(self) -> dict[str, Any]:
        """Let another process open it, when it first reads."""
        left = {"_array", "_keep"}
        return {name: it for name, it in vars(self).items() if name not in left}

    @cached_property
    def _array(self) -> zarr.Array[Any]:
        import zarr

        from napari_gem.images.bounded_zarr import BoundedStore

        array = zarr.open_array(store=BoundedStore(self.path), mode="r")
        check_numbers(array, self.path.name, kinds="f")
        return array

    def __getitem__(self, index: Any, /) -> NDArray[np.float16]:
        """Read a part.

        Raises
        ------
        DamagedError
            If it is damaged or gone.
        """
        try:
            part: NDArray[np.float16] = np.asarray(self._array[index])
        # checksums, codecs and the file system raise their own classes
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise DamagedError(f"{DAMAGED} ({error})") from error
        if np.isnan(part[..., 0]).any():
            raise DamagedError(DAMAGED)
        return part
