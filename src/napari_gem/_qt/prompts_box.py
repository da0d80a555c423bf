"""Text box for prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QPlainTextEdit, QSizePolicy

from napari_gem.layers import KEY

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent
    from qtpy.QtWidgets import QWidget

EXAMPLE = "nucleus, nuclei\nfilament, actin"
LINES = 5


class PromptsBox(QPlainTextEdit):
    """One class a line, commas between synonyms; Ctrl+Enter runs."""

    run_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggested = ""
        self.setPlaceholderText(EXAMPLE)
        self.setTabChangesFocus(True)
        self.setToolTip("Ctrl+Enter runs")
        # napari's style gives it the colour of what is around it
        self.setStyleSheet("PromptsBox { border: 1px solid rgba(128, 128, 128, 50%); }")
        margins = 2 * (self.document().documentMargin() + self.frameWidth())
        height = LINES * self.fontMetrics().lineSpacing() + margins
        self.setMinimumHeight(round(height))
        self.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding
        )

    def suggest(self, layer: Any) -> None:
        """Fill in the prompts that a sample brings, unless something was typed."""
        entry = {} if layer is None else layer.metadata.get(KEY, {})
        lines = entry.get("prompts") if isinstance(entry, dict) else None
        if lines and self.toPlainText().strip() in ("", self._suggested):
            self._suggested = "\n".join(lines)
            self.setPlainText(self._suggested)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Take Ctrl+Enter for Run."""
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.run_requested.emit()
        else:
            super().keyPressEvent(event)
