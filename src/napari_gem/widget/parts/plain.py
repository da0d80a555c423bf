"""Labels, boxes, tooltips and menus that show text as it is, whoever wrote it.

Qt takes text for HTML where it looks like it: a layer called ``<img src=...>``
would be fetched. So only these are used where a label or box is made, and `tip` and
`menu_text` wherever a name from outside comes into a tooltip or a menu.
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
        """Show text; control characters are spelled."""
        super().setText(shown_lines(text))


class MessageBox(QMessageBox):
    """A box of plain text."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWindowTitle(shown(title))

    def setText(self, text: str) -> None:  # noqa: N802 (Qt's name)
        """Show text; control characters are spelled."""
        super().setText(shown_lines(text))

    def setInformativeText(self, text: str) -> None:  # noqa: N802 (Qt's name)
        """Show more text below, also plain."""
        super().setInformativeText(shown_lines(text))
        # the box makes a label for it, which does not follow its format
        for label in self.findChildren(QLabel):
            label.setTextFormat(Qt.TextFormat.PlainText)


def ask(owner: QWidget, question: Callable[[], Answer]) -> Answer | None:
    """Ask something in a dialog.

    Qt goes on with everything else meanwhile: the viewer may be closed, and who asked
    is deleted with it.

    Parameters
    ----------
    owner
        Who asks.
    question
        Opens the dialog and gives the answer.

    Returns
    -------
    Answer or None
        None if the owner is not there any more: then nothing is left to be done.
    """
    try:
        answer = question()
    except RuntimeError:  # the dialog is gone, too
        if isalive(owner):
            raise
        return None
    return answer if isalive(owner) else None


def tip(text: str) -> str:
    """Write a tooltip so that Qt shows it as it is.

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
