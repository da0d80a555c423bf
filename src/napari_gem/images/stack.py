"""All planes of a file as arrays that a viewer slices."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.files import open_plane, read_content
from napari_gem.images.readers.content import SAMPLES
from napari_gem.images.readers.planes import COLORS
from napari_gem.images.scene import Band

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.images.readers.content import Content
    from napari_gem.images.scene import Scene


BAND = 1 << 24
"""Pixels that are read at once of an image without coarser levels."""


@dataclass(frozen=True)
class FilePlane:
    """A plane of a file: the parameters of `napari_gem.images.files.open_scene`.

    Attributes
    ----------
    path, index, bands, nodata
        See there.
    level
        Number of its resolution.
    stamp
        When the file was written and its bytes, when it was opened; None if nobody
        looked at it before.
    """

    path: str
    index: tuple[int, ...] = ()
    bands: str = ""
    nodata: str = ""
    level: int = 0
    stamp: tuple[int, int] | None = None

    def check_unchanged(self) -> None:
        """Refuse a file that is another one by now than what is shown of it.

        Raises
        ------
        GemError
            If it was written since.
        """
        path = Path(self.path)
        if self.stamp and path.exists() and stamp_of(path) != self.stamp:
            raise GemError(
                f"'{path.name}' was changed since it was opened, so the viewer shows "
                "something else. Open it again."
            )


def stamp_of(path: Path) -> tuple[int, int]:
    """Say when a file was written, in nanoseconds, and its bytes."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size


class Stack:
    """The planes of a file, each of which is a `Scene`.

    Parameters
    ----------
    path
        Of a file that `open_scene` opens.
    nodata
        As there.

    Raises
    ------
    GemError
        As there.
    """

    def __init__(self, path: Path | str, nodata: str = "") -> None:
        self.path, self.nodata = Path(path), nodata
        self._content = read_content(self.path, nodata=nodata)
        self.stamp = stamp_of(self.path)
        self._last: tuple[tuple[tuple[int, ...], str], Scene] | None = None

    @property
    def middle(self) -> tuple[int, ...]:
        """Index of the plane in the middle."""
        return tuple(length // 2 for length in self.lengths)

    @cached_property
    def axes(self) -> str:
        """A letter for each axis that is neither of rows, columns nor bands."""
        left_out = f"yx{COLORS}{self._band_axis}"
        return "".join(axis for axis in self._content.axes if axis not in left_out)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of positions along each of `axes`."""
        return tuple(map(self._content.length, self.axes))

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """Each band or channel that can be chosen; empty if there are not several."""
        axis = self._band_axis
        count = self._content.length(axis) if axis else 0
        known = self._content.bands[:count]
        unknown = (Band(),) * (count - len(known))
        return (*known, *unknown) if count > 1 else ()

    @property
    def is_picture(self) -> bool:
        """Whether its bands are the colours of a picture if none are chosen."""
        return COLORS in self._content.axes

    @property
    def are_channels(self) -> bool:
        """Whether its bands are the channels of a microscope."""
        return self._band_axis == "c"

    @property
    def usual_bands(self) -> str:
        """The bands that are taken if none are chosen."""
        return "" if self._band_axis in ("", COLORS) else "1"

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the user: what could not be kept."""
        return self._content.notices

    def scene(self, index: Sequence[int] = (), bands: str = "") -> Scene:
        """Open a plane; parameters and errors as `open_scene`."""
        key = tuple(index), bands
        last = self._last
        if last is None or last[0] != key:
            scene = open_plane(self._content, self.path, tuple(index), bands)
            last = self._last = key, scene
        return last[1]

    @cached_property
    def _band_axis(self) -> str:
        """Letter of the axis of bands; empty if no bands can be chosen."""
        content: Content = self._content
        axis = content.band_axis
        if axis == SAMPLES and not content.bands and not content.geo_tags:
            # stacks of slices have axes of this letter before the rows
            axis = axis if content.axes.endswith(SAMPLES) else ""
        known = axis in (COLORS, SAMPLES, "c")
        return axis if known and content.conversion is None else ""


class StackView:
    """Planes of a `Stack` at one resolution, as napari wants the data of a layer.

    Parameters
    ----------
    stack
        Which no other view should have: it keeps a plane in memory.
    bands
        As for `open_scene`.
    level
        Number of the resolution.
    """

    def __init__(self, stack: Stack, bands: str = "", level: int = 0) -> None:
        self.stack, self.level = stack, level
        self.bands = bands or stack.usual_bands
        plane = self._plane((0,) * len(stack.lengths))
        self.shape: tuple[int, ...] = (*stack.lengths, *plane.shape)
        self.ndim, self.dtype = len(self.shape), np.dtype(plane.dtype)
        self.size = int(np.prod(self.shape))
        chunks = getattr(plane, "chunks", None)
        if chunks:
            self.chunks = (*(1 for _ in stack.lengths), *chunks)

    @property
    def file_plane(self) -> FilePlane:
        """Which file this shows, without an index."""
        stack = self.stack
        path = str(stack.path.absolute())
        return FilePlane(path, (), self.bands, stack.nodata, self.level, stack.stamp)

    def valid(self) -> StackMask | None:
        """Tell for the same planes where they hold data; None for everywhere."""
        first = self.stack.scene((0,) * len(self.stack.lengths), self.bands)
        return StackMask(self) if first.valid else None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        return _read_planes(key, self.stack.lengths, self.ndim, self._plane)

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def _plane(self, index: tuple[int, ...]) -> LazyArray:
        return self.stack.scene(index, self.bands).levels[self.level]


class Overview:
    """Pixels of a `StackView` without coarser levels: one of ``step`` by ``step``.

    It is the one in the middle, where viewers draw a pixel of a coarser level.

    A plane is read whole, in bands, when it is looked at first.

    Parameters
    ----------
    view
        At the finest resolution.
    step
        Rows and columns for one of this.
    """

    def __init__(self, view: StackView, step: int) -> None:
        self._view, self._step = view, step
        count = len(view.stack.lengths)
        height, width = (-(-n // step) for n in view.shape[count : count + 2])
        self.shape = (*view.shape[:count], height, width, *view.shape[count + 2 :])
        self.ndim, self.dtype = view.ndim, view.dtype
        self.size = int(np.prod(self.shape))
        self._last: tuple[tuple[int, ...], NDArray[Any]] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        return _read_planes(key, self._view.stack.lengths, self.ndim, self.plane)

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def plane(self, index: tuple[int, ...]) -> NDArray[Any]:
        """Read a plane, or give the one that was read last."""
        last = self._last
        if last is None or last[0] != index:
            last = self._last = index, self._read(index)
        return last[1]

    def _read(self, index: tuple[int, ...]) -> NDArray[Any]:
        view, step = self._view, self._step
        chunks = getattr(view, "chunks", None)
        rows = chunks[len(index)] if chunks else 1
        band = max(rows, step, BAND // max(1, view.shape[len(index) + 1]))
        band = -(-band // step) * step
        height, width = view.shape[len(index) :][:2]
        down, across = (
            ((np.arange(count) + 0.5) * length / count).astype(int)
            for length, count in (
                (height, self.shape[len(index)]),
                (width, self.shape[len(index) + 1]),
            )
        )
        parts = []
        for start in range(0, height, band):
            rows = down[(down >= start) & (down < start + band)] - start
            part = view[(*index, slice(start, start + band))]
            parts.append(part[rows[:, None], across])
        return np.concatenate(parts)


def as_view(data: object) -> StackView | None:
    """Give data of a layer as what it is; None if it is no view of a file.

    napari hands plugins proxies of layers and of all that they hold.
    """
    data = getattr(data, "__wrapped__", data)
    return data if isinstance(data, StackView) else None


class StackMask:
    """Where the planes of a `StackView` hold data, read when it is sliced."""

    def __init__(self, view: StackView) -> None:
        self._view = view
        lengths = view.stack.lengths
        self.shape = view.shape[: len(lengths) + 2]
        self.ndim, self.dtype = len(self.shape), np.dtype(bool)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        lengths = self._view.stack.lengths
        return _read_planes(key, lengths, self.ndim, self._plane)

    def _plane(self, index: tuple[int, ...]) -> LazyArray:
        view = self._view
        scene = view.stack.scene(index, view.bands)
        if scene.valid:
            return scene.valid[view.level]
        return np.ones(self.shape[-2:], bool)


def _read_planes(
    key: Any, lengths: Sequence[int], ndim: int, plane: Any
) -> NDArray[Any]:
    """Read what a key asks for of planes along the first axes."""
    parts = list(key) if isinstance(key, tuple) else [key]
    for at in [at for at, part in enumerate(parts) if part is Ellipsis][:1]:
        parts[at : at + 1] = [slice(None)] * (ndim - len(parts) + 1)
    parts += [slice(None)] * (ndim - len(parts))
    first, within = parts[: len(lengths)], tuple(parts[len(lengths) :])
    chosen = [
        np.atleast_1d(np.arange(length)[part])
        for part, length in zip(first, lengths, strict=True)
    ]
    read = [
        _read_plane(plane(tuple(map(int, index))), within)
        for index in itertools.product(*chosen)
    ]
    kept = [
        len(positions)
        for positions, part in zip(chosen, first, strict=True)
        if np.ndim(part) or isinstance(part, slice)
    ]
    if not read:
        raise IndexError("No plane is chosen.")
    # a plane by itself may be large, and is not copied
    planes = np.stack(read) if len(read) > 1 else read[0]
    return planes.reshape((*kept, *read[0].shape))


def _read_plane(plane: LazyArray, key: tuple[Any, ...]) -> NDArray[Any]:
    """Read a part of a plane, whose rows and columns are ranges for its reader."""
    ranges, rest = [], list(key)
    for axis, (part, length) in enumerate(zip(key[:2], plane.shape, strict=False)):
        if isinstance(part, slice):
            ranges.append(part)
            rest[axis] = slice(None)
            continue
        numbers = np.arange(length)[part]
        first = int(numbers.min(initial=length - 1))
        ranges.append(slice(first, int(numbers.max(initial=first)) + 1))
        rest[axis] = numbers - first
    read: NDArray[Any] = np.asarray(plane[tuple(ranges)])[tuple(rest)]
    return read
