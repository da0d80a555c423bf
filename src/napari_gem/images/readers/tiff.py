"""Reads files of the TIFF family: TIFF, BigTIFF, OME-TIFF, GeoTIFF, slides in TIFF.

Planes of up to `LARGE` pixels are read at once when a part of them is asked for, since
files of many short strips are slow to read in parts; parts of larger ones are read.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.read_errors import check_size
from napari_gem.images.readers.content import SAMPLES, Content
from napari_gem.images.readers.geotiff import read_geo_tags, read_location
from napari_gem.images.readers.planes import Conversion
from napari_gem.images.readers.tiff_bands import tiff_bands
from napari_gem.images.readers.tiff_size import location_by_size
from napari_gem.images.tiff_reading import (
    check_plane,
    open_tiff,
    tiff_options,
    without_nodata_warnings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffPage, TiffPageSeries

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

LARGE = 1 << 26
"""Pixels: planes with more are read in parts."""

MINISWHITE, RGB, PALETTE, MASK, SEPARATED, YCBCR = 0, 2, 3, 4, 5, 6
"""TIFF 6.0 PhotometricInterpretation."""

GDAL_NODATA = 42113
"""Tag: the value that stands for no data, as text."""

ALPHA = (1, 2)
"""TIFF 6.0 ExtraSamples: associated and unassociated alpha."""


def read_tiff(path: Path, index: Sequence[int] = ()) -> Content:
    """Read the first image, with all of its levels.

    Parameters
    ----------
    path
        The file.
    index
        Positions of the wanted plane; other planes may be missing in the file.

    Raises
    ------
    ReadError
        If its header promises too much, or the wanted plane is missing.
    """
    with without_nodata_warnings(), open_tiff(path) as tiff:
        series, page = tiff.series[0], tiff.pages.first
        _check_axes(series, path)
        stored = path.stat().st_size
        check_size(path.name, series.shape, series.dtype.itemsize, stored)
        for one in series.levels:
            check_plane(one, index, path.name)
        levels = [(level.shape, level.dtype) for level in series.levels]
        axes, stored_axes = _named_axes(series, page), series.axes
        conversion = _conversion_of(tiff, page)
        colors = 3 if _is_color(page) and not _has_alpha(page) else None
        geo_tags = read_geo_tags(page)
        location, notices = read_location(geo_tags, path)
        location = location or location_by_size(tiff, page)
        bands = tiff_bands(tiff, page, rgb=_is_color(page))
        mask = _mask_of(tiff)
        nodata = _nodata_of(page)
    arrays = tuple(
        _open_level(path, (0, level), shape, dtype, stored_axes)
        for level, (shape, dtype) in enumerate(levels)
    )
    masks = ()
    if mask is not None and len(mask[1]) == len(levels):
        number, kinds = mask
        masks = tuple(
            _open_level(path, (number, level), shape, dtype, "YX")
            for level, (shape, dtype) in enumerate(kinds)
        )
    down, right = axes.index("y"), axes.index("x")
    finest = levels[0][0]
    locations = (
        ()
        if location is None
        else tuple(
            location.coarser(finest[down] / shape[down], finest[right] / shape[right])
            for shape, _ in levels
        )
    )
    return Content(
        arrays,
        axes,
        colors=colors,
        conversion=conversion,
        nodata=nodata,
        masks=masks,
        locations=locations,
        geo_tags=geo_tags,
        bands=bands,
        notices=notices,
    )


def _check_axes(series: TiffPageSeries, path: Path) -> None:
    fits = len(series.axes) == len(series.shape) and {"Y", "X"} <= set(series.axes)
    if not fits:
        raise GemError(
            f"'{path.name}' has axes '{series.axes}' that do not fit its shape "
            f"{series.shape}. Save it again as an image of rows and columns."
        )


def _mask_of(tiff: TiffFile) -> tuple[int, list[tuple[Any, Any]]] | None:
    """Find the series of the mask, and the shape and type of its levels."""
    first = tiff.series[0]
    sides = [dict(zip(one.axes, one.shape, strict=True)) for one in first.levels]
    for number, series in enumerate(tiff.series[1:], 1):
        if series.keyframe.photometric != MASK or series.axes != "YX":
            continue
        kinds = [(level.shape, level.dtype) for level in series.levels]
        shapes = [(side["Y"], side["X"]) for side in sides]
        if [shape for shape, _ in kinds] == shapes:
            return number, kinds
    return None


def _nodata_of(page: TiffPage) -> float | None:
    if GDAL_NODATA not in page.tags:
        return None
    try:
        return float(str(page.tags[GDAL_NODATA].value).strip("\0 "))
    except ValueError:
        return None


def _named_axes(series: TiffPageSeries, page: TiffPage) -> str:
    """Name the axes as `Content` does: samples that are no colours are planes."""
    axes: str = series.axes.lower()
    return axes if _is_color(page) or _is_cmyk(page) else axes.replace("s", SAMPLES)


def _is_color(page: TiffPage) -> bool:
    """Tell whether the samples of a page are red, green, blue and perhaps alpha."""
    # tifffile decodes the YCbCr of JPEG to RGB
    return page.photometric in (RGB, YCBCR) and page.samplesperpixel in (3, 4)


def _is_cmyk(page: TiffPage) -> bool:
    """Tell whether the samples of a page are cyan, magenta, yellow and black."""
    four = page.photometric == SEPARATED and page.samplesperpixel == 4
    return bool(four and page.dtype == np.uint8)


def _has_alpha(page: TiffPage) -> bool:
    return any(kind in ALPHA for kind in page.extrasamples)


def _conversion_of(tiff: TiffFile, page: TiffPage) -> Conversion | None:
    if _is_cmyk(page):
        return Conversion(_print, np.dtype(np.uint8), 3)
    if page.photometric == PALETTE and page.colormap is not None:
        colormap = page.colormap
        return Conversion(lambda v: _paint(v, colormap), np.dtype(np.uint8), 3)
    # tifffile tags boolean arrays so by default, with True still meant as white
    mask = page.dtype == np.bool_ and (tiff.is_shaped or tiff.is_ome)
    if page.photometric == MINISWHITE and not mask:
        bits = page.bitspersample
        return Conversion(lambda v: _invert(v, bits), np.dtype(page.dtype), 0)
    return None


def _print(inks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (rows, columns, 4) parts of ink to red, green and blue."""
    from PIL import Image

    inks = np.ascontiguousarray(inks)
    size = inks.shape[1], inks.shape[0]
    return np.asarray(Image.frombytes("CMYK", size, inks.tobytes()).convert("RGB"))


def _paint(pixels: NDArray[Any], colormap: NDArray[Any]) -> NDArray[np.uint8]:
    # TIFF 6.0 asks for 16 bits; some writers put 8 there
    wide = colormap.max() > 255
    colors = (colormap >> 8 if wide else colormap).astype(np.uint8)
    painted: NDArray[np.uint8] = colors.T[pixels.astype(np.uint16)]
    return painted


def _invert(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    if pixels.dtype.kind in "bu":
        inverted: NDArray[Any] = pixels ^ pixels.dtype.type(2**bits - 1)
        return inverted
    # 1 - x overflows at the smallest signed integer
    return -1 - pixels


def _open_level(
    path: Path,
    where: tuple[int, int],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    axes: str,
) -> Any:
    """Open a (series, level) in parts, or as whole planes if it is small."""
    import zarr
    from tifffile import imread

    if shape[axes.index("Y")] * shape[axes.index("X")] <= LARGE:
        return WholePlanes(path, where, shape, dtype, axes)
    series, level = where
    options = {"series": series, "level": level, **tiff_options(path)}
    with without_nodata_warnings():
        store = imread(path, aszarr=True, **options)
    array = zarr.open_array(store=store, mode="r")
    weakref.finalize(array, store.close)
    return array


class WholePlanes:
    """A level of a TIFF file; a plane is read when a part of it is asked for."""

    def __init__(
        self,
        path: Path,
        where: tuple[int, int],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        axes: str,
    ) -> None:
        self._path, self._where, self._axes = path, where, axes
        self.shape = tuple(int(n) for n in shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(dtype)
        self._read: tuple[tuple[int, ...], NDArray[Any]] | None = None

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        parts = key if isinstance(key, tuple) else (key,)
        parts = (*parts, *(slice(None),) * (self.ndim - len(parts)))
        others = [at for at, axis in enumerate(self._axes) if axis not in "YXS"]
        for at in others:
            if isinstance(parts[at], slice):  # several channels
                planes = range(*parts[at].indices(self.shape[at]))
                every = [self[(*parts[:at], n, *parts[at + 1 :])] for n in planes]
                # numbers take their axes away
                gone = sum(not isinstance(part, slice) for part in parts[:at])
                return np.stack(every, axis=at - gone)
        index = tuple(int(parts[at]) for at in others)
        within = tuple(part for at, part in enumerate(parts) if at not in others)
        read = self._read  # another thread may take another plane meanwhile
        if read is None or read[0] != index:
            read = self._read = index, self._read_plane(index)
        part: NDArray[Any] = read[1][within]
        return part

    def _read_plane(self, index: tuple[int, ...]) -> NDArray[Any]:
        """Read (rows, columns, samples), in the order in which they are stored."""
        sizes = dict(zip(self._axes, self.shape, strict=True))
        lengths = [n for axis, n in sizes.items() if axis not in "YXS"]
        number, level = self._where
        with without_nodata_warnings(), open_tiff(self._path) as tiff:
            series = tiff.series[number].levels[level]
            if len(series.pages) == math.prod(lengths):
                at = int(np.ravel_multi_index(index, lengths)) if lengths else 0
                plane: NDArray[Any] = series.pages[at].asarray()
                return plane.reshape([n for a, n in sizes.items() if a in "YXS"])
            everything: NDArray[Any] = series.asarray()
        order = [self._axes.index(a) for a in self._axes if a not in "YXS"]
        moved = np.moveaxis(everything, order, range(len(order)))
        chosen: NDArray[Any] = moved[index]
        return chosen
