"""The chosen class is what the brush paints, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils import DirectLabelColormap

from napari_gem.core.colors import class_color
from napari_gem.layers.entry import LABELS, is_result, read_entry
from napari_gem.widget.parts.links import Links

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from napari_gem.core.prompts import Prompt
    from napari_gem.widget.prompts.table import PromptTable

STROKES = ("paint", "erase", "polygon")
"""Modes in which dragging the mouse changes labels."""


class Brush:
    """Lets the table's class and the label of our labels layers follow each other.

    Only our results of the chosen image follow, and a new one begins with the class
    that is chosen. While a stroke is painted its label stays. Labels of no class, such
    as 0, stay chosen until another class is.

    Parameters
    ----------
    viewer
        Has the layers.
    table
        Has the classes.
    """

    def __init__(self, viewer: ViewerModel, table: PromptTable) -> None:
        self._viewer = viewer
        self._table = table
        self._source = ""
        self._is_painting = self._is_late = False
        self._links: dict[Any, Links] = {}
        layers = viewer.layers
        self._viewer_links = [
            Links(self._on_inserted, table, [layers.events.inserted]),
            Links(self._on_removed, table, [layers.events.removed]),
        ]
        viewer.mouse_drag_callbacks.append(self._watch_stroke)
        table.current_changed.connect(lambda _prompt: self._follow_class())
        table.destroyed.connect(lambda *_: self.detach())
        for layer in layers:
            self._listen(layer)

    def set_source(self, source: str) -> None:
        """Choose the image, by the id that its results have; empty for none."""
        if source != self._source:
            self._source = source
            self._follow_class()

    def detach(self) -> None:
        """Stop listening to the viewer; labels stay chosen."""
        for links in (*self._viewer_links, *self._links.values()):
            links.clear()
        self._links.clear()
        callbacks: list[Any] = self._viewer.mouse_drag_callbacks
        if self._watch_stroke in callbacks:
            callbacks.remove(self._watch_stroke)

    def _follow_class(self) -> None:
        """Choose the label of the current class in our results of the image."""
        self._is_late = self._is_painting
        if not self._is_painting:
            for layer in self._links:
                self._choose(layer)

    def _choose(self, layer: Any) -> None:
        """Choose the label of the current class in a layer, if it can have it."""
        prompt = self._table.current()
        if (
            prompt is not None
            and self._is_followed(layer)
            and prompt.label <= np.iinfo(layer.dtype).max
        ):
            _add_color(layer, prompt)
            layer.selected_label = prompt.label

    def _is_followed(self, layer: Any) -> bool:
        """Tell whether a layer is still ours and shows the chosen image."""
        return is_result(layer) and read_entry(layer).source == self._source

    def _listen(self, layer: Any) -> None:
        if is_result(layer) and read_entry(layer).role == LABELS:
            self._links[layer] = Links(
                self._on_label, self._table, [layer.events.selected_label]
            )
            self._choose(layer)

    def _on_inserted(self, event: Any) -> None:
        self._listen(event.value)

    def _on_removed(self, event: Any) -> None:
        links = self._links.pop(event.value, None)
        if links is not None:
            links.clear()

    def _on_label(self, event: Any) -> None:
        """Choose the class of the label that the user chose."""
        layer = event.source
        if self._is_followed(layer):
            row = self._table.model.row_of(layer.selected_label)
            if row >= 0:
                self._table.view.go_to(row)

    def _watch_stroke(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Note that a stroke is painted; napari goes on with this at each event."""
        layer = viewer.layers.selection.active
        if str(getattr(layer, "mode", "")) not in STROKES:
            return
        self._is_painting = True
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self._is_painting = False
            if self._is_late:
                self._follow_class()


def _add_color(layer: Any, prompt: Prompt) -> None:
    """Give a class that the layer's result does not have yet its colour there."""
    colors = getattr(layer.colormap, "color_dict", None)
    if colors is not None and prompt.label not in colors:
        color = (*(prompt.color or class_color(prompt.label - 1)), 1.0)
        layer.colormap = DirectLabelColormap(
            color_dict={**colors, prompt.label: color}, background_value=0
        )
