"""A part of the widget that folds away."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QPushButton, QSizePolicy, QVBoxLayout, QWidget

FLAT = "text-align: left; border: none; background: transparent; padding: 4px 0;"
"""napari's theme fills checked buttons with its loudest colour."""

NO_LIMIT = (1 << 24) - 1
"""Qt's word for a height without limit."""

INDENT = 5
"""Pixels that what is folded away stands to the right of its line."""


class Fold(QFrame):
    """A line that unfolds, folded at first.

    Parameters
    ----------
    title
        What stands in the line, behind an arrow.
    parent
        Widget that it is part of.
    """

    toggled = Signal(bool)
    """Whether it is unfolded now."""

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._button = QPushButton()
        self._button.setCheckable(True)
        self._button.setStyleSheet(FLAT)
        self._button.toggled.connect(self._on_toggled)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = QVBoxLayout(self)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._button)
        self._content = QWidget()
        inside = QVBoxLayout(self._content)
        inside.setContentsMargins(INDENT, 0, 0, 0)
        layout.addWidget(self._content)
        self._limit()
        self._show_title()

    def set_title(self, title: str) -> None:
        """Put something else into the line."""
        self._title = title
        self._show_title()

    def text(self) -> str:
        """Give what stands in the line, with the arrow."""
        return self._button.text()

    def toggleButton(self) -> QPushButton:  # noqa: N802 (as Qt's names beside it)
        """Line that is clicked."""
        return self._button

    def content(self) -> QWidget:
        """Widget that is folded away."""
        return self._content

    def hold(self, content: QWidget) -> None:
        """Take what is folded away, instead of what was there."""
        self._content.setParent(None)
        self._content = content
        self.layout().addWidget(content)
        self._limit()

    def addWidget(self, widget: QWidget) -> None:  # noqa: N802 (Qt's name)
        """Add a widget below what is folded away."""
        self._content.layout().addWidget(widget)

    def isExpanded(self) -> bool:  # noqa: N802 (as Qt's names beside it)
        """Tell whether it is unfolded."""
        return self._button.isChecked()

    def expand(self) -> None:
        """Unfold."""
        self._button.setChecked(True)

    def collapse(self) -> None:
        """Fold away."""
        self._button.setChecked(False)

    def _on_toggled(self, expanded: bool) -> None:
        self._limit()
        self._show_title()
        self.toggled.emit(expanded)

    def _limit(self) -> None:
        # no limit when unfolded: more may be needed later
        self._content.setMaximumHeight(NO_LIMIT if self.isExpanded() else 0)

    def _show_title(self) -> None:
        # an arrow as text follows the theme
        self._button.setText(f"{'▾' if self.isExpanded() else '▸'} {self._title}")
