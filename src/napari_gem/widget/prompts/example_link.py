"""Examples as points in the viewer, and as examples of the table's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_gem.core.prompts import Example
    from napari_gem.prompts.sets import PromptSet
    from napari_gem.widget.prompts.example_points import ExamplePoints
    from napari_gem.widget.prompts.table import PromptTable
    from napari_gem.widget.prompts.table_model import Points


class ExampleLink:
    """Lets the points in the viewer and the classes of the table follow each other.

    The points of all images are part of what the table can undo. Those of a class
    that was removed leave the viewer, and come back with the class.
    """

    def __init__(self, table: PromptTable, points: ExamplePoints) -> None:
        self._model = table.model
        self._points = points
        self._shown: tuple[Points, frozenset[int]] = {}, frozenset()
        self._model.changing.connect(points.report_changes)
        self.follow_view()

    def follow_points(self, label: int) -> None:
        """Take the points of a class, which the user changed, as a step of undo."""
        if label not in self._labels():
            self.follow_view()
            return
        places = self._all_places()
        self._shown = places, self._labels()
        self._model.set_points(places, self._examples({label}))

    def follow_table(self) -> None:
        """Show the points of the classes that there are now."""
        self._points.recolor(self._model.state.prompts)
        places, labels = self._model.state.points, self._labels()
        if self._shown != (places, labels):
            self._model.note_known()  # or ids of points that are hidden now look free
            places = self._with_strays(places)
            self._shown = places, labels
            self._points.show(places, labels)
        self._model.follow_points(places, self._examples(labels))

    def follow_view(self) -> None:
        """Take the points on the plane that is shown now; no step of undo."""
        places, labels = self._all_places(), self._labels()
        self._shown = places, labels
        self._model.follow_points(places, self._examples(labels))

    def load(self, prompt_set: PromptSet) -> bool:
        """Replace the table by a set whose examples lie on the image that is shown."""
        return self._model.load(
            prompt_set,
            lambda prompts: self._points.with_examples(self._all_places(), prompts),
        )

    def _labels(self) -> frozenset[int]:
        return frozenset(prompt.label for prompt in self._model.state.prompts)

    def _examples(self, labels: Collection[int]) -> dict[int, tuple[Example, ...]]:
        """Vectors that classes keep, and their points on the plane that is shown."""
        return {
            prompt.label: (
                *(e for e in prompt.examples if e.point is None),
                *self._points.examples(prompt.label),
            )
            for prompt in self._model.state.prompts
            if prompt.label in labels
        }

    def _all_places(self) -> Points:
        """Points that are shown, and those of classes that were removed."""
        labels, shown = self._labels(), self._points.places()
        hidden = {
            source: {label: p for label, p in points.items() if label not in labels}
            for source, points in self._model.state.points.items()
        }
        return _joined(hidden, shown)

    def _with_strays(self, places: Points) -> Points:
        """Keep points of classes that this table never had, before they are hidden."""
        known = {label for points in places.values() for label in points}
        known |= self._labels() | self._shown[1]
        strays = {
            source: {label: p for label, p in points.items() if label not in known}
            for source, points in self._points.places().items()
        }
        return _joined(strays, places)


def _joined(first: Points, second: Points) -> Points:
    """Join points of each image; of a class that both have, the second count."""
    joined = {
        source: {**first.get(source, {}), **second.get(source, {})}
        for source in {**first, **second}
    }
    return {source: points for source, points in joined.items() if points}
