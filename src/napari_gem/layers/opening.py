"""Layers of a file: its planes as a pyramid, with their place, colours and contrast."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.bounds import is_large
from napari_gem.core.foreign_text import without_tags
from napari_gem.core.units import UNITS
from napari_gem.images.readers.bands import RGB, choose_bands
from napari_gem.images.rendering import channel_colors, stretch
from napari_gem.images.stack import Overview, Stack, StackView, as_view
from napari_gem.layers.writing.colors import named_colormap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_gem.core.location import Location
    from napari_gem.images.scene import Band

    Color = tuple[float, float, float]
    LayerTuple = tuple[list[StackView | Overview], dict[str, Any], str]

KEY = "napari_gem_file"
"""Where a layer's metadata say from which file it comes and where it lies."""

MOST_CHANNELS = 8
"""So many channels of a microscope are opened if none are chosen."""

OVERVIEW_SIDE = 4096
"""Rows or columns at most of what napari shows of a whole image without levels."""

NAPARI_UNITS = {"us-ft": "survey_foot", "Å": "angstrom"}
"""Units that napari calls otherwise."""

CHOOSE = "{count} bands: choose under 'Bands' which are shown."
MORE = "{count} channels: the first {most} are shown. Choose others under 'Bands'."


def file_layers(
    path: Path | str, *, bands: str = "", nodata: str = ""
) -> list[LayerTuple]:
    """Open a file as image layers, of which parts are read when they are looked at.

    Takes a while for large files: not for the viewer's main thread.

    Parameters
    ----------
    path, bands, nodata
        As for `napari_gem.images.files.open_scene`. Each of several bands or channels
        becomes a layer, and so do the colours of pictures of more than 8 bits, which
        napari does not stretch.

    Returns
    -------
    list
        Data, arguments and kind of each layer, as `napari.layers.Layer.create` takes
        them; the lowest first.

    Raises
    ------
    GemError
        As `open_scene`.
    """
    stack = Stack(path, nodata)
    numbers, chosen, notices = _choose(stack, bands)
    if not numbers:
        return [_layer(stack, "", _single(stack), notices)]
    colors: Sequence[Color] = channel_colors(len(numbers))
    if not (stack.is_picture and not bands):
        pairs = zip(chosen, colors, strict=True)
        colors = [band.color or usual for band, usual in pairs]
    same = _limits(stack, "") if stack.is_picture and not bands else None
    layers = []
    for at, (number, color) in enumerate(zip(numbers, colors, strict=True)):
        text = str(number + 1)
        name = without_tags(stack.bands[number].name) or f"band {text}"
        how = {
            "name": f"{name} · {stack.path.name}",
            "colormap": named_colormap(color if len(numbers) > 1 else (1, 1, 1)),
            "blending": "additive" if at else "translucent_no_depth",
            "contrast_limits": same or _limits(stack, text),
        }
        # of its own: each keeps the plane that it shows
        own_stack = Stack(path, nodata) if at else stack
        layers.append(_layer(own_stack, text, how, notices))
    return layers


def shown_bands(layers: Sequence[Any]) -> str:
    """Say which bands of their file some layers show, in their order."""
    views = (view_of(layer) for layer in layers)
    return ",".join(view.bands for view in views if view is not None)


def view_of(layer: Any) -> StackView | None:
    """Give what a layer shows of a file; None if it is not one that we opened."""
    return as_view(layer.data[0] if layer.multiscale else layer.data)


def file_of(layer: Any) -> str:
    """Say from which file a layer was read; empty if that is not known."""
    view = view_of(layer) if hasattr(layer, "multiscale") else None
    if view is not None:
        return view.file_plane.path
    return str(getattr(getattr(layer, "source", None), "path", None) or "")


def _choose(
    stack: Stack, bands: str
) -> tuple[tuple[int, ...], tuple[Band, ...], tuple[str, ...]]:
    """Find which bands become layers; none for the plane as the file has it."""
    if bands:
        count = max(1, len(stack.bands))
        return choose_bands(bands, stack.bands, count, stack.path.name)
    numbers, notices = _choose_usual(stack)
    return numbers, tuple(stack.bands[number] for number in numbers), notices


def _choose_usual(stack: Stack) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Find which bands become layers if the user names none."""
    count = len(stack.bands)
    first = stack.scene(stack.middle, stack.usual_bands)
    notices = first.notices
    if not count:
        return (), notices
    if stack.is_picture:
        eight_bit = first.levels[0].dtype == np.uint8
        return (() if eight_bit else (0, 1, 2)), notices
    if stack.are_channels:
        if count > MOST_CHANNELS:
            notices = (*notices, MORE.format(count=count, most=MOST_CHANNELS))
        return tuple(range(min(count, MOST_CHANNELS))), notices
    names = [band.name.lower() for band in stack.bands]
    if all(band.name in names for band in RGB):
        return tuple(names.index(band.name) for band in RGB), notices
    return (0,), (*notices, CHOOSE.format(count=count))


def _single(stack: Stack) -> dict[str, Any]:
    return {
        "name": stack.path.name,
        "contrast_limits": _limits(stack, stack.usual_bands),
    }


def _limits(stack: Stack, bands: str) -> tuple[float, float]:
    """Stretch as the command line does, over what holds data."""
    scene = stack.scene(stack.middle, bands or stack.usual_bands)
    return stretch(scene.levels[0], valid=scene.mask, brighten=False).limits


def _layer(
    stack: Stack, bands: str, how: dict[str, Any], notices: Sequence[str]
) -> LayerTuple:
    view = StackView(stack, bands)
    scene = stack.scene(stack.middle, view.bands)
    levels: list[StackView | Overview] = [view]
    levels += [StackView(stack, view.bands, n) for n in range(1, len(scene.levels))]
    if len(levels) == 1:
        levels += _overviews(view)
    several = len(levels) > 1
    location = scene.location
    metadata = {
        "path": view.file_plane.path,
        "bands": [band.name for band in stack.bands],
        "location": asdict(location) if location else None,
        "notices": [
            notice.replace("with --bands", "under Bands") for notice in notices
        ],
    }
    arguments = {
        **how,
        **place_in_napari(location, stack.axes),
        "rgb": len(scene.levels[0].shape) == 3,
        "multiscale": several,
        "metadata": {KEY: metadata},
    }
    return (levels if several else view), arguments, "image"  # type: ignore[return-value]


def _overviews(view: StackView) -> list[Overview]:
    """Read a coarser level for the viewer of a large plane that has none."""
    height, width = view.shape[len(view.stack.lengths) :][:2]
    if not is_large((height, width)):
        return []
    overview = Overview(view, -(-max(height, width) // OVERVIEW_SIDE))
    overview.plane(view.stack.middle)  # not when the viewer draws it
    return [overview]


def place_in_napari(location: Location | None, axes: str) -> dict[str, Any]:
    """Say in napari's terms where a plane lies; further axes count planes.

    The y of maps runs up and napari's down: -y is taken, so that north is above.
    """
    others = len(axes)
    labels = (*axes, "y", "x")
    if location is None:
        return {"axis_labels": labels}
    up = -1.0 if location.crs or location.down[0] < 0 else 1.0
    steps = np.array(
        [
            [up * location.down[0], up * location.right[0]],
            [location.down[1], location.right[1]],
        ]
    )
    origin = (up * location.origin[0], location.origin[1])
    known = location.unit in UNITS or location.unit == "degree"
    unit = NAPARI_UNITS.get(location.unit, location.unit) if known else "pixel"
    size = location.pixel_size
    where: dict[str, Any] = {
        "axis_labels": labels,
        "units": (*["pixel"] * others, unit, unit),
        "scale": (*[1.0] * others, *size),
    }
    if np.array_equal(steps, np.diag(size)):
        return {**where, "translate": (*[0.0] * others, *origin)}
    affine = np.eye(others + 3)
    affine[others:-1, others:-1] = steps / np.array(size)
    affine[others:-1, -1] = origin
    return {**where, "affine": affine}
