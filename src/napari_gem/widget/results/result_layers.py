"""Results into the viewer: what adds and changes result layers."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.layers.transform import TRANSFORM, set_transform
from napari_gem.layers.writing import fill, large, update, written
from napari_gem.widget.results.strokes import forget_strokes
from napari_gem.widget.results.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from napari_gem.layers import LayerData, LayerImage, Policy

logger = logging.getLogger(__name__)

LARGEST_HASH = 1 << 24
"""Bytes of labels that are hashed on the main thread at most (about 30 ms)."""

SWITCH = 0.0005
"""Seconds after which another thread hands Python's lock on while we warm up."""

_WARMING = Lock()
"""Else one viewer would take the other's interval for the usual one."""


def show_results(
    viewer: ViewerModel, image: LayerImage, results: list[LayerData]
) -> None:
    """Show a result once, without undo; `ResultLayers` remembers.

    Parameters
    ----------
    viewer
        The viewer; of its layers only our own earlier results are changed.
    image
        What was segmented.
    results
        From `napari_gem.layers.result_layers`.
    """
    ResultLayers(viewer).show(image, results)


class ResultLayers:
    """Our result layers in a viewer.

    Parameters
    ----------
    viewer
        The viewer; of its layers only our own earlier results are changed.

    Attributes
    ----------
    ledger
        Our labels layers as we left them.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.ledger = written.Ledger()
        self._undo: Undo | None = None
        self._preview_of: object = None
        self._undo_of: object = None

    @property
    def can_undo(self) -> bool:
        """Whether `undo` would do anything."""
        return self._undo is not None

    def painted(self, image: LayerImage, large: bool = False) -> Any | None:
        """Find the labels layer for which the user is to choose a `Policy`.

        Parameters
        ----------
        image, large
            As of `napari_gem.layers.painted_labels`.

        Returns
        -------
        Labels or None
            As `napari_gem.layers.painted_labels`.
        """
        return layers.painted_labels(self.viewer.layers, image, self.ledger, large)

    def show(
        self,
        image: LayerImage,
        results: list[LayerData],
        policy: Policy = "new",
        *,
        live: bool = False,
    ) -> Any | None:
        """Show a result, all of it in one go.

        A run and the live changes that follow it on the same image plane are one step
        for `undo`; so are previews and the full result that follows them.

        Parameters
        ----------
        image
            What was segmented.
        results
            From `napari_gem.layers.result_layers`.
        policy
            What happens to labels that somebody changed.
        live
            Whether this refines the run before.

        Returns
        -------
        Labels or None
            The painted layer that was left as it is, if the policy is ``keep``.
        """
        viewer = self.viewer
        results = layers.color_results(viewer.layers, image, results)
        plan = layers.plan_update(viewer.layers, image, results, policy, self.ledger)
        # made before anything is touched: what is wrong with the data shows up here
        made = [Layer.create(data, kwargs, kind) for data, kwargs, kind in plan.add]
        of = (image.source, image.plane)
        with self.whole():
            if live and self._undo is not None and self._undo_of == of:
                undo = self._undo
            else:
                undo = self.begin(of)
                self._undo_of = of
            self._write(image, results, policy, plan, made, undo)
        if results[-1].kwargs["metadata"][layers.KEY]["step"] == 1:
            self._preview_of = None
        return plan.kept

    def _write(
        self,
        image: LayerImage,
        results: list[LayerData],
        policy: Policy,
        plan: update.Plan,
        made: list[Any],
        undo: Undo,
    ) -> None:
        """Do what is planned."""
        viewer = self.viewer
        for layer in plan.remove:
            undo.remove(layer)
        for layer in plan.hide:
            self.hide(layer, undo)
        for layer, result in plan.update:
            undo.keep(layer, self.ledger.get(layer))
            if update.is_large(result):
                self._update_large(layer, result, image)
                continue
            part = fill.looked_at(result, image)
            if result.kind == "labels":
                self._update_labels(layer, result, part, policy, undo)
            else:
                _update_map(layer, result, part, results[-1].data.shape, undo)
        labels = [layer for layer, result in plan.update if result.kind == "labels"]
        below = labels[0] if labels else plan.kept
        for layer, result in zip(made, plan.add, strict=True):
            undo.add(layer)
            add_ours(viewer, layer, result, below=below)
            if result.kind == "labels":
                self.ledger[layer] = written.note(layer)

    def undo(self) -> str:
        """Bring back what was before the last run.

        Data, features, colours, names and metadata are brought back, added layers are
        removed and removed ones added; visibility and selection stay. Layers that the
        user deleted stay deleted. What the user painted since stays, in a layer of
        its own.

        Returns
        -------
        str
            What happened, for the user.

        Raises
        ------
        GemError
            If there is nothing to undo.
        """
        if self._undo is None:
            raise GemError("There is no run to undo.")
        undo, self._undo, self._preview_of = self._undo, None, None
        return undo.restore(self.ledger)

    def forget(self) -> None:
        """Give up what is kept for `undo`: PySide6 never frees a dock that is closed.

        That are copies of all labels, and maps of up to 2 GiB.
        """
        self._undo = self._preview_of = self._undo_of = None
        self.ledger.clear()

    def begin(self, preview_of: object = None) -> Undo:
        """Begin a step for `undo`, or go on with that of the previews of the same."""
        if self._undo is None or preview_of is None or self._preview_of != preview_of:
            self._undo = Undo(self.viewer)
        self._preview_of = preview_of
        return self._undo

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Take back a step that begins in this context and does not come to its end.

        What listens to the viewer, plugins of others too, may raise at any layer.
        """
        before = self._undo, self._preview_of, self._undo_of
        try:
            yield
        except Exception:
            begun = self._undo
            if begun is not None and begun is not before[0]:
                self._undo, self._preview_of, self._undo_of = before
                try:
                    begun.restore(self.ledger)
                except Exception:  # the first one is told
                    logger.exception("Not all layers could be taken back")
            raise

    def hide(self, layer: Any, undo: Undo) -> None:
        """Hide the map of a class that is off until it is on again."""
        if layer.visible:
            undo.keep(layer, None)
            entry = {**layer.metadata[layers.KEY], "off": True}
            layer.metadata = {**layer.metadata, layers.KEY: entry}
            layer.visible = False

    def _update_large(self, layer: Any, result: LayerData, image: LayerImage) -> None:
        """Give a layer other levels; the user cannot have painted on it."""
        was_off = layer.metadata[layers.KEY].get("off")
        layer.data = large.join_levels(list(layer.data), result, image)
        colors: Any = update.map_color(layer, result)
        if result.kind == "labels":
            colors = layers.kept_label_colors(layer, result)
            features = fill.filled_features(layer.features, result.kwargs["features"])
            if written.as_text(layer.features) != written.as_text(features):
                layer.features = features
        if colors is not None:
            layer.colormap = colors
        set_rest(layer, result, {})
        if result.kind == "labels":
            self.ledger[layer] = written.note(layer)
        elif was_off:
            layer.visible = True

    def _update_labels(
        self,
        layer: Any,
        result: LayerData,
        part: fill.Part | None,
        policy: Policy,
        undo: Undo,
    ) -> None:
        then = self.ledger.get(layer)
        old = np.asarray(layer.data)
        changed = written.is_changed(layer, then)
        data, own = fill.filled_labels(old, result, part, policy, then, changed)
        features = result.kwargs["features"]
        if part is not None or own is not None:
            features = fill.filled_features(layer.features, features)
        colors = layers.kept_label_colors(layer, result)
        _set_data(layer, data, result, undo)
        if written.as_text(layer.features) != written.as_text(features):
            layer.features = features
        if colors is not None:
            layer.colormap = colors
        told: dict[str, Any] = {}
        if own is not None:
            told["fingerprint"] = ""
        elif part is not None:
            small = data.nbytes <= LARGEST_HASH
            digest = layers.fingerprint(data, features) if small else ""
            told = {"fingerprint": digest, "step": 1}
        set_rest(layer, result, told)
        self.ledger[layer] = written.note(layer, own)


def warm_up() -> None:
    """Make layers once, so that the first result need not wait; on any thread.

    napari imports pandas and compiles its label colours when a labels layer is first
    made: seconds in which the viewer would not answer. Python hands its lock on only
    every 5 ms, which the main thread waits for in each callback of a turn: half a
    second, together. For as long as this takes it is asked to do so more often.
    """
    with _WARMING:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(min(usual, SWITCH))
        try:
            _warm_layers()
        finally:
            sys.setswitchinterval(usual)


def _warm_layers() -> None:
    table = layers.labels_colors({1: (1.0, 0.0, 0.0)})
    features = {"index": [0, 1], "class": ["background", "a"]}
    for kind in (np.uint8, np.uint16):
        Labels(np.zeros((2, 2), kind), colormap=table, features=features)
    Image(np.zeros((2, 2), np.float32), contrast_limits=(0, 1), visible=False)
    # vispy draws the lines of a labels layer's brush by patterns that it keeps
    with suppress(ImportError):
        from vispy.visuals.line.dash_atlas import DashAtlas

        DashAtlas()


def _update_map(
    layer: Any,
    result: LayerData,
    part: fill.Part | None,
    shape: tuple[int, ...],
    undo: Undo,
) -> None:
    data = fill.filled_map(np.asarray(layer.data), result, part, shape)
    _set_data(layer, data, result, undo)
    color = update.map_color(layer, result)
    if color is not None:
        layer.colormap = color
    was_off = layer.metadata[layers.KEY].get("off")
    set_rest(layer, result, {})
    if was_off:
        layer.visible = True


def _set_data(layer: Any, data: Any, result: LayerData, undo: Undo) -> None:
    """Replace a layer's data; in previews write into the array that is ours.

    Writing takes half as long as replacing: napari need not ask for the extent.
    """
    preview = result.kwargs["metadata"][layers.KEY]["step"] > 1
    now = layer.data
    mine = now is undo.fresh.get(layer)
    if preview and mine and (now.shape, now.dtype) == (data.shape, data.dtype):
        now[...] = data
        layer.refresh(extent=False, thumbnail=False, highlight=False)
    else:
        layer.data = data
        forget_strokes(layer)
        undo.fresh[layer] = data


def set_rest(layer: Any, result: LayerData, told: dict[str, Any]) -> None:
    """Set name, place and metadata; visibility, opacity and so on stay."""
    set_transform(layer, {name: result.kwargs[name] for name in TRANSFORM})
    name = update.new_name(layer, result)
    entry = layer.metadata[layers.KEY]
    shown = entry["shown_name"]
    if name is not None:
        layer.name = name
        shown = layer.name
    entry = {**result.kwargs["metadata"][layers.KEY], **told, "shown_name": shown}
    _write_entry(layer, result, entry)


def add_ours(
    viewer: ViewerModel, layer: Any, result: LayerData, below: Any = None
) -> None:
    """Add a layer that is known as ours from the start.

    Parameters
    ----------
    viewer
        Where it appears.
    layer, result
        The layer and what it was made of.
    below
        Our labels layer, which stays above the new one, and what was selected stays
        so; None puts the layer on top and selects it.
    """
    sign(layer, result)
    if below is None:
        viewer.add_layer(layer)
    else:
        every = viewer.layers
        selected, active = set(every.selection), every.selection.active
        every.insert(every.index(below), layer)
        every.selection = selected
        every.selection.active = active
    sign(layer, result)  # its name may have got a number


def sign(layer: Any, result: LayerData) -> None:
    """Mark a layer as ours."""
    entry = {**layer.metadata[layers.KEY], "shown_name": layer.name}
    _write_entry(layer, result, entry)


def _write_entry(layer: Any, result: LayerData, entry: dict[str, Any]) -> None:
    signed = {"given_name": result.kwargs["name"], "layer": str(layer.unique_id)}
    layer.metadata = {**layer.metadata, layers.KEY: {**entry, **signed}}
