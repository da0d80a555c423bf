"""Arrays handed over in files."""

from __future__ import annotations

import math
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import bytes_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray

BAND = 1 << 26
"""Bytes that are read and written at once, about."""


def save_array(
    path: Path, array: LazyArray, go_on: Callable[[], bool] = lambda: True
) -> None:
    """Write an array to an ``.npy`` file, a band of rows at a time.

    The array may be lazy: only rows are sliced, many at once if its ``chunk`` says so.
    If ``go_on`` says no before a band, the file is left incomplete.

    Raises
    ------
    GemError
        If it cannot be written, mostly because the disk is full.
    """
    dtype = np.dtype(array.dtype)
    row = dtype.itemsize * math.prod(array.shape[1:])
    size = row * array.shape[0]
    chunk = int(getattr(array, "chunk", 1))
    step = max(1, BAND // max(1, row * chunk)) * chunk
    head = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": tuple(int(n) for n in array.shape),
    }
    with _writing(path), path.open("wb") as file:
        free = shutil.disk_usage(path.parent).free
        if free < size:
            raise GemError(
                f"{bytes_text(size)} are needed in '{path.parent.parent}' "
                f"and {bytes_text(free)} are free. Make room, or set the "
                "environment variable TMPDIR to a folder on another disk."
            )
        np.lib.format.write_array_header_2_0(file, head)
    for start in range(0, array.shape[0], step):
        if not go_on():
            return
        band = np.asarray(array[start : start + step], dtype)
        with _writing(path), path.open("ab") as file:
            file.write(np.ascontiguousarray(band).data)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GemError(
            f"'{path}' could not be written ({error}). Look whether the disk is full."
        ) from error


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read an array from an ``.npy`` file, or map it; `GemError` if it is damaged."""
    try:
        array: NDArray[Any] = np.load(
            path, mmap_mode="r" if mapped else None, allow_pickle=False
        )
    except (OSError, ValueError, EOFError) as error:
        raise GemError(
            f"'{path}' could not be read ({error}). Press Run again."
        ) from error
    return array
