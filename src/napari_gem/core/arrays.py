"""Arrays that are read and written in parts, and rows of them in bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LazyArray(Protocol):
    """An array, or what is sliced like one and read when it is: dask's, zarr's ..."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def ndim(self) -> int: ...  # noqa: D102
    def __getitem__(self, index: Any, /) -> Any: ...


class WritableArray(LazyArray, Protocol):
    """One whose parts can be set."""

    def __setitem__(self, index: Any, value: Any, /) -> None: ...


BAND_ROWS = 64
"""Patch rows that are read at once of what has no chunks."""


def bands(array: LazyArray, *, at_once: bool = True) -> list[slice]:
    """Cut what lies on the patch grid to bands of rows that are read at once.

    An array in memory is one band, if wanted; else a band is a row of chunks.
    """
    rows = int(array.shape[0])
    chunks = getattr(array, "chunks", None)
    step = rows if at_once and isinstance(array, np.ndarray) else BAND_ROWS
    if chunks and isinstance(chunks[0], int):
        step = chunks[0]
    return [slice(at, min(at + step, rows)) for at in range(0, rows, step)]


def unit_vectors(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Bring vectors along the last axis to unit length; zero stays zero."""
    vectors = vectors.astype(np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(length, np.float32(1e-12))
    return scaled
