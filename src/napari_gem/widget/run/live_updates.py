"""Changes that show at once: what is encoded, what of it is shown, what comes next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_gem.widget.run.inputs import RunInputs, with_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.widget.results.stack import StackResult
    from napari_gem.widget.run.inputs import Vectors

    Next = tuple[RunInputs, "EncodedImage"]

MOST = 200
"""Images, slices and regions that are remembered."""

REST = 250
"""Milliseconds without a change after which a preview gives way to the full size."""


@dataclass(eq=False)
class EncodedImage:
    """An image that the worker can score at once.

    Attributes
    ----------
    inputs
        Of the run that encoded it.
    name
        What the worker calls it.
    shown
        `RunInputs.scoring` that is shown, or is being scored; None if that is unknown.
    stack
        The run over many slices of which it is one.
    vectors
        Examples of that run that are places on another slice.
    """

    inputs: RunInputs
    name: str
    shown: object = None
    stack: StackResult | None = None
    vectors: Vectors | None = None

    def __post_init__(self) -> None:
        self.shown = self.inputs.scoring


class LiveUpdates(QObject):
    """Decides what of an encoded image is scored, and when.

    A change is scored as a preview; when nothing changed for a moment, at full size.
    What is shown already is not scored again.
    """

    rested = Signal()
    """It is time for the full size."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images: list[EncodedImage] = []
        self._preview: RunInputs | None = None
        self._full_size: RunInputs | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST)
        self._timer.timeout.connect(self.rested)

    def find(self, inputs: RunInputs) -> EncodedImage | None:
        """Find the encoded image that these inputs can be scored on."""
        wanted = inputs.encoding
        same = (each for each in self._images if each.inputs.encoding == wanted)
        return next(same, None)

    @property
    def layers(self) -> tuple[Any, ...]:
        """The image layers that are encoded."""
        return tuple(
            dict.fromkeys(x for each in self._images for x in each.inputs.layers)
        )

    def add(self, images: Sequence[EncodedImage]) -> None:
        """Take what a run encoded; images of another model are lost by it."""
        self.stop()
        if not images:
            return
        new = [image.inputs.encoding for image in images]
        model = images[0].inputs.job.model, images[0].inputs.job.architecture
        kept = [
            each
            for each in self._images
            if each.inputs.encoding not in new
            and (each.inputs.job.model, each.inputs.job.architecture) == model
        ]
        self._images = [*kept, *images][-MOST:]

    def forget(self, image: EncodedImage) -> None:
        """Leave out an image that the worker does not have any more."""
        self._images = [each for each in self._images if each is not image]
        self.stop()

    def forget_layer(self, layer: Any) -> bool:
        """Leave out what is encoded of a layer; tell whether there was anything."""
        kept = [each for each in self._images if layer not in each.inputs.layers]
        is_known = len(kept) < len(self._images)
        self._images = kept
        return is_known

    def clear(self) -> None:
        """Leave out everything."""
        self._images = []
        self.stop()

    def forget_stacks(self) -> None:
        """Leave out slices: the layers that they were written to are gone."""
        self._images = [each for each in self._images if each.stack is None]

    def stop(self) -> None:
        """Let nothing come next."""
        self._timer.stop()
        self._preview = self._full_size = None

    def plan_preview(self, inputs: RunInputs) -> bool:
        """Note what is to be scored next; tell whether it is not shown already."""
        image = self.find(inputs)
        if image is None:
            return False
        if image.vectors:  # the run's examples are places on another slice
            prompts = with_vectors(inputs.job.prompts, image.vectors)
            inputs = replace(inputs, job=replace(inputs.job, prompts=prompts))
        if inputs.scoring == image.shown:
            self._preview = None  # changed back while something else waited
            return False
        self.stop()
        self._preview = inputs
        return True

    def plan_full_size(self, inputs: RunInputs) -> None:
        """Note that the full size follows, unless something changes before."""
        self._full_size = inputs
        self._timer.start()

    def wait(self) -> None:
        """Ask again later for the full size: something else is done first."""
        self._timer.start()

    def take_preview(self) -> Next | None:
        """Give what is to be previewed, if there is anything."""
        return self._take(self._preview)

    def take_full_size(self) -> Next | None:
        """Give what is to be shown at full size, if there is anything."""
        return self._take(self._full_size)

    def _take(self, inputs: RunInputs | None) -> Next | None:
        self.stop()
        image = None if inputs is None else self.find(inputs)
        return None if inputs is None or image is None else (inputs, image)
