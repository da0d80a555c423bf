"""Connections to the viewer that end with the part of the dock that listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qtpy.QtCore import QObject


class Links:
    """Connects one slot to many emitters of the viewer, its layers or settings.

    These outlive the dock, which the window deletes without closing it before. So they
    know this object and never the Qt object: nothing of Qt is asked or called, whatever
    is deleted first.

    Parameters
    ----------
    slot
        Called with the event; without one if there is none.
    owner
        When Qt deletes it, all connections end.
    """

    def __init__(self, slot: Callable[..., None], owner: QObject) -> None:
        self._slot = slot
        self._emitters: list[Any] = []
        owner.destroyed.connect(self.clear)

    def connect(self, emitters: Iterable[Any]) -> None:
        """Listen to more of them; those that are listened to stay so."""
        for emitter in emitters:
            if any(emitter is known for known in self._emitters):
                continue
            emitter.connect(self._tell)
            self._emitters.append(emitter)

    def clear(self) -> None:
        """Listen to none."""
        emitters, self._emitters = self._emitters, []
        for emitter in emitters:
            emitter.disconnect(self._tell)

    def _tell(self, event: Any = None) -> None:
        if self._emitters:  # else they ended while this event was on its way
            self._slot(event)
