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
    from napari_gem.export import save
    from napari_gem.feature_cache import FeatureCache
    from napari_gem.large import segment_large
    from napari_gem.models import find_model, list_models, load_model
    from napari_gem.pipeline import encode, heat_maps, segment

__all__ = [
    "FeatureCache",
    "__version__",
    "encode",
    "find_model",
    "heat_maps",
    "list_models",
    "load_model",
    "save",
    "segment",
    "segment_large",
]

_HOME = {
    "FeatureCache": "feature_cache",
    "encode": "pipeline",
    "find_model": "models",
    "heat_maps": "pipeline",
    "list_models": "models",
    "load_model": "models",
    "save": "export",
    "segment": "pipeline",
    "segment_large": "large",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
