"""Examples of classes as points in the viewer, one Points layer for each image."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal
from superqt.utils import QSignalThrottler

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Example
from napari_gem.layers.transform import TRANSFORM, set_transform
from napari_gem.scoring.examples import spread_pixels
from napari_gem.widget.parts.links import Links
from napari_gem.widget.prompts.point_layer import (
    between,
    class_name,
    id_of,
    labels_and_signs,
    make_layer,
    on_plane,
    places_of,
    restyle,
    set_names,
    set_next,
    set_places,
    source_of,
    to_label,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_gem.core.prompts import Prompt
    from napari_gem.layers import LayerImage
    from napari_gem.widget.prompts.point_layer import Color, Places

WAIT = 80
"""Milliseconds between two `ExamplePoints.changed` while points are dragged."""


class ExamplePoints(QObject):
    """Keeps a Points layer with the examples of all classes for each image.

    The layer's features tell the class of each point; colours and symbols follow them.
    Points and layers that the user made are never touched.
    """

    changed = Signal(int)
    """Label of a class whose examples changed; throttled while points move."""
    adding_changed = Signal(int)
    """Label of the class that a click now adds an example to; 0: clicks add none."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Any = None
        self._view: LayerImage | None = None
        self._layers: dict[str, Any] = {}  # by the id of their image
        self._links: dict[str, list[Links]] = {}
        self._places: dict[str, Places] = {}  # when `changed` was emitted last
        self._colors: dict[int, Color] = {}
        self._names: dict[int, str] = {}
        self._last_adding = 0
        self._active_before: Any = None
        self._changing_layers = False
        self._throttler = QSignalThrottler(
            QSignalThrottler.EmissionPolicy.Trailing, self
        )
        self._throttler.setTimeout(WAIT)
        self._throttler.triggered.connect(self.report_changes)
        layers = viewer.layers
        self._viewer_links = [
            Links(self._on_inserted, self, [layers.events.inserted]),
            Links(self._on_removed, self, [layers.events.removed]),
            Links(self._on_mode, self, [layers.selection.events.active]),
        ]
        for layer in list(layers):
            self._adopt(layer)

    @property
    def layer(self) -> Any:
        """Points layer of the current image; None if there is none."""
        return None if self._image is None else self._layers.get(id_of(self._image))

    @property
    def adding(self) -> int:
        """Label of the class that a click adds an example to; 0: clicks add none."""
        layer = self.layer
        active = self._viewer.layers.selection.active
        if layer is None or active is None or active != layer or layer.mode != "add":
            return 0
        labels = layer.feature_defaults.get("label")
        return 0 if labels is None else to_label(labels.iloc[0])

    def set_image(self, layer: Any, view: LayerImage | None) -> None:
        """Set which image layer the examples are of, and which plane of it is shown.

        To be called when another image, slice, level or channel axis is chosen; None
        for no image.
        """
        if self._image is not None and (layer is None or layer != self._image):
            self.stop()
        self._image = layer if view is not None else None
        self._view = view
        self._on_mode()

    def start(self, prompt: Prompt, positive: bool = True) -> None:
        """Let clicks on the image add examples to a class.

        Examples that are not ``positive`` look like the class but are none.

        Raises
        ------
        GemError
            If there is no image, or the viewer shows a volume.
        """
        if self._viewer.dims.ndisplay != 2:
            raise GemError(
                "The viewer shows a volume. Switch to 2D (button at the lower left) "
                "to add examples."
            )
        layer = self._require_layer()
        self._set_next(layer, prompt, positive)
        active = self._viewer.layers.selection.active
        if active is None or active != layer:
            self._active_before = active
            self._viewer.layers.selection.active = layer
        if not layer.visible:
            layer.visible = True
        layer.mode = "add"
        self._on_mode()

    def stop(self) -> None:
        """Let clicks do what they did before `start`."""
        layer = self.layer
        before, self._active_before = self._active_before, None
        if layer is None:
            return
        was_adding = self.adding
        if layer.mode == "add":
            layer.mode = "pan_zoom"
        if was_adding and before is not None and before in self._viewer.layers:
            self._viewer.layers.selection.active = before
        self._on_mode()

    def examples(self, label: int) -> tuple[Example, ...]:
        """Return the examples of a class on the plane that is shown.

        They are (row, column) in pixels of the plane as it is segmented: rows run down
        the screen and columns to the right. They may lie outside of the image.
        """
        layer, view = self.layer, self._view
        if layer is None or view is None:
            return ()
        labels, positive = labels_and_signs(layer)
        rows = np.flatnonzero(labels == label)
        pixels = self._to_image(layer, np.asarray(layer.data)[rows])
        pixels, shown = on_plane(pixels, view)
        down, right = view.geometry.displayed
        return tuple(
            Example((float(pixel[down]), float(pixel[right])), positive=bool(sign))
            for pixel, sign in zip(pixels[shown], positive[rows][shown], strict=True)
        )

    def places(self) -> dict[str, Places]:
        """Return the points of all images, to be compared and shown again.

        For each image, by its id, and each label: sign and place of each point, in
        pixels of the points layer.
        """
        return {source: places_of(layer) for source, layer in self._layers.items()}

    def show(self, places: Mapping[str, Places], labels: Collection[int]) -> None:
        """Show the points of these classes, and no others of any class.

        Points that stay are left as they are; a layer that is missing is made anew if
        its image is there. ``places`` are as `places` returns them.
        """
        if self.adding and self.adding not in labels:
            self.stop()
        images = {id_of(layer): layer for layer in self._viewer.layers}
        for source in {*self._layers, *places}:
            wanted = {
                label: points
                for label, points in places.get(source, {}).items()
                if label in labels
            }
            if source not in self._layers:
                if source not in images or not wanted:
                    continue
                self._add_layer(images[source])
            layer = self._layers[source]
            with self._own_changes():
                set_places(layer, wanted, self._names)
                restyle(layer, self._color)
            self._places[source] = places_of(layer)
        self._on_mode()

    def with_examples(
        self, places: Mapping[str, Places], prompts: Iterable[Prompt]
    ) -> dict[str, Places]:
        """Replace the points on the plane that is shown by the examples of classes.

        ``places`` are as `places` returns them; those on other planes and images stay.
        """
        image, view = self._image, self._view
        if image is None or view is None:
            return dict(places)
        layer = image if self.layer is None else self.layer
        matrix, shift = between(image, layer)
        new = dict(places.get(id_of(image), {}))
        origin = np.zeros(len(view.factors))
        for axis, number in view.position.items():
            origin[axis] = number
        for prompt in prompts:
            old = np.array(new.get(prompt.label, ())).reshape(-1, 1 + len(origin))
            _, shown = on_plane(self._to_image(layer, old[:, 1:]), view)
            points = [tuple(map(float, point)) for point in old[~shown]]
            for example in prompt.examples:
                if example.point is None:
                    continue
                pixel = origin.copy()
                pixel[list(view.geometry.displayed)] = example.point
                pixel = (pixel + 0.5) * np.asarray(view.factors) - 0.5
                pixel = matrix @ pixel + shift
                points.append((float(example.positive), *map(float, pixel)))
            new[prompt.label] = tuple(points)
        kept = {label: points for label, points in new.items() if points}
        return {**places, id_of(image): kept}

    def from_labels(
        self,
        labels: Any,
        prompt: Prompt,
        *,
        value: int | None = None,
        positive: bool = True,
        most: int = 50,
    ) -> int:
        """Add examples from what is painted in a labels layer, spread all over it.

        Parameters
        ----------
        labels
            A labels layer with the axes of the image; it is not changed. Of a stack the
            slice that is shown is taken.
        prompt, positive
            As in `start`.
        value
            Label that was painted; None: the label of the class.
        most
            The most examples to add; how many were added is returned.

        Raises
        ------
        GemError
            If there is no image, the layer does not fit it, or nothing is painted.
        """
        layer, view = self._require_layer(), self._view
        if (
            view is None
            or not hasattr(labels, "selected_label")
            or labels.multiscale
            or labels.ndim != layer.ndim
        ):
            raise GemError(
                f"Examples cannot be read from '{labels.name}'. Paint in a labels "
                f"layer of one resolution with {layer.ndim} axes, as the image has."
            )
        value = prompt.label if value is None else value
        index = self._slice_of(labels, view)
        pixels = spread_pixels(np.asarray(labels.data[index]) == value, most)
        if not len(pixels):
            raise GemError(
                f"Nothing is painted with label {value} in '{labels.name}' here. Paint "
                "a patch, or choose the layer that you painted in."
            )
        displayed = sorted(view.geometry.displayed)
        hidden = [axis for axis in range(layer.ndim) if axis not in displayed]
        places = np.empty((len(pixels), layer.ndim))
        places[:, hidden] = [index[axis] for axis in hidden]
        places[:, displayed] = pixels
        matrix, shift = between(labels, layer)
        self._set_next(layer, prompt, positive)
        layer.add(places @ matrix.T + shift)
        layer.selected_data = set()  # or colours chosen next would be theirs
        return len(places)

    def recolor(self, prompts: Iterable[Prompt]) -> None:
        """Give the points of each class its colour and name."""
        for prompt in prompts:
            self._colors[prompt.label] = prompt.color or class_color(prompt.label - 1)
            self._names[prompt.label] = class_name(prompt)
        for layer in self._layers.values():
            with self._own_changes():
                set_names(layer, self._names)
                restyle(layer, self._color)

    def report_changes(self) -> None:
        """Emit `changed` for each class whose points changed since the last time."""
        old, self._places = self._places, self.places()
        changed = set()
        for source in {*old, *self._places}:
            before, now = old.get(source, {}), self._places.get(source, {})
            labels = {*before, *now}
            changed |= {n for n in labels if before.get(n) != now.get(n)}
        for label in sorted(changed):
            self.changed.emit(label)

    def detach(self) -> None:
        """Stop listening to the viewer; the points stay."""
        self.stop()
        for links in self._viewer_links:
            links.clear()
        for source in list(self._layers):
            self._let_go(source)
        self._throttler.cancel()
        self._image = self._view = None

    # --- layers

    def _require_layer(self) -> Any:
        """Points layer of the current image, made if there is none."""
        if self._image is None:
            raise GemError(
                "There is no image layer. Open an image to add examples on it."
            )
        layer = self.layer
        return self._add_layer(self._image) if layer is None else layer

    def _add_layer(self, image: Any) -> Any:
        layer = make_layer(image)
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active
        return layer

    def _set_next(self, layer: Any, prompt: Prompt, positive: bool) -> None:
        if prompt.color is not None:
            self._colors[prompt.label] = prompt.color
        set_next(layer, prompt, positive, self._color(prompt.label))

    def _color(self, label: int) -> Color:
        return self._colors.get(label) or class_color(max(0, label - 1))

    def _slice_of(self, labels: Any, view: LayerImage) -> tuple[Any, ...]:
        """Index of the slice of a labels layer where the shown plane lies."""
        center = np.zeros(labels.ndim)
        for axis, number in view.position.items():
            center[axis] = (number + 0.5) * view.factors[axis] - 0.5
        matrix, shift = between(self._image, labels)
        index: list[Any] = [slice(None)] * labels.ndim
        for axis in range(labels.ndim):
            if axis not in view.geometry.displayed:
                number = round(float(matrix[axis] @ center + shift[axis]))
                index[axis] = min(max(number, 0), labels.data.shape[axis] - 1)
        return tuple(index)

    def _to_image(self, layer: Any, points: NDArray[Any]) -> NDArray[np.float64]:
        """Turn points of a layer to pixels of the image."""
        matrix, shift = between(layer, self._image)
        return points @ matrix.T + shift

    def _adopt(self, layer: Any) -> None:
        """Listen to a layer if it has the examples of an image."""
        source = source_of(layer)
        if source is None or source in self._layers:
            return
        self._layers[source] = layer
        events = layer.events
        image_links = Links(self._on_moved, self)
        for image in self._viewer.layers:
            if id_of(image) == source:
                image_links.connect(getattr(image.events, name) for name in TRANSFORM)
        # set_data is emitted while points are dragged
        point_events = [events.data, events.set_data, events.features]
        self._links[source] = [
            Links(self._on_points, self, point_events),
            Links(self._on_mode, self, [events.mode, events.feature_defaults]),
            image_links,
        ]
        with self._own_changes():
            restyle(layer, self._color)
        self._throttler.throttle()

    def _let_go(self, source: str) -> None:
        for links in self._links.pop(source):
            links.clear()
        del self._layers[source]

    # --- slots

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _on_removed(self, event: Any) -> None:
        for source, layer in list(self._layers.items()):
            if event.value == layer:
                self._let_go(source)
                self._throttler.throttle()
        if self._image is not None and event.value == self._image:
            self.set_image(None, None)
        self._on_mode()

    def _on_moved(self, _event: Any = None) -> None:
        """Lay points on their image where it is now."""
        for image in self._viewer.layers:
            layer = self._layers.get(id_of(image))
            if layer is not None:
                set_transform(layer, {name: getattr(image, name) for name in TRANSFORM})

    def _on_points(self, _event: Any = None) -> None:
        if self._changing_layers:
            return
        with self._own_changes():
            for layer in self._layers.values():
                restyle(layer, self._color)
        self._throttler.throttle()

    def _on_mode(self, _event: Any = None) -> None:
        if self.adding != self._last_adding:
            self._last_adding = self.adding
            self.adding_changed.emit(self._last_adding)

    @contextmanager
    def _own_changes(self) -> Iterator[None]:
        """Ignore events of the layers that are changed meanwhile."""
        before, self._changing_layers = self._changing_layers, True
        try:
            yield
        finally:
            self._changing_layers = before
