"""What happens to the viewer's layers when a result comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.colors import class_color
from napari_gem.layers.results import (
    KEY,
    LayerData,
    fingerprint,
    labels_colors,
    map_colormap,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_gem.layers.source import LayerImage


@dataclass(frozen=True, eq=False)
class Plan:
    """What happens to the viewer's layers when a result comes.

    Attributes
    ----------
    update
        Our layers of the same image plane, and their new data.
    add
        Layers to be made.
    remove
        Our maps of classes that are no longer asked for.
    """

    update: tuple[tuple[Any, LayerData], ...]
    add: tuple[LayerData, ...]
    remove: tuple[Any, ...]


def is_result(layer: Any) -> bool:
    """Tell whether we made a layer; a copy or a layer read from a file is the user's.

    Whoever adds a result layer writes its ``unique_id`` into our metadata entry.
    """
    entry = layer.metadata.get(KEY)
    return isinstance(entry, dict) and entry.get("layer") == str(layer.unique_id)


def plan_update(
    existing: Iterable[Any], image: LayerImage, results: Iterable[LayerData]
) -> Plan:
    """Decide which layers are updated, added and removed.

    Our maps of the same plane of the same image are updated if their class is asked
    for again, and removed if not. Our labels layer is updated only if nobody changed
    its data or features. Other layers are left alone.

    Parameters
    ----------
    existing
        The viewer's layers.
    image
        What was segmented.
    results
        From `result_layers`.

    Returns
    -------
    Plan
        Every result is in ``update`` or in ``add``.
    """
    ours = [layer for layer in existing if _is_of(layer, image)]
    maps = {
        layer.metadata[KEY].get("class"): layer
        for layer in ours
        if layer.metadata[KEY].get("role") == "probability"
    }
    labels = [
        layer
        for layer in ours
        if layer.metadata[KEY].get("role") == "labels" and not is_changed(layer)
    ]
    update, add = [], []
    for result in results:
        entry = result.kwargs["metadata"][KEY]
        if entry["role"] == "labels":
            found = labels.pop() if labels else None
        else:
            found = maps.pop(entry["class"], None)
        if found is None:
            add.append(result)
        else:
            update.append((found, result))
    return Plan(tuple(update), tuple(add), tuple(maps.values()))


def choose_colors(
    existing: Iterable[Any], image: LayerImage, names: Sequence[str]
) -> list[tuple[float, float, float]]:
    """Choose a colour for each class.

    A class keeps the colour of its map, also one that the user gave it; new classes
    get those that are free.
    """
    kept = {}
    for layer in existing:
        if _is_of(layer, image) and layer.metadata[KEY].get("role") == "probability":
            red, green, blue = (float(v) for v in layer.colormap.map([1.0])[0][:3])
            kept[layer.metadata[KEY].get("class")] = (red, green, blue)
    kept = {name: color for name, color in kept.items() if name in names}
    colors = []
    number = 0
    for name in names:
        while name not in kept:
            color = class_color(number)
            number += 1
            if not any(np.allclose(color, other, atol=0.01) for other in kept.values()):
                kept[name] = color
        colors.append(kept[name])
    return colors


def kept_label_colors(
    layer: Any, result: LayerData
) -> dict[int | None, tuple[float, ...]] | None:
    """Choose the colours of a labels layer that is updated.

    Classes keep a colour that the user gave them in this layer.

    Returns
    -------
    dict or None
        Colour for each id; None leaves the layer's colours alone: it is no labels
        layer, or the user chose automatic colours.
    """
    current = getattr(layer.colormap, "color_dict", None)
    if result.kind != "labels" or current is None:
        return None
    written = layer.metadata[KEY].get("colors", {})
    own = {
        name: tuple(float(v) for v in current[i][:3])
        for i, (name, color) in enumerate(written.items(), start=1)
        if i in current and not np.allclose(current[i][:3], color, atol=0.01)
    }
    colors = result.kwargs["metadata"][KEY]["colors"]
    return labels_colors(own.get(name, color) for name, color in colors.items())


def is_changed(layer: Any) -> bool:
    """Tell whether somebody changed the data or the features of our labels layer."""
    written = layer.metadata[KEY].get("fingerprint")
    return bool(fingerprint(np.asarray(layer.data), dict(layer.features)) != written)


def _is_of(layer: Any, image: LayerImage) -> bool:
    if not is_result(layer):
        return False
    entry = layer.metadata[KEY]
    return (entry.get("source"), entry.get("plane")) == (
        image.source,
        list(image.plane),
    )


def color_results(
    existing: Iterable[Any], image: LayerImage, results: Sequence[LayerData]
) -> list[LayerData]:
    """Give maps and labels the colours that their classes have in the viewer."""
    names = list(results[-1].kwargs["metadata"][KEY]["colors"])
    colors = choose_colors(existing, image, names)
    colored = []
    for number, (data, kwargs, kind) in enumerate(results):
        entry = kwargs["metadata"][KEY]
        if entry["role"] == "labels":
            entry = {**entry, "colors": dict(zip(names, colors, strict=True))}
            colormap: Any = labels_colors(colors)
        else:
            colormap = map_colormap(colors[number])
        told = {"colormap": colormap, "metadata": {KEY: entry}}
        colored.append(LayerData(data, {**kwargs, **told}, kind))
    return colored
