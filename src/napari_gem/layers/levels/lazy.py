"""Planes that are read where napari looks at them: stored, coarse, or put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_gem.core.region import inside
from napari_gem.images.read_errors import reading

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.region import Region
    from napari_gem.layers.reading.source import Geometry


class LevelPlane(Protocol):
    """(height, width) values of which some rows and columns are read."""

    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read (rows, columns); both slices have a start, a stop and a step."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A plane of a zarr array: one of several by its number, or all of it (None).

    The owner keeps the files from being removed.
    """

    array: LazyArray
    number: int | None
    dtype: np.dtype[Any]
    owner: object = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.array.shape[-2:]
        return int(height), int(width)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read rows and columns."""
        index: tuple[Any, ...] = (rows, columns)
        if self.number is not None:
            index = self.number, *index
        with reading("The result on disk", "its files may be gone or damaged"):
            return np.asarray(self.array[index], self.dtype)


@dataclass(frozen=True, eq=False)
class Coarse:
    """A plane of this shape of which each value stands for a square of pixels.

    The factor is pixels per value along each axis; less than 1 if there are more
    values.
    """

    values: NDArray[Any]
    factor: float
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.values.dtype

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read rows and columns."""
        down, right = (
            np.minimum((_middles(part) / self.factor).astype(np.intp), length - 1)
            for part, length in zip((rows, columns), self.values.shape, strict=True)
        )
        read: NDArray[Any] = self.values[down[:, None], right]
        return read


@dataclass(frozen=True, eq=False)
class Joined:
    """A result for a region, and an earlier one of the same shape around it.

    The factor is pixels of the image (of height and width ``whole``) per value.
    """

    new: LevelPlane
    old: LevelPlane
    region: Region
    factor: float
    whole: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.new.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The wider of the two."""
        return np.result_type(self.new.dtype, self.old.dtype)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read rows and columns."""
        box, mask = inside(self.region, 1, self.whole)
        # a value belongs where the pixel in its middle lies
        down, right = (
            (_middles(part) * self.factor).astype(np.intp) for part in (rows, columns)
        )
        within = ((box[0].start <= down) & (down < box[0].stop))[:, None] & (
            (box[1].start <= right) & (right < box[1].stop)
        )
        if mask is not None and within.any():
            row = np.clip(down - box[0].start, 0, mask.shape[0] - 1)
            column = np.clip(right - box[1].start, 0, mask.shape[1] - 1)
            within &= mask[row[:, None], column]
        if within.all():
            return self.new.read(rows, columns).astype(self.dtype, copy=False)
        old = self.old.read(rows, columns)
        if not within.any():
            return old.astype(self.dtype, copy=False)
        return np.where(within, self.new.read(rows, columns), old).astype(self.dtype)


class LazyPlane:
    """A plane with the axes of its image, as napari wants its data.

    Axes of the image that the plane does not have get length 1.
    """

    def __init__(self, plane: LevelPlane, geometry: Geometry) -> None:
        self.plane = plane
        self._geometry = geometry
        self.dtype = plane.dtype
        placed = geometry.place(np.broadcast_to(np.uint8(0), plane.shape))
        self.shape: tuple[int, ...] = placed.shape
        self.ndim = placed.ndim
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = list(key) if isinstance(key, tuple) else [key]
        dots = [at for at, part in enumerate(keys) if part is Ellipsis]
        for at in dots[:1]:
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        parts: dict[int, slice] = {}
        rest: list[Any] = list(keys)
        for axis in self._geometry.displayed:
            parts[axis], rest[axis] = _split_key(keys[axis], self.shape[axis])
        down, right = self._geometry.displayed
        read = self._geometry.place(self.plane.read(parts[down], parts[right]))
        chosen: NDArray[Any] = read[tuple(rest)]
        return chosen

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def _middles(part: slice) -> NDArray[np.float64]:
    """Where the middles of the elements of a slice are."""
    return np.arange(part.start, part.stop, part.step) + 0.5


def _split_key(key: Any, length: int) -> tuple[slice, Any]:
    """Split the key of an axis into what is read of it, and what is taken of that."""
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        if step > 0:
            return slice(start, max(start, stop), step), slice(None)
        return slice(0, length, 1), key
    if np.ndim(key) == 0:
        number = int(key)
        if not -length <= number < length:
            raise IndexError(f"{number} is outside of an axis of length {length}")
        number %= length
        return slice(number, number + 1, 1), 0
    # numbers: all between the first and the last are read
    numbers = np.arange(length)[np.asarray(key)]
    first = int(numbers.min(initial=length - 1))
    return slice(first, int(numbers.max(initial=first)) + 1, 1), numbers - first
