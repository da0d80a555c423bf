"""Dialogs that ask for a file or for a yes; empty answers if their owner is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_gem.widget.parts.plain import MessageBox, ask

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def path_to_open(owner: QWidget, title: str, kinds: str) -> str:
    """Ask for a file that exists; empty if the user names none.

    ``kinds`` is a filter of Qt, such as ``Weights (*.pt)``.
    """
    answer = ask(owner, lambda: QFileDialog.getOpenFileName(owner, title, "", kinds))
    return answer[0] if answer else ""


def path_to_save(owner: QWidget, title: str, name: str, kinds: str) -> str:
    """Ask for a file to write, which may be replaced; empty if the user names none."""
    answer = ask(owner, lambda: QFileDialog.getSaveFileName(owner, title, name, kinds))
    return answer[0] if answer else ""


def yes_box(
    title: str, text: str, details: str, verb: str, parent: QWidget | None = None
) -> MessageBox:
    """Make a box that asks whether something is done; ``verb`` names the button."""
    buttons = MessageBox.StandardButton
    box = MessageBox(title, parent)
    box.setIcon(MessageBox.Icon.Question)
    box.setText(text)
    box.setInformativeText(details)
    box.setStandardButtons(buttons.Ok | buttons.Cancel)
    box.button(buttons.Ok).setText(verb)
    box.setDefaultButton(buttons.Cancel)
    return box


def says_yes(owner: QWidget, box: MessageBox) -> bool:
    """Open a box of `yes_box` and tell whether the user agreed."""
    return ask(owner, box.exec) == MessageBox.StandardButton.Ok
