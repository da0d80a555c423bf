"""Results of many slices into one labels layer, slice by slice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.layers.levels.on_disk import on_disk
from napari_gem.layers.writing import fill, stack, update, written
from napari_gem.results.temporary import ResultFolder, ResultFolders
from napari_gem.widget.results.result_layers import add_ours, set_rest
from napari_gem.widget.results.strokes import forget_strokes

if TYPE_CHECKING:
    from napari_gem.layers import LayerData, LayerImage, Policy
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
        largest_maps: int = stack.LARGEST_MAPS,
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
        results = layers.move_results(self._layer, image, results)
        if self._undo is None:
            try:
                with self._shown.whole():
                    self._start(image, results)
            except Exception:
                self._undo = self._labels = None
                self._maps.clear()
                raise
        elif live:
            results = self._recolor(image, results)
        index = stack.slice_index(image)
        part = fill.looked_at(results[-1], image)
        for result in results[:-1]:
            found = self._maps.get(result.kwargs["metadata"][layers.KEY]["label"])
            if found is not None and found in self._shown.viewer.layers:
                old = found.data[index]
                if self._undo is not None:
                    self._undo.keep_plane(found, index, old)
                found.data[index] = fill.filled_map(old, result, part, old.shape)
                found.refresh(extent=False, thumbnail=False, highlight=False)
        return self._write_labels(index, results[-1], part, live)

    def _recolor(self, image: LayerImage, results: list[LayerData]) -> list[LayerData]:
        """Give the labels the colours and names of classes that came since."""
        whole = stack.stack_image(self._layer, image)
        results = layers.color_results(self._shown.viewer.layers, whole, results)
        colors = update.kept_label_colors(self._labels, results[-1])
        if colors is not None:
            self._labels.colormap = colors
        return results

    def _start(self, image: LayerImage, results: list[LayerData]) -> None:
        """Find or make the layers of the whole stack."""
        viewer, ledger = self._shown.viewer, self._shown.ledger
        whole = stack.stack_image(self._layer, image)
        results = layers.color_results(viewer.layers, whole, results)
        empty = stack.stack_layers(whole, results, self._new, self._largest_maps)
        shape = empty[-1].data.shape
        plan = layers.plan_update(viewer.layers, whole, empty, self._policy, ledger)
        found = {id(result): layer for layer, result in plan.update}
        made: list[Any] = []
        for result in empty:
            layer = found.get(id(result))
            fits = layer is not None and layer.data.shape == shape
            made.append(layer if fits else Layer.create(*result))
        self._undo = undo = self._shown.begin()
        for layer in plan.remove:
            undo.remove(layer)
        for layer in plan.hide:
            self._shown.hide(layer, undo)
        for layer, result in zip(made, empty, strict=True):
            is_labels = result.kind == "labels"
            if layer not in viewer.layers:
                undo.add(layer)
                add_ours(viewer, layer, result)
                if is_labels:
                    text = written.as_text(layer.features)
                    blank = self._blank(result)
                    ledger[layer] = written.Written(blank, text)
            else:
                if is_labels:
                    self._take_up(layer)
                undo.keep(layer, ledger.get(layer), in_place=True)
                colors = update.kept_label_colors(layer, result)
                if colors is not None:
                    layer.colormap = colors
                set_rest(layer, result, {})
            if is_labels:
                self._labels = layer
            else:
                self._maps[result.kwargs["metadata"][layers.KEY]["label"]] = layer

    def _new(self) -> ResultFolder:
        return ResultFolder(self._folders.new())

    def _blank(self, labels: LayerData) -> Any:
        """Make what we remember of labels that nobody has written to."""
        data = labels.data
        if isinstance(data, np.ndarray):
            return np.zeros(data.shape, data.dtype)
        return on_disk(data.shape, data.dtype, self._new())

    def _take_up(self, layer: Any) -> None:
        """Go on with a labels layer of which is not known what we wrote."""
        ledger = self._shown.ledger
        if layer not in ledger:  # whatever is there may be the user's
            own = written.own_pixels(layer.data, None)
            text = written.as_text(layer.features)
            ledger[layer] = written.Written(np.array(layer.data), text, own)

    def _write_labels(
        self,
        index: tuple[slice, ...],
        result: LayerData,
        part: fill.Part | None,
        live: bool,
    ) -> Any | None:
        layer, ledger = self._labels, self._shown.ledger
        then = ledger.get(layer)
        if layer not in self._shown.viewer.layers or then is None:
            raise GemError(
                "The labels layer of the slices was deleted, so no more of them were "
                "written. Run again."
            )
        if then.labels.shape != layer.data.shape:
            raise GemError(
                f"The data of '{layer.name}' were replaced by others of another "
                "shape, so no more slices were written. Run again."
            )
        kind = np.result_type(layer.data.dtype, result.data.dtype)
        if layer.data.dtype != kind:
            then = replace(then, labels=then.labels.astype(kind))
            layer.data = np.asarray(layer.data).astype(kind)
        old = layer.data[index]
        plane = replace(
            then,
            labels=then.labels[index],
            own=None if then.own is None else then.own[index],
        )
        changed = written.own_pixels(old, plane) is not None
        if live and changed and self._policy != "fill":
            return layer
        again = self._policy == "replace" and not live
        policy: Policy = "replace" if again else "fill"
        data, own = fill.filled_labels(old, result, part, policy, plane, changed)
        if self._undo is not None:
            self._undo.keep_plane(layer, index, old, plane)
        if own is not None and then.own is None:
            then = replace(then, own=np.zeros(layer.data.shape, bool))
        if then.own is not None:
            then.own[index] = False if own is None else own
        layer.data[index] = data
        then.labels[index] = data
        features = fill.filled_features(layer.features, result.kwargs["features"])
        if written.as_text(layer.features) != written.as_text(features):
            layer.features = features
        ledger[layer] = replace(then, features=written.as_text(layer.features))
        forget_strokes(layer)
        layer.refresh(extent=False, thumbnail=False, highlight=False)
        return None
