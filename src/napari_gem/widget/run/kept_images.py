"""Whether an earlier session encoded an image: looked for beside the viewer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_gem.models.catalogue import patch_size
from napari_gem.models.find import find_model
from napari_gem.widget.parts.job import BackgroundJob

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.core.progress import Progress
    from napari_gem.widget.run.inputs import RunInputs
    from napari_gem.worker.messages import Storage


class KeptImages(QObject):
    """Looks for encoded images in the folder of `FeatureCache`, one at a time.

    Answers are remembered until `forget_layer`. Large images are not looked for: all
    their pixels would have to be read.
    """

    answered = Signal()
    """`is_kept` has another answer."""

    def __init__(self, storage: Storage | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = storage.folder if storage and storage.disk else None
        self._answers: list[tuple[tuple[Any, ...], object, bool]] = []
        self._asked: RunInputs | None = None
        self._looked_for: RunInputs | None = None  # by the job
        self._job = BackgroundJob(self)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(lambda _sentence: self._on_answer(False))

    @property
    def layers(self) -> set[Any]:
        """All layers of which an answer is known."""
        return {layer for layers, _, _ in self._answers for layer in layers}

    def is_kept(self, inputs: RunInputs) -> bool | None:
        """Tell whether this is encoded on disk; None if nobody has looked."""
        wanted = inputs.encoding
        known = (answer for _, encoding, answer in self._answers if encoding == wanted)
        return next(known, None)

    def is_looked_for(self, inputs: RunInputs) -> bool:
        """Tell whether the answer is on its way."""
        return self._asked is not None and self._asked.encoding == inputs.encoding

    def look(self, inputs: RunInputs) -> None:
        """Look for an image, unless the answer is known or on its way."""
        known = self.is_kept(inputs) is not None or self.is_looked_for(inputs)
        if self._folder is None or inputs.is_large or known:
            return
        self._asked = inputs
        if self._job.busy:
            self._job.cancel()  # what was looked for is not in front any more
        else:
            self._begin()

    def forget_layer(self, layer: Any) -> None:
        """Forget what is known of a layer whose pixels are others now."""
        self._answers = [each for each in self._answers if layer not in each[0]]

    def forget(self) -> None:
        """Forget all answers: the folder is another."""
        self._answers.clear()

    def stop(self) -> None:
        """Look for nothing any more."""
        self._asked = self._folder = None
        self._job.cancel()

    def _begin(self) -> None:
        inputs = self._looked_for = self._asked
        if inputs is not None:
            look = partial(_look_steps, self._folder or None, inputs)
            self._job.run(look, self._on_answer)

    def _on_ended(self) -> None:
        if self._asked is not None and self._asked is not self._looked_for:
            self._begin()

    def _on_answer(self, is_kept: bool) -> None:
        inputs, self._looked_for = self._looked_for, None
        if inputs is not None and inputs is self._asked:
            self._asked = None
            self._answers.append((inputs.layers, inputs.encoding, is_kept))
            self.answered.emit()


def _look_steps(
    folder: str | None, inputs: RunInputs
) -> Generator[Progress, None, bool]:
    from napari_gem.encoding.feature_cache import FeatureCache

    job = inputs.job
    card = find_model(job.model, job.architecture)
    encode = job.encode or card.encode
    if inputs.detail:
        side = patch_size(card)
        if not side:  # its configuration is not on this computer, nor is its cache
            return False
        encode = replace(encode, zoom=side / inputs.detail)
    job = replace(job, model=card.id, encode=encode)
    return (yield from FeatureCache(folder).holds_steps(job, inputs.image.rows()))
