"""Reads images as the model sees them, a tile at a time.

An image is an array or anything that has ``shape``, ``dtype`` and slices, such as
arrays of dask and zarr. Only the pixels that a tile needs are read, rendered as the
viewer shows them, enlarged and padded. The pixels of a tile are the same as if the
whole image were enlarged at once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import sparse

from napari_gem.core.bounds import is_large
from napari_gem.core.progress import Progress, prefetched
from napari_gem.images.read_errors import read_part
from napari_gem.images.rendering import render

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import TypeVar

    from numpy.typing import NDArray

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.arrays import LazyArray

    Item = TypeVar("Item")
    Result = TypeVar("Result")

BAND = 1 << 22
"""About this many pixels are read and rendered at a time for one tile."""

HASHED_BYTES = 1 << 26
"""Pixels are hashed in pieces of about this size, so that it can be cancelled."""

HELD_BAND = 1 << 20
"""Pixels of a picture that are rendered at a time."""

SHARPER, SMOOTHER = -0.75, -0.5
"""Parameter of the cubic when enlarging and when shrinking, as in torch."""


def as_pixels(image: Any) -> LazyArray:
    """Return what can be read in parts as it is, and all else as an array."""
    if isinstance(getattr(image, "dtype", None), np.dtype) and hasattr(image, "ndim"):
        lazy: LazyArray = image
        return lazy
    return np.asarray(image)


def zoomed_length(length: int, zoom: float) -> int:
    """Count the pixels of an enlarged axis; an axis that would vanish keeps one."""
    return length if zoom == 1 else int(length * _repeats(length, zoom) * zoom)


def read_tile(
    pixels: LazyArray,
    appearance: Appearance,
    zoom: float,
    patch_size: int,
    where: tuple[slice, slice],
) -> NDArray[np.float32]:
    """Read one tile of an image, enlarged and padded to whole patches.

    Enlarging is bicubic, shrinking bicubic with an antialiasing kernel (as torch's
    ``interpolate`` with the exact factor, so that the patch grid starts at the image's
    origin). Beyond the bottom and right edge the image is mirrored, or its edge
    repeated along an axis that is smaller than the padding.

    Parameters
    ----------
    pixels
        (height, width) or (height, width, channels), of which only parts are read.
    appearance
        How values are shown.
    zoom
        Factor by which the image is enlarged.
    patch_size
        Side of a patch in enlarged pixels.
    where
        Rows and columns of the enlarged and padded image.

    Returns
    -------
    NDArray[np.float32]
        (rows, columns, 3), 0 to 1.
    """
    height, width = pixels.shape[:2]
    if zoom == 1:
        rows, columns = (
            _padded(length, patch_size, part)
            for length, part in ((height, where[0]), (width, where[1]))
        )
        box = _span(rows), _span(columns)
        shown = render(read_part(pixels, box), appearance)
        padded: NDArray[np.float32] = shown[rows - box[0].start]
        return padded[:, columns - box[1].start]
    first_row, down = _weights(height, zoom, patch_size, where[0])
    first_column, right = _weights(width, zoom, patch_size, where[1])
    across = slice(first_column, first_column + right.shape[1])
    step = max(1, BAND // right.shape[1])
    shape = down.shape[0], right.shape[0], 3
    total = np.zeros((shape[0], shape[1] * 3), np.float32)
    for start in range(0, down.shape[1], step):
        band = slice(start, min(start + step, down.shape[1]))
        down_to = slice(first_row + band.start, first_row + band.stop)
        shown = render(read_part(pixels, (down_to, across)), appearance)
        turned = shown.transpose(1, 0, 2).reshape(shown.shape[1], -1)
        wide = (right @ turned).reshape(shape[1], -1, 3).transpose(1, 0, 2)
        total += down[:, band] @ wide.reshape(len(shown), -1)
    return total.reshape(shape).clip(0, 1)


class Picture:
    """An image as the model sees it, (height, width, 3) uint8, rendered when sliced."""

    def __init__(self, pixels: LazyArray, appearance: Appearance) -> None:
        self._pixels = pixels
        self._appearance = appearance
        self.shape = int(pixels.shape[0]), int(pixels.shape[1]), 3
        self.dtype = np.dtype(np.uint8)
        self.ndim = 3

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        shown = render(read_part(self._pixels, index), self._appearance)
        return (shown * 255).round().astype(np.uint8)


class Window:
    """Some rows and columns of an image, read when rows of them are sliced."""

    def __init__(self, pixels: LazyArray, box: tuple[slice, slice]) -> None:
        self._pixels, self._box = pixels, box
        sides = (part.stop - part.start for part in box)
        self.shape = (*sides, *map(int, pixels.shape[2:]))
        self.ndim, self.dtype = pixels.ndim, np.dtype(pixels.dtype)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        down, right = self._box
        first, end, _ = rows.indices(self.shape[0])
        part = slice(down.start + first, down.start + end)
        return read_part(self._pixels, (part, right))


def held_picture(picture: LazyArray | None) -> NDArray[np.uint8] | None:
    """Read a picture into memory; None if it is large."""
    if picture is None or is_large(picture.shape):
        return None
    held = np.empty(picture.shape, np.uint8)
    rows = max(1, HELD_BAND // picture.shape[1])
    for start in range(0, picture.shape[0], rows):
        held[start : start + rows] = picture[start : start + rows]
    return held


def read_ahead(
    read: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Read the next item in a thread while the caller uses the current one.

    If the generator is closed, it does not wait for an item that is being read.
    """
    return cast("Generator[Result, None, None]", prefetched(map(read, items)))


def hash_steps(pixels: LazyArray) -> Generator[Progress, None, str]:
    """Hash all pixels with their shape and type, the same for any kind of array.

    Yields
    ------
    Progress
        Before each piece that is read.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    shape, dtype = tuple(int(n) for n in pixels.shape), np.dtype(pixels.dtype)
    digest = hashlib.blake2b(f"{shape} {dtype.str}".encode())
    row = max(1, int(np.prod(shape[1:])) * dtype.itemsize)
    rows = max(1, HASHED_BYTES // row)
    chunk = getattr(pixels, "chunks", None)
    if chunk and isinstance(chunk[0], int):
        rows = -(-rows // chunk[0]) * chunk[0]  # each chunk is read once
    for start in range(0, shape[0], rows):
        yield Progress("Reading image", start, shape[0])
        part = read_part(pixels, slice(start, start + rows))
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _repeats(length: int, zoom: float) -> int:
    return int(np.ceil(1 / (length * zoom)))


def _span(index: NDArray[np.intp]) -> slice:
    return slice(int(index.min()), int(index.max()) + 1)


def _padded(length: int, patch_size: int, part: slice) -> NDArray[np.intp]:
    """Index of the pixel at each place of an axis padded to whole patches."""
    at = np.arange(part.start, part.stop)
    mirrored = -length % patch_size < length
    beyond = 2 * (length - 1) - at if mirrored else np.full_like(at, length - 1)
    return np.where(at < length, at, beyond)


def _weights(
    length: int, zoom: float, patch_size: int, part: slice
) -> tuple[int, sparse.csr_array]:
    """Weights of the pixels of an axis for each place of the enlarged, padded one.

    Returned are the first pixel that has a weight, and (places, pixels from there to
    the last with a weight) float32.
    """
    repeats = _repeats(length, zoom)
    at = _padded(zoomed_length(length, zoom), patch_size, part)
    step = 1 / zoom
    middle = (at + 0.5) * step
    support = 2 * max(step, 1.0)
    low = np.floor(middle - support + 0.5).astype(np.intp)
    index = low[:, None] + np.arange(int(np.ceil(2 * support)) + 1)
    away = (index + 0.5 - middle[:, None]) / max(step, 1.0)
    weights = _cubic(np.abs(away), SMOOTHER if zoom < 1 else SHARPER)
    if zoom < 1:  # the kernel ends with the image; else the edge pixel is repeated
        weights[(index < 0) | (index >= length * repeats)] = 0
        weights /= weights.sum(axis=1, keepdims=True)
    index = index.clip(0, length * repeats - 1) // repeats
    span = _span(index)
    place = np.repeat(np.arange(len(at)), index.shape[1])
    entries = (weights.ravel().astype(np.float32), (place, index.ravel() - span.start))
    shape = len(at), span.stop - span.start
    return span.start, sparse.coo_array(entries, shape=shape).tocsr()


def _cubic(x: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Evaluate Keys' cubic convolution kernel (1981) at distances."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
