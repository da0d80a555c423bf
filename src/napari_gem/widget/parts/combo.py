"""A combo box that fits a narrow dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
)

from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qtpy.QtGui import QPaintEvent

MARGIN = 2
"""Pixels that stay free beside the text."""


class Combo(QComboBox):
    """A combo box that is as wide as its place, however long its texts are."""

    def __init__(self, name: str, tooltip: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(tooltip)

    def shown_text(self) -> str:
        """Shorten the text of the choice in its middle to the room that there is."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        text: str = option.fontMetrics.elidedText(
            option.currentText, Qt.TextElideMode.ElideMiddle, field.width() - MARGIN
        )
        return text

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Draw the choice, shortened: Qt would cut it within a letter."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.shown_text()
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def data(self) -> list[Any]:
        """Return the data of all choices."""
        return [self.itemData(index) for index in range(self.count())]

    def set_choices(self, choices: Iterable[tuple[str, Any]], chosen: Any) -> None:
        """Replace the choices, each a text and its data, without a signal.

        ``chosen`` is the data of the one that is chosen; without it, the first one is.
        """
        with QSignalBlocker(self):
            self.clear()
            for text, data in choices:
                self.addItem(shown(text), data)
            self.choose(chosen)

    def choose(self, chosen: Any) -> None:
        """Choose by data; the first one if it is not there."""
        # equal, not identical: napari hands layers to plugins through proxies
        data = self.data()
        self.setCurrentIndex(data.index(chosen) if chosen in data else 0)
