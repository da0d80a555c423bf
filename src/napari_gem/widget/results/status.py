"""Classes and probabilities under the cursor, in napari's status bar.

napari writes what the selected layer has under the cursor to ``viewer.status``, which
is public and may be set by anybody. We add to it what our maps have there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.foreign_text import without_tags
from napari_gem.layers import KEY
from napari_gem.layers.derived import class_names, classes_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

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
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
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
            list(viewer.layers), viewer.layers.selection.active, viewer.cursor.position
        )
        # another dock of this viewer may have added it
        if not text or text in _place(status):
            return
        self._writing = True
        try:
            viewer.status = _with(status, text)
        finally:
            self._writing = False


def text_at(layers: Sequence[Any], active: Any, position: Sequence[float]) -> str:
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

    Returns
    -------
    str
        ``nuclei: nuclei 0.83, fibre 0.12``, the label first unless the selected layer
        tells it anyway; empty if there is no map.
    """
    found: dict[str, list[tuple[float, str]]] = {}
    off = {
        (_source(layer), name)
        for layer in layers
        for name in classes_off(_entry(layer)).values()
    }
    for layer in reversed(layers):
        entry = _entry(layer)
        key = _source(layer), str(entry.get("class"))
        if entry.get("role") != "probability" or key in off:
            continue
        value = value_at(layer, position)
        if value is not None:
            # in front, so that equal ones are told in the order of the layers
            found.setdefault(key[0], []).insert(0, (float(value), key[1]))
    if not found:
        return ""
    source = _source(active) or str(getattr(active, "unique_id", ""))
    source = source if source in found else next(iter(found))
    best = sorted(found[source], key=lambda pair: -pair[0])[:MOST]
    text = ", ".join(f"{name} {value:.2f}" for value, name in best)
    label = _label_at(layers, active, source, position)
    return without_tags(f"{label}: {text}" if label else text)


def value_at(layer: Any, position: Sequence[float]) -> Any:
    """Value of an image or labels layer at world coordinates; None outside it.

    Unlike `layer.get_value` it also reads hidden layers.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if data.ndim != layer.ndim:
        return None
    place = np.round(np.asarray(layer.world_to_data(position))).astype(int)
    if np.any(place < 0) or np.any(place >= data.shape):
        return None
    return data[tuple(place)]


def _label_at(
    layers: Sequence[Any], active: Any, source: str, position: Sequence[float]
) -> str:
    if _entry(active).get("role") == "labels":
        return ""
    for layer in reversed(layers):
        entry = _entry(layer)
        if entry.get("role") == "labels" and _source(layer) == source:
            value = value_at(layer, position)
            if value is not None:
                return class_names(layer).get(int(value), f"label {value}")
    return ""


def _entry(layer: Any) -> dict[str, Any]:
    entry = getattr(layer, "metadata", {}).get(KEY)
    return entry if isinstance(entry, dict) else {}


def _source(layer: Any) -> str:
    return str(_entry(layer).get("source", ""))


def _place(status: str | dict[str, str]) -> str:
    return status if isinstance(status, str) else str(status.get("coordinates", ""))


def _with(status: str | dict[str, str], text: str) -> str | dict[str, str]:
    if isinstance(status, str):
        return f"{status}    {text}"
    return {**status, "coordinates": f"{_place(status)}; {text}"}
