"""Records and pixels of a file to the layers that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.tiff_reading import read_series
from napari_gem.layers.files.sidecar import ImageRecord, LabelsRecord, PointsRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.layers.files.sidecar import LayerRecord, ShapesRecord
    from napari_gem.layers.files.storage import Storage

    LayerTuple = tuple[Any, dict[str, Any], str]

IMAGE_LOOK = (
    "rgb",
    "gamma",
    "contrast_limits",
    "interpolation2d",
    "projection_mode",
)


def rebuild_layer(record: LayerRecord, storage: Storage) -> LayerTuple:
    """Give data, arguments and kind, as `napari.layers.Layer.create` takes them.

    Raises
    ------
    GemError
        If the pixels are missing, broken, or others than the record describes.
    """
    kwargs: dict[str, Any] = {
        **dict(record.transform),
        "name": record.name,
        "opacity": record.opacity,
        "blending": record.blending,
        "visible": record.visible,
        "metadata": record.metadata,
        "affine": np.array(record.transform.affine),
    }
    if record.features:
        kwargs["features"] = {c.name: c.array() for c in record.features}
    if isinstance(record, ImageRecord):
        return _pixels(record, storage), {**kwargs, **_image_look(record)}, "image"
    if isinstance(record, LabelsRecord):
        return _pixels(record, storage), {**kwargs, **_labels_look(record)}, "labels"
    kwargs["ndim"] = record.axes
    if record.data:
        kwargs |= _item_look(record)
    if isinstance(record, PointsRecord):
        points = np.array(record.data, np.float64).reshape(-1, record.axes)
        return points, kwargs, "points"
    return [np.array(shape) for shape in record.data], kwargs, "shapes"


def _image_look(record: ImageRecord) -> dict[str, Any]:
    look = {name: getattr(record, name) for name in IMAGE_LOOK}
    look["multiscale"] = False
    if record.colormap is not None:
        look["colormap"] = dict(record.colormap)
    return look


def _labels_look(record: LabelsRecord) -> dict[str, Any]:
    look: dict[str, Any] = {"multiscale": False}
    if record.colors is not None:
        other = record.other or (0.0, 0.0, 0.0, 0.0)
        look["colormap"] = {None: np.array(other)}
        for label, color in record.colors.items():
            look["colormap"][label] = np.array(color)
    elif record.cycle:
        look["colormap"] = np.array(record.cycle)
    return look


def _item_look(record: PointsRecord | ShapesRecord) -> dict[str, Any]:
    """Look of points or shapes; napari takes none where there are none."""
    face_color = np.array(record.face_color)
    if isinstance(record, PointsRecord):
        return {
            "face_color": face_color,
            "size": np.array(record.size),
            "symbol": record.symbol,
            "border_color": np.array(record.border_color),
            "border_width": np.array(record.border_width),
            "border_width_is_relative": record.border_width_is_relative,
        }
    return {
        "face_color": face_color,
        "shape_type": record.shape_type,
        "edge_color": np.array(record.edge_color),
        "edge_width": record.edge_width,
    }


def _pixels(record: ImageRecord | LabelsRecord, storage: Storage) -> NDArray[Any]:
    described = np.dtype(record.dtype)
    try:
        with storage.open_tiff(record.file) as tiff:
            series = tiff.series[0]
            stored = np.dtype(np.uint8) if described.kind == "b" else described
            fits = tuple(series.shape) == tuple(record.shape)
            if not fits or series.dtype != stored:
                raise GemError(
                    f"'{record.file}' holds {series.shape} pixels of type "
                    f"{series.dtype}, but '{storage.path.name}' describes "
                    f"{tuple(record.shape)} of type {described}. Save the layers again."
                )
            pixels = read_series(tiff, storage.path)
    except GemError:
        raise
    except MemoryError as error:
        raise GemError(
            f"The memory does not suffice for '{record.name}'. Close other images."
        ) from error
    except Exception as error:
        # a broken file can make the reader fail in any way
        raise GemError(
            f"'{record.file}' cannot be read as a TIFF file ({error}). Save the layers "
            "again."
        ) from error
    return pixels.astype(described, copy=False)
