"""Which image layers the viewer shows as the channels of one picture."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from napari_gem.layers.opening import file_of
from napari_gem.layers.reading.view import difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ADDED = ("additive", "minimum")
"""Blending of layers that leaves those below them in sight."""

OF_CHANNELS = ("translucent_no_depth", *ADDED)
"""Blending of the lowest channel, if napari made layers of an axis of channels."""

LONGEST_LIST = 3
"""Names of layers that the name of a picture lists."""


def composites(layers: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Find single-channel layers that are seen together, as the channels of a picture.

    Layers are seen together if they lie exactly on one another and all but the lowest
    are added to what is below (or if the minimum of all is shown).

    Parameters
    ----------
    layers
        Image layers, the lowest first, whether they are hidden or not.

    Returns
    -------
    list
        Layers of each picture with at least two of them, the lowest first.
    """
    pictures: list[list[Any]] = []
    for layer in layers:
        if layer.rgb:
            continue
        blending = str(layer.blending)
        below = [
            picture
            for picture in reversed(pictures)
            if blending in ADDED and not difference(picture[0], layer)
        ]
        if below and _can_blend(below[0], blending):
            below[0].append(layer)
        else:
            pictures.append([layer])
    return [tuple(picture) for picture in pictures if len(picture) > 1]


def visible_layers(picture: Sequence[Any]) -> tuple[Any, ...]:
    """Leave out the hidden ones of several layers, unless all are hidden."""
    return tuple(layer for layer in picture if layer.visible) or tuple(picture)


def same_origin(layers: Sequence[Any]) -> bool:
    """Tell whether the layers of a picture are the channels of one file or array.

    Arrays do not say where they come from. Channels of one have the same type of
    values, and maps that somebody made of an image most often do not.
    """
    first, *others = layers
    if any(_origin(layer) != _origin(first) for layer in others):
        return False
    same_type = all(layer.dtype == first.dtype for layer in others)
    return bool(_origin(first)) or (same_type and str(first.blending) in OF_CHANNELS)


def picture_name(layers: Sequence[Any]) -> str:
    """Name what several layers show together: ``cells.tif (3 channels)``."""
    names = [str(layer.name) for layer in layers]
    if len(names) == 1:
        return names[0]
    path = file_of(layers[0])
    # napari calls channels 'Image', 'Image [1]', 'Image [2]'
    stem = names[0].partition(" [")[0]
    if path and same_origin(layers):
        name = PurePath(path).name
    elif all(each.partition(" [")[0] == stem for each in names):
        name = stem
    elif len(names) <= LONGEST_LIST:
        name = " + ".join(names)
    else:
        name = f"{names[0]} + {len(names) - 1} more"
    return f"{name} ({len(names)} channels)"


def _can_blend(picture: Sequence[Any], blending: str) -> bool:
    """Tell whether another layer is mixed in as those of a picture are."""
    if blending == "minimum":
        return str(picture[0].blending) == "minimum"
    return all(str(layer.blending) != "minimum" for layer in picture)


def _origin(layer: Any) -> object:
    """File or sample that a layer comes from; empty for an array."""
    sample = getattr(getattr(layer, "source", None), "sample", None)
    return file_of(layer) or sample or ""
