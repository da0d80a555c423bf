"""A plane of an array with more axes, read when it is sliced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray

COLORS = "s"
"""Letter of the axis of colours (red, green, blue and perhaps alpha), or of bands."""


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


class PlaneView:
    """Rows, columns and colours of an array with more axes, or in another order.

    Parameters
    ----------
    array, axes
        The array, and a letter for each of its axes.
    index
        Position along each other axis.
    colors
        So many of the colours are taken; 0 for none.
    conversion
        What is done with the values; None for nothing.
    picked
        Positions along the axis of colours, in the wanted order, in place of
        ``colors``; a single one leaves rows and columns.
    """

    def __init__(
        self,
        array: LazyArray,
        axes: str,
        index: Mapping[str, int],
        colors: int,
        conversion: Conversion | None = None,
        picked: tuple[int, ...] = (),
    ) -> None:
        self._array = array
        self._axes = axes
        self._index = index
        self._conversion = conversion
        self._first = min(picked, default=0)
        self._end = max(picked, default=colors - 1) + 1
        self._picked = [at - self._first for at in picked]
        height, width = (int(array.shape[axes.index(name)]) for name in "yx")
        last = conversion.colors if conversion else colors
        if picked:
            last = len(picked) if len(picked) > 1 else 0
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
        wanted = {"y": rows, "x": columns, COLORS: slice(self._first, self._end)}
        full = tuple(wanted.get(n, self._index.get(n, 0)) for n in self._axes)
        part = np.asarray(self._array[full])
        left = [n for n in self._axes if n in wanted]
        order = [left.index(n) for n in "yxs" if n in left]
        ordered = part.transpose(order)
        if len(self._picked) == 1:
            ordered = ordered[..., self._picked[0]]
        elif self._picked:
            ordered = ordered[..., self._picked]
        if self._conversion:
            ordered = self._conversion.convert(ordered)
        return ordered[(slice(None), slice(None), *more)]
