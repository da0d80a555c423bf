"""Colours of maps and labels: the prompts', the user's, or the next that are free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.colors import class_color
from napari_gem.layers.entry import PROBABILITY, read_entry
from napari_gem.layers.writing.layer_data import LayerData
from napari_gem.layers.writing.update import find_map, result_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_gem.layers.reading.source import LayerImage

    Color = tuple[float, ...]


def labels_colors(colors: Mapping[int, Sequence[float]]) -> dict[int | None, Color]:
    """Give each label id its colour; ids that are not listed are shown in grey."""
    return {
        None: (0.5, 0.5, 0.5, 1.0),
        0: (0.0, 0.0, 0.0, 0.0),
        **{label: (*color[:3], 1.0) for label, color in colors.items()},
    }


def map_colormap(color: Sequence[float]) -> dict[str, Any]:
    """Shade a map from black to its class's colour."""
    code = "".join(f"{round(255 * part):02x}" for part in color)
    return {"colors": [(0.0, 0.0, 0.0), tuple(color)], "name": f"GEM #{code}"}


NAMED = {
    "gray": (1, 1, 1),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "cyan": (0, 1, 1),
    "magenta": (1, 0, 1),
    "yellow": (1, 1, 0),
}
"""Colormaps from black to a colour that napari has."""


def named_colormap(color: Sequence[float]) -> str | dict[str, Any]:
    """Shade a channel from black to its colour, by napari's colormap if it has it."""
    for name, known in NAMED.items():
        if tuple(color) == known:
            return name
    return {**map_colormap(color), "name": map_colormap(color)["name"][4:]}


def color_results(
    existing: Iterable[Any],
    image: LayerImage,
    results: Sequence[LayerData],
    kept: Iterable[LayerData] = (),
) -> list[LayerData]:
    """Give maps and labels the colours that their classes have in the viewer.

    Maps that are ``kept`` without a layer count as if they had one.

    A prompt's own colour comes first. Else a class keeps the colour of its map, also
    one that the user gave it; new classes get the colour of their label id, or, where
    nobody chose that id, the next that is free.
    """
    *maps, labels = results
    shown = result_of(existing, image.source, image.plane, PROBABILITY, labels.is_large)
    shown += kept
    colors: dict[int, Color] = {}
    for entry in (each.entry for each in maps):
        layer = find_map(shown, entry)
        if entry.color:
            colors[entry.label] = entry.color
        elif layer is not None:
            colors[entry.label] = _brightest(layer)
    for entry in (each.entry for each in maps):
        if entry.label in colors:
            continue
        number = entry.label - 1
        while not entry.stable and _is_taken(class_color(number), colors.values()):
            number += 1
        colors[entry.label] = class_color(number)
    colors = {label: colors[label] for label in labels.entry.classes}
    colored = [
        _with_colormap(each, map_colormap(colors[each.entry.label])) for each in maps
    ]
    drawn = _with_colormap(labels, labels_colors(colors))
    return [*colored, replace(drawn, entry=replace(drawn.entry, colors=colors))]


def kept_label_colors(layer: Any, result: LayerData) -> dict[int | None, Color] | None:
    """Choose the colours of a labels layer that is updated.

    Classes keep a colour that the user gave them in this layer, unless their prompt
    has one; so do other labels.

    Returns
    -------
    dict or None
        Colour for each id; None leaves the layer's colours alone: they are these, or
        the user chose automatic colours.
    """
    current = getattr(layer.colormap, "color_dict", None)
    if current is None:
        return None
    old, new = read_entry(layer), result.entry
    table = labels_colors(new.colors)
    ids = {name: label for label, name in new.classes.items()}
    for label, color in current.items():
        if label is None or label in new.fixed:
            continue
        before = old.colors.get(label)
        now = ids.get(old.classes.get(label, ""), label)
        changed = before is None or not _is_close(color[:3], before)
        if label and now not in new.fixed and (changed or now not in table):
            table[now] = tuple(float(part) for part in color)
    same = current.keys() == table.keys() and all(
        _is_close(current[label], table[label], 0.004) for label in table
    )
    return None if same else table


def new_map_color(layer: Any, result: LayerData) -> dict[str, Any] | None:
    """Choose the colormap of a map that is updated; None leaves it as it is.

    It changes only if the prompt has a colour that the map does not show.
    """
    color = result.entry.color
    return (
        map_colormap(color)
        if color and not _is_close(_brightest(layer), color)
        else None
    )


def _brightest(layer: Any) -> Color:
    """Give the colour that a map shows for 1."""
    if isinstance(layer, LayerData):
        colormap = layer.kwargs["colormap"]
        if isinstance(colormap, dict):
            return tuple(float(part) for part in colormap["colors"][-1][:3])
        return tuple(float(part) for part in colormap.map([1.0])[0][:3])
    return tuple(float(part) for part in layer.colormap.map([1.0])[0][:3])


def _is_close(
    first: Iterable[float], second: Iterable[float], by: float = 0.01
) -> bool:
    """Compare two colours; numpy takes a hundred times as long for so few numbers."""
    return all(abs(a - b) <= by for a, b in zip(first, second, strict=True))


def _is_taken(color: Color, others: Iterable[Color]) -> bool:
    return any(_is_close(color, other) for other in others)


def _with_colormap(result: LayerData, colormap: Any) -> LayerData:
    return replace(result, kwargs={**result.kwargs, "colormap": colormap})
