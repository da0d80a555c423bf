"""Layers to the records that describe them in a file."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from napari_gem.core.errors import GemError
from napari_gem.layers.files.sidecar import (
    Column,
    ImageColors,
    ImageRecord,
    LabelsRecord,
    PointsRecord,
    ShapesRecord,
    Transform,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.layers.files.sidecar import LayerRecord

ARRAYS = ("scale", "translate", "rotate", "shear", "affine")
"""Of a transform; units and axis labels are text."""


def describe_layer(
    data: Any, state: Mapping[str, Any], kind: str, file: str
) -> tuple[LayerRecord, NDArray[Any] | None]:
    """Describe a layer that napari gives as data, state and kind.

    Parameters
    ----------
    data, state, kind
        As napari gives them to writers.
    file
        Name of the TIFF file that gets the pixels of an image or labels layer.

    Returns
    -------
    tuple
        The record, and the pixels for the TIFF file; None for points and shapes.

    Raises
    ------
    GemError
        If the layer cannot be described so.
    """
    name = str(state["name"])
    try:
        if kind in ("image", "labels"):
            pixels = np.asarray(data[0] if state.get("multiscale") else data)
            if not pixels.size:
                raise GemError(f"'{name}' has no pixels, so there is nothing to save.")
            shared = {
                **_common(state),
                "file": file,
                "shape": list(pixels.shape),
                "dtype": pixels.dtype.name,
            }
            make = _image_record if kind == "image" else _labels_record
            return make(state, shared), pixels
        if kind == "points":
            return _points_record(data, state), None
        if kind == "shapes":
            return _shapes_record(data, state), None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise GemError(
            f"'{name}' cannot be saved like this ({where}: {first['msg']}). Save it "
            "with napari's own writer."
        ) from error
    raise GemError(
        f"'{name}' is a {kind} layer; only image, labels, points and shapes layers can "
        "be saved like this. Save it with napari's own writer."
    )


def _common(state: Mapping[str, Any]) -> dict[str, Any]:
    features = state.get("features")
    columns = [] if features is None else list(features)
    return {
        "name": str(state["name"]),
        "transform": Transform(
            **{name: _plain(state[name]) for name in ARRAYS},
            units=[str(unit) for unit in state["units"]],
            axis_labels=[str(label) for label in state["axis_labels"]],
        ),
        "opacity": float(state["opacity"]),
        "blending": str(state["blending"]),
        "visible": bool(state["visible"]),
        "metadata": _metadata(state),
        "features": [
            Column.from_values(str(column), list(features[column]))  # type: ignore[index]
            for column in columns
        ],
    }


def _image_record(state: Mapping[str, Any], shared: dict[str, Any]) -> ImageRecord:
    colormap = None
    if not state["rgb"]:
        colormap = ImageColors(
            name=str(state["colormap"]["name"]),
            colors=_plain(state["colormap"]["colors"]),
            controls=_plain(state["colormap"]["controls"]),
            interpolation=str(state["colormap"]["interpolation"]),
        )
    return ImageRecord(
        **shared,
        rgb=bool(state["rgb"]),
        colormap=colormap,
        contrast_limits=_plain(state["contrast_limits"]),
        gamma=float(state["gamma"]),
        interpolation2d=str(state["interpolation2d"]),
        projection_mode=str(state["projection_mode"]),
    )


def _labels_record(state: Mapping[str, Any], shared: dict[str, Any]) -> LabelsRecord:
    listed = getattr(state["colormap"], "color_dict", None)
    if listed is None:
        return LabelsRecord(
            **shared, colors=None, other=None, cycle=_plain(state["colormap"].colors)
        )
    colors = {int(i): _plain(color) for i, color in listed.items() if i is not None}
    other = _plain(listed[None]) if None in listed else (0, 0, 0, 0)
    return LabelsRecord(**shared, colors=colors, other=other, cycle=None)


def _points_record(data: Any, state: Mapping[str, Any]) -> PointsRecord:
    names = ("face_color", "size", "border_color", "border_width")
    return PointsRecord(
        **_common(state),
        **_columns(state, names, len(data)),
        axes=int(state["ndim"]),
        data=_plain(data),
        symbol=[str(symbol) for symbol in state["symbol"]][: len(data)],
        border_width_is_relative=bool(state["border_width_is_relative"]),
    )


def _shapes_record(data: Any, state: Mapping[str, Any]) -> ShapesRecord:
    return ShapesRecord(
        **_common(state),
        **_columns(state, ("face_color", "edge_color", "edge_width"), len(data)),
        axes=int(state["ndim"]),
        data=[_plain(shape) for shape in data],
        shape_type=[str(each) for each in state["shape_type"]],
    )


def _columns(
    state: Mapping[str, Any], names: Sequence[str], count: int
) -> dict[str, Any]:
    """Values of each point or shape; napari may keep more than there are."""
    return {name: _plain(state[name])[:count] for name in names}


def _plain(values: Any) -> Any:
    return np.asarray(values).tolist()


def _metadata(state: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for key, value in state["metadata"].items():
        try:
            plain[str(key)] = to_jsonable_python(value, fallback=_fallback)
        except (PydanticSerializationError, ValueError, TypeError, RecursionError):
            warnings.warn(
                f"The metadata '{key}' of '{state['name']}' cannot be written as text "
                "and is left out.",
                stacklevel=2,
            )
    return plain


def _fallback(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data")
