"""What other libraries raise while they read a file becomes a sentence.

zarr, numcodecs, tifffile, imagecodecs, Pillow and numpy raise their own classes,
ValueError, struct.error, zlib.error, OSError ... for damaged files, when a file is
opened and when a part of it is read. Only `reading` deals with them.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.memory import is_out_of_memory, shortage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray

SMALL = 1 << 30
"""Pixels of so many bytes are read whatever the size of the file."""

MOST_EXPANDED = 100_000
"""Largest number of bytes of pixels for each byte of a file; much, since an empty image
compresses well."""

LARGEST = 1 << 46
"""Larger images, in bytes, do not exist."""

LONGEST_REASON = 200
"""A sentence repeats so many characters of what a library said."""

DAMAGED = "it may be damaged, cut short, or no image"


class ReadError(GemError):
    """A file cannot be read; the message names it and says what to do."""


@contextmanager
def reading(name: str, why: str = DAMAGED) -> Iterator[None]:
    """Turn what libraries raise while they open or read something into a sentence.

    Parameters
    ----------
    name
        Name of the file that the user knows.
    why
        What may be wrong with it.

    Raises
    ------
    ReadError
        For any exception but a `GemError`, which is a sentence already, and a lack of
        memory, for which the caller tries less.
    """
    try:
        yield
    except GemError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        short = shortage(error)
        raise ReadError(
            f"'{name}' cannot be read: {short}"
            if short
            else f"'{name}' cannot be read; {why} ({_reason(error)}). Look whether it "
            "opens elsewhere, and copy or save it again."
        ) from error


def check_size(name: str, shape: Sequence[int], itemsize: int, stored: int) -> None:
    """Refuse a header that promises more than a file of ``stored`` bytes can hold.

    Raises
    ------
    ReadError
        Before anything is allocated.
    """
    size = math.prod(int(n) for n in shape) * itemsize
    if size > max(SMALL, MOST_EXPANDED * stored) or size > LARGEST:
        values = " x ".join(str(int(n)) for n in shape)
        raise ReadError(
            f"'{name}' says that it holds {values} values, which {stored:,} bytes "
            "cannot hold. It may be damaged or cut short: copy or save it again."
        )


def _reason(error: Exception) -> str:
    """Say in a line what a library said."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= LONGEST_REASON else f"{said[:LONGEST_REASON]}…"


def read_part(pixels: LazyArray, index: Any, name: str = "The image") -> NDArray[Any]:
    """Read a part of anything that can be sliced; raises as `reading`."""
    if isinstance(pixels, np.ndarray):
        part: NDArray[Any] = pixels[index]
        return part
    with reading(name):
        return np.asarray(pixels[index])


class Readable:
    """An array in a file of this name; reading a part raises at worst `ReadError`."""

    def __init__(self, array: LazyArray, name: str) -> None:
        self._array = array
        self._name = name
        self.shape: tuple[int, ...] = tuple(int(n) for n in array.shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        if chunks:
            self.chunks = chunks
        coarse = getattr(array, "coarse", None)
        if coarse:  # of masks
            self.coarse = coarse

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        with reading(self._name):
            return np.asarray(self._array[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)
