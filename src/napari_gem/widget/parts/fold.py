"""A part of the dock that folds away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QFrame, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_gem.widget.parts.plain import menu_text, tip

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

FLAT = "text-align: left; border: none; background: transparent; padding: 4px 0;"
"""napari's theme fills checked buttons with its loudest colour."""

NO_LIMIT = (1 << 24) - 1
"""Qt's number for a height without limit."""

WIDEST = 340
"""Pixels that a title asks for at most."""

INDENT = 5
"""Pixels by which the content is indented."""


class _Title(QPushButton):
    """A button that ends in an ellipsis where its place is too narrow."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        # a button's own policy would make its hint the least width of the dock
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_whole(self, text: str) -> None:
        """Show a text, or as much of it as there is room for."""
        self._whole = text
        self.setAccessibleName(text[1:].strip())
        self._fit()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Ask for the width of the text, but not for a dock that is too wide."""
        hint = super().sizeHint()
        needed = self.fontMetrics().horizontalAdvance(self._whole) + 8
        return QSize(min(needed, WIDEST), hint.height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Ask for no width: the text is cut with an ellipsis."""
        return QSize(0, super().sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        """Fit the text to the width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        room = self.width() - 2  # for the rounding of widths
        cut = self.fontMetrics().elidedText(
            self._whole, Qt.TextElideMode.ElideRight, room
        )
        self.setText(menu_text(cut))


class Fold(QFrame):
    """A title with an arrow; a click unfolds the content below it."""

    toggled = Signal(bool)
    """Whether the content is shown now."""

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._tooltip = ""
        self._button = _Title()
        self._button.setCheckable(True)
        self._button.setStyleSheet(FLAT)
        self._button.toggled.connect(self._on_toggled)
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

    def set_tooltip(self, text: str) -> None:
        """Say what is below; the tooltip also has the whole title."""
        self._tooltip = text
        self._show_title()

    def text(self) -> str:
        """Return the title with the arrow."""
        return f"{'▾' if self.isExpanded() else '▸'} {self._title}"

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
        # what is folded away keeps its width, so that the dock's does not jump, but
        # the Tab key passes it by
        policy = self._content.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._content.setSizePolicy(policy)
        self._content.setVisible(self.isExpanded())
        # unfolded, sentences that wrap may need more than the hint says
        policies = QSizePolicy.Policy
        vertical = policies.Preferred if self.isExpanded() else policies.Maximum
        self.setSizePolicy(policies.Preferred, vertical)

    def _show_title(self) -> None:
        # an arrow as text follows the theme
        self._button.set_whole(self.text())
        about = "\n".join(filter(None, (self._title, self._tooltip)))
        self._button.setToolTip(tip(about))
