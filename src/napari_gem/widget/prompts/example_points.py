"""Examples of classes as points in the viewer, one Points layer an image."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from qtpy.QtCore import QObject, Signal
from superqt.utils import QSignalThrottler

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import feature_text, without_tags
from napari_gem.core.prompts import Example
from napari_gem.layers import KEY, is_result
from napari_gem.layers.transform import TRANSFORM
from napari_gem.scoring.examples import spread_pixels
from napari_gem.widget.parts.links import Links

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_gem.core.prompts import Prompt
    from napari_gem.layers import LayerImage

    Color = tuple[float, float, float]
    State = Mapping[int, tuple[tuple[float, ...], ...]]
    Places = dict[str, State]

ROLE = "examples"
COLUMNS = ("label", "class", "positive")
SYMBOLS = {True: "disc", False: "x"}
WAIT = 80
"""Milliseconds between two `ExamplePoints.changed` while points are dragged."""
SCREEN_SIZE = (12, 24)
"""Pixels of the screen that a point takes at least and at most."""


class ExamplePoints(QObject):
    """Keeps a Points layer with the examples of all classes for each image.

    The layer's features tell the class of each point; colours and symbols follow them.
    Points and layers that the user made are never touched.

    Parameters
    ----------
    viewer
        Where the points are.
    parent
        Qt parent.
    """

    changed = Signal(int)
    """Label of a class whose examples changed; while points move, now and then."""

    adding_changed = Signal(int)
    """Label of the class that a click now adds an example to; 0: clicks add none."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Any = None
        self._view: LayerImage | None = None
        self._layers: dict[str, Any] = {}
        self._links: dict[str, list[Links]] = {}
        self._states: dict[str, State] = {}
        self._colors: dict[int, Color] = {}
        self._names: dict[int, str] = {}
        self._told = 0
        self._before: Any = None
        self._busy = False
        self._throttler = QSignalThrottler(
            QSignalThrottler.EmissionPolicy.Trailing, self
        )
        self._throttler.setTimeout(WAIT)
        self._throttler.triggered.connect(self.report_changes)
        events = viewer.layers.events
        self._viewer_links = [
            self._link(self._on_inserted, events.inserted),
            self._link(self._on_removed, events.removed),
            self._link(self._on_mode, viewer.layers.selection.events.active),
        ]
        for layer in list(viewer.layers):
            self._adopt(layer)

    @property
    def layer(self) -> Any:
        """Points layer of the current image; None if there is none."""
        return None if self._image is None else self._layers.get(_id(self._image))

    @property
    def adding(self) -> int:
        """Label of the class that a click adds an example to; 0: clicks add none."""
        layer = self.layer
        active = self._viewer.layers.selection.active
        if layer is None or active is None or active != layer or layer.mode != "add":
            return 0
        labels = layer.feature_defaults.get("label")
        return 0 if labels is None else _number(labels.iloc[0])

    def set_image(self, layer: Any, view: LayerImage | None) -> None:
        """Say which image the examples are of, and which plane of it is shown.

        To be called when another image, slice, level or channel axis is chosen.

        Parameters
        ----------
        layer
            The image layer, the first one of several; None for no image.
        view
            From `napari_gem.layers.read_layers`; None for no image.
        """
        if self._image is not None and (layer is None or layer != self._image):
            self.stop()
        self._image = layer if view is not None else None
        self._view = view
        self._on_mode()

    def start(self, prompt: Prompt, positive: bool = True) -> None:
        """Let clicks on the image add examples to a class.

        Parameters
        ----------
        prompt
            The class; its label is 1 or more.
        positive
            False: a place that looks like the class but is none.

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
        layer = self._make()
        self._choose(layer, prompt, positive)
        active = self._viewer.layers.selection.active
        if active is None or active != layer:
            self._before = active
            self._viewer.layers.selection.active = layer
        if not layer.visible:
            layer.visible = True
        layer.mode = "add"
        self._on_mode()

    def stop(self) -> None:
        """Let clicks do what they did before `start`."""
        layer, before, self._before = self.layer, self._before, None
        if layer is None:
            return
        was_adding = self.adding
        if layer.mode == "add":
            layer.mode = "pan_zoom"
        if was_adding and before is not None and before in self._viewer.layers:
            self._viewer.layers.selection.active = before
        self._on_mode()

    def examples(self, label: int) -> tuple[Example, ...]:
        """Examples of a class on the plane of the current image that is shown.

        Returns
        -------
        tuple[Example, ...]
            Points in pixels of the plane, as it is segmented: rows run down the screen
            and columns to the right. They may lie outside of the image.
        """
        layer, view = self.layer, self._view
        if layer is None or view is None:
            return ()
        labels, positive = _classes(layer)
        chosen = np.flatnonzero(labels == label)
        places = self._in_image(layer, np.asarray(layer.data)[chosen])
        pixels, shown = _on_plane(places, view)
        down, right = view.geometry.displayed
        return tuple(
            Example((float(pixel[down]), float(pixel[right])), positive=bool(sign))
            for pixel, sign in zip(pixels[shown], positive[chosen][shown], strict=True)
        )

    def places(self) -> Places:
        """Tell the points of all images, to be compared and shown again.

        Returns
        -------
        dict[str, dict[int, tuple]]
            For each image, by its id, and each label: sign and place of each point, in
            pixels of the points layer.
        """
        return {source: _state(layer) for source, layer in self._layers.items()}

    def show(self, places: Mapping[str, State], labels: Collection[int]) -> None:
        """Show the points of these classes, and no others of any class.

        Points that stay are left as they are; a layer that is missing is made anew if
        its image is there.

        Parameters
        ----------
        places
            As `places` told them.
        labels
            Classes that there are.
        """
        if self.adding and self.adding not in labels:
            self.stop()
        for source in {*self._layers, *places}:
            wanted = {
                label: points
                for label, points in places.get(source, {}).items()
                if label in labels
            }
            image = next((x for x in self._viewer.layers if _id(x) == source), None)
            if source not in self._layers and (image is None or not wanted):
                continue
            if source not in self._layers:
                self._new(image)
            with self._changing():
                self._set_points(self._layers[source], wanted)
            self._restyle(self._layers[source])
            self._states[source] = _state(self._layers[source])
        self._on_mode()

    def with_examples(
        self, places: Mapping[str, State], prompts: Iterable[Prompt]
    ) -> Places:
        """Put the examples of classes on the plane that is shown.

        Parameters
        ----------
        places
            As `places` told them; other planes and images stay.
        prompts
            Classes whose examples with a point take the place of those on the plane.
        """
        image, view = self._image, self._view
        if image is None or view is None:
            return dict(places)
        layer = image if self.layer is None else self.layer
        there = dict(places.get(_id(image), {}))
        start = np.zeros(len(view.factors))
        for axis, number in view.position.items():
            start[axis] = number
        for prompt in prompts:
            points = np.array(there.get(prompt.label, ())).reshape(-1, 1 + len(start))
            _, shown = _on_plane(self._in_image(layer, points[:, 1:]), view)
            kept = [tuple(map(float, point)) for point in points[~shown]]
            matrix, shift = _between(image, layer)
            for example in prompt.examples:
                if example.point is None:
                    continue
                pixel = start.copy()
                pixel[list(view.geometry.displayed)] = example.point
                place = (pixel + 0.5) * np.asarray(view.factors) - 0.5
                place = matrix @ place + shift
                kept.append((float(example.positive), *map(float, place)))
            there[prompt.label] = tuple(kept)
        return {**places, _id(image): {k: v for k, v in there.items() if v}}

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
        prompt
            The class that gets the examples.
        value
            What was painted; None: the label of the class.
        positive
            As in `start`.
        most
            Examples to add at most.

        Returns
        -------
        int
            How many were added.

        Raises
        ------
        GemError
            If there is no image, the layer does not fit it, or nothing is painted.
        """
        layer, view = self._make(), self._view
        if (
            view is None
            or not hasattr(labels, "selected_label")
            or labels.multiscale
            or labels.ndim != layer.ndim
        ):
            raise GemError(
                f"'{labels.name}' came; expected a labels layer of one resolution with "
                "as many axes as the image. Paint in another layer."
            )
        value = prompt.label if value is None else value
        middle = np.zeros(layer.ndim)
        for axis, number in view.position.items():
            middle[axis] = (number + 0.5) * view.factors[axis] - 0.5
        matrix, shift = _between(self._image, labels)
        index: list[Any] = [slice(None)] * layer.ndim
        hidden = [a for a in range(layer.ndim) if a not in view.geometry.displayed]
        for axis in hidden:
            at = round(float(matrix[axis] @ middle + shift[axis]))
            index[axis] = min(max(at, 0), labels.data.shape[axis] - 1)
        pixels = spread_pixels(np.asarray(labels.data[tuple(index)]) == value, most)
        if not len(pixels):
            raise GemError(
                f"Nothing is painted with label {value} in '{labels.name}' here. Paint "
                "a patch, or choose the layer that you painted in."
            )
        places = np.empty((len(pixels), layer.ndim))
        places[:, hidden] = [index[axis] for axis in hidden]
        places[:, sorted(view.geometry.displayed)] = pixels
        matrix, shift = _between(labels, layer)
        self._choose(layer, prompt, positive)
        layer.add(places @ matrix.T + shift)
        layer.selected_data = set()  # or colours chosen next would be theirs
        return len(places)

    def recolor(self, prompts: Iterable[Prompt]) -> None:
        """Give the points of each class its colour and name."""
        for prompt in prompts:
            self._colors[prompt.label] = prompt.color or class_color(prompt.label - 1)
            self._names[prompt.label] = _name(prompt)
        for layer in self._layers.values():
            with self._changing():
                features = layer.features.copy()
                labels, _ = _classes(layer)
                old = list(features.get("class", [""] * len(labels)))
                features["class"] = [
                    self._names.get(int(label), name)
                    for label, name in zip(labels, old, strict=True)
                ]
                if list(features["class"]) != old:
                    layer.features = features
            self._restyle(layer)

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

    def _make(self) -> Any:
        if self._image is None:
            raise GemError(
                "There is no image layer. Open an image to add examples on it."
            )
        layer = self.layer
        return self._new(self._image) if layer is None else layer

    def _new(self, image: Any) -> Any:
        """Add a layer for the examples of an image."""
        height, width = (image.extent.data[1] - image.extent.data[0])[-2:]
        layer = Points(
            np.empty((0, len(image.scale))),
            ndim=len(image.scale),
            name=without_tags(f"examples · {image.name}"),
            features=_table(0),
            feature_defaults={"label": 0, "class": "", "positive": True},
            size=max(3.0, float(max(height, width)) / 80),
            canvas_size_limits=SCREEN_SIZE,
            symbol=SYMBOLS[True],
            **{name: getattr(image, name) for name in TRANSFORM},
        )
        told = {"role": ROLE, "source": _id(image), "layer": str(layer.unique_id)}
        layer.metadata = {KEY: told}
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active
        return layer

    def _set_points(self, layer: Any, wanted: State) -> None:
        """Remove and add points until the layer has these and no others."""
        missing = {label: list(points) for label, points in wanted.items()}
        surplus = []
        rows = zip(*_classes(layer), np.asarray(layer.data), strict=True)
        for row, (label, sign, point) in enumerate(rows):
            place = (float(sign), *map(float, point))
            if place in missing.get(int(label), ()):
                missing[int(label)].remove(place)
            elif label:
                surplus.append(row)
        layer.remove(surplus)
        if not any(missing.values()):
            return
        self._complete(layer)
        chosen = layer.feature_defaults
        for label, points in missing.items():
            for positive in (True, False):
                new = [place for sign, *place in points if bool(sign) == positive]
                if new:
                    name = self._names.get(label, "")
                    layer.feature_defaults = _defaults(layer, label, name, positive)
                    layer.add(np.array(new))
        layer.selected_data = set()
        layer.feature_defaults = chosen

    def _complete(self, layer: Any) -> None:
        """Give a layer the columns that the user took from it."""
        layer.selected_data = set()  # what is chosen next would be theirs, too
        missing = set(COLUMNS) - set(layer.features)
        if missing:
            empty = _table(len(layer.data))
            layer.features = layer.features.assign(**{n: empty[n] for n in missing})

    def _choose(self, layer: Any, prompt: Prompt, positive: bool) -> None:
        """Make the next point one of this class."""
        if prompt.color is not None:
            self._colors[prompt.label] = prompt.color
        self._complete(layer)
        layer.feature_defaults = {
            "label": prompt.label,
            "class": _name(prompt),
            "positive": positive,
        }
        # the border too: it covers most of a small symbol
        layer.current_face_color = self._color(prompt.label)
        layer.current_border_color = self._color(prompt.label)
        layer.current_symbol = SYMBOLS[positive]

    def _color(self, label: int) -> Color:
        return self._colors.get(label) or class_color(max(0, label - 1))

    def _adopt(self, layer: Any) -> None:
        entry = layer.metadata.get(KEY)
        if (
            not isinstance(layer, Points)
            or not is_result(layer)
            or entry.get("role") != ROLE
            or entry.get("source") in self._layers
        ):
            return
        source = str(entry["source"])
        self._layers[source] = layer
        events = layer.events
        moved = self._link(self._on_moved)
        for image in self._viewer.layers:
            if _id(image) == source:
                moved.connect(getattr(image.events, name) for name in TRANSFORM)
        self._links[source] = [
            # set_data comes while points are dragged
            self._link(self._on_points, events.data, events.set_data, events.features),
            self._link(self._on_mode, events.mode, events.feature_defaults),
            moved,
        ]
        self._restyle(layer)
        self._throttler.throttle()

    def _let_go(self, source: str) -> None:
        for links in self._links.pop(source):
            links.clear()
        del self._layers[source]

    def _link(self, slot: Callable[..., None], *emitters: Any) -> Links:
        links = Links(slot, self)
        links.connect(emitters)
        return links

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
            layer = self._layers.get(_id(image))
            if layer is None:
                continue
            for name in TRANSFORM:
                new = getattr(image, name)
                if not np.array_equal(
                    np.asarray(getattr(layer, name)), np.asarray(new)
                ):
                    setattr(layer, name, new)

    # --- points

    def _on_points(self, _event: Any = None) -> None:
        if self._busy:
            return
        for layer in self._layers.values():
            self._restyle(layer)
        self._throttler.throttle()

    def _restyle(self, layer: Any) -> None:
        """Let colours and symbols follow the features; what is right stays."""
        labels, positive = _classes(layer)
        count = len(layer.data)
        styles = layer.symbol, layer.face_color, layer.border_color
        if not count or any(len(style) != count for style in styles):
            return
        with self._changing():
            symbols = [SYMBOLS[bool(sign)] for sign in positive]
            if [str(symbol) for symbol in layer.symbol] != symbols:
                layer.symbol = symbols
            colors = np.array([(*self._color(int(label)), 1.0) for label in labels])
            for name in ("face_color", "border_color"):
                if not np.allclose(getattr(layer, name), colors, atol=1e-3):
                    with layer.block_update_properties():
                        chosen = getattr(layer, f"current_{name}")
                        setattr(layer, name, colors)
                        setattr(layer, f"current_{name}", chosen)

    def report_changes(self) -> None:
        """Tell which classes have other examples than they were last told to have."""
        now = self.places()
        before, self._states = self._states, now
        different = set()
        for source in {*before, *now}:
            old, new = before.get(source, {}), now.get(source, {})
            different |= {
                label for label in {*old, *new} if old.get(label) != new.get(label)
            }
        for label in sorted(different):
            self.changed.emit(label)

    def _in_image(self, layer: Any, points: NDArray[Any]) -> NDArray[np.float64]:
        """Turn points of our layer to pixels of the image, wherever both lie."""
        matrix, shift = _between(layer, self._image)
        return points @ matrix.T + shift

    def _on_mode(self, _event: Any = None) -> None:
        if self.adding != self._told:
            self._told = self.adding
            self.adding_changed.emit(self._told)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hear nothing of what changes meanwhile: it is our own doing."""
        busy, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = busy


def _id(layer: Any) -> str:
    return str(layer.unique_id)


def _name(prompt: Prompt) -> str:
    return feature_text(prompt.title or (prompt.words[0] if prompt.words else ""))


def _table(count: int) -> dict[str, NDArray[Any]]:
    """Features of points that belong to no class."""
    columns = np.zeros(count, int), np.full(count, "", object), np.ones(count, bool)
    return dict(zip(COLUMNS, columns, strict=True))


def _number(value: Any) -> int:
    """Read a label that the user may have edited; 0 for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _classes(layer: Any) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Label and sign of each point."""
    features, count = layer.features, len(layer.data)
    labels = [_number(v) for v in features.get("label", [0] * count)]
    positive = [
        v is not False and v != 0 for v in features.get("positive", [1] * count)
    ]
    return np.array(labels, int), np.array(positive, bool)


def _state(layer: Any) -> State:
    """Points of each class, each with its sign, to be compared."""
    found = defaultdict(list)
    for label, sign, point in zip(
        *_classes(layer), np.asarray(layer.data), strict=True
    ):
        found[int(label)].append((float(sign), *map(float, point)))
    return {label: tuple(points) for label, points in found.items() if label}


def _defaults(layer: Any, label: int, name: str, positive: bool) -> dict[str, Any]:
    """Features of the next point; columns that are not ours stay as they are."""
    own = {"label": label, "class": name, "positive": positive}
    others = {name: value.iloc[0] for name, value in layer.feature_defaults.items()}
    return {**others, **own}


def _on_plane(
    places: NDArray[np.float64], view: LayerImage
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Pixels of the plane that is segmented, and which points lie on it."""
    pixels = (places + 0.5) / np.asarray(view.factors) - 0.5
    shown = np.ones(len(pixels), bool)
    for axis, number in view.position.items():
        shown &= np.round(pixels[:, axis]) == number
    return pixels, shown


def _between(start: Any, end: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and shift from the pixels of one layer to those of another."""
    origin = np.zeros(len(start.scale))

    def carry(point: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(end.world_to_data(start.data_to_world(point)), np.float64)

    shift = carry(origin)
    columns = [carry(unit) - shift for unit in np.eye(len(origin))]
    return np.stack(columns, axis=-1), shift
