"""Labels on disk that can be shown, and painted on as a copy."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from napari_gem.results.temporary import ResultFolder


CHUNK = 1024
"""Rows and columns that are copied together."""


class DiskArray:
    """A zarr array that can be painted on, with the axes of a labels layer.

    The owner keeps its files from being removed; ``changes`` counts how often it was
    written to.
    """

    def __init__(self, array: Any, owner: object) -> None:
        self.changes = 0
        self._array = array
        self._owner = owner
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = array.dtype
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.asarray(self._for(key)[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.changes += 1
        self._for(key)[key] = value

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self._array[...], dtype)

    def _for(self, key: Any) -> Any:
        """How zarr is indexed: a key may be an array of numbers for each axis."""
        places = isinstance(key, tuple) and all(np.ndim(part) > 0 for part in key)
        return self._array.vindex if places else self._array


def on_disk(
    shape: Sequence[int],
    dtype: DTypeLike,
    folder: ResultFolder,
    displayed: Sequence[int] | None = None,
) -> DiskArray:
    """Make an array of zeros on disk, which takes no room before it is written.

    Parameters
    ----------
    shape, dtype
        Of the array.
    folder
        Gets it; kept as long as the array.
    displayed
        The axes of a plane, if planes are written one by one; None for all axes.
    """
    import zarr

    path = folder.path / f"{uuid.uuid4().hex}.zarr"
    chunks = tuple(
        min(CHUNK, length) if displayed is None or axis in displayed else 1
        for axis, length in enumerate(shape)
    )
    array = zarr.create_array(
        store=str(path), shape=tuple(shape), chunks=chunks, dtype=np.dtype(dtype)
    )
    return DiskArray(array, folder)
