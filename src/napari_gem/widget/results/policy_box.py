"""Asks what becomes of labels that somebody painted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox

from napari_gem.widget.parts.plain import MessageBox

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_gem.layers import Policy

CHOICES: dict[Policy, str] = {
    "new": "New layer",
    "fill": "Fill only unlabelled",
    "replace": "Replace",
}
ABOUT = (
    "New layer: the painted one stays as it is.\n"
    "Fill only unlabelled: what was painted stays, the rest is computed anew.\n"
    "Replace: what was painted goes; Undo brings it back."
)


def policy_box(name: str, parent: QWidget | None = None) -> MessageBox:
    """Make the box that asks about the labels layer of this name."""
    box = MessageBox("Painted labels", parent)
    box.setIcon(MessageBox.Icon.Question)
    box.setText(f"You have painted on '{name}'. Where shall the new labels go?")
    box.setInformativeText(ABOUT)
    for policy, text in CHOICES.items():
        button = box.addButton(text, MessageBox.ButtonRole.AcceptRole)
        button.setObjectName(policy)
        if policy == "new":
            box.setDefaultButton(button)
    box.addButton(MessageBox.StandardButton.Cancel)
    box.setCheckBox(QCheckBox("Do so until this widget is closed", box))
    return box


def choose_policy(
    name: str, parent: QWidget | None = None
) -> tuple[Policy | None, bool]:
    """Ask for a policy, None if the user cancels, and whether it holds from now on."""
    box = policy_box(name, parent)
    box.exec()
    chosen = box.clickedButton()
    policy = next((p for p in CHOICES if chosen and chosen.objectName() == p), None)
    return policy, box.checkBox().isChecked()
