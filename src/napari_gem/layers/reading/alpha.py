"""Finds images whose fourth band napari shows as opacity, although it is a band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.images.readers.content import is_band
from napari_gem.layers.opening import view_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 64
"""Rows and columns that are looked at, at most."""


def has_band_as_opacity(layer: Any) -> bool:
    """Tell whether an image layer is made transparent by a band, such as infrared.

    Only what is in memory is looked at, and little of it, so that this takes no time.
    """
    if not getattr(layer, "rgb", False) or view_of(layer) is not None:
        return False
    data = layer.data[-1] if layer.multiscale else layer.data
    data = getattr(data, "__wrapped__", data)
    if not isinstance(data, np.ndarray) or data.shape[-1] != 4:
        return False
    if data.dtype.kind != "u":
        return False
    plane: NDArray[Any] = data[(0,) * (data.ndim - 3)]
    down, right = (-(-length // SIDE) for length in plane.shape[:2])
    return is_band(plane[::down, ::right, 3])
