"""A comma is a decimal point in boxes of numbers, whatever the language."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractSpinBox, QApplication

SIGNS = {",": Qt.Key.Key_Comma, ".": Qt.Key.Key_Period}


class DecimalSigns(QObject):
    """Types the decimal sign of a box's language in the place of the other one.

    Qt takes the other one for what groups thousands and drops it: 0,3 became 0.

    Parameters
    ----------
    box
        Whose keys are watched; it owns this object.
    """

    def __init__(self, box: QAbstractSpinBox) -> None:
        super().__init__(box)
        self._box = box
        box.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Replace the key."""
        sign = str(self._box.locale().decimalPoint())
        if (
            event.type() != QEvent.Type.KeyPress
            or not isinstance(event, QKeyEvent)
            or event.text() not in SIGNS
            or event.text() == sign
            or sign not in SIGNS
        ):
            return bool(super().eventFilter(watched, event))
        key = QKeyEvent(event.type(), SIGNS[sign], event.modifiers(), sign)
        QApplication.sendEvent(self._box, key)
        return True
