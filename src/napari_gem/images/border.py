"""Where other libraries hand us what they read: their exceptions become sentences.

zarr, numcodecs, tifffile, imagecodecs, Pillow and numpy raise their own classes,
ValueError, struct.error, zlib.error, OSError ... at whatever is damaged, both when a
file is opened and when a part of it is read. `reading` is the one place that knows.
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
"""Bytes that are read whatever the size of the file."""

MOST_EXPANDED = 100_000
"""Bytes of pixels for a byte of a file: an empty image compresses well."""

LARGEST = 1 << 46
"""Bytes of pixels that no image has."""

LONGEST_REASON = 200
"""Characters of what a library said that a sentence repeats."""

DAMAGED = "it may be damaged, cut short, or no image"


class ReadError(GemError):
    """A file cannot be read; the message names it and says what to do."""


@contextmanager
def reading(name: str, why: str = DAMAGED) -> Iterator[None]:
    """Turn what libraries raise while they open or read something into a sentence.

    Parameters
    ----------
    name
        What is read, as the user knows it.
    why
        What may be wrong with it.

    Raises
    ------
    ReadError
        For whatever is raised inside, but not for a `GemError`, which is a sentence
        already, nor for a lack of memory, for which less is tried.
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
    """Refuse what a header promises and no file of this size can hold.

    Parameters
    ----------
    name
        Of the file, for the sentence.
    shape, itemsize
        What its header says.
    stored
        Bytes of the file.

    Raises
    ------
    ReadError
        Before anything is allocated.
    """
    size = math.prod(int(n) for n in shape) * itemsize
    if size > max(SMALL, MOST_EXPANDED * stored) or size > LARGEST:
        told = " x ".join(str(int(n)) for n in shape)
        raise ReadError(
            f"'{name}' says that it holds {told} values, which {stored:,} bytes cannot "
            "hold. It may be damaged or cut short: copy or save it again."
        )


def _reason(error: Exception) -> str:
    """Say in a line what a library said."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= LONGEST_REASON else f"{said[:LONGEST_REASON]}…"


def read_part(pixels: LazyArray, index: Any, name: str = "The image") -> NDArray[Any]:
    """Read a part of anything that can be sliced.

    Raises
    ------
    ReadError
        As `reading`.
    """
    if isinstance(pixels, np.ndarray):
        part: NDArray[Any] = pixels[index]
        return part
    with reading(name):
        return np.asarray(pixels[index])


class Readable:
    """An array in a file, whose parts are read, or refused in a sentence.

    Parameters
    ----------
    array
        Anything that has ``shape``, ``dtype`` and slices.
    name
        Of the file, for the sentence.
    """

    def __init__(self, array: LazyArray, name: str) -> None:
        self._array = array
        self._name = name
        self.shape: tuple[int, ...] = tuple(int(n) for n in array.shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        if chunks:
            self.chunks = chunks

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        with reading(self._name):
            return np.asarray(self._array[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)
