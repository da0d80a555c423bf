"""Connections to the viewer that end with the part of the dock that listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qtpy.QtCore import QObject


class Links:
    """Connects one slot to many emitters of the viewer, its layers or settings.

    Emitters outlive the dock: napari's window deletes it without closing it first.
    They hold this object and never the Qt object, so no deleted Qt object is called.

    Parameters
    ----------
    slot
        Called with the event, or with None if the emitter has none.
    owner
        When Qt deletes it, all connections end.
    emitters
        See `connect`.
    """

    def __init__(
        self, slot: Callable[..., None], owner: QObject, emitters: Iterable[Any] = ()
    ) -> None:
        self._slot = slot
        self._emitters: list[Any] = []
        owner.destroyed.connect(self.clear)
        self.connect(emitters)

    def connect(self, emitters: Iterable[Any]) -> None:
        """Listen to more emitters."""
        for emitter in emitters:
            if not any(emitter is known for known in self._emitters):
                emitter.connect(self._call_slot)
                self._emitters.append(emitter)

    def clear(self) -> None:
        """End all connections."""
        emitters, self._emitters = self._emitters, []
        for emitter in emitters:
            emitter.disconnect(self._call_slot)

    def _call_slot(self, event: Any = None) -> None:
        if self._emitters:  # they may have ended while this event was on its way
            self._slot(event)
