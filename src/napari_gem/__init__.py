"""Text-prompted segmentation for napari, notebooks and the command line.

`load_model`, `encode`, `segment` and `save` are all that a notebook needs;
`segment_large` is for images that do not fit the memory. Importing
this package loads neither torch nor napari; they are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_gem._version import __version__

if TYPE_CHECKING:
    from napari_gem.core.appearance import Appearance
    from napari_gem.core.errors import GemError
    from napari_gem.core.parameters import (
        EncodeParameters,
        GemParameters,
        LabelParameters,
        ScoreParameters,
    )
    from napari_gem.core.prompts import Example, Prompt
    from napari_gem.core.region import Region
    from napari_gem.encoding.feature_cache import FeatureCache
    from napari_gem.images.files import read_image
    from napari_gem.models.catalogue import list_models
    from napari_gem.models.find import find_model, load_model
    from napari_gem.results.recipe import read_recipe
    from napari_gem.results.save import save
    from napari_gem.segmentation.pipeline import encode, heat_maps, segment
    from napari_gem.segmentation.replay import replay

__all__ = [
    "Appearance",
    "EncodeParameters",
    "Example",
    "FeatureCache",
    "GemError",
    "GemParameters",
    "LabelParameters",
    "Prompt",
    "Region",
    "ScoreParameters",
    "__version__",
    "encode",
    "find_model",
    "heat_maps",
    "list_models",
    "load_model",
    "read_image",
    "read_recipe",
    "replay",
    "save",
    "segment",
    "segment_large",
]

_HOME = {
    "Appearance": "core.appearance",
    "EncodeParameters": "core.parameters",
    "Example": "core.prompts",
    "FeatureCache": "encoding.feature_cache",
    "GemError": "core.errors",
    "GemParameters": "core.parameters",
    "LabelParameters": "core.parameters",
    "Prompt": "core.prompts",
    "Region": "core.region",
    "ScoreParameters": "core.parameters",
    "encode": "segmentation.pipeline",
    "find_model": "models.find",
    "heat_maps": "segmentation.pipeline",
    "list_models": "models.catalogue",
    "load_model": "models.find",
    "read_image": "images.files",
    "read_recipe": "results.recipe",
    "replay": "segmentation.replay",
    "save": "results.save",
    "segment": "segmentation.pipeline",
    "segment_large": "segmentation.pipeline",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
