"""Layers to pixels and appearance; results to layer data.

Neither napari nor Qt is imported: layers are anything with the public attributes of
napari's layers, and results are plain data that `napari.layers.Layer.create` takes.
"""

from napari_gem.core.region import expand
from napari_gem.layers.entry import (
    KEY,
    LayerEntry,
    is_result,
    is_result_of_ours,
    read_entry,
)
from napari_gem.layers.ledger import Ledger
from napari_gem.layers.reading.composites import (
    composites,
    picture_name,
    same_origin,
    visible_layers,
)
from napari_gem.layers.reading.region import (
    patch_in_view,
    shapes_region,
    visible_region,
)
from napari_gem.layers.reading.source import (
    Geometry,
    LayerImage,
    read_appearance,
    read_layer,
    slice_axes,
)
from napari_gem.layers.reading.view import (
    channel_limits,
    difference,
    read_layers,
    read_view_appearance,
)
from napari_gem.layers.writing.colors import color_results
from napari_gem.layers.writing.layer_data import LayerData
from napari_gem.layers.writing.results import move_results, result_layers
from napari_gem.layers.writing.stack import stack_image
from napari_gem.layers.writing.update import (
    Plan,
    Policy,
    painted_labels,
)

__all__ = [
    "KEY",
    "Geometry",
    "LayerData",
    "LayerEntry",
    "LayerImage",
    "Ledger",
    "Plan",
    "Policy",
    "channel_limits",
    "color_results",
    "composites",
    "difference",
    "expand",
    "is_result",
    "is_result_of_ours",
    "move_results",
    "painted_labels",
    "patch_in_view",
    "picture_name",
    "read_appearance",
    "read_entry",
    "read_layer",
    "read_layers",
    "read_view_appearance",
    "result_layers",
    "same_origin",
    "shapes_region",
    "slice_axes",
    "stack_image",
    "visible_layers",
    "visible_region",
]
