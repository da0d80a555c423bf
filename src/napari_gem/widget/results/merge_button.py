"""Button that merges a result into a copy of one of the user's labels layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from napari_gem.widget.parts.plain import menu_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WAYS = {
    "fill": ("Fill only unlabelled", "What is labelled there stays"),
    "replace": ("Replace", "Also over what is labelled there"),
}
"""By `napari_gem.layers.writing.merge.MergePolicy`: what the menu says, and its
tooltip."""

NONE = "No other labels layer of this shape"


class MergeButton(QPushButton):
    """Asks into which labels layer, and how; offers ``targets`` when it opens."""

    requested = Signal(object, str)
    """The layer, and a `napari_gem.layers.writing.merge.MergePolicy`."""

    def __init__(
        self, targets: Callable[[], Sequence[Any]], parent: QWidget | None = None
    ) -> None:
        super().__init__("Merge into", parent)
        self._targets = targets
        self.setToolTip(
            "Add a copy of another labels layer with these labels merged in; neither "
            "of the two is changed"
        )
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(self._fill)
        self.setMenu(menu)

    def _fill(self) -> None:
        menu = self.menu()
        menu.clear()
        targets = list(self._targets())
        if not targets:
            menu.addAction(NONE).setEnabled(False)
        for layer in targets:
            into = menu.addMenu(menu_text(f"Copy of '{layer.name}'"))
            into.setToolTipsVisible(True)
            for policy, (text, tip) in WAYS.items():
                action = into.addAction(text)
                action.setToolTip(tip)
                action.triggered.connect(
                    lambda _=False, to=layer, chosen=policy: self.requested.emit(
                        to, chosen
                    )
                )
