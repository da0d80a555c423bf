"""A part of the dock that folds away."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QPushButton, QSizePolicy, QVBoxLayout, QWidget

FLAT = "text-align: left; border: none; background: transparent; padding: 4px 0;"
"""napari's theme fills checked buttons with its loudest colour."""

NO_LIMIT = (1 << 24) - 1
"""Qt's number for a height without limit."""

INDENT = 5
"""Pixels by which the content is indented."""


class Fold(QFrame):
    """A title with an arrow; a click unfolds the content below it."""

    toggled = Signal(bool)
    """Whether the content is shown now."""

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
        """Show another title."""
        self._title = title
        self._show_title()

    def text(self) -> str:
        """Return the title with the arrow."""
        return self._button.text()

    def toggleButton(self) -> QPushButton:  # noqa: N802 (as Qt's names beside it)
        """Return the button with the title."""
        return self._button

    def content(self) -> QWidget:
        """Return the widget that is folded away."""
        return self._content

    def hold(self, content: QWidget) -> None:
        """Replace the content."""
        self._content.setParent(None)
        self._content = content
        self.layout().addWidget(content)
        self._limit()

    def addWidget(self, widget: QWidget) -> None:  # noqa: N802 (Qt's name)
        """Add a widget at the end of the content."""
        self._content.layout().addWidget(widget)

    def isExpanded(self) -> bool:  # noqa: N802 (as Qt's names beside it)
        """Tell whether the content is shown."""
        return self._button.isChecked()

    def expand(self) -> None:
        """Show the content."""
        self._button.setChecked(True)

    def collapse(self) -> None:
        """Fold the content away."""
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
