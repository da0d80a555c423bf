"""Where a layer lies: its scale, place and units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSFORM = (
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
    "units",
    "axis_labels",
)


def set_transform(layer: Any, transform: Mapping[str, Any]) -> None:
    """Place a layer; setting what is there already would draw it again."""
    for name, new in transform.items():
        now = getattr(layer, name)
        if name in ("units", "axis_labels"):
            same = tuple(now) == tuple(new)
        else:
            same = np.array_equal(np.asarray(now), np.asarray(new))
        if not same:
            setattr(layer, name, new)


def transform_of(layer: Any) -> dict[str, Any]:
    """Take what says where a layer lies."""
    return {
        "scale": np.array(layer.scale),
        "translate": np.array(layer.translate),
        "rotate": np.array(layer.rotate),
        "shear": np.array(layer.shear),
        "affine": np.asarray(layer.affine, np.float64),
        "units": tuple(layer.units),
        "axis_labels": tuple(layer.axis_labels),
    }
