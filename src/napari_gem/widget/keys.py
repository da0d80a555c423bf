"""Keys that work anywhere in the viewer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QKeySequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """An action, the keys as napari writes them, and what they do, for the user.

    On macOS Control is Command.
    """

    action: str
    keys: str
    description: str

    def native_text(self) -> str:
        """Return the keys as this computer writes them."""
        qt = self.keys.replace("Control", "Ctrl").replace("PageDown", "PgDown")
        qt = qt.replace("PageUp", "PgUp").replace("Enter", "Return").replace("-", "+")
        return QKeySequence(qt).toString(QKeySequence.SequenceFormat.NativeText)


# With modifiers, as single letters are the layers' tools; a test checks that none is
# napari's own.
KEYS = (
    Key("run", "Control-Enter", "Run"),
    Key("cancel", "Control-Shift-X", "Cancel the run"),
    Key("next_class", "Control-PageDown", "Choose the next class"),
    Key("previous_class", "Control-PageUp", "Choose the previous class"),
    Key("toggle_map", "Control-Shift-M", "Show or hide the map of the class"),
    Key("add_example", "Control-Shift-E", "Add places that show the class"),
    Key("add_negative", "Control-Shift-N", "Add places that do not show the class"),
    Key("undo", "Control-Shift-U", "Undo the last run"),
)


class KeyBindings:
    """Binds `KEYS` in a viewer, except those that are bound there already.

    Parameters
    ----------
    viewer
        Where the keys work.
    actions
        What to call, by the actions of `KEYS`; an action that is missing is not bound.
    """

    def __init__(
        self, viewer: ViewerModel, actions: Mapping[str, Callable[[], object]]
    ) -> None:
        self._viewer = viewer
        self._functions: dict[Key, Callable[[Any], None]] = {}
        for key in KEYS:
            if key.action not in actions:
                continue
            function = _function(key, actions[key.action])
            try:
                viewer.bind_key(key.keys, function)
            except ValueError:
                logger.warning(
                    "%s is taken in this viewer: %s", key.keys, key.description
                )
            else:
                self._functions[key] = function

    @property
    def bound(self) -> tuple[Key, ...]:
        """The keys that work."""
        return tuple(self._functions)

    def detach(self) -> None:
        """Unbind the keys."""
        for key, function in self._functions.items():
            removed = self._viewer.bind_key(key.keys, None)
            # someone else may have bound the key since
            if removed is not None and removed is not function:
                self._viewer.bind_key(key.keys, removed)
        self._functions.clear()

    def help_text(self) -> str:
        """List the keys that work as rich text."""
        return help_text(self.bound)


def key_of(action: str) -> str:
    """Return the keys of an action as this computer writes them."""
    return next(key.native_text() for key in KEYS if key.action == action)


def _function(key: Key, action: Callable[[], object]) -> Callable[[Any], None]:
    def call(_viewer: Any) -> None:
        action()

    # napari lists bound functions by their names and docstrings
    call.__name__ = f"gem_{key.action}"
    call.__doc__ = f"GEM: {key.description}"
    return call


def help_text(keys: tuple[Key, ...] = KEYS) -> str:
    """List keys as rich text."""
    rows = "".join(
        f"<tr><td><b>{escape(key.native_text())}</b></td>"
        f"<td style='padding-left: 12px'>{escape(key.description)}</td></tr>"
        for key in keys
    )
    return f"<table>{rows}</table>"
