"""A Points layer whose features say which class each point is an example of."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points

from napari_gem.core.foreign_text import feature_text, without_tags
from napari_gem.layers.entry import (
    EXAMPLES,
    LayerEntry,
    is_result,
    read_entry,
    write_entry,
)
from napari_gem.layers.transform import TRANSFORM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_gem.core.prompts import Prompt
    from napari_gem.layers import LayerImage

    Color = tuple[float, float, float]
    Places = Mapping[int, tuple[tuple[float, ...], ...]]

COLUMNS = ("label", "class", "positive")
SYMBOLS = {True: "disc", False: "x"}
SCREEN_SIZE = (12, 24)
"""Least and most pixels of the screen that a point takes."""


def make_layer(image: Any) -> Points:
    """Make a layer without points that lies on an image."""
    height, width = (image.extent.data[1] - image.extent.data[0])[-2:]
    layer = Points(
        np.empty((0, len(image.scale))),
        ndim=len(image.scale),
        name=without_tags(f"examples · {image.name}"),
        features=_features(0),
        feature_defaults={"label": 0, "class": "", "positive": True},
        size=max(3.0, float(max(height, width)) / 80),
        canvas_size_limits=SCREEN_SIZE,
        symbol=SYMBOLS[True],
        **{name: getattr(image, name) for name in TRANSFORM},
    )
    entry = LayerEntry(role=EXAMPLES, source=id_of(image), layer=id_of(layer))
    write_entry(layer, entry)
    return layer


def source_of(layer: Any) -> str | None:
    """Id of the image that a layer has examples of; None if it has none."""
    entry = read_entry(layer)
    if not isinstance(layer, Points) or not is_result(layer):
        return None
    return entry.source if entry.role == EXAMPLES else None


def id_of(layer: Any) -> str:
    """Id of a layer."""
    return str(layer.unique_id)


def class_name(prompt: Prompt) -> str:
    """Name of a class in the features."""
    return feature_text(prompt.title or (prompt.words[0] if prompt.words else ""))


def labels_and_signs(layer: Any) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Label of each point, 0 for none, and whether it is a positive example."""
    features, count = layer.features, len(layer.data)
    labels = [to_label(value) for value in features.get("label", [0] * count)]
    positive = [
        value is not False and value != 0
        for value in features.get("positive", [1] * count)
    ]
    return np.array(labels, int), np.array(positive, bool)


def to_label(value: Any) -> int:
    """Read a label that the user may have edited; 0 for what is no number."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def places_of(layer: Any) -> Places:
    """Points of each class, each as its sign and its pixel."""
    places = defaultdict(list)
    for label, place in _labelled_places(layer):
        if label:
            places[label].append(place)
    return {label: tuple(points) for label, points in places.items()}


def set_places(layer: Any, places: Places, names: Mapping[int, str]) -> None:
    """Remove and add points until these classes have these, and no others have any.

    Points that stay are left as they are; so are those of no class.
    """
    missing = {label: list(points) for label, points in places.items()}
    surplus = []
    for row, (label, place) in enumerate(_labelled_places(layer)):
        if place in missing.get(label, ()):
            missing[label].remove(place)
        elif label:
            surplus.append(row)
    layer.remove(surplus)
    if not any(missing.values()):
        return
    complete_features(layer)
    defaults = layer.feature_defaults
    others = {name: value.iloc[0] for name, value in defaults.items()}
    for label, points in missing.items():
        for positive in (True, False):
            new = [pixel for sign, *pixel in points if bool(sign) == positive]
            if new:
                own = {"label": label, "class": names.get(label, "")}
                layer.feature_defaults = {**others, **own, "positive": positive}
                layer.add(np.array(new))
    layer.selected_data = set()
    layer.feature_defaults = defaults


def _labelled_places(layer: Any) -> list[tuple[int, tuple[float, ...]]]:
    rows = zip(*labels_and_signs(layer), np.asarray(layer.data), strict=True)
    return [
        (int(label), (float(sign), *map(float, point))) for label, sign, point in rows
    ]


def complete_features(layer: Any) -> None:
    """Give a layer the columns that the user took from it."""
    layer.selected_data = set()  # or the next defaults would become theirs, too
    missing = set(COLUMNS) - set(layer.features)
    if missing:
        empty = _features(len(layer.data))
        layer.features = layer.features.assign(**{n: empty[n] for n in missing})


def set_next(layer: Any, prompt: Prompt, positive: bool, color: Color) -> None:
    """Make the next point an example of a class."""
    complete_features(layer)
    layer.feature_defaults = {
        "label": prompt.label,
        "class": class_name(prompt),
        "positive": positive,
    }
    # the border too: it covers most of a small symbol
    layer.current_face_color = color
    layer.current_border_color = color
    layer.current_symbol = SYMBOLS[positive]


def set_names(layer: Any, names: Mapping[int, str]) -> None:
    """Write the names of classes into the features."""
    labels, _ = labels_and_signs(layer)
    features = layer.features.copy()
    old = list(features.get("class", [""] * len(labels)))
    new = [names.get(int(n), name) for n, name in zip(labels, old, strict=True)]
    if new != old:
        features["class"] = new
        layer.features = features


def restyle(layer: Any, color_of: Callable[[int], Color]) -> None:
    """Let colours and symbols follow the features; what is right stays."""
    labels, positive = labels_and_signs(layer)
    count = len(layer.data)
    styles = layer.symbol, layer.face_color, layer.border_color
    if not count or any(len(style) != count for style in styles):
        return
    symbols = [SYMBOLS[bool(sign)] for sign in positive]
    if [str(symbol) for symbol in layer.symbol] != symbols:
        layer.symbol = symbols
    colors = np.array([(*color_of(int(label)), 1.0) for label in labels])
    for name in ("face_color", "border_color"):
        if not np.allclose(getattr(layer, name), colors, atol=1e-3):
            with layer.block_update_properties():
                current = getattr(layer, f"current_{name}")
                setattr(layer, name, colors)
                setattr(layer, f"current_{name}", current)


def on_plane(
    pixels: NDArray[np.float64], view: LayerImage
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Turn pixels of an image to those of its plane; tell which of them lie on it."""
    pixels = (pixels + 0.5) / np.asarray(view.factors) - 0.5
    shown = np.ones(len(pixels), bool)
    for axis, number in view.position.items():
        shown &= np.round(pixels[:, axis]) == number
    return pixels, shown


def between(start: Any, end: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and shift from the pixels of one layer to those of another."""
    origin = np.zeros(len(start.scale))

    def carry(point: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(end.world_to_data(start.data_to_world(point)), np.float64)

    shift = carry(origin)
    columns = [carry(unit) - shift for unit in np.eye(len(origin))]
    return np.stack(columns, axis=-1), shift


def _features(count: int) -> dict[str, NDArray[Any]]:
    """Features of points that belong to no class."""
    columns = np.zeros(count, int), np.full(count, "", object), np.ones(count, bool)
    return dict(zip(COLUMNS, columns, strict=True))
