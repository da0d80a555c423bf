"""Results of many slices into one labels layer, slice by slice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_gem.core.errors import GemError
from napari_gem.layers.ledger import Snapshot, features_as_text, own_pixels
from napari_gem.layers.levels.on_disk import on_disk
from napari_gem.layers.maps import ImagePlane, updated_maps
from napari_gem.layers.writing.colors import color_results, kept_label_colors
from napari_gem.layers.writing.combine import (
    combine_features,
    combine_labels,
    combine_maps,
    computed_region,
)
from napari_gem.layers.writing.results import move_results
from napari_gem.layers.writing.stack import (
    LARGEST_MAPS,
    slice_index,
    stack_image,
    stack_layers,
)
from napari_gem.results.temporary import ResultFolder, ResultFolders
from napari_gem.widget.results.map_layers import hide
from napari_gem.widget.results.signing import (
    add_signed,
    set_features,
    update_properties,
)
from napari_gem.widget.results.strokes import forget_strokes

if TYPE_CHECKING:
    from napari_gem.layers import LayerData, LayerImage, Policy
    from napari_gem.layers.writing.combine import ArrayRegion
    from napari_gem.widget.results.result_layers import ResultLayers
    from napari_gem.widget.results.undo import Undo


class StackResult:
    """A run over many slices of one layer; one step for undo.

    Parameters
    ----------
    shown
        Our layers in the viewer.
    layer
        The image layer; all slices are of it.
    policy
        What happens to labels that somebody changed. Painting made during the run,
        on slices that are still to come, is kept unless it is ``replace``.
    largest_maps
        Bytes that the maps may take in all; if they take more, they are on disk.
    folders
        Where what does not fit the memory is kept; None takes the usual place.
    """

    def __init__(
        self,
        shown: ResultLayers,
        layer: Any,
        policy: Policy = "new",
        largest_maps: int = LARGEST_MAPS,
        folders: ResultFolders | None = None,
    ) -> None:
        self._shown = shown
        self._layer = layer
        self._policy: Policy = policy
        self._largest_maps = largest_maps
        self._folders = folders or ResultFolders()
        self._labels: Any = None
        self._maps: dict[int, Any] = {}
        self._undo: Undo | None = None

    @property
    def labels(self) -> Any:
        """The labels layer; None before the first slice."""
        return self._labels

    def add(
        self, image: LayerImage, results: list[LayerData], *, live: bool = False
    ) -> Any | None:
        """Write the result of a slice.

        Parameters
        ----------
        image
            The slice, as it was read.
        results
            From `napari_gem.layers.result_layers`.
        live
            Whether this refines the slice after the run. What was painted on it since
            then stays as it is, and the policy only says what happens around it.

        Returns
        -------
        Labels or None
            The layer, if somebody painted on this slice and it was left as it is.

        Raises
        ------
        GemError
            If the labels layer was deleted or its data replaced during the run, or
            the image now has another shape.
        """
        results = move_results(self._layer, image, results)
        if self._undo is None:
            try:
                with self._shown.all_or_nothing():
                    self._start(image, results)
            except Exception:
                self._undo = self._labels = None
                self._maps.clear()
                raise
        elif live:
            results = self._recolor(image, results)
        index = slice_index(image)
        region = computed_region(results[-1], image)
        for result in results[:-1]:
            known = self._maps.get(result.entry.label)
            if known is not None:
                old = known.data[index]
                if self._undo is not None:
                    self._undo.keep_part(known, index)
                known.data[index] = combine_maps(old, result, region, old.shape)
                self._shown.map_layers.refresh(known)
        return self._write_labels(index, results[-1], region, live)

    def _recolor(self, image: LayerImage, results: list[LayerData]) -> list[LayerData]:
        """Give the labels the colours and names of classes that came since."""
        whole = stack_image(self._layer, image)
        results = self._color(whole, results)
        colors = kept_label_colors(self._labels, results[-1])
        if colors is not None:
            self._labels.colormap = colors
        return results

    def _color(self, whole: LayerImage, results: list[LayerData]) -> list[LayerData]:
        maps = self._shown.maps.get(ImagePlane(whole.source, whole.plane, False))
        return color_results(self._shown.viewer.layers, whole, results, maps)

    def _start(self, image: LayerImage, results: list[LayerData]) -> None:
        """Find or make the layers of the whole stack."""
        viewer, ledger = self._shown.viewer, self._shown.ledger
        shown, maps = self._shown.map_layers, self._shown.maps
        whole = stack_image(self._layer, image)
        plane = ImagePlane(whole.source, whole.plane, False)
        shown.note_layers(plane)
        before = maps.get(plane)
        results = self._color(whole, results)
        empty = stack_layers(whole, results, self._new, self._largest_maps)
        labels = empty[-1]
        after = updated_maps(before, empty, _reuse)
        plan = shown.plan(whole, after, labels, self._policy, ledger)
        update, add = dict(plan.update), list(plan.add)
        for layer, result in plan.update:
            if result is labels and layer.data.shape != labels.data.shape:
                del update[layer]
                add.append(labels)
        new = [Layer.create(*result.as_tuple()) for result in add]
        self._undo = undo = self._shown.begin_undo()
        undo.keep_maps(plane, before, in_place=True)
        for layer in plan.remove:
            undo.remove(layer)
        for layer in plan.hide:
            hide(layer, undo)
        for layer, result in update.items():
            if result is labels:
                self._take_labels(layer, undo)
                colors = kept_label_colors(layer, result)
                if colors is not None:
                    layer.colormap = colors
                update_properties(layer, result, result.entry)
            else:
                undo.keep(layer, None, in_place=True)
                shown.show(layer, result)
        for layer, result in zip(new, add, strict=True):
            undo.add(layer)
            add_signed(viewer, layer, result)
            if result is labels:
                self._labels = layer
                blank = Snapshot(self._blank(result), features_as_text(layer))
                ledger.put(layer, blank)
            else:
                shown.note_added(layer, result)
        maps.put(plane, after)
        self._maps = {
            each.entry.label: each for each in after if not each.entry.is_hidden
        }

    def _take_labels(self, layer: Any, undo: Undo) -> None:
        """Write to labels that are there."""
        ledger = self._shown.ledger
        if ledger.get(layer) is None:
            # what we wrote is not known: any label may be the user's
            ledger.note(layer, own_pixels(layer.data, None))
        undo.keep(layer, ledger.get(layer), in_place=True)
        self._labels = layer

    def _new(self) -> ResultFolder:
        return ResultFolder(self._folders.new())

    def _blank(self, labels: LayerData) -> Any:
        """Make what we remember of labels that nobody has written to."""
        data = labels.data
        if isinstance(data, np.ndarray):
            return np.zeros(data.shape, data.dtype)
        return on_disk(data.shape, data.dtype, self._new())

    def _write_labels(
        self,
        index: tuple[slice, ...],
        result: LayerData,
        region: ArrayRegion | None,
        live: bool,
    ) -> Any | None:
        layer, ledger = self._labels, self._shown.ledger
        then = ledger.get(layer)
        if layer not in self._shown.viewer.layers or then is None:
            raise GemError(
                "The labels layer of the slices was deleted, so no more of them were "
                "written. Run again."
            )
        if then.data.shape != layer.data.shape:
            raise GemError(
                f"The data of '{layer.name}' were replaced by others of another "
                "shape, so no more slices were written. Run again."
            )
        kind = np.result_type(layer.data.dtype, result.data.dtype)
        if layer.data.dtype != kind:
            then = replace(then, data=then.data.astype(kind))
            layer.data = np.asarray(layer.data).astype(kind)
        old = layer.data[index]
        plane = then.part(index)
        own = own_pixels(old, plane)
        if live and own is not None and self._policy != "fill":
            return layer
        policy: Policy = "fill"
        if self._policy == "replace" and not live:
            policy = "replace"
        data, own = combine_labels(old, result, region, policy, own)
        if self._undo is not None:
            self._undo.keep_plane(layer, index, old, plane)
        if own is not None and then.own is None:
            then = replace(then, own=np.zeros(layer.data.shape, bool))
        if then.own is not None:
            then.own[index] = False if own is None else own
        layer.data[index] = data
        then.data[index] = data
        set_features(layer, combine_features(layer.features, result.kwargs["features"]))
        ledger.put(layer, replace(then, features=features_as_text(layer)))
        forget_strokes(layer)
        layer.refresh(extent=False, thumbnail=False, highlight=False)
        return None


def _reuse(old: LayerData, new: LayerData) -> Any:
    """Choose the array that a map of the stack is written to."""
    return old.data if old.data.shape == new.data.shape else new.data
