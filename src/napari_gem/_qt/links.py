"""Connections to the viewer that end together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Links:
    """Connects one slot to many emitters of the viewer and its layers.

    Parameters
    ----------
    slot
        Called with or without an event.
    """

    def __init__(self, slot: Callable[..., None]) -> None:
        self._slot = slot
        self._emitters: list[Any] = []

    def connect(self, emitters: Iterable[Any]) -> None:
        """Listen to more of them."""
        for emitter in emitters:
            emitter.connect(self._slot)
            self._emitters.append(emitter)

    def clear(self) -> None:
        """Listen to none."""
        for emitter in self._emitters:
            emitter.disconnect(self._slot)
        self._emitters.clear()
