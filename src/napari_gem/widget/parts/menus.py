"""Entries of menus."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QAction, QMenu


def add_action(
    menu: QMenu, text: str, tooltip: str, slot: Callable[[], object]
) -> QAction:
    """Add an entry with a tooltip; names from outside need `plain.menu_text`."""
    action = menu.addAction(text)
    action.setToolTip(tooltip)
    action.triggered.connect(lambda _checked=False: slot())
    return action
