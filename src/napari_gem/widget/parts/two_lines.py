"""A sentence in two lines at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QRect, Qt
from qtpy.QtWidgets import QSizePolicy

from napari_gem.core.foreign_text import shown_lines
from napari_gem.widget.parts.plain import Label, tip

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent
    from qtpy.QtWidgets import QWidget

LINES = 2


class TwoLines(Label):
    """Shows how a sentence begins; a tooltip has all of one that is longer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._whole = ""
        self.is_cut = False
        super().__init__("", parent)
        self.setWordWrap(True)
        # room for the sentence is taken from the column, not from the window
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """Return the whole sentence."""
        return self._whole

    def setText(self, text: str) -> None:  # noqa: N802 (Qt's name)
        """Show a sentence; control characters are spelled out."""
        self._whole = shown_lines(text)
        self.setAccessibleDescription(self._whole)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        """Fit the sentence to the width."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """Fit the sentence to another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        shown = self._whole
        self.is_cut = not self._has_room(shown)
        if self.is_cut:
            fits, cut = 0, len(shown)
            while cut - fits > 1:
                middle = (fits + cut) // 2
                if self._has_room(f"{shown[:middle]}…"):
                    fits = middle
                else:
                    cut = middle
            shown = f"{shown[:fits].rstrip()}…"
        super().setText(shown)
        # one line that is empty keeps what is below from jumping
        self.setFixedHeight(max(self._needed(shown), self.fontMetrics().lineSpacing()))
        self.setToolTip(tip(self._whole) if self.is_cut else "")

    def _has_room(self, text: str) -> bool:
        return self._needed(text) < (LINES + 0.5) * self.fontMetrics().lineSpacing()

    def _needed(self, text: str) -> int:
        """Height in pixels of a text in this width."""
        wrapped = Qt.TextFlag.TextWordWrap | Qt.TextFlag.TextWrapAnywhere
        room = QRect(0, 0, max(self.contentsRect().width() - 2, 1), 1 << 16)
        return int(self.fontMetrics().boundingRect(room, int(wrapped), text).height())
