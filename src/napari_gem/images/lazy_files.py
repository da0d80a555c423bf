"""Image files that are read in parts: zarr, OME-Zarr, large TIFF, memory-mapped npy."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.bounds import MOST_LEVELS
from napari_gem.core.errors import GemError
from napari_gem.core.units import symbol_of
from napari_gem.images.files import (
    ALPHA,
    MINISWHITE,
    PALETTE,
    SUFFIXES,
    is_cmyk,
    is_color,
    pixel_size_of,
    usable_size,
)
from napari_gem.images.levels import coarsest_that_shows, factor_of
from napari_gem.images.number_arrays import check_numbers
from napari_gem.images.read_errors import Readable, check_size, reading
from napari_gem.images.tiff_reading import check_plane, open_tiff, tiff_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import zarr
    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.region import Region

LARGE = 1 << 26
"""Pixels: TIFF files with more are read in parts."""

MOST_VALUES = 1 << 42
"""Of one level."""

_ZARR = ("zarr.json", ".zarray", ".zgroup")
"""One of these is in each zarr folder."""


@dataclass(frozen=True, eq=False)
class LazyImage:
    """An image file of which parts are read when they are sliced.

    Attributes
    ----------
    levels
        The image at its resolutions, the finest first: (height, width) or (height,
        width, 3 or 4).
    pixel_size
        (height, width) of a pixel of the finest level; None if the file does not say.
    unit
        Its unit: ``µm``, ``mm`` ...
    """

    levels: tuple[LazyArray, ...]
    pixel_size: tuple[float, float] | None = None
    unit: str = ""

    def factor(self, level: int) -> float:
        """Count the pixels of the finest level, along a side, for one of a level."""
        return factor_of(self.levels[0].shape, self.levels[level].shape)

    def choose(self, wanted: float | None) -> int:
        """Choose the coarsest level that still shows a detail.

        ``wanted`` is the number of pixels of the finest level, along a side, for one
        wanted pixel; None takes the finest level.
        """
        if wanted is None:
            return 0
        return coarsest_that_shows(wanted, [level.shape for level in self.levels])

    def scale_region(self, region: Region, level: int) -> Region:
        """Turn a region of the finest level into one of another level."""
        from napari_gem.core.region import Region

        factor, shape = self.factor(level), self.levels[level].shape
        (top, bottom), (left, right) = (
            (int(first / factor), min(math.ceil(end / factor), length))
            for (first, end), length in zip(
                (region.rows, region.columns), shape[:2], strict=True
            )
        )
        return Region((top, bottom), (left, right))


def open_lazy_image(path: Path | str, index: Sequence[int] = ()) -> LazyImage | None:
    """Open an image that is to be read in parts.

    Parameters
    ----------
    path
        Folder of a zarr array or group (version 2 or 3, OME-NGFF 0.4 or 0.5), ``.npy``
        file, or TIFF file.
    index
        Positions along axes that are neither rows nor columns nor colours.

    Returns
    -------
    LazyImage | None
        None for files that are better read at once:
        `napari_gem.images.files.read_image`.

    Raises
    ------
    GemError
        If it is damaged, or holds more planes than ``index`` chooses from.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    name = path.name or str(path)
    with reading(name):
        source, is_file = None, path.is_file()
        if path.is_dir():
            _check_is_zarr(path, name)
            source = _open_zarr(path, tuple(index))
        elif suffix == ".npy" and is_file:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            source = LazyImage((_plane(mapped, _guess_axes(mapped), index, path.name),))
        elif suffix in (".tif", ".tiff") and is_file:
            source = _open_tiff(path, tuple(index))
        if source is not None:
            return _checked(source, name)
    if path.exists() and not is_file:
        raise GemError(f"'{name}' is a pipe or a device; expected a file.")
    if not path.exists() or suffix in SUFFIXES:
        return None
    raise GemError(
        f"'{path.name}' came; expected a zarr folder or a file that ends in .npy, "
        f"{', '.join(SUFFIXES)}."
    )


def _check_is_zarr(path: Path, name: str) -> None:
    if not any((path / mark).exists() for mark in _ZARR):
        raise GemError(
            f"'{name}' is a folder that holds no zarr image; expected an image file or "
            "a zarr folder. Choose an image in it."
        )


def _checked(source: LazyImage, name: str) -> LazyImage:
    """Refuse wrong sizes, and let reading a part raise sentences, too."""
    for level in source.levels:
        size = math.prod(level.shape)
        if not size:
            raise GemError(
                f"'{name}' has no pixels: its shape is {tuple(level.shape)}. Choose "
                "another image."
            )
        if size > MOST_VALUES:
            values = " x ".join(map(str, level.shape))
            raise GemError(
                f"'{name}' says that it has {values} values, which no image has. It "
                "may be damaged: copy or save it again."
            )
    levels = tuple(Readable(level, name) for level in source.levels)
    return replace(source, levels=levels)


class _PlaneView:
    """Rows, columns and colours of an array with more axes, or in another order."""

    def __init__(
        self, array: LazyArray, axes: str, index: Mapping[str, int], colors: int
    ) -> None:
        self._array = array
        self._axes = axes
        self._index = index
        self._colors = colors
        height, width = (int(array.shape[axes.index(name)]) for name in "yx")
        self.shape: tuple[int, ...] = (height, width, *([colors] if colors else []))
        self.ndim = len(self.shape)
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        if chunks and isinstance(chunks[0], int):
            self.chunks = tuple(int(chunks[axes.index(name)]) for name in "yx")

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        parts = key if isinstance(key, tuple) else (key,)
        rows, columns = (*parts, slice(None))[:2]
        more = parts[2:]
        wanted = {"y": rows, "x": columns, "s": slice(0, self._colors)}
        full = tuple(wanted.get(n, self._index.get(n, 0)) for n in self._axes)
        part = np.asarray(self._array[full])
        left = [n for n in self._axes if n in wanted]
        order = [left.index(n) for n in "yxs" if n in left]
        return part.transpose(order)[(slice(None), slice(None), *more)]


def _plane(array: LazyArray, axes: str, index: Sequence[int], name: str) -> LazyArray:
    """Choose a plane; the axis of colours, if there is one, is called ``s``."""
    check_numbers(array, name)
    if "y" not in axes or "x" not in axes or len(axes) != len(array.shape):
        raise GemError(
            f"'{name}' has axes '{axes}' and shape {tuple(array.shape)}; expected rows "
            "and columns."
        )
    others = [n for n in axes if n not in "yxs"]
    sizes = [int(array.shape[axes.index(n)]) for n in others]
    if not index and all(size == 1 for size in sizes):
        index = [0] * len(sizes)
    fits = len(index) == len(sizes) and all(
        0 <= i < n for i, n in zip(index, sizes, strict=True)
    )
    if not fits:
        raise GemError(
            f"'{name}' holds planes of shape {tuple(sizes)} along {', '.join(others)}; "
            f"{','.join(map(str, index)) or 'nothing'} was chosen. Choose one with "
            f"--index, such as {','.join('0' for _ in sizes) or 'none at all'}."
        )
    colors = min(4, int(array.shape[axes.index("s")])) if "s" in axes else 0
    if axes in ("yx", "yxs"):
        return array
    return _PlaneView(array, axes, dict(zip(others, index, strict=True)), colors)


def _guess_axes(array: LazyArray) -> str:
    """Name the axes of an array that does not name them."""
    count = len(array.shape)
    color = count > 2 and array.shape[-1] in (3, 4)
    return "abdefg"[: count - 2 - color] + ("yxs" if color else "yx")


def _open_zarr(path: Path, index: tuple[int, ...]) -> LazyImage:
    import zarr

    from napari_gem.images.bounded_zarr import bounded, open_folder

    opened = open_folder(path)
    if isinstance(opened, zarr.Array):
        plane = _plane(bounded(opened), _guess_axes(opened), index, path.name)
        return LazyImage((plane,))
    attributes = dict(opened.attrs)
    scales = attributes.get("ome", attributes).get("multiscales")
    if not scales:
        keys = sorted(opened.array_keys())
        _check_levels(keys, path.name)
        arrays = [opened[key] for key in keys]
        if not arrays:
            raise GemError(
                f"'{path.name}' is a zarr group without arrays. Choose the folder of "
                "an image in it."
            )
        arrays = [bounded(array) for array in arrays]
        arrays.sort(key=lambda array: -math.prod(array.shape))
        planes = (_plane(a, _guess_axes(a), index, path.name) for a in arrays)
        return LazyImage(tuple(planes))
    return _open_ngff(opened, scales[0], index, path.name)


def _check_levels(levels: Sequence[object], name: str) -> None:
    if len(levels) > MOST_LEVELS:
        raise GemError(
            f"'{name}' holds {len(levels)} arrays; expected the resolutions of one "
            f"image, at most {MOST_LEVELS}. Choose the folder of one of them."
        )


def _open_ngff(
    group: zarr.Group, scales: Mapping[str, Any], index: tuple[int, ...], name: str
) -> LazyImage:
    from napari_gem.images.bounded_zarr import bounded

    _check_levels(scales["datasets"], name)
    arrays = [bounded(group[one["path"]]) for one in scales["datasets"]]
    stated = scales.get("axes") or list(_guess_axes(arrays[0]))
    names = [a["name"] if isinstance(a, dict) else a for a in stated]
    axes = "".join(n if len(n) == 1 else "?" for n in names)
    if "c" in axes and _is_rgb(arrays[0], axes.index("c"), len(axes), index):
        axes = axes.replace("c", "s")
    levels = tuple(_plane(array, axes, index, name) for array in arrays)
    transforms = scales["datasets"][0].get("coordinateTransformations", [])
    size = next((t["scale"] for t in transforms if t["type"] == "scale"), None)
    down, right = names.index("y"), names.index("x")
    unit = stated[down].get("unit", "") if isinstance(stated[down], dict) else ""
    known = None
    if isinstance(size, list) and len(size) == len(names):
        known = usable_size(size[down], size[right])
    symbol = symbol_of(unit)
    if known is None or symbol is None:
        return LazyImage(levels)
    return LazyImage(levels, known, symbol)


def _is_rgb(array: LazyArray, axis: int, axes: int, index: Sequence[int]) -> bool:
    """Tell whether channels are the colours of a picture, if no channel was chosen."""
    count, eight_bit = array.shape[axis], np.dtype(array.dtype) == np.uint8
    return count in (3, 4) and eight_bit and len(index) < axes - 2


def _open_tiff(path: Path, index: tuple[int, ...]) -> LazyImage | None:
    import zarr
    from tifffile import imread

    with open_tiff(path) as tiff:
        series, page = tiff.series[0], tiff.pages.first
        axes = series.axes.lower()
        if "y" not in axes or "x" not in axes:
            return None
        stored = path.stat().st_size
        check_size(path.name, series.shape, series.dtype.itemsize, stored)
        pixels = series.shape[axes.index("y")] * series.shape[axes.index("x")]
        if pixels <= LARGE:
            return None
        if page.photometric in (PALETTE, MINISWHITE) or is_cmyk(page):
            raise GemError(
                f"'{path.name}' has a palette, inks (CMYK), or white as its smallest "
                "value, and is too large to be read at once. Save it as RGB or grey."
            )
        color = "s" in axes and is_color(page)
        alpha = any(kind in ALPHA for kind in page.extrasamples)
        axes = axes if color else axes.replace("s", "q")
        size, unit = pixel_size_of(tiff, page)
        count = len(series.levels)
        for one in series.levels:
            check_plane(one, index, path.name)
    levels = []
    for level in range(count):
        options = {"series": 0, "level": level, **tiff_options(path)}
        store = imread(path, aszarr=True, **options)
        array = zarr.open_array(store=store, mode="r")
        weakref.finalize(array, store.close)
        plane = _plane(array, axes, index, path.name)
        if color and not alpha and plane.shape[-1] > 3:
            chosen = {n: i for n, i in zip(axes, index, strict=False) if n not in "yxs"}
            plane = _PlaneView(array, axes, chosen, 3)
        levels.append(plane)
    return LazyImage(tuple(levels), size, unit)
