"""A line to type classes into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QLineEdit

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent
    from qtpy.QtWidgets import QWidget


class ClassEdit(QLineEdit):
    """A line for new classes; text of several lines is taken at once."""

    lines_pasted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText("Enter adds, Shift+Enter runs")
        self.setClearButtonEnabled(True)
        self.setToolTip(
            "A class to look for; a comma separates synonyms. Several lines that are "
            "pasted become several classes. Shift+Enter or Ctrl+Enter also runs."
        )
        self.setAccessibleName("New class")
        self.textChanged.connect(self._on_text)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Leave to the table what is for it."""
        if is_for_table(event, self.isUndoAvailable(), self.isRedoAvailable()):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _on_text(self, text: str) -> None:
        if len(text.splitlines()) > 1:
            self.lines_pasted.emit()


def is_run(event: QKeyEvent) -> bool:
    """Tell whether a key asks for Run: Shift+Enter or Ctrl+Enter."""
    enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
    with_key = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    return enter and bool(event.modifiers() & with_key)


def is_for_table(event: QKeyEvent, can_undo: bool, can_redo: bool) -> bool:
    """Tell whether a key is for the table: Run, or Undo where nothing was typed."""
    keys = QKeySequence.StandardKey
    undoes = event.matches(keys.Undo) and not can_undo
    redoes = event.matches(keys.Redo) and not can_redo
    return is_run(event) or undoes or redoes
