"""Instances, uncertainty, peaks, boxes and tables of a result, into the viewer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Layer
from napari.qt.threading import create_worker
from napari.utils.colormaps import label_colormap
from qtpy.QtCore import QObject, Signal

from napari_gem.export.table import write_table
from napari_gem.layers import KEY, is_result
from napari_gem.layers.extras import (
    ExtraOptions,
    instance_table,
    make_extra,
    read_source,
    transform_of,
)
from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_gem.layers.extras import ExtraKind, ExtraLayer

logger = logging.getLogger(__name__)

BUSY = "Something is being made of a result already. Wait until it is done."
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
class _Outcome:
    """What comes back from the thread: a value, or a sentence for the user."""

    value: Any = None
    error: str = ""


class Extras(QObject):
    """Makes something of the labels and maps of a result, one thing at a time.

    Parameters
    ----------
    viewer
        Where layers are added; of its layers only those are changed that this object
        made and that nobody changed since.
    parent
        When it goes, what is being made is dropped.
    """

    told = Signal(str, str)
    """``info`` or ``error``, and a sentence for the user."""
    busy_changed = Signal(bool)
    table_made = Signal(object)
    """Columns by name, see `napari_gem.layers.extras.instance_table`."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._written: WeakKeyDictionary[Any, _Written] = WeakKeyDictionary()
        self._then: Callable[[Any], None] | None = None
        self._worker: Any = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether something is being made."""
        return self._worker is not None

    def make(
        self, labels: Any, kind: ExtraKind, options: ExtraOptions | None = None
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
        """
        options = options or ExtraOptions()

        def start(labels: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
            source = read_source(labels, self._viewer.layers)

            def work() -> tuple[ExtraLayer, Any]:
                extra = make_extra(source, kind, options)
                # thousands of boxes take napari a second, so not on the main thread
                return extra, Layer.create(*extra)

            return work, lambda made: self._show(made[0], made[1], labels)

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

    def close(self) -> None:
        """Drop what is being made; nothing happens after this."""
        self._closed = True
        self._worker = self._then = None

    def _start(
        self,
        labels: Any,
        start: Callable[[Any], tuple[Callable[[], Any], Callable[[Any], None]]],
    ) -> None:
        if self._closed:
            return
        if self.busy:
            self.told.emit("error", BUSY)
            return
        labels = choose_labels(self._viewer) if labels is None else labels
        try:
            if labels is None or labels not in self._viewer.layers:
                raise GemError(NO_LABELS)
            work, self._then = start(labels)
        except GemError as error:
            self.told.emit("error", str(error))
            return
        self._worker = create_worker(_outcome, work, _start_thread=False)
        self._worker.returned.connect(self._on_returned)
        self.busy_changed.emit(True)
        self._worker.start()

    def _on_returned(self, outcome: _Outcome) -> None:
        then, self._then = self._then, None
        self._worker = None
        if self._closed or then is None:
            return
        self.busy_changed.emit(False)
        if outcome.error:
            self.told.emit("error", outcome.error)
            return
        try:
            then(outcome.value)
        except Exception as error:
            logger.exception("The layer could not be shown")
            self.told.emit("error", f"The layer could not be shown ({error}).")

    def _show(self, extra: ExtraLayer, new: Any, labels: Any) -> None:
        if labels not in self._viewer.layers:
            self.told.emit("info", "The labels were removed, so nothing was made.")
            return
        # where the labels are now, if they were moved meanwhile
        placed = extra._replace(kwargs={**extra.kwargs, **transform_of(labels)})
        layer = self._find(placed)
        if layer is None:
            _place(new, placed.kwargs)
            _sign(new)  # before it is added: a layer of the user would be chosen
            layer = self._viewer.add_layer(new)
            done = "Added"
        else:
            _update(layer, placed)
            _sign(layer)
            done = "Updated"
        self._written[layer] = _Written.of(layer)
        self.told.emit("info", f"{done} '{layer.name}'{_count(placed)}.")

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
            self.told.emit("info", f"{count} instances were written to '{path}'.")


def choose_labels(viewer: ViewerModel) -> Any:
    """Choose the labels that something is made of.

    The selected labels layer, unless we made it of other labels; else the uppermost
    labels of a result; None if there are none.
    """
    active = viewer.layers.selection.active
    if active is not None and _is_labels(active) and _role(active) in ("labels", None):
        return active
    for layer in reversed(viewer.layers):
        if _is_labels(layer) and _role(layer) == "labels":
            return layer
    return None


def _role(layer: Any) -> Any:
    entry = layer.metadata.get(KEY)
    return entry.get("role") if isinstance(entry, dict) else None


def _is_labels(layer: Any) -> bool:
    return hasattr(layer, "selected_label")


def _outcome(work: Callable[[], Any]) -> _Outcome:
    try:
        return _Outcome(work())
    except GemError as error:
        return _Outcome(error=str(error))
    except MemoryError:
        return _Outcome(error="The memory does not suffice. Close other images.")
    except Exception as error:
        logger.exception("An extra of a result failed")
        return _Outcome(error=f"This failed unexpectedly ({error}); see the log.")


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
