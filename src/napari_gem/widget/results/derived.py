"""Instances, uncertainty, peaks, boxes and tables of a result, into the viewer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.layers import Layer
from napari.utils.colormaps import label_colormap
from qtpy.QtCore import QObject, QTimer, Signal

from napari_gem.core.errors import GemError
from napari_gem.layers.derived import (
    DerivedOptions,
    derive_layer,
    instance_table,
    maps_of,
    read_labels,
)
from napari_gem.layers.entry import LABELS, MERGED, is_result, read_entry, write_entry
from napari_gem.layers.ledger import Basis, Ledger
from napari_gem.layers.transform import set_transform, transform_of
from napari_gem.layers.writing.large import paint_copy
from napari_gem.layers.writing.merge import merged_layer
from napari_gem.results.table import write_table
from napari_gem.results.temporary import ResultFolder, ResultFolders
from napari_gem.widget.parts.job import BackgroundJob
from napari_gem.widget.parts.links import Links

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_gem.layers import LayerData
    from napari_gem.layers.derived import DerivedKind, LabelsWithMaps
    from napari_gem.layers.maps import ResultMaps
    from napari_gem.layers.writing.merge import MergePolicy

DELAY = 400
"""Milliseconds without a change of labels until what is derived of them is checked."""

BUSY = "Something is being made of a result already. Wait until it is done."
NO_RESULT = "There is no result to merge. Run first."
NO_LABELS = (
    "There are no labels. Run first, or choose a labels layer in the layer list."
)


class DerivedLayers(QObject):
    """Derives layers and tables from the labels and maps of a result, one at a time.

    Parameters
    ----------
    viewer
        Where layers are added; of its layers only those are changed that this object
        made and that nobody changed since.
    parent
        When it goes, what is being made is dropped.
    features
        Folder of the encoded images, see `ResultFolders`.
    maps
        Maps that need no layer.
    """

    message_sent = Signal(str, str)
    """``info`` or ``error``, and a sentence for the user."""
    busy_changed = Signal(bool)
    table_created = Signal(object)
    """Columns by name, see `napari_gem.layers.derived.instance_table`."""
    instances_created = Signal(object)
    """The layer, if its table is to be shown."""
    stale_changed = Signal(object)
    """Names of the layers that were made from earlier labels or maps."""

    def __init__(
        self,
        viewer: ViewerModel,
        parent: QObject | None = None,
        features: str = "",
        maps: ResultMaps | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._maps = maps
        self._folders = ResultFolders(features)
        self._ledger = Ledger()
        self._bases: WeakKeyDictionary[Any, Basis] = WeakKeyDictionary()
        self._links = Links(self.check_soon, self)
        self._stale: list[str] = []
        self._closed = False
        self._job = BackgroundJob(self)
        self._job.failed.connect(partial(self.message_sent.emit, "error"))
        self._job.ended.connect(self._on_ended)
        self._timer = QTimer(self)  # not after each stroke of a brush
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY)
        self._timer.timeout.connect(self.find_stale)

    @property
    def busy(self) -> bool:
        """Whether something is being made."""
        return self._job.busy

    def make(
        self,
        labels: Any,
        kind: DerivedKind,
        options: DerivedOptions | None = None,
        *,
        table: bool = False,
    ) -> None:
        """Derive a layer from labels as they are now; add it, or update the last one.

        Parameters
        ----------
        labels
            A labels layer of the viewer; None takes `choose_labels`.
        kind
            ``instances``, ``uncertainty``, ``peaks`` or ``boxes``.
        options
            How.
        table
            Whether ``instances_created`` is emitted.
        """
        options = options or DerivedOptions()
        labels = self._check(labels)
        result = self._read(labels)
        if result is None:
            return
        basis = self._basis(labels)

        def work() -> tuple[LayerData, Any]:
            derived = derive_layer(result, kind, options)
            # thousands of boxes take napari a second, so not on the main thread
            return derived, Layer.create(*derived.as_tuple())

        def show(result_layer: tuple[LayerData, Any]) -> None:
            layer = self._show(*result_layer, labels)
            if layer is None:
                return
            self._bases[layer] = basis
            self._links.connect([labels.events.data, labels.events.paint])
            self.find_stale()
            if table:
                self.instances_created.emit(layer)

        self._start(work, show)

    def make_table(
        self,
        labels: Any,
        options: DerivedOptions | None = None,
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
            Of the file; None only emits ``table_created``.
        """
        options = options or DerivedOptions()
        result = self._read(self._check(labels))
        if result is None:
            return

        def work() -> Any:
            table = instance_table(result, options)
            if path is not None:
                write_table(table, path)
            return table

        def show(table: Any) -> None:
            self.table_created.emit(table)
            if path is not None:
                count = len(table["instance"])
                sentence = f"{count} instances were written to '{path}'."
                self.message_sent.emit("info", sentence)

        self._start(work, show)

    def merge(self, target: Any, policy: MergePolicy = "fill") -> None:
        """Add a copy of a labels layer with the labels of a result merged in.

        Parameters
        ----------
        target
            A labels layer; neither it nor the result is changed.
        policy
            ``fill`` writes where the target is 0, ``replace`` also elsewhere.
        """
        labels = result_labels(self._viewer)
        if labels is None:
            self.message_sent.emit("error", NO_RESULT)
        elif self._check(labels) is not None:
            self._start_adding(
                lambda: merged_layer(labels, target, policy),
                f"; '{target.name}' stays as it was.",
            )

    def make_paint_copy(self) -> None:
        """Add a copy of large labels that can be painted on."""
        labels = self._check(None)
        if labels is not None:
            folder = ResultFolder(self._folders.new())
            self._start_adding(
                lambda: paint_copy(labels, folder),
                ". It lies on disk until napari is closed: save it (File, Save "
                "Selected Layers) to keep it.",
            )

    def check_soon(self, _event: Any = None) -> None:
        """Look in a moment for layers that do not fit their labels any more."""
        if not self._closed:
            self._timer.start()

    def find_stale(self) -> None:
        """Mark layers that do not fit their labels any more."""
        every = self._viewer.layers
        stale = []
        for layer, basis in list(self._bases.items()):
            if layer not in every:
                continue
            labels = basis.labels()
            # of labels that are gone nothing is known, nor can it be made again
            known = labels is not None and labels in every
            is_stale = known and not basis.is_equal(self._basis(labels))
            entry = read_entry(layer)
            if entry.stale != is_stale:
                write_entry(layer, replace(entry, stale=is_stale))
            if is_stale:
                stale.append(str(layer.name))
        if stale != self._stale:
            self._stale = stale
            self.stale_changed.emit(stale)

    def close(self) -> None:
        """Drop what is being made; nothing happens after this."""
        self._closed = True
        self._links.clear()
        self._timer.stop()
        self._job.cancel()

    def _check(self, labels: Any) -> Any | None:
        """Give the labels, or those that are chosen; None if nothing can begin."""
        if self._closed:
            return None
        if self.busy:
            self.message_sent.emit("error", BUSY)
            return None
        labels = choose_labels(self._viewer) if labels is None else labels
        if labels is None or labels not in self._viewer.layers:
            self.message_sent.emit("error", NO_LABELS)
            return None
        return labels

    def _read(self, labels: Any | None) -> LabelsWithMaps | None:
        if labels is None:
            return None
        try:
            return read_labels(labels, self._viewer.layers, self._maps)
        except GemError as error:
            self.message_sent.emit("error", str(error))
            return None

    def _basis(self, labels: Any) -> Basis:
        return Basis.take(labels, maps_of(labels, self._viewer.layers, self._maps))

    def _start(self, work: Callable[[], Any], show: Callable[[Any], object]) -> None:
        """Work in another thread, then show what came of it in this one."""
        self.busy_changed.emit(True)
        self._job.call(work, show)

    def _on_ended(self) -> None:
        if not self._closed:
            self.busy_changed.emit(False)

    def _start_adding(self, work: Callable[[], LayerData], sentence: str) -> None:
        """Make a layer in another thread, then add it."""

        def show(layer: Layer) -> None:
            self._viewer.add_layer(layer)
            self.message_sent.emit("info", f"Added '{layer.name}'{sentence}")

        self._start(lambda: Layer.create(*work().as_tuple()), show)

    def _show(self, derived: LayerData, new: Any, labels: Any) -> Any | None:
        if labels not in self._viewer.layers:
            self.message_sent.emit(
                "info", "The labels were removed, so nothing was made."
            )
            return None
        layer = self._find(derived)
        if layer is None:
            done, layer = "Added", new
        else:
            done = "Updated"
            _update(layer, derived)
        # where the labels are now, if they were moved meanwhile
        set_transform(layer, transform_of(labels))
        write_entry(layer, replace(derived.entry, layer=str(layer.unique_id)))
        if layer is new:  # signed before: it is not taken for a layer of the user
            self._viewer.add_layer(new)  # what it returns is a proxy in a plugin
        self._ledger.note(layer)
        self.message_sent.emit("info", f"{done} '{layer.name}'{_count(derived)}.")
        return layer

    def _find(self, derived: LayerData) -> Any | None:
        """Find the layer to be updated: the last of this kind, if nobody changed it."""
        wanted = derived.entry.role, derived.entry.derived_from
        for layer in reversed(self._viewer.layers):
            if self._ledger.get(layer) is None or not is_result(layer):
                continue
            entry = read_entry(layer)
            if (entry.role, entry.derived_from) == wanted:
                return None if self._ledger.is_changed(layer) else layer
        return None


def choose_labels(viewer: ViewerModel) -> Any:
    """Choose the labels that something is derived from.

    The selected labels layer, unless we derived it from other labels; else the
    uppermost labels of a result; None if there are none.
    """
    active = _active(viewer)
    if _is_labels(active) and read_entry(active).role in (LABELS, MERGED, ""):
        return active
    return result_labels(viewer)


def result_labels(viewer: ViewerModel) -> Any:
    """Labels of a result: the selected ones, else the uppermost; None without any."""
    for layer in (_active(viewer), *reversed(viewer.layers)):
        if _is_labels(layer) and read_entry(layer).role == LABELS:
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


def _is_labels(layer: Any) -> bool:
    return hasattr(layer, "selected_label")


def _count(derived: LayerData) -> str:
    if derived.kind == "image":
        return ""
    number = len(derived.kwargs["features"]["class"]) - (derived.kind == "labels")
    return f": {number if number else 'none'} found"


def _update(layer: Any, derived: LayerData) -> None:
    """Replace what was computed; name, visibility, opacity and so on stay."""
    kwargs = derived.kwargs
    if derived.kind in ("points", "shapes"):
        layer.selected_data = set()
    if derived.kind == "shapes":
        layer.data = [(each, "rectangle") for each in derived.data]
    else:
        layer.data = derived.data
    if derived.kind != "image":
        layer.features = kwargs["features"]
    if derived.kind == "labels":
        colors = kwargs.get("colormap")
        layer.colormap = label_colormap() if colors is None else colors
    elif len(derived.data):
        for name in ("face_color", "edge_color", "edge_width"):
            if name in kwargs:
                setattr(layer, name, kwargs[name])
