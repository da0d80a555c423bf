"""Labels, boxes, tooltips and menus that show text as it is, whoever wrote it.

Qt renders text that looks like HTML: it would fetch the image of a layer called
``<img src=...>``. So labels and boxes are made of these classes only, and a name from
outside goes through `tip` into a tooltip and through `menu_text` into a menu.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QMessageBox  # noqa: TID251 (the one place)

from napari_gem.core.foreign_text import shown, shown_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

Answer = TypeVar("Answer")


class Label(QLabel):
    """A label of plain text."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802 (Qt's name)
        """Show text; control characters are spelled out."""
        super().setText(shown_lines(text))


class MessageBox(QMessageBox):
    """A box of plain text."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWindowTitle(shown(title))

    def setText(self, text: str) -> None:  # noqa: N802 (Qt's name)
        """Show text; control characters are spelled out."""
        super().setText(shown_lines(text))

    def setInformativeText(self, text: str) -> None:  # noqa: N802 (Qt's name)
        """Show more text below, also plain."""
        super().setInformativeText(shown_lines(text))
        # the box makes a label for it, which does not follow its format
        for label in self.findChildren(QLabel):
            label.setTextFormat(Qt.TextFormat.PlainText)


def ask(owner: QWidget, question: Callable[[], Answer]) -> Answer | None:
    """Return the answer of a dialog; None if ``owner`` was deleted meanwhile.

    ``question`` opens the dialog. While it is open the user may close the viewer, and
    whoever asked is deleted with it; then there is nothing left to do.
    """
    try:
        answer = question()
    except RuntimeError:  # the dialog was deleted, too
        if isalive(owner):
            raise
        return None
    return answer if isalive(owner) else None


def tip(text: str) -> str:
    """Escape a tooltip so that Qt shows it as plain text.

    Examples
    --------
    >>> tip("nuclei"), tip("<b>")
    ('nuclei', '<qt>&lt;b&gt;</qt>')
    """
    safe = shown_lines(text)
    if "<" not in safe and "&" not in safe:
        return safe
    return f"<qt>{escape(safe, quote=False).replace(chr(10), '<br>')}</qt>"


def menu_text(text: str) -> str:
    """Write a name for a menu or a button, where an ampersand marks a key."""
    return shown(text).replace("&", "&&")
