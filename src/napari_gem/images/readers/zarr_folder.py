"""Reads zarr arrays and groups, version 2 and 3, and OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

import math
import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.bounds import MOST_CHANNELS, MOST_LEVELS
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.core.location import LARGEST, Location, read_location
from napari_gem.core.sentences import some_of
from napari_gem.core.units import in_unit, symbol_of
from napari_gem.images.number_arrays import check_numbers
from napari_gem.images.readers.bands import RGB, read_hex
from napari_gem.images.readers.content import Content, guess_axes
from napari_gem.images.readers.planes import COLORS
from napari_gem.images.readers.tiff_size import usable_size
from napari_gem.images.scene import Band

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import zarr

    from napari_gem.core.arrays import LazyArray

ZIP = b"PK\x03\x04"
"""How zip files begin."""

MARKS = ("zarr.json", ".zarray", ".zgroup")
"""One of these is in each zarr folder."""

PLAIN = ("", "red", "green", "blue", "alpha", "r", "g", "b", "a", "rgb")
NUMBERED = re.compile(r"(channel|ch|c)?[ :_]*\d+")
"""Names of channels that name no stain."""

TAKEN_FOR_RGB = (
    "The channels of '{name}' have no names: they are taken for red, green and blue. "
    "Choose others with --bands, or one with --index."
)


def check_is_zarr(path: Path, name: str) -> None:
    """Refuse other folders.

    Raises
    ------
    GemError
        If there is no zarr array or group in the folder.
    """
    if not any((path / mark).exists() for mark in MARKS):
        raise GemError(
            f"'{name}' is a folder that holds no zarr image. Choose an image file in "
            "it, or a zarr folder."
        )


def read_zarr(path: Path, index: Sequence[int] = ()) -> Content:
    """Read an array, or a group of the resolutions of one image.

    Parameters
    ----------
    path
        The folder, or a zip file of one.
    index
        Positions of the wanted plane; they tell whether a channel is chosen.

    Raises
    ------
    GemError
        If a group holds no image, or several.
    """
    import zarr

    from napari_gem.images.bounded_zarr import bounded, open_folder

    opened = open_folder(path, _folder_in_zip(path) if path.is_file() else "")
    if isinstance(opened, zarr.Array):
        return Content((bounded(opened),), guess_axes(opened))
    attributes = dict(opened.attrs)
    attributes = attributes.get("ome", attributes)
    if attributes.get("multiscales"):
        return _read_ngff(opened, attributes, index, path.name)
    _check_layout(opened, attributes, path.name)
    keys = sorted(opened.array_keys())
    _check_count(keys, path.name)
    arrays = {key: bounded(opened[key]) for key in keys}
    return _read_levels(arrays, path.name)


def _folder_in_zip(path: Path) -> str:
    """Say in which folder of a zip file the image lies; empty for in none."""
    with zipfile.ZipFile(path) as opened:
        names = opened.namelist()
    folders = {name.rpartition("/")[0] for name in names if name.endswith(MARKS)}
    tops = sorted(folders, key=lambda folder: folder.count("/") + bool(folder))
    if not tops:
        raise GemError(
            f"'{path.name}' is a zip file that holds no zarr image. Unpack it, and "
            "choose an image in it."
        )
    return tops[0]


def _check_layout(group: zarr.Group, attributes: Mapping[str, Any], name: str) -> None:
    """Refuse groups of several images; say how each is chosen."""
    if "plate" in attributes:
        raise GemError(
            f"'{name}' is a plate of wells. Choose one image in it, such as the folder "
            f"'{name}/A/1/0'."
        )
    several = "bioformats2raw.layout" in attributes or "well" in attributes
    if several or not list(group.array_keys()):
        names = sorted(key for key in group.group_keys() if key != "OME")
        if names:
            raise GemError(
                f"'{name}' is a folder of images: {some_of(names)}. Choose one of "
                f"them, such as '{name}/{shown(names[0])}'."
            )
        raise GemError(
            f"'{name}' is a zarr group without arrays. Choose the folder of an image "
            "in it."
        )


def _read_levels(arrays: Mapping[str, LazyArray], name: str) -> Content:
    """Take arrays for the resolutions of one image, if they can be that."""
    for array in arrays.values():
        check_numbers(array, name)
    levels = sorted(arrays.values(), key=lambda array: -math.prod(array.shape))
    finest = levels[0]
    axes = guess_axes(finest)
    if not all(_is_coarser(finest, level, axes) for level in levels):
        raise GemError(
            f"'{name}' is a folder of arrays that are not the resolutions of one "
            f"image: {some_of(arrays)}. Choose one of them."
        )
    return Content(tuple(levels), axes)


def _is_coarser(finest: LazyArray, level: LazyArray, axes: str) -> bool:
    """Tell whether an array can be another, made smaller by the same factors."""
    if len(level.shape) != len(finest.shape) or level.dtype != finest.dtype:
        return False
    factors = []
    for axis, length, short in zip(axes, finest.shape, level.shape, strict=True):
        if axis not in "yx":
            if length != short:
                return False
        elif not short:
            return length == 0
        else:
            # lengths are rounded up or down once a level
            factors.append((length / (short + 1), length / max(short - 1, 0.5)))
    (low, high), (other_low, other_high) = factors
    return max(low, other_low) <= min(high, other_high)


def _check_count(levels: Sequence[object], name: str) -> None:
    if len(levels) > MOST_LEVELS:
        raise GemError(
            f"'{name}' holds {len(levels)} arrays; one image has at most "
            f"{MOST_LEVELS} resolutions. Choose the folder of one image."
        )


def _read_ngff(
    group: zarr.Group,
    attributes: Mapping[str, Any],
    index: Sequence[int],
    name: str,
) -> Content:
    from napari_gem.images.bounded_zarr import bounded

    scales = attributes["multiscales"][0]
    _check_count(scales["datasets"], name)
    arrays = tuple(bounded(group[one["path"]]) for one in scales["datasets"])
    stated = scales.get("axes") or list(guess_axes(arrays[0]))
    names = [a["name"] if isinstance(a, dict) else a for a in stated]
    axes = "".join(n if len(n) == 1 else "?" for n in names)
    bands = _channels(attributes)
    locations, notices = _locations(scales, stated, arrays)
    if "c" in axes and _is_rgb(arrays[0], axes.index("c"), len(axes), index):
        if not bands:
            notices = (*notices, TAKEN_FOR_RGB.format(name=name))
        if not bands or _are_colors(bands):
            axes = axes.replace("c", COLORS)
    own = group.attrs.get("napari_gem")
    stored = own.get("location") if isinstance(own, dict) else None
    whole = read_location(stored) if locations else None
    if whole is not None:
        locations = tuple(_within(whole, locations[0], one) for one in locations)
    return Content(arrays, axes, locations=locations, bands=bands, notices=notices)


def _is_rgb(array: LazyArray, axis: int, axes: int, index: Sequence[int]) -> bool:
    """Tell whether channels are the colours of a picture, if no channel was chosen."""
    count, eight_bit = array.shape[axis], np.dtype(array.dtype) == np.uint8
    return count in (3, 4) and eight_bit and len(index) < axes - 2


def _channels(attributes: Mapping[str, Any]) -> tuple[Band, ...]:
    """Read names and colours of channels, which OMERO writes."""
    omero = attributes.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list) or len(channels) > MOST_CHANNELS:
        return ()
    return tuple(
        Band(str(one.get("label", "")), read_hex(str(one.get("color", ""))))
        for one in channels
        if isinstance(one, dict)
    )


def _are_colors(bands: Sequence[Band]) -> bool:
    """Tell whether channels are the colours of a picture, not stains."""
    colors = [band.color for band in bands[: len(RGB)]]
    names = [band.name.lower() for band in bands]
    plain = all(name in PLAIN or NUMBERED.fullmatch(name) for name in names)
    return colors == [band.color for band in RGB] and plain


def _locations(
    scales: Mapping[str, Any], axes: Sequence[Any], arrays: Sequence[LazyArray]
) -> tuple[tuple[Location, ...], tuple[str, ...]]:
    """Say where each level lies: its own transforms, then those of all levels."""
    names = [a["name"] if isinstance(a, dict) else a for a in axes]
    down, right = names.index("y"), names.index("x")
    units = [
        symbol_of(str(a.get("unit", ""))) or "" if isinstance(a, dict) else ""
        for a in (axes[down], axes[right])
    ]
    shared = scales.get("coordinateTransformations") or []
    placed = []
    for dataset in scales["datasets"]:
        own = dataset.get("coordinateTransformations") or []
        placed.append(_joined([*own, *shared], len(names)))
    if placed[0] is None:
        stated = any(one.get("coordinateTransformations") for one in scales["datasets"])
        return (), (UNUSABLE,) if stated else ()
    locations: list[Location] = []
    for array, lines in zip(arrays, placed, strict=True):
        location = None if lines is None else _location(lines, (down, right), units)
        if location is None and not locations:
            return (), (UNUSABLE,)
        if location is None:
            finest = arrays[0].shape
            factors = (finest[at] / array.shape[at] for at in (down, right))
            location = locations[0].coarser(*factors)
        locations.append(location)
    return tuple(locations), ()


def _within(whole: Location, finest: Location, level: Location) -> Location:
    """Say where a level lies, by where it lies on the finest."""
    starts, factors = [], []
    for axis in (0, 1):
        step = (finest.down, finest.right)[axis][axis]
        starts.append((level.origin[axis] - finest.origin[axis]) / step)
        factors.append((level.down, level.right)[axis][axis] / step)
    rows, columns = factors
    return replace(
        whole,
        origin=whole.at(*starts),
        down=(whole.down[0] * rows, whole.down[1] * rows),
        right=(whole.right[0] * columns, whole.right[1] * columns),
    )


UNUSABLE = "The image says in an unknown way where it lies; its location is not kept."


def _joined(
    transforms: Sequence[Any], axes: int
) -> tuple[list[float], list[float]] | None:
    """Join scales and translations to one of each; None for what is neither."""
    scale, shift = [1.0] * axes, [0.0] * axes
    scaled = False
    for one in transforms:
        kind = one.get("type") if isinstance(one, dict) else None
        if kind == "identity":
            continue
        numbers = one.get(kind) if kind in ("scale", "translation") else None
        if not isinstance(numbers, list) or len(numbers) != axes:
            return None
        if not all(isinstance(n, int | float) for n in numbers):
            return None
        if kind == "scale":
            scaled = True
            scale = [a * b for a, b in zip(scale, numbers, strict=True)]
            shift = [a * b for a, b in zip(shift, numbers, strict=True)]
        else:
            shift = [a + b for a, b in zip(shift, numbers, strict=True)]
    return (scale, shift) if scaled else None


def _location(
    lines: tuple[Sequence[float], Sequence[float]],
    at: tuple[int, int],
    units: Sequence[str],
) -> Location | None:
    """Make the place of a level, in the unit of its rows; None if it is unusable."""
    (height, width), (y, x) = ([line[n] for n in at] for line in lines)
    unit, other = units
    if unit and other:
        factor = in_unit(1.0, other, unit)
        width, x = (width * factor, x * factor) if factor else (width, x)
    else:
        unit = ""
    # maps have their rows run down from the largest y
    if not usable_size(abs(height), abs(width)) or max(abs(y), abs(x)) >= LARGEST:
        return None
    return Location((y, x), (height, 0.0), (0.0, width), unit)
