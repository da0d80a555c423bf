"""Results into the viewer: the only file that adds, changes or removes layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_gem import layers

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_gem.layers import LayerData, LayerImage


def show_results(
    viewer: ViewerModel, image: LayerImage, results: list[LayerData]
) -> None:
    """Show a result, all of it in one go.

    Parameters
    ----------
    viewer
        The viewer; of its layers only our own earlier results are changed.
    image
        What was segmented.
    results
        From `napari_gem.layers.result_layers`.
    """
    results = layers.color_results(viewer.layers, image, results)
    plan = layers.plan_update(viewer.layers, image, results)
    # made before anything is touched: what is wrong with the data shows up here
    made = [Layer.create(data, kwargs, kind) for data, kwargs, kind in plan.add]
    for layer in made:
        _sign(layer)
    for layer in plan.remove:
        viewer.layers.remove(layer)
    for layer, result in plan.update:
        _update(layer, result)
    for layer in made:
        viewer.add_layer(layer)


def _sign(layer: Any) -> None:
    entry = layer.metadata[layers.KEY]
    layer.metadata[layers.KEY] = {**entry, "layer": str(layer.unique_id)}


def _update(layer: Any, result: LayerData) -> None:
    """Replace what was computed; name, visibility, opacity and so on stay."""
    colors = layers.kept_label_colors(layer, result)
    layer.data = result.data
    for name in ("scale", "translate", "rotate", "shear", "affine"):
        new = np.asarray(result.kwargs[name])
        if not np.array_equal(np.asarray(getattr(layer, name)), new):
            setattr(layer, name, new)
    for name in ("units", "axis_labels"):
        if tuple(getattr(layer, name)) != result.kwargs[name]:
            setattr(layer, name, result.kwargs[name])
    if result.kind == "labels":
        layer.features = result.kwargs["features"]
        if colors is not None:
            layer.colormap = colors
    layer.metadata = {**layer.metadata, **result.kwargs["metadata"]}
    _sign(layer)
