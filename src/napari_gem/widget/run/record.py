"""What this session knows of each image: its last results, and what is encoded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_gem.layers.entry import LABELS, read_entry
from napari_gem.layers.opening import file_of
from napari_gem.widget.state import LastResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_gem.core.results import StoredSegmentation
    from napari_gem.widget.run.inputs import RunInputs
    from napari_gem.widget.state import Place


class Record:
    """Last results and encodings, for as long as their layers are what they were."""

    def __init__(self) -> None:
        self._results: dict[Place, LastResult] = {}
        self._layers: dict[Place, tuple[Any, ...]] = {}
        self._encoded: list[tuple[tuple[Any, ...], object]] = []

    @property
    def layers(self) -> set[Any]:
        """All image layers of which something is known."""
        results = (layer for layers in self._layers.values() for layer in layers)
        return {*results, *(layer for layers, _ in self._encoded for layer in layers)}

    def last(self, place: Place) -> LastResult | None:
        """Give the last result of a place; None without one."""
        return self._results.get(place)

    def note(self, inputs: RunInputs, result: StoredSegmentation) -> None:
        """Note a result that is shown."""
        plane = inputs.image.file_plane
        before = self._results.get(inputs.place)
        self._layers[inputs.place] = inputs.layers
        self._results[inputs.place] = LastResult(
            result.recipe,
            result.shares,
            result.absent,
            plane.path if plane else file_of(inputs.layers[0]),
            plane.index if plane else inputs.image.index,
            before.message if before else ("info", ""),
            plane is not None,
        )

    def note_message(self, places: Iterable[Place], message: tuple[str, str]) -> None:
        """Note the sentence with which a run on these places ended."""
        for place in places:
            if place in self._results:
                last = self._results[place]
                self._results[place] = replace(last, message=message)

    def forget(self, places: Iterable[Place]) -> None:
        """Forget results that are not shown any more."""
        for place in places:
            self._results.pop(place, None)

    def note_encoded(self, inputs: RunInputs) -> None:
        """Note what a run encoded."""
        if not self.was_encoded(inputs):
            self._encoded.append((inputs.layers, inputs.encoding))

    def was_encoded(self, inputs: RunInputs) -> bool:
        """Tell whether this was encoded in this session."""
        wanted = inputs.encoding
        return any(encoding == wanted for _, encoding in self._encoded)

    def forget_encoded(self, inputs: RunInputs) -> None:
        """Forget an encoding that the worker lost."""
        wanted = inputs.encoding
        self._encoded = [each for each in self._encoded if each[1] != wanted]

    def forget_layer(self, layer: Any) -> None:
        """Forget what is known of an image layer, or of the labels of a result."""
        entry = read_entry(layer)
        source = entry.source if entry.role == LABELS else None
        gone = [
            place
            for place, layers in self._layers.items()
            if layer in layers or place.source == source
        ]
        self.forget(gone)
        self._encoded = [each for each in self._encoded if layer not in each[0]]
