"""Classes and probabilities under the cursor, in napari's status bar.

napari writes what the selected layer has under the cursor to ``viewer.status``, which
is public and may be set by anybody. We add to it what our maps have there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.foreign_text import without_tags
from napari_gem.layers.entry import LABELS, PROBABILITY, class_names, read_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_gem.layers import LayerData
    from napari_gem.layers.maps import ResultMaps

MOST = 3
"""Classes that are shown, the most probable ones."""

SEPARATOR = " » "
"""What napari writes between place and values if several layers are selected."""


class StatusProbe:
    """Adds class and probabilities under the cursor to the status bar.

    Parameters
    ----------
    viewer
        Maps and labels of results are read, hidden ones as well.
    maps
        Maps that need no layer.
    """

    def __init__(self, viewer: ViewerModel, maps: ResultMaps | None = None) -> None:
        self._viewer = viewer
        self._maps = maps
        self._writing = False  # what we write comes back as an event
        # after the window, which shows the event's value and not what is added here
        viewer.events.status.connect(self._on_status, position="last")

    def detach(self) -> None:
        """Add nothing any more."""
        self._viewer.events.status.disconnect(self._on_status)

    def _on_status(self, _event: Any = None) -> None:
        viewer = self._viewer
        if self._writing or not viewer.mouse_over_canvas or viewer.dims.ndisplay != 2:
            return
        status = viewer.status
        if isinstance(status, str) and SEPARATOR not in status:
            return  # somebody else's words
        text = text_at(
            list(viewer.layers),
            viewer.layers.selection.active,
            viewer.cursor.position,
            self._maps,
        )
        # another dock of this viewer may have added it
        if not text or text in _place(status):
            return
        self._writing = True
        try:
            viewer.status = _with(status, text)
        finally:
            self._writing = False


def text_at(
    layers: Sequence[Any],
    active: Any,
    position: Sequence[float],
    maps: ResultMaps | None = None,
) -> str:
    """Put into words what the maps of one image have at a place.

    Parameters
    ----------
    layers
        Those of the viewer, the lowest first.
    active
        The selected layer. Maps of its image come first; else those of the uppermost
        result that has something there.
    position
        World coordinates.
    maps
        Maps that need no layer; those of a labels layer lie where it lies.

    Returns
    -------
    str
        ``nuclei: nuclei 0.83, fibre 0.12``, the label first unless the selected layer
        tells it anyway; empty if there is no map.
    """
    entries = [read_entry(layer) for layer in layers]
    off = {(e.source, name) for e in entries for name in e.off_classes.values()}
    values: dict[str, list[tuple[float, str]]] = {}
    shown: set[tuple[Any, ...]] = set()
    for layer, entry in zip(reversed(layers), reversed(entries), strict=True):
        if entry.role != PROBABILITY or (entry.source, entry.class_name) in off:
            continue
        value = value_at(layer, position)
        if value is not None:
            # in front, so that equal ones come in the order of the layers
            pair = float(value), entry.class_name
            values.setdefault(entry.source, []).insert(0, pair)
        shown.add((entry.source, entry.plane, entry.class_name))
    for layer, entry in zip(reversed(layers), reversed(entries), strict=True):
        if maps is None or entry.role != LABELS:
            continue
        for known in maps.of_plane(entry.source, entry.plane):
            name = known.entry.class_name
            key = entry.source, entry.plane, name
            if key in shown or (entry.source, name) in off:
                continue
            value = _map_value(known, layer, position)
            if value is not None:
                shown.add(key)
                values.setdefault(entry.source, []).append((float(value), name))
    if not values:
        return ""
    source = read_entry(active).source or str(getattr(active, "unique_id", ""))
    source = source if source in values else next(iter(values))
    best = sorted(values[source], key=lambda pair: -pair[0])[:MOST]
    text = ", ".join(f"{name} {value:.2f}" for value, name in best)
    label = _label_at(layers, active, source, position)
    return without_tags(f"{label}: {text}" if label else text)


def value_at(layer: Any, position: Sequence[float]) -> Any:
    """Value of an image or labels layer at world coordinates; None outside it.

    Unlike `layer.get_value` it also reads hidden layers.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    return _value(data, layer, position)


def _map_value(known: LayerData, labels: Any, position: Sequence[float]) -> Any:
    """Value of a map that has no layer, where the labels of its result lie."""
    if known.is_large != labels.multiscale:
        return None
    data = known.data[0] if known.is_large else known.data
    return _value(data, labels, position, known.entry.patch)


def _value(data: Any, layer: Any, position: Sequence[float], patch: float = 1.0) -> Any:
    if data.ndim != layer.ndim:
        return None
    place = np.round(np.asarray(layer.world_to_data(position)))
    place = np.floor((place + 0.5) / patch).astype(int)
    if np.any(place < 0) or np.any(place >= data.shape):
        return None
    return data[tuple(place)]


def _label_at(
    layers: Sequence[Any], active: Any, source: str, position: Sequence[float]
) -> str:
    if read_entry(active).role == LABELS:
        return ""
    for layer in reversed(layers):
        entry = read_entry(layer)
        if entry.role == LABELS and entry.source == source:
            value = value_at(layer, position)
            if value is not None:
                return class_names(layer).get(int(value), f"label {value}")
    return ""


def _place(status: str | dict[str, str]) -> str:
    return status if isinstance(status, str) else str(status.get("coordinates", ""))


def _with(status: str | dict[str, str], text: str) -> str | dict[str, str]:
    if isinstance(status, str):
        return f"{status}    {text}"
    return {**status, "coordinates": f"{_place(status)}; {text}"}
