"""Which pixels of an image hold data: no data value, mask, alpha and NaN in one mask.

Pixels without data are black to the model whatever a file holds there, so that it
never changes the labels of others; and they count nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.bounds import is_large
from napari_gem.core.errors import GemError
from napari_gem.images.read_errors import read_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray

    _Mask = NDArray[np.bool_]

COARSE = 512
"""Rows or columns that are kept of where a large image holds data: as in previews."""


class Valid:
    """Tells for (rows, columns) of an image whether there is data; read when sliced.

    Parameters
    ----------
    pixels
        (height, width), or (height, width, bands). A pixel has no data if all of its
        bands have none.
    nodata
        The value that stands for no data; None for none. NaN always does.
    alpha
        Whether the last of the bands is the opacity; where it is 0 there is no data.
    mask
        (height, width), True where there is data; None for everywhere.
    """

    def __init__(
        self,
        pixels: LazyArray,
        nodata: float | None = None,
        *,
        alpha: bool = False,
        mask: LazyArray | None = None,
    ) -> None:
        self.pixels, self._mask, self._alpha = pixels, mask, alpha
        self._nodata = castable(nodata, pixels.dtype)
        self.shape = int(pixels.shape[0]), int(pixels.shape[1])
        self.ndim, self.dtype = 2, np.dtype(bool)
        self._step = -(-max(self.shape) // COARSE)
        self._seen: NDArray[np.bool_] | None = None

    def __getitem__(self, key: Any, /) -> NDArray[np.bool_]:
        where, more = _rows_and_columns(key)
        assert not more  # noqa: S101 (there are no further axes)
        return self.among(None, where)

    def among(self, part: NDArray[Any] | None, where: tuple[Any, Any]) -> _Mask:
        """Tell for rows and columns whose pixels were read; None if they were not."""
        valid = self._tell(part, where)
        if is_large(self.shape):
            self._note(valid, where)
        return valid

    def coarse(self, step: int) -> _Mask:
        """Tell it for every step-th row and column as far as it has been asked.

        Where nobody has asked there is data: nothing is read.
        """
        if self._seen is None:
            return np.ones(tuple(-(-n // step) for n in self.shape), bool)
        rows, columns = (np.arange(0, n, step) // self._step for n in self.shape)
        return self._seen[rows[:, None], columns]

    def _note(self, valid: _Mask, where: tuple[Any, Any]) -> None:
        """Keep every few row and column of an answer."""
        if not all(isinstance(one, slice) and one.step in (None, 1) for one in where):
            return
        if self._seen is None:
            self._seen = np.ones(tuple(-(-n // self._step) for n in self.shape), bool)
        starts = [one.indices(n)[0] for one, n in zip(where, self.shape, strict=True)]
        first_row, first_column = (-start % self._step for start in starts)
        noted = valid[first_row :: self._step, first_column :: self._step]
        down, right = (-(-start // self._step) for start in starts)
        height, width = noted.shape
        self._seen[down : down + height, right : right + width] = noted

    def _tell(self, part: NDArray[Any] | None, where: tuple[Any, Any]) -> _Mask:
        mask = None if self._mask is None else np.asarray(self._mask[where], bool)
        floats = self.pixels.dtype.kind == "f"
        if not floats and self._nodata is None and not self._alpha:
            return np.ones(self.shape, bool)[where] if mask is None else mask
        if part is None:
            part = read_part(self.pixels, where)
        valid = holds_data(part[..., :-1] if self._alpha else part, self._nodata)
        if self._alpha:
            valid &= part[..., -1] > 0
        return valid if mask is None else valid & mask


class Filled:
    """An image that is black where it has no data; read when it is sliced.

    If its values tell all (NaN, alpha) it is left as it is, and ``valid`` only notes
    what is read.
    """

    def __init__(
        self,
        pixels: LazyArray,
        valid: LazyArray,
        nodata: float | None = None,
        *,
        fill: bool = True,
    ) -> None:
        self._pixels, self._valid, self._fill = pixels, valid, fill
        self._nodata = castable(nodata, pixels.dtype)
        self.shape = tuple(int(n) for n in pixels.shape)
        self.ndim, self.dtype = len(self.shape), np.dtype(pixels.dtype)
        chunks = getattr(pixels, "chunks", None)
        if chunks:
            self.chunks = chunks

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        where, more = _rows_and_columns(key)
        part = np.asarray(self._pixels[where])
        valid, known = self._valid, getattr(self._valid, "pixels", None)
        if isinstance(valid, Valid) and known is self._pixels:
            holds = valid.among(part, where)
        else:
            holds = np.asarray(valid[where])
        bands = part.dtype.kind == "f" and self._nodata is not None
        if self._fill and (bands or not holds.all()):
            part = np.array(part)
            if bands:
                part[part == self._nodata] = np.nan  # in single bands, too
            part[~holds] = black_of(part.dtype)
        filled: NDArray[Any] = part[(slice(None), slice(None), *more)]
        return filled


def valid_of_values(pixels: LazyArray, *, rgb: bool) -> Valid | None:
    """Tell what holds data by NaN and alpha alone; None if that is everywhere.

    Parameters
    ----------
    pixels
        (height, width), or (height, width, channels).
    rgb
        Whether the channels are red, green, blue and perhaps alpha.
    """
    alpha = rgb and pixels.shape[-1] == 4
    if pixels.dtype.kind != "f" and not alpha:
        return None
    return Valid(pixels, alpha=alpha)


def black_of(dtype: np.dtype[Any]) -> Any:
    """Give the value that is black whatever the contrast: NaN, or the smallest."""
    if dtype.kind == "f":
        return np.nan
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def castable(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """Give a no data value as pixels of this type have it; None if none can."""
    if nodata is None or np.isnan(nodata):
        return None  # NaN is no data anyway
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(np.asarray(nodata, dtype))
    low, high = (0, 1) if dtype.kind == "b" else _range(dtype)
    return nodata if nodata == nodata // 1 and low <= nodata <= high else None


def nodata_value(text: str, dtype: np.dtype[Any]) -> float | None:
    """Read the value for no data that a user gives; None if none is of this type.

    Raises
    ------
    GemError
        If it is neither a number nor ``none``.
    """
    if text in ("", "none"):
        return None
    try:
        return castable(float(text), dtype)
    except ValueError:
        raise GemError(
            f"The value for no data is '{text}'; give a number, or none."
        ) from None


def without_nodata(pixels: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """Make pixels black of which no band has data; a copy if there are any."""
    if nodata is None:
        return pixels
    floats = pixels.dtype.kind == "f"  # of which single bands are left out, too
    none = is_nodata(pixels, nodata) if floats else ~holds_data(pixels, nodata)
    if not none.any():
        return pixels
    filled = pixels.copy()
    filled[none] = black_of(pixels.dtype)
    return filled


def holds_data(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Tell for (rows, columns) or (rows, columns, bands) whether any band has data."""
    if values.ndim == 2:
        return ~is_nodata(values, nodata)
    # a band after the other: many times faster than along a short axis
    valid = ~is_nodata(values[..., 0], nodata)
    for band in range(1, values.shape[-1]):
        valid |= ~is_nodata(values[..., band], nodata)
    return valid


def is_nodata(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Tell which values are NaN or the one that stands for no data."""
    none: NDArray[np.bool_]
    if nodata is not None:
        none = values == values.dtype.type(nodata)
        return none | np.isnan(values) if values.dtype.kind == "f" else none
    none = (
        np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    )
    return none


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _rows_and_columns(key: Any) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
    """Split an index into that of rows and columns, and the rest."""
    parts = key if isinstance(key, tuple) else (key,)
    parts = tuple(slice(None) if part is Ellipsis else part for part in parts)
    rows, columns = (*parts, slice(None))[:2]
    return (rows, columns), parts[2:]
