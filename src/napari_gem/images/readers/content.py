"""What a reader finds in a file, and the plane of it that is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.bounds import is_large
from napari_gem.core.errors import GemError
from napari_gem.images.number_arrays import check_numbers
from napari_gem.images.readers.bands import band_names, choose_bands
from napari_gem.images.readers.planes import COLORS, PlaneView
from napari_gem.images.rendering import sample_of
from napari_gem.images.scene import Band, Scene
from napari_gem.images.valid import Filled, Valid, castable, valid_of_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.location import GeoTags, Location
    from napari_gem.images.readers.planes import Conversion

SAMPLES = "q"
"""Letter of the axis of samples that are no colours."""

RGBA = 4

MOST_OPACITIES = 16
"""An opacity has fewer values, but for soft edges."""


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
        How many of the colours are taken: 3, or 4 with an opacity; None if the file
        does not say, or may be wrong.
    conversion
        None if values are stored as they are.
    nodata
        The stored value that stands for no data; None for none.
    masks
        (height, width) bool for each array, True where there is data; empty for
        everywhere.
    bands
        What the file says of all of its channels or bands; empty for nothing.
    locations, geo_tags, notices
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

    def length(self, axis: str) -> int:
        """Count the positions along an axis, at the finest level."""
        return int(self.arrays[0].shape[self.axes.index(axis)])

    @property
    def band_axis(self) -> str:
        """Letter of the axis of bands or channels; empty for none."""
        named = [axis for axis in (COLORS, SAMPLES, "c") if axis in self.axes]
        others = [axis for axis in self.axes if axis not in "yxzt"]
        return (named or (others if len(others) == 1 else [""]))[0]


@dataclass(frozen=True)
class _Choice:
    """Positions along other axes, and of bands; none for a picture's colours."""

    index: Mapping[str, int]
    bands: tuple[int, ...]


def choose_plane(
    content: Content, index: Sequence[int], name: str, bands: str = ""
) -> Scene:
    """Make a scene of one plane.

    Parameters
    ----------
    content
        Of the file.
    index
        Positions along the axes that are neither rows nor columns nor colours.
    name
        Of the file.
    bands
        Which bands or channels are taken; empty for a picture's colours, or one plane.

    Raises
    ------
    GemError
        If the file holds other planes or bands, or no numbers.
    """
    for array in content.arrays:
        check_numbers(array, name)
        _check_axes(array, content.axes, name)
    content, picked, chosen = _with_bands(content, bands, name)
    choice = _Choice(_positions(content, index, name), picked)
    content = _without_false_alpha(content, choice, name)
    levels = [_plane(array, content, choice) for array in content.arrays]
    valid = [_valid(at, plane, content, choice) for at, plane in enumerate(levels)]
    known = tuple(one for one in valid if one is not None)
    if known:
        fill = content.nodata is not None or bool(content.masks)
        nodata = content.nodata if content.conversion is None else None
        levels = [
            Filled(plane, one, nodata, fill=fill)
            if fill or is_large(plane.shape)
            else plane
            for plane, one in zip(levels, known, strict=True)
        ]
    return Scene(
        levels=tuple(levels),
        locations=content.locations,
        geo_tags=content.geo_tags,
        valid=known,
        bands=chosen if len(picked) > 1 else (),
        notices=content.notices,
        index=tuple(index),
    )


def guess_axes(array: LazyArray) -> str:
    """Name the axes of an array that does not name them."""
    count = len(array.shape)
    color = count > 2 and array.shape[-1] in (3, 4)
    return "abdefg"[: count - 2 - color] + ("yxs" if color else "yx")


def _check_axes(array: LazyArray, axes: str, name: str) -> None:
    if "y" not in axes or "x" not in axes or len(axes) != len(array.shape):
        raise GemError(
            f"'{name}' has axes '{axes}' and shape {tuple(array.shape)}, so it is "
            "not known which axes are rows and columns. Save it again with axes y and "
            "x."
        )


def _with_bands(
    content: Content, bands: str, name: str
) -> tuple[Content, tuple[int, ...], tuple[Band, ...]]:
    """Call the axis of the bands that of colours, and find the chosen ones."""
    if not bands:
        return content, (), ()
    axis = content.band_axis
    if not axis or content.conversion is not None:
        raise GemError(f"'{name}' has no bands to choose from; leave --bands out.")
    picked, chosen, notices = choose_bands(
        bands, content.bands, content.length(axis), name
    )
    renamed = replace(
        content,
        axes=content.axes.replace(axis, COLORS),
        colors=content.colors if axis == COLORS else 3,
        notices=(*content.notices, *notices),
    )
    return renamed, picked, chosen


def _positions(content: Content, index: Sequence[int], name: str) -> dict[str, int]:
    """Say where along each other axis the plane lies."""
    others = [n for n in content.axes if n not in "yxs"]
    sizes = [content.length(n) for n in others]
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
            f"{asked} was chosen. Choose one with --index, from {first} to {last}"
            f"{_or_bands(content, others)}."
        )
    return dict(zip(others, index, strict=True))


def _or_bands(content: Content, others: Sequence[str]) -> str:
    """Say that several bands can be chosen, if there are several."""
    axis = content.band_axis
    if axis not in others or content.length(axis) < 2:
        return ""
    listed = band_names(content.bands, content.length(axis))
    return f", or several of the bands {listed} with --bands, such as 2,1"


def _without_false_alpha(content: Content, choice: _Choice, name: str) -> Content:
    """Find out whether the fourth of the colours is an opacity."""
    if COLORS not in content.axes or content.conversion is not None:
        return content
    if content.colors is not None or content.length(COLORS) != RGBA:
        return content
    coarsest = content.arrays[-1]
    fourth = sample_of(PlaneView(coarsest, content.axes, choice.index, RGBA))[..., 3]
    if coarsest.dtype.kind not in "iu" or not is_band(fourth):
        return replace(content, colors=RGBA)
    notice = (
        f"The fourth band of '{name}' is called alpha (opacity), but it has as many "
        "values as an image: it is taken for a band, and the first three are shown. "
        "Choose others with --bands, such as 4,1,2."
    )
    notices = content.notices if choice.bands else (*content.notices, notice)
    return replace(content, colors=3, notices=notices)


def is_band(values: NDArray[Any]) -> bool:
    """Tell whether most values are neither opaque nor transparent, and they differ."""
    between = values[(values > 0) & (values < np.iinfo(values.dtype).max)]
    return between.size > values.size / 2 and len(np.unique(between)) >= MOST_OPACITIES


def _valid(
    number: int, plane: LazyArray, content: Content, choice: _Choice
) -> LazyArray | None:
    """Tell where a level holds data; None for everywhere."""
    array, axes = content.arrays[number], content.axes
    mask = content.masks[number] if content.masks else None
    nodata = castable(content.nodata, array.dtype)
    stored = int(array.shape[axes.index(COLORS)]) if COLORS in axes else 0
    alpha = content.colors == stored == RGBA and 3 not in choice.bands
    if nodata is None and not (alpha and choice.bands):
        # of NaN and alpha the shown values tell
        if mask is None:
            return valid_of_values(plane, rgb=alpha)
        return Valid(plane, alpha=alpha, mask=mask)
    # all that is stored: black water is data if another band sees it
    same = not choice.bands and plane.shape[2:] == ((stored,) if stored else ())
    every = plane if same else PlaneView(array, axes, choice.index, stored)
    return Valid(every, nodata, alpha=alpha, mask=mask)


def _plane(array: LazyArray, content: Content, choice: _Choice) -> LazyArray:
    axes, colors = content.axes, 0
    if choice.bands:
        return PlaneView(array, axes, choice.index, 0, picked=choice.bands)
    if COLORS in axes:
        stored = int(array.shape[axes.index(COLORS)])
        colors = min(stored, content.colors or RGBA)
    whole = COLORS not in axes or colors == array.shape[-1]
    if axes in ("yx", "yxs") and whole and content.conversion is None:
        return array
    return PlaneView(array, axes, choice.index, colors, content.conversion)
