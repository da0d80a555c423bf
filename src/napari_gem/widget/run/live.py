"""Changes that show at once: what is encoded, what of it is shown, what comes next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_gem.widget.run.question import Ask, add_vectors

if TYPE_CHECKING:
    from napari_gem.widget.results.stack import StackResult
    from napari_gem.widget.run.question import Vectors

REST = 250
"""Milliseconds without a change after which a preview gives way to the full size."""


@dataclass(eq=False)
class Encoded:
    """An image that the worker can score at once.

    Attributes
    ----------
    ask
        The run that encoded it.
    name
        What the worker calls it.
    shown
        The `Ask.question` that was answered last, or is being answered.
    stack
        The run over many slices of which it is one.
    vectors
        Examples of that run that are places on another slice.
    """

    ask: Ask
    name: str
    shown: object = None
    stack: StackResult | None = None
    vectors: Vectors | None = None

    def __post_init__(self) -> None:
        self.shown = self.ask.question


class Live(QObject):
    """Decides what of an encoded image is scored, and when.

    A change is scored as a preview; when nothing changed for a moment, at full size.
    What is shown already is not scored again.
    """

    rested = Signal()
    """It is time for the full size."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._encoded: list[Encoded] = []
        self._next: Ask | None = None
        self._full: Ask | None = None
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST)
        self._rest.timeout.connect(self.rested)

    def find(self, ask: Ask) -> Encoded | None:
        """Find the encoded image that can answer this."""
        wanted = ask.encoding
        found = (each for each in self._encoded if each.ask.encoding == wanted)
        return next(found, None)

    @property
    def layers(self) -> tuple[Any, ...]:
        """The image layers that are encoded."""
        return tuple(
            dict.fromkeys(x for each in self._encoded for x in each.ask.layers)
        )

    def encoded(self, *images: Encoded) -> None:
        """Take what a run encoded in the place of everything before."""
        self._encoded = list(images)
        self.stop()

    def forget(self, image: Encoded | None) -> None:
        """Leave out an image that the worker does not have any more."""
        self._encoded = [each for each in self._encoded if each is not image]
        self.stop()

    def forget_stacks(self) -> None:
        """Leave out slices: the layers that they were written to are gone."""
        self._encoded = [each for each in self._encoded if each.stack is None]

    def stop(self) -> None:
        """Let nothing come next."""
        self._rest.stop()
        self._next = self._full = None

    def want(self, ask: Ask) -> bool:
        """Note what is to be shown; tell whether that is not so already."""
        found = self.find(ask)
        if found is None:
            return False
        ask = _of_slice(ask, found)
        if ask.question == found.shown:
            self._next = None  # changed back while something else waited
            return False
        self.stop()
        self._next = ask
        return True

    def take(self) -> tuple[Ask, Encoded] | None:
        """Give what is to be previewed, if there is anything."""
        return self._give(self._next)

    def take_full(self) -> tuple[Ask, Encoded] | None:
        """Give what is to be shown at full size, if there is anything."""
        return self._give(self._full)

    def rest(self, ask: Ask) -> None:
        """Note that a preview is shown, to which the full size belongs."""
        self._full = ask
        self._rest.start()

    def _give(self, ask: Ask | None) -> tuple[Ask, Encoded] | None:
        self.stop()
        found = None if ask is None else self.find(ask)
        return None if ask is None or found is None else (ask, found)


def _of_slice(ask: Ask, encoded: Encoded) -> Ask:
    """Add the examples of a run over many slices, which are on another of them."""
    if not encoded.vectors:
        return ask
    return replace(ask, prompts=add_vectors(ask.prompts, encoded.vectors))
