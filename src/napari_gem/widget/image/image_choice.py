"""Combo box of the viewer's image layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Signal

from napari_gem.layers import is_made
from napari_gem.widget.parts.combo import Combo
from napari_gem.widget.parts.links import Links

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel


class ImageChoice(Combo):
    """Offers all image layers except our own maps, and follows the active layer."""

    layer_changed = Signal(object)
    """The layer that is chosen now, or None."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__("The image layer that is segmented, as it is shown now")
        self._viewer = viewer
        self._layer: Any = None
        self._shown_together: list[Any] = []
        layers = viewer.layers
        events = layers.events
        self._links = (
            Links(
                self._update_choices,
                self,
                [events.inserted, events.removed, events.reordered, events.renamed],
            ),
            Links(self._follow_active, self, [layers.selection.events.active]),
        )
        self.currentIndexChanged.connect(self._on_index)
        self._update_choices()
        self._follow_active()

    def layer(self) -> Any:
        """Layer that is chosen; None if there is no image layer."""
        return self.currentData()

    def set_shown_together(self, layers: Sequence[Any]) -> None:
        """Name layers that can become active without being chosen.

        They are shown together with the chosen one; the user sets their contrast.
        """
        self._shown_together = list(layers)

    def detach(self) -> None:
        """Stop listening to the viewer."""
        for links in self._links:
            links.clear()

    def _update_choices(self, _event: Any = None) -> None:
        images = [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Image) and not is_made(layer)
        ]
        active = self._viewer.layers.selection.active
        # a new layer may become active before its insertion is announced
        is_new = active in images and active not in self.data()
        chosen = active if is_new else self.layer()
        choices = [(layer.name, layer) for layer in images]
        self.set_choices(choices or [("no image layer", None)], chosen)
        self.setEnabled(bool(images))
        self._on_index()

    def _follow_active(self, _event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active is None or active in self._shown_together:
            return
        if active in self.data():
            self.choose(active)

    def _on_index(self, _index: int = 0) -> None:
        if self.layer() != self._layer:
            self._layer = self.layer()
            self.layer_changed.emit(self._layer)
