"""A part of the widget that folds away."""

from __future__ import annotations

from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

FLAT = "text-align: left; border: none; background: transparent; padding: 4px 0;"
"""napari's theme fills checked buttons with its loudest colour."""

NO_LIMIT = (1 << 24) - 1
"""Qt's word for a height without limit."""


class Fold(QCollapsible):
    """A line that unfolds, folded at first.

    Parameters
    ----------
    title
        What stands in the line, behind an arrow.
    parent
        Widget that it is part of.
    """

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        # superqt draws its arrows once, in black; as text they follow the theme
        super().__init__("", parent, expandedIcon=QIcon(), collapsedIcon=QIcon())
        self._title = title
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        self.toggleButton().setStyleSheet(FLAT)
        self.toggled.connect(self._show_title)
        self.toggled.connect(self._let_grow)
        self._show_title()

    def set_title(self, title: str) -> None:
        """Put something else into the line."""
        self._title = title
        self._show_title()

    def hold(self, content: QWidget) -> None:
        """Take what is folded away."""
        self.setContent(content)
        if not self.isExpanded():
            content.setMaximumHeight(0)  # superqt folds its own content only

    def _let_grow(self, expanded: bool) -> None:
        """Let go of the height that superqt gives: more may be needed later."""
        if expanded:
            self.content().setMaximumHeight(NO_LIMIT)

    def _show_title(self, _expanded: bool = False) -> None:
        self.setText(f"{'▾' if self.isExpanded() else '▸'} {self._title}")
