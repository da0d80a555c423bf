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
    """One key.

    Attributes
    ----------
    name
        Of the action: ``run``, ``cancel`` ...
    keys
        As napari writes them: ``Control-Enter``. On macOS Control is Command.
    about
        What it does, for the user.
    """

    name: str
    keys: str
    about: str

    @property
    def shown(self) -> str:
        """The keys as this computer writes them."""
        qt = self.keys.replace("Control", "Ctrl").replace("PageDown", "PgDown")
        qt = qt.replace("PageUp", "PgUp").replace("Enter", "Return").replace("-", "+")
        return QKeySequence(qt).toString(QKeySequence.SequenceFormat.NativeText)


# Each with modifiers and none of napari's own (there is a test): single letters are
# the layers' tools.
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
    """Binds `KEYS` in a viewer until it is detached.

    Keys that someone else has bound there are left to them.

    Parameters
    ----------
    viewer
        Where the keys work.
    actions
        What to call, by the names of `KEYS`; a name that is missing is not bound.

    Attributes
    ----------
    bound
        The keys that work.
    """

    def __init__(
        self, viewer: ViewerModel, actions: Mapping[str, Callable[[], object]]
    ) -> None:
        self._viewer = viewer
        self._functions: dict[Key, Callable[[Any], None]] = {}
        for key in KEYS:
            if key.name not in actions:
                continue
            function = _function(key, actions[key.name])
            try:
                viewer.bind_key(key.keys, function)
            except ValueError:
                logger.warning("%s is taken in this viewer: %s", key.keys, key.about)
            else:
                self._functions[key] = function

    @property
    def bound(self) -> tuple[Key, ...]:
        """The keys that work."""
        return tuple(self._functions)

    def detach(self) -> None:
        """Give the keys back; again does nothing."""
        for key, function in self._functions.items():
            theirs = self._viewer.bind_key(key.keys, None)
            # someone may have bound the key over ours since
            if theirs is not None and theirs is not function:
                self._viewer.bind_key(key.keys, theirs)
        self._functions.clear()

    def help_text(self) -> str:
        """List the keys that work, as `help_text`."""
        return help_text(self.bound)


def _function(key: Key, action: Callable[[], object]) -> Callable[[Any], None]:
    def call(_viewer: Any) -> None:
        action()

    # napari lists bound functions by their names and docstrings
    call.__name__ = f"gem_{key.name}"
    call.__doc__ = f"GEM: {key.about}"
    return call


def help_text(keys: tuple[Key, ...] = KEYS) -> str:
    """List keys as rich text."""
    rows = "".join(
        f"<tr><td><b>{escape(key.shown)}</b></td>"
        f"<td style='padding-left: 12px'>{escape(key.about)}</td></tr>"
        for key in keys
    )
    return f"<table>{rows}</table>"
