"""What a reader finds in a file, and the plane of it that is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.number_arrays import check_numbers
from napari_gem.images.scene import Scene
from napari_gem.images.valid import Filled, Valid, castable, valid_of_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.location import GeoTags, Location
    from napari_gem.images.scene import Band

COLORS = "s"
"""Letter of the axis of colours: red, green, blue and perhaps alpha."""


@dataclass(frozen=True)
class Conversion:
    """How stored values become those of the image, pixel by pixel.

    Attributes
    ----------
    convert
        Takes (rows, columns), or (rows, columns, colours); gives the same, or with
        other colours.
    dtype
        What comes out.
    colors
        How many colours come out; 0 for none.
    """

    convert: Callable[[NDArray[Any]], NDArray[Any]]
    dtype: np.dtype[Any]
    colors: int


@dataclass(frozen=True, eq=False)
class Content:
    """All planes of a file.

    Attributes
    ----------
    arrays
        The resolutions, the finest first, with the same axes.
    axes
        A letter an axis: ``y``, ``x``, `COLORS`, and any others.
    colors
        How many of the colours are taken; None for all, at most four.
    conversion
        None if values are stored as they are.
    nodata
        The stored value that stands for no data; None for none.
    masks
        (height, width) bool for each array, True where there is data; empty for
        everywhere.
    locations, geo_tags, bands, notices
        As in `Scene`.
    """

    arrays: tuple[LazyArray, ...]
    axes: str
    colors: int | None = None
    conversion: Conversion | None = None
    nodata: float | None = None
    masks: tuple[LazyArray, ...] = ()
    locations: tuple[Location, ...] = ()
    geo_tags: GeoTags = ()
    bands: tuple[Band, ...] = ()
    notices: tuple[str, ...] = ()


def choose_plane(content: Content, index: Sequence[int], name: str) -> Scene:
    """Make a scene of one plane.

    Parameters
    ----------
    content
        Of the file.
    index
        Positions along the axes that are neither rows nor columns nor colours.
    name
        Of the file.

    Raises
    ------
    GemError
        If the file holds other planes, or no numbers.
    """
    for array in content.arrays:
        check_numbers(array, name)
        _check_axes(array, content.axes, name)
    chosen = _positions(content, index, name)
    levels = [_plane(array, content, chosen) for array in content.arrays]
    valid = [
        _valid(number, plane, content, chosen) for number, plane in enumerate(levels)
    ]
    known = tuple(one for one in valid if one is not None)
    if known and (content.nodata is not None or content.masks):
        levels = [
            Filled(plane, one, content.nodata if content.conversion is None else None)
            for plane, one in zip(levels, known, strict=True)
        ]
    return Scene(
        levels=tuple(levels),
        valid=known,
        locations=content.locations,
        geo_tags=content.geo_tags,
        bands=content.bands,
        notices=content.notices,
        index=tuple(index),
    )


def _valid(
    number: int, plane: LazyArray, content: Content, chosen: Mapping[str, int]
) -> LazyArray | None:
    """Tell where a level holds data; None for everywhere."""
    mask = content.masks[number] if content.masks else None
    nodata = castable(content.nodata, content.arrays[number].dtype)
    if nodata is None:
        # of NaN and alpha the shown values tell
        shown = valid_of_values(plane, rgb=COLORS in content.axes)
        if shown is None or mask is None:
            return shown if mask is None else mask
        return Valid(plane, alpha=plane.shape[-1] == 4 and plane.ndim == 3, mask=mask)
    array, axes, alpha = content.arrays[number], content.axes, False
    stored = 0
    if COLORS in axes:
        # all that is stored: black water is data if another band sees it
        stored = int(array.shape[axes.index(COLORS)])
        alpha = plane.ndim == 3 and plane.shape[-1] == stored == 4
    every = PlaneView(array, axes, chosen, stored)
    return Valid(every, nodata, alpha=alpha, mask=mask)


def guess_axes(array: LazyArray) -> str:
    """Name the axes of an array that does not name them."""
    count = len(array.shape)
    color = count > 2 and array.shape[-1] in (3, 4)
    return "abdefg"[: count - 2 - color] + ("yxs" if color else "yx")


def _check_axes(array: LazyArray, axes: str, name: str) -> None:
    if "y" not in axes or "x" not in axes or len(axes) != len(array.shape):
        raise GemError(
            f"'{name}' has axes '{axes}' and shape {tuple(array.shape)}; expected rows "
            "and columns."
        )


def _positions(content: Content, index: Sequence[int], name: str) -> dict[str, int]:
    """Say where along each other axis the plane lies."""
    axes = content.axes
    others = [n for n in axes if n not in "yxs"]
    finest = content.arrays[0]
    sizes = [int(finest.shape[axes.index(n)]) for n in others]
    if not index and all(size == 1 for size in sizes):
        index = [0] * len(sizes)
    fits = len(index) == len(sizes) and all(
        0 <= i < n for i, n in zip(index, sizes, strict=True)
    )
    if not fits and not others:
        raise GemError(f"'{name}' holds a single plane; leave --index out.")
    if not fits:
        asked = ",".join(map(str, index)) or "nothing"
        first = ",".join("0" for _ in sizes)
        last = ",".join(str(n - 1) for n in sizes)
        raise GemError(
            f"'{name}' holds planes of shape {tuple(sizes)} along {', '.join(others)}; "
            f"{asked} was chosen. Choose one with --index, from {first} to {last}."
        )
    return dict(zip(others, index, strict=True))


def _plane(array: LazyArray, content: Content, chosen: Mapping[str, int]) -> LazyArray:
    axes, colors = content.axes, 0
    if COLORS in axes:
        stored = int(array.shape[axes.index(COLORS)])
        colors = min(stored, 4 if content.colors is None else content.colors)
    whole = COLORS not in axes or colors == array.shape[-1]
    if axes in ("yx", "yxs") and whole and content.conversion is None:
        return array
    return PlaneView(array, axes, chosen, colors, content.conversion)


class PlaneView:
    """Rows, columns and colours of an array with more axes, or in another order."""

    def __init__(
        self,
        array: LazyArray,
        axes: str,
        index: Mapping[str, int],
        colors: int,
        conversion: Conversion | None = None,
    ) -> None:
        self._array = array
        self._axes = axes
        self._index = index
        self._colors = colors
        self._conversion = conversion
        height, width = (int(array.shape[axes.index(name)]) for name in "yx")
        last = conversion.colors if conversion else colors
        self.shape: tuple[int, ...] = (height, width, *([last] if last else []))
        self.ndim = len(self.shape)
        self.dtype = conversion.dtype if conversion else np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        if chunks and isinstance(chunks[0], int):
            self.chunks = tuple(int(chunks[axes.index(name)]) for name in "yx")

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        parts = key if isinstance(key, tuple) else (key,)
        rows, columns = (*parts, slice(None))[:2]
        more = parts[2:]
        wanted = {"y": rows, "x": columns, COLORS: slice(0, self._colors)}
        full = tuple(wanted.get(n, self._index.get(n, 0)) for n in self._axes)
        part = np.asarray(self._array[full])
        left = [n for n in self._axes if n in wanted]
        order = [left.index(n) for n in "yxs" if n in left]
        ordered = part.transpose(order)
        if self._conversion:
            ordered = self._conversion.convert(ordered)
        return ordered[(slice(None), slice(None), *more)]
