"""Results into the viewer: what adds and changes result layers."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_gem.core.errors import GemError
from napari_gem.layers.ledger import (
    Ledger,
    fingerprint,
    own_pixels,
)
from napari_gem.layers.maps import ImagePlane, join_maps, updated_maps
from napari_gem.layers.writing.colors import (
    color_results,
    kept_label_colors,
    labels_colors,
)
from napari_gem.layers.writing.combine import (
    combine_features,
    combine_labels,
    computed_region,
)
from napari_gem.layers.writing.large import join_levels
from napari_gem.layers.writing.update import find_map, painted_labels
from napari_gem.widget.results.map_layers import MapLayers, hide, preview_map
from napari_gem.widget.results.signing import (
    add_signed,
    set_features,
    update_properties,
)
from napari_gem.widget.results.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from napari_gem.layers import LayerData, LayerImage, Plan, Policy

logger = logging.getLogger(__name__)

LARGEST_HASH = 1 << 24
"""Bytes of labels that are hashed on the main thread at most (about 30 ms)."""

SWITCH = 0.0005
"""Seconds after which another thread hands Python's lock on while we warm up."""

_WARMING = Lock()
"""Else one viewer would take the other's interval for the usual one."""


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
    maps
        The maps of all results.
    map_layers
        Which maps have a layer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.ledger = Ledger()
        self.map_layers = MapLayers(viewer)
        self.maps = self.map_layers.maps
        self._undo: Undo | None = None
        self._undo_of: object = None  # which image plane the undo step is about
        self._undo_goes_on = False  # a preview was shown: its full size belongs to it

    @property
    def can_undo(self) -> bool:
        """Whether `undo` would do anything."""
        return self._undo is not None

    def painted(self, image: LayerImage, large: bool = False) -> Any | None:
        """Find the labels layer for which the user is to choose a `Policy`."""
        return painted_labels(self.viewer.layers, image, self.ledger, large)

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
        viewer, maps, shown = self.viewer, self.maps, self.map_layers
        is_full = results[-1].entry.step == 1
        plane = ImagePlane(image.source, tuple(image.plane), results[-1].is_large)
        shown.note_layers(plane)
        before = maps.get(plane)
        results = color_results(viewer.layers, image, results, before)
        *new_maps, labels = results
        after = tuple(new_maps)
        if is_full:

            def join(old: LayerData, new: LayerData) -> Any:
                return join_maps(old.data, new, image, labels)

            after = updated_maps(before, results, join)
        plan = shown.plan(image, after, labels, policy, self.ledger)
        # made before anything is touched: what is wrong with the data shows up here
        new = [Layer.create(*result.as_tuple()) for result in plan.add]
        with self.all_or_nothing():
            undo = self.begin_undo((image.source, image.plane), live=live)
            undo.keep_maps(plane, before)
            self._write(image, labels, policy, plan, new, undo)
            if is_full:
                maps.put(plane, after)
        if is_full:
            self._undo_goes_on = False
        return plan.kept

    def _write(
        self,
        image: LayerImage,
        labels: LayerData,
        policy: Policy,
        plan: Plan,
        new: list[Any],
        undo: Undo,
    ) -> None:
        """Do what is planned."""
        for layer in plan.remove:
            undo.remove(layer)
        for layer in plan.hide:
            hide(layer, undo)
        for layer, result in plan.update:
            undo.keep(layer, self.ledger.get(layer))
            if result.kind == "labels":
                self._update_labels(layer, result, image, policy, undo)
            elif result.entry.step > 1:
                preview_map(layer, result, image, labels, undo)
            else:
                self.map_layers.show(layer, result)
        updated = [layer for layer, result in plan.update if result.kind == "labels"]
        below = updated[0] if updated else plan.kept
        for layer, result in zip(new, plan.add, strict=True):
            undo.add(layer)
            add_signed(self.viewer, layer, result, below=below)
            if result.kind == "labels":
                self.ledger.note(layer)
            else:
                self.map_layers.note_added(layer, result)

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
        undo, self._undo, self._undo_goes_on = self._undo, None, False
        return self._restore(undo)

    def _restore(self, undo: Undo) -> str:
        unchanged = self.map_layers.unchanged()
        sentence = undo.restore(self.ledger)
        for plane, before in undo.maps.items():
            now = self.maps.get(plane)
            kept = [e if e.data is not None else find_map(now, e.entry) for e in before]
            self.maps.put(plane, [each for each in kept if each is not None])
        self.map_layers.after_undo(unchanged, undo)
        return sentence

    def forget(self) -> None:
        """Give up what is kept for `undo`: PySide6 never frees a dock that is closed.

        That are copies of all labels, and maps of up to 2 GiB.
        """
        self._undo = self._undo_of = None
        self.ledger.clear()
        self.map_layers.clear()

    def begin_undo(self, plane: object = None, *, live: bool = False) -> Undo:
        """Begin a step for `undo`, or go on with the one of the same image plane.

        It goes on after a preview, and with changes that refine a run (``live``). The
        step of a whole stack is always a new one.
        """
        goes_on = plane is not None and plane == self._undo_of
        if self._undo is None or not goes_on or not (live or self._undo_goes_on):
            self._undo = Undo(self.viewer)
            self._undo_of, self._undo_goes_on = plane, True
        return self._undo

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back an undo step that begins in this context and fails.

        What listens to the viewer, plugins of others too, may raise at any layer.
        """
        before = self._undo, self._undo_of, self._undo_goes_on
        try:
            yield
        except Exception:
            begun = self._undo
            if begun is not None and begun is not before[0]:
                self._undo, self._undo_of, self._undo_goes_on = before
                try:
                    self._restore(begun)
                except Exception:  # the first one is raised
                    logger.exception("Not all layers could be taken back")
            raise

    def _update_labels(
        self,
        layer: Any,
        result: LayerData,
        image: LayerImage,
        policy: Policy,
        undo: Undo,
    ) -> None:
        entry, features = result.entry, result.kwargs["features"]
        colors = kept_label_colors(layer, result)
        own = None
        if result.is_large:  # nobody can have painted on it
            layer.data = join_levels(list(layer.data), result, image)
            features = combine_features(layer.features, features)
        else:
            region = computed_region(result, image)
            old = np.asarray(layer.data)
            if old.shape == result.data.shape and self.ledger.is_changed(layer):
                own = own_pixels(old, self.ledger.get(layer))
            data, own = combine_labels(old, result, region, policy, own)
            if region is not None or own is not None:
                features = combine_features(layer.features, features)
            if own is not None:
                entry = replace(entry, fingerprint="")
            elif region is not None:
                small = data.nbytes <= LARGEST_HASH
                digest = fingerprint(data, features) if small else ""
                entry = replace(entry, fingerprint=digest, step=1)
            undo.set_data(layer, data, preview=result.entry.step > 1)
        set_features(layer, features)
        if colors is not None:
            layer.colormap = colors
        update_properties(layer, result, entry)
        self.ledger.note(layer, own)


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
    table = labels_colors({1: (1.0, 0.0, 0.0)})
    features = {"index": [0, 1], "class": ["background", "a"]}
    for kind in (np.uint8, np.uint16):
        Labels(np.zeros((2, 2), kind), colormap=table, features=features)
    Image(np.zeros((2, 2), np.float32), contrast_limits=(0, 1), visible=False)
    # vispy draws the lines of a labels layer's brush by patterns that it keeps
    with suppress(ImportError):
        from vispy.visuals.line.dash_atlas import DashAtlas

        DashAtlas()
