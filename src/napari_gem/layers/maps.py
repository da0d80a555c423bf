"""Maps of the results in a viewer, whether or not a layer shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_gem.layers.entry import read_entry
from napari_gem.layers.writing.colors import new_map_color
from napari_gem.layers.writing.combine import combine_maps, computed_region
from napari_gem.layers.writing.large import join_levels
from napari_gem.layers.writing.update import find_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from napari_gem.layers.reading.source import LayerImage
    from napari_gem.layers.writing.layer_data import LayerData


class ImagePlane(NamedTuple):
    """A plane of image layers, with or without levels: what a result is about."""

    source: str
    plane: tuple[int, ...]
    is_large: bool

    @classmethod
    def of_layer(cls, layer: Any) -> ImagePlane:
        """Tell what a layer of ours is about."""
        entry = read_entry(layer)
        return cls(entry.source, tuple(entry.plane), bool(layer.multiscale))


class ResultMaps:
    """The maps of each result: one for each class, also of classes that are off."""

    def __init__(self) -> None:
        self._maps: dict[ImagePlane, tuple[LayerData, ...]] = {}

    def get(self, plane: ImagePlane) -> tuple[LayerData, ...]:
        """List the maps of a result."""
        return self._maps.get(plane, ())

    def put(self, plane: ImagePlane, maps: Iterable[LayerData]) -> None:
        """Keep these maps in the place of a result's earlier ones."""
        self._maps[plane] = tuple(maps)
        if not self._maps[plane]:
            del self._maps[plane]

    def of_plane(self, source: str, plane: Sequence[int]) -> tuple[LayerData, ...]:
        """List the maps of an image plane, those with levels last."""
        pairs = (ImagePlane(source, tuple(plane), large) for large in (False, True))
        return tuple(each for pair in pairs for each in self.get(pair))

    def planes(self) -> list[ImagePlane]:
        """List the planes that have a result."""
        return list(self._maps)

    def keep_only(self, layers: Iterable[Any]) -> None:
        """Forget the maps of results of which no layer is left."""
        left = {ImagePlane.of_layer(layer)[:2] for layer in layers if _is_about(layer)}
        self._maps = {key: each for key, each in self._maps.items() if key[:2] in left}

    def clear(self) -> None:
        """Forget all maps."""
        self._maps.clear()


def updated_maps(
    known: Sequence[LayerData],
    results: Sequence[LayerData],
    join: Callable[[LayerData, LayerData], Any],
) -> tuple[LayerData, ...]:
    """Join the maps of a result with the earlier ones of the same image plane.

    Parameters
    ----------
    known
        The earlier maps.
    results
        Maps and labels of a result at full size, with their colours.
    join
        Makes the data of a class's earlier map and new map.

    Returns
    -------
    tuple[LayerData, ...]
        A map for each class of the result. Then those of classes that are off.
    """
    *new, labels = results
    rest, maps = list(known), []
    for result in new:
        old = find_map(rest, result.entry)
        if old is not None:
            rest.remove(old)
            color = new_map_color(old, result) or old.kwargs["colormap"]
            kwargs = {**result.kwargs, "colormap": color}
            result = replace(result, data=join(old, result), kwargs=kwargs)
        maps.append(result)
    off = labels.entry.off_classes
    hidden = [
        replace(each, entry=replace(each.entry, is_hidden=True))
        for each in rest
        if each.entry.label in off
    ]
    return (*maps, *hidden)


def join_maps(old: Any, new: LayerData, image: LayerImage, labels: LayerData) -> Any:
    """Make a map's data: of the new one, outside of its region of the ``old`` data.

    The labels are those of the same result.
    """
    if new.is_large:
        return join_levels(list(old), new, image)
    region = computed_region(new, image)
    return combine_maps(np.asarray(old), new, region, labels.data.shape)


def _is_about(layer: Any) -> bool:
    entry = read_entry(layer)
    return bool(entry.source and entry.role)
