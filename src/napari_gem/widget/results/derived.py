"""Instances, uncertainty, peaks, boxes and tables of a result, into the viewer."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from napari.layers import Layer
from napari.utils.colormaps import label_colormap
from qtpy.QtCore import QObject, QTimer, Signal

from napari_gem.core.errors import GemError
from napari_gem.layers import KEY, is_result
from napari_gem.layers.derived import (
    ExtraOptions,
    instance_table,
    make_extra,
    maps_of,
    read_source,
)
from napari_gem.layers.levels.on_disk import Painted
from napari_gem.layers.transform import transform_of
from napari_gem.layers.writing.large import paint_copy
from napari_gem.layers.writing.merge import MERGED, merged_layer
from napari_gem.results.table import write_table
from napari_gem.results.temporary import ResultFolder, ResultFolders
from napari_gem.widget.parts.job import BackgroundJob
from napari_gem.widget.parts.links import Links

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_gem.layers.derived import ExtraKind, ExtraLayer
    from napari_gem.layers.writing.merge import MergePolicy

LOOK = 400
"""Milliseconds without a change of labels until what is made of them is checked."""

BUSY = "Something is being made of a result already. Wait until it is done."
NO_RESULT = "There is no result to merge. Run first."
NO_LABELS = (
    "There are no labels. Run first, or choose a labels layer in the layer list."
)


@dataclass(frozen=True, eq=False)
class _Written:
    """A layer as we left it, to see whether somebody changed it since."""

    data: list[Any]
    features: dict[str, list[str]]

    @classmethod
    def of(cls, layer: Any) -> _Written:
        data = layer.data if isinstance(layer.data, list) else [layer.data]
        return cls([np.array(part) for part in data], _as_text(layer))

    def fits(self, layer: Any) -> bool:
        data = layer.data if isinstance(layer.data, list) else [layer.data]
        return (
            len(data) == len(self.data)
            and all(map(np.array_equal, data, self.data))
            and _as_text(layer) == self.features
        )


@dataclass(frozen=True, eq=False)
class _Basis:
    """Labels and maps as they were when something was made of them.

    Attributes
    ----------
    labels
        The layer.
    digest
        Of its data; on disk, how often they were changed.
    recipes
        How its maps were made.
    """

    labels: ref[Any]
    digest: int
    recipes: list[Any]

    @classmethod
    def of(cls, labels: Any, layers: Any) -> _Basis:
        recipes = [x.metadata[KEY].get("recipe") for x in maps_of(labels, layers)]
        if isinstance(labels.data, Painted):  # reading it takes seconds
            return cls(ref(labels), labels.data.changes, recipes)
        data = np.ascontiguousarray(labels.data)
        return cls(ref(labels), zlib.crc32(data.data), recipes)

    def fits(self, layers: Any) -> bool:
        labels: Any = self.labels()
        if labels is None or labels not in layers:
            return True  # it is not known any more, nor can it be made again
        now = _Basis.of(labels, layers)
        return (now.digest, now.recipes) == (self.digest, self.recipes)


class Extras(QObject):
    """Makes something of the labels and maps of a result, one thing at a time.

    Parameters
    ----------
    viewer
        Where layers are added; of its layers only those are changed that this object
        made and that nobody changed since.
    parent
        When it goes, what is being made is dropped.
    features
        As of `ResultFolders`.
    """

    message_sent = Signal(str, str)
    """``info`` or ``error``, and a sentence for the user."""
    busy_changed = Signal(bool)
    table_made = Signal(object)
    """Columns by name, see `napari_gem.layers.derived.instance_table`."""
    instances_made = Signal(object)
    """The layer, if its table is to be shown."""
    stale_changed = Signal(object)
    """Names of the layers that were made from earlier labels or maps."""

    def __init__(
        self, viewer: ViewerModel, parent: QObject | None = None, features: str = ""
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._folders = ResultFolders(features)
        self._written: WeakKeyDictionary[Any, _Written] = WeakKeyDictionary()
        self._basis: WeakKeyDictionary[Any, _Basis] = WeakKeyDictionary()
        self._links = Links(self.look, self)
        self._stale: list[str] = []
        self._job = BackgroundJob(self)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(partial(self.message_sent.emit, "error"))
        self._closed = False
        self._look = QTimer(self)  # not after each stroke of a brush
        self._look.setSingleShot(True)
        self._look.setInterval(LOOK)
        self._look.timeout.connect(self.find_stale)

    @property
    def busy(self) -> bool:
        """Whether something is being made."""
        return self._job.busy

    def make(
        self,
        labels: Any,
        kind: ExtraKind,
        options: ExtraOptions | None = None,
        *,
        table: bool = False,
    ) -> None:
        """Make a layer of labels as they are now; add it, or update the last one.

        Parameters
        ----------
        labels
            A labels layer of the viewer; None takes `choose_labels`.
        kind
            ``instances``, ``uncertainty``, ``peaks`` or ``boxes``.
        options
            How.
        table
            Whether ``instances_made`` is told.
        """
        options = options or ExtraOptions()

        def start(labels: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
            source = read_source(labels, self._viewer.layers)
            basis = _Basis.of(labels, self._viewer.layers)

            def work() -> tuple[ExtraLayer, Any]:
                extra = make_extra(source, kind, options)
                # thousands of boxes take napari a second, so not on the main thread
                return extra, Layer.create(*extra)

            def show(made: tuple[ExtraLayer, Any]) -> None:
                layer = self._show(made[0], made[1], labels)
                if layer is not None:
                    self._note(layer, labels, basis)
                    if table:
                        self.instances_made.emit(layer)

            return work, show

        self._start(labels, start)

    def make_table(
        self,
        labels: Any,
        options: ExtraOptions | None = None,
        path: Path | str | None = None,
    ) -> None:
        """Measure the instances of labels; write them to a CSV file if one is named.

        Parameters
        ----------
        labels
            A labels layer of the viewer; None takes `choose_labels`.
        options
            How instances are found.
        path
            Of the file; None only emits ``table_made``.
        """
        options = options or ExtraOptions()

        def start(labels: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
            source = read_source(labels, self._viewer.layers)

            def work() -> Any:
                table = instance_table(source, options)
                if path is not None:
                    write_table(table, path)
                return table

            return work, lambda table: self._tell_table(table, path)

        self._start(labels, start)

    def merge(self, target: Any, policy: MergePolicy = "fill") -> None:
        """Add a copy of a labels layer with the labels of a result merged in.

        Parameters
        ----------
        target
            A labels layer; neither it nor the result is changed.
        policy
            ``fill`` writes where the target is 0, ``replace`` also elsewhere.
        """

        def start(labels: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
            def work() -> Layer:
                return Layer.create(*merged_layer(labels, target, policy))

            def show(layer: Layer) -> None:
                self._viewer.add_layer(layer)
                told = f"Added '{layer.name}'; '{target.name}' stays as it was."
                self.message_sent.emit("info", told)

            return work, show

        labels = result_labels(self._viewer)
        if labels is None:
            self.message_sent.emit("error", NO_RESULT)
        else:
            self._start(labels, start)

    def make_paint_copy(self) -> None:
        """Add a copy of large labels that can be painted on."""

        def start(labels: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
            folder = ResultFolder(self._folders.new())

            def work() -> Layer:
                return Layer.create(*paint_copy(labels, folder))

            def show(layer: Layer) -> None:
                self._viewer.add_layer(layer)
                told = (
                    f"Added '{layer.name}'. It lies on disk until napari is closed: "
                    "save it (File, Save Selected Layers) to keep it."
                )
                self.message_sent.emit("info", told)

            return work, show

        self._start(None, start)

    def look(self, _event: Any = None) -> None:
        """Look in a moment for layers that do not fit their labels any more."""
        if not self._closed:
            self._look.start()

    def find_stale(self) -> None:
        """Mark layers that do not fit their labels any more."""
        every = self._viewer.layers
        stale = []
        for layer, basis in list(self._basis.items()):
            if layer not in every:
                continue
            old = not basis.fits(every)
            if bool(layer.metadata[KEY].get("stale")) != old:
                entry = {**layer.metadata[KEY], "stale": old}
                layer.metadata = {**layer.metadata, KEY: entry}
            if old:
                stale.append(str(layer.name))
        if stale != self._stale:
            self._stale = stale
            self.stale_changed.emit(stale)

    def close(self) -> None:
        """Drop what is being made; nothing happens after this."""
        self._closed = True
        self._links.clear()
        self._look.stop()
        self._job.cancel()

    def _start(
        self,
        labels: Any,
        start: Callable[[Any], tuple[Callable[[], Any], Callable[[Any], None]]],
    ) -> None:
        if self._closed:
            return
        if self.busy:
            self.message_sent.emit("error", BUSY)
            return
        labels = choose_labels(self._viewer) if labels is None else labels
        try:
            if labels is None or labels not in self._viewer.layers:
                raise GemError(NO_LABELS)
            work, use_result = start(labels)
        except GemError as error:
            self.message_sent.emit("error", str(error))
            return
        self.busy_changed.emit(True)
        self._job.call(work, use_result)

    def _on_ended(self) -> None:
        if not self._closed:
            self.busy_changed.emit(False)

    def _note(self, layer: Any, labels: Any, basis: _Basis) -> None:
        """Note what a layer was made from, and listen for changes of that."""
        self._basis[layer] = basis
        self._links.connect([labels.events.data, labels.events.paint])
        self.find_stale()

    def _show(self, extra: ExtraLayer, new: Any, labels: Any) -> Any | None:
        if labels not in self._viewer.layers:
            self.message_sent.emit(
                "info", "The labels were removed, so nothing was made."
            )
            return None
        # where the labels are now, if they were moved meanwhile
        placed = extra._replace(kwargs={**extra.kwargs, **transform_of(labels)})
        layer = self._find(placed)
        if layer is None:
            _place(new, placed.kwargs)
            _sign(new)  # before it is added: a layer of the user would be chosen
            self._viewer.add_layer(new)  # what it returns is a proxy in a plugin
            layer = new
            done = "Added"
        else:
            _update(layer, placed)
            _sign(layer)
            done = "Updated"
        self._written[layer] = _Written.of(layer)
        self.message_sent.emit("info", f"{done} '{layer.name}'{_count(placed)}.")
        return layer

    def _find(self, extra: ExtraLayer) -> Any:
        wanted = extra.kwargs["metadata"][KEY]
        for layer in reversed(self._viewer.layers):
            written = self._written.get(layer)
            if written is None or not is_result(layer):
                continue
            entry = layer.metadata[KEY]
            if all(entry.get(key) == wanted[key] for key in ("role", "of")):
                return layer if written.fits(layer) else None
        return None

    def _tell_table(self, table: dict[str, Any], path: Path | str | None) -> None:
        self.table_made.emit(table)
        if path is not None:
            count = len(table["instance"])
            self.message_sent.emit(
                "info", f"{count} instances were written to '{path}'."
            )


def choose_labels(viewer: ViewerModel) -> Any:
    """Choose the labels that something is made of.

    The selected labels layer, unless we made it of other labels; else the uppermost
    labels of a result; None if there are none.
    """
    active = _active(viewer)
    own = ("labels", MERGED, None)
    if active is not None and _is_labels(active) and _role(active) in own:
        return active
    return result_labels(viewer)


def result_labels(viewer: ViewerModel) -> Any:
    """Labels of a result: the selected ones, else the uppermost; None without any."""
    for layer in (_active(viewer), *reversed(viewer.layers)):
        if layer is not None and _is_labels(layer) and _role(layer) == "labels":
            return layer
    return None


def merge_targets(viewer: ViewerModel) -> list[Any]:
    """List the labels layers into a copy of which a result can be merged."""
    ours = result_labels(viewer)
    return [
        layer
        for layer in reversed(viewer.layers)
        if ours is not None
        and layer is not ours
        and _is_labels(layer)
        and not layer.multiscale
        and tuple(layer.data.shape) == tuple(ours.data.shape)
    ]


def _active(viewer: ViewerModel) -> Any:
    """Find the selected layer itself.

    napari gives plugins a proxy of it, which is gone at once: nothing can be noted of
    that, and it is none of the layers by ``is``.
    """
    active = viewer.layers.selection.active
    return next((layer for layer in viewer.layers if layer == active), None)


def _role(layer: Any) -> Any:
    entry = layer.metadata.get(KEY)
    return entry.get("role") if isinstance(entry, dict) else None


def _is_labels(layer: Any) -> bool:
    return hasattr(layer, "selected_label")


def _count(extra: ExtraLayer) -> str:
    if extra.kind == "image":
        return ""
    number = len(extra.kwargs["features"]["class"]) - (extra.kind == "labels")
    return f": {number if number else 'none'} found"


def _as_text(layer: Any) -> dict[str, list[str]]:
    features = getattr(layer, "features", {})
    return {str(name): [str(v) for v in features[name]] for name in features}


def _update(layer: Any, extra: ExtraLayer) -> None:
    """Replace what was computed; name, visibility, opacity and so on stay."""
    if extra.kind in ("points", "shapes"):
        layer.selected_data = set()
    if extra.kind == "shapes":
        layer.data = [(each, "rectangle") for each in extra.data]
    else:
        layer.data = extra.data
    _place(layer, extra.kwargs)
    _color(layer, extra)
    layer.metadata = {**layer.metadata, **extra.kwargs["metadata"]}


def _sign(layer: Any) -> None:
    """Mark a layer as ours."""
    entry = layer.metadata[KEY]
    layer.metadata[KEY] = {**entry, "layer": str(layer.unique_id)}


def _place(layer: Any, kwargs: dict[str, Any]) -> None:
    for name in ("scale", "translate", "rotate", "shear", "affine"):
        if not np.array_equal(np.asarray(getattr(layer, name)), kwargs[name]):
            setattr(layer, name, kwargs[name])
    for name in ("units", "axis_labels"):
        if tuple(getattr(layer, name)) != kwargs[name]:
            setattr(layer, name, kwargs[name])


def _color(layer: Any, extra: ExtraLayer) -> None:
    kwargs = extra.kwargs
    if extra.kind != "image":
        layer.features = kwargs["features"]
    if extra.kind == "labels":
        colors = kwargs.get("colormap")
        layer.colormap = label_colormap() if colors is None else colors
    elif len(extra.data):
        for name in ("face_color", "edge_color", "edge_width"):
            if name in kwargs:
                setattr(layer, name, kwargs[name])
