"""Combo box of the viewer's image layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy

from napari_gem.core.foreign_text import shown
from napari_gem.layers import is_made
from napari_gem.widget.parts.links import Links

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget


class ImageChoice(QComboBox):
    """Offers all image layers but our own maps, and follows the active layer.

    Parameters
    ----------
    viewer
        Whose layers are offered.
    parent
        Widget that it is part of.
    """

    layer_chosen = Signal(object)
    """The layer now chosen, or None."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("The image layer that is segmented, as it is shown now")
        events = viewer.layers.events
        self._list_links = Links(self._on_layers, self)
        self._list_links.connect([events.inserted, events.removed])
        self._list_links.connect([events.reordered, events.renamed])
        self._active_links = Links(self._on_active, self)
        self._active_links.connect([viewer.layers.selection.events.active])
        self.currentIndexChanged.connect(self._on_index)
        self._told: Any = None
        self._beside: list[Any] = []
        self._on_layers()
        self._on_active()

    def layer(self) -> Any:
        """Layer that is chosen; None if there is no image layer."""
        return self.currentData()

    def set_beside(self, layers: Sequence[Any]) -> None:
        """Name layers that are shown together with the chosen one.

        They can become active, to set their contrast, without being chosen instead.
        """
        self._beside = list(layers)

    def detach(self) -> None:
        """Stop listening to the viewer."""
        self._list_links.clear()
        self._active_links.clear()

    def _on_layers(self, _event: Any = None) -> None:
        known = [self.itemData(index) for index in range(self.count())]
        chosen = self.layer()
        images = [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Image) and not is_made(layer)
        ]
        active = self._viewer.layers.selection.active
        if active in images and active not in known:
            # it became active before it was told to be here
            chosen = active
        self.blockSignals(True)
        self.clear()
        for layer in images:
            self.addItem(shown(layer.name), layer)
        if not images:
            self.addItem("no image layer", None)
        self.setEnabled(bool(images))
        self.setCurrentIndex(images.index(chosen) if chosen in images else 0)
        self.blockSignals(False)
        self._on_index()

    def _on_active(self, _event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        for index in range(self.count()):
            # not "is": plugins see layers through proxies
            if active is not None and self.itemData(index) == active:
                if active not in self._beside:
                    self.setCurrentIndex(index)
                return

    def _on_index(self, _index: int = 0) -> None:
        if self.layer() != self._told:
            self._told = self.layer()
            self.layer_chosen.emit(self._told)
