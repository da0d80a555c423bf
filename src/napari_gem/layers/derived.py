"""What is derived from a result: instances, uncertainty, peaks, boxes, a table.

Each is layer data, as of a result, and lies exactly on the labels that it was derived
from.
"""

from __future__ import annotations

import colorsys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.fields import Control, parameter
from napari_gem.core.foreign_text import without_tags
from napari_gem.layers.entry import (
    PROBABILITY,
    LayerEntry,
    class_names,
    is_result,
    read_entry,
)
from napari_gem.layers.maps import ImagePlane
from napari_gem.layers.transform import transform_of
from napari_gem.layers.writing.layer_data import LayerData
from napari_gem.segmentation.postprocess.instances import (
    InstanceMethod,
    Instances,
    instances,
)
from napari_gem.segmentation.postprocess.peaks import peaks
from napari_gem.segmentation.postprocess.uncertainty import uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.layers.maps import ResultMaps

DerivedKind = Literal["instances", "uncertainty", "peaks", "boxes"]
DERIVED_KINDS: tuple[DerivedKind, ...] = get_args(DerivedKind)

Color = tuple[float, float, float]
Table = dict[str, "NDArray[Any]"]

MOST_COLORS = 4096
"""More instances are shown in automatic colours: a colour each takes napari long."""


@dataclass(frozen=True)
class DerivedOptions:
    """How instances and peaks are found."""

    method: InstanceMethod = parameter(
        "components",
        "Connected regions: pixels of one class that touch are one instance. "
        "Watershed: regions are also cut where they are narrow.",
        label="Instances by",
    )
    minimum_size: int = parameter(
        0,
        "Instances with fewer pixels are left out.",
        0,
        2**30,
        unit="pixels",
        label="Smallest (px)",
        control=Control(0, 10_000_000),
    )
    seed_distance: int = parameter(
        5,
        "Watershed: the middles of two instances are at least so far apart. Raise it "
        "if instances are cut into too many.",
        1,
        10_000,
        unit="pixels",
        label="Apart (px)",
        control=Control(1, 1000),
    )
    peak_distance: int = parameter(
        10,
        "Two peaks of a class are at least so far apart.",
        1,
        10_000,
        unit="pixels",
        label="Peaks apart (px)",
        control=Control(1, 1000),
    )
    peak_threshold: float = parameter(
        0.5,
        "Peaks with a lower probability are left out.",
        0,
        1,
        label="Probability at least",
        control=Control(0, 1, 0.05),
    )


@dataclass(frozen=True, eq=False)
class LabelsWithMaps:
    """Labels and the maps of their classes, as they were when they were read.

    Attributes
    ----------
    labels
        Data of the labels layer, at most two axes longer than 1 but for stacks.
    maps
        By label id the data of a class's map, of the same shape; not of classes that
        are off, whose maps are those of an earlier run.
    classes, colors
        Names and colours of classes by label id.
    displayed
        The two axes of a plane, in the order of the data.
    transform
        ``scale``, ``translate`` ... of the labels layer.
    world
        (axes, axes + 1): a place in pixels, and 1, to world coordinates.
    entry
        Of the labels layer; empty for labels of the user.
    name, layer
        Name and unique id of the labels layer.
    """

    labels: NDArray[Any]
    maps: Mapping[int, NDArray[Any]]
    classes: Mapping[int, str]
    colors: Mapping[int, Color]
    displayed: tuple[int, int]
    transform: Mapping[str, Any]
    world: NDArray[np.float64]
    entry: LayerEntry
    name: str
    layer: str

    def in_memory(self) -> LabelsWithMaps:
        """Read what is on disk."""
        maps = {label: np.asarray(data) for label, data in self.maps.items()}
        return replace(self, labels=np.asarray(self.labels), maps=maps)

    def planes(self, data: NDArray[Any]) -> NDArray[Any]:
        """View data as (planes, height, width)."""
        moved = np.moveaxis(data, self.displayed, (-2, -1))
        return moved.reshape(-1, *moved.shape[-2:])

    def from_planes(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Give (planes, height, width) the axes of the labels."""
        moved = planes.reshape(*self._other_lengths(), *planes.shape[-2:])
        return np.moveaxis(moved, (-2, -1), self.displayed)

    def places(self, places: NDArray[Any], plane: int) -> NDArray[np.float64]:
        """Give (..., 2) rows and columns of a plane the axes of the labels."""
        lengths = self._other_lengths()
        full = np.empty((*places.shape[:-1], self.labels.ndim))
        full[..., self._other_axes()] = (
            np.unravel_index(plane, lengths) if lengths else ()
        )
        full[..., self.displayed] = places
        return full

    def class_names(self, ids: Iterable[int]) -> list[str]:
        """Name the class of each label id."""
        return [self.classes.get(int(i), f"label {i}") for i in ids]

    def color(self, label: int) -> Color:
        """Give the colour of a class."""
        return self.colors.get(label) or class_color(label - 1)

    def pixel_area(self) -> tuple[float, str]:
        """Area of a pixel of a plane in world coordinates, and its unit."""
        sides = self.world[:, list(self.displayed)]
        area = float(np.sqrt(max(0.0, np.linalg.det(sides.T @ sides))))
        down, right = (str(self.transform["units"][axis]) for axis in self.displayed)
        return area, f"{down}²" if down == right else f"{down} {right}"

    def check_maps(self) -> None:
        """Refuse maps that do not fit the labels."""
        shape = self.labels.shape
        for data in self.maps.values():
            if data.shape != shape:
                raise GemError(
                    f"The maps have {data.shape} pixels, but '{self.name}' has "
                    f"{shape}. Wait for the result at full size, or run again."
                )

    def _other_axes(self) -> list[int]:
        return [a for a in range(self.labels.ndim) if a not in self.displayed]

    def _other_lengths(self) -> tuple[int, ...]:
        return tuple(self.labels.shape[axis] for axis in self._other_axes())


def read_labels(
    labels: Any, layers: Iterable[Any], kept: ResultMaps | None = None
) -> LabelsWithMaps:
    """Read a labels layer and the maps that belong to it.

    Parameters
    ----------
    labels
        A labels layer: of a result, also if it was painted since, or of the user.
    layers
        Those of the viewer. Maps belong to labels of the same image and plane.
    kept
        Maps that need no layer.

    Raises
    ------
    GemError
        If it is no labels layer of one resolution.
    """
    if not hasattr(labels, "selected_label"):
        raise GemError(
            f"'{labels.name}' is no labels layer. Choose the labels of a result in the "
            "layer list."
        )
    if labels.multiscale:
        raise GemError(
            f"'{labels.name}' is shown from disk in several resolutions, so nothing "
            "can be made of it. Press Paint copy first, and choose the copy."
        )
    data = labels.data  # on disk it is read later, on another thread
    if isinstance(data, np.ndarray):
        data = np.array(data)  # a copy, which the user's brush does not change
    if data.ndim < 2:
        raise GemError(f"'{labels.name}' has one axis; choose labels with two or more.")
    entry = read_entry(labels)
    classes = class_names(labels)
    by_id = {label_of(layer, classes): layer for layer in maps_of(labels, layers, kept)}
    off = {0, *entry.off_classes}
    origin = np.asarray(labels.data_to_world(np.zeros(data.ndim)), np.float64)
    units = np.eye(data.ndim)
    steps = [np.asarray(labels.data_to_world(unit)) - origin for unit in units]
    return LabelsWithMaps(
        labels=data,
        maps={label: layer.data for label, layer in by_id.items() if label not in off},
        classes=classes,
        colors=_read_colors(labels, classes),
        displayed=_displayed(entry.plane, data.ndim),
        transform=transform_of(labels),
        world=np.stack([*steps, origin], axis=-1),
        entry=entry,
        name=str(labels.name),
        layer=str(labels.unique_id),
    )


def label_of(layer: Any, classes: Mapping[int, str]) -> int:
    """Label id of a map's class; 0 if it is not known."""
    entry = read_entry(layer)
    same = (label for label, name in classes.items() if name == entry.class_name)
    return entry.label or next(same, 0)


def maps_of(
    labels: Any, layers: Iterable[Any], kept: ResultMaps | None = None
) -> list[Any]:
    """List the probability maps of the same image and plane as labels.

    Layers of ours come last, so that they win over maps that are kept without a layer,
    and these over copies and maps read from files.
    """
    entry = read_entry(labels)
    if not entry.source:
        return []
    maps = [
        layer
        for layer in layers
        if read_entry(layer).is_about(entry.source, entry.plane, PROBABILITY)
        and hasattr(layer, "contrast_limits")
        and not layer.multiscale  # of a large image: with a pixel a patch
    ]
    ours = [layer for layer in maps if is_result(layer)]
    without = kept.get(ImagePlane(entry.source, entry.plane, False)) if kept else ()
    return [*(each for each in maps if each not in ours), *without, *ours]


def derive_layer(
    result: LabelsWithMaps, kind: DerivedKind, options: DerivedOptions
) -> LayerData:
    """Derive a layer from labels and their maps; may take seconds.

    Raises
    ------
    GemError
        If maps are missing or do not fit the labels.
    """
    derive = _DERIVE.get(kind)
    if derive is None:
        raise GemError(
            f"There is nothing like '{kind}'. Choose one of {', '.join(DERIVED_KINDS)}."
        )
    data, kwargs, layer_kind = derive(result.in_memory(), options)
    placed = {
        **result.transform,
        "name": without_tags(f"{kind} · {result.name}"),
        **kwargs,
    }
    entry = LayerEntry(
        role=kind,
        source=result.entry.source,
        plane=result.entry.plane,
        recipe=result.entry.recipe,
        derived_from=result.layer,
        options=asdict(options),
    )
    return LayerData(data, placed, layer_kind, entry)


def instance_table(result: LabelsWithMaps, options: DerivedOptions) -> Table:
    """Make a table with a row for each instance; may take seconds.

    Returns
    -------
    Table
        Columns ``instance`` (from 1), ``class``, ``label`` (id), ``area (px)``, area in
        the layer's units, ``mean probability`` (0 to 1, NaN without a map), and the
        centroid: ``row (px)`` and ``column (px)``, for stacks ``axis 0 (px)`` ..., and
        in world coordinates, one column an axis.
    """
    result = result.in_memory()
    ids, columns, places = _measure(result, _find_instances(result, options))
    axes = result.labels.ndim
    units = [str(unit) for unit in result.transform["units"]]
    labels = list(result.transform["axis_labels"])
    # napari's own are numbers
    if len(set(labels)) < axes or any(each.lstrip("-").isdigit() for each in labels):
        labels = [f"axis {axis}" for axis in range(axes)]
    world = places @ result.world[:, :-1].T + result.world[:, -1]
    return {
        "instance": np.arange(1, len(ids) + 1),
        "class": np.array(result.class_names(ids), object),
        "label": ids,
        **columns,
        **{f"world {labels[a]} ({units[a]})": world[:, a] for a in range(axes)},
    }


def _measure(
    result: LabelsWithMaps, planes: Sequence[Instances]
) -> tuple[NDArray[np.int64], Table, NDArray[np.float64]]:
    """Label ids, measures and places of the instances of all planes."""
    ids = np.concatenate([plane.ids for plane in planes])
    areas = np.concatenate([plane.areas for plane in planes])
    places = np.concatenate(
        [result.places(plane.centroids, number) for number, plane in enumerate(planes)]
    )
    area, unit = result.pixel_area()
    axes = result.labels.ndim
    names = [f"axis {a} (px)" for a in range(axes)]
    if axes == 2:
        names = ["row (px)", "column (px)"]
    columns = {
        "area (px)": areas,
        f"area ({unit})": areas * area,
        "mean probability": np.concatenate([plane.probabilities for plane in planes]),
        **dict(zip(names, places.T, strict=True)),
    }
    return ids, columns, places


def _find_instances(result: LabelsWithMaps, options: DerivedOptions) -> list[Instances]:
    result.check_maps()
    ids = list(result.maps)
    maps = [result.planes(data) for data in result.maps.values()]
    return [
        instances(
            plane,
            [each[number] for each in maps],
            ids,
            options.method,
            options.minimum_size,
            options.seed_distance,
        )
        for number, plane in enumerate(result.planes(result.labels))
    ]


def _check_present(result: LabelsWithMaps) -> None:
    if not result.maps:
        raise GemError(
            f"There are no probability maps that belong to '{result.name}'. Run again "
            "to get them; those of large images have too few pixels for this."
        )
    result.check_maps()


_Layer = tuple[Any, dict[str, Any], Literal["image", "labels", "points", "shapes"]]


def _derive_instances(result: LabelsWithMaps, options: DerivedOptions) -> _Layer:
    planes = _find_instances(result, options)
    ids, columns, _ = _measure(result, planes)
    numbered = []
    count = 0
    for plane in planes:
        numbered.append(np.where(plane.labels > 0, plane.labels + np.int32(count), 0))
        count += len(plane.ids)
    kwargs: dict[str, Any] = {
        "features": {
            "index": list(range(count + 1)),
            "class": [result.classes.get(0, "background"), *result.class_names(ids)],
            # napari's status bar leaves out what is NaN, so the background's is
            **{
                name: [float("nan"), *(float(f"{value:.7g}") for value in values)]
                for name, values in columns.items()
            },
        },
        "multiscale": False,
        "opacity": 0.6,
    }
    if 0 < count <= MOST_COLORS:
        kwargs["colormap"] = _instance_colors(result, ids)
    labels = result.from_planes(np.stack(numbered)).astype(np.int32, copy=False)
    return labels, kwargs, "labels"


def _derive_uncertainty(result: LabelsWithMaps, _options: DerivedOptions) -> _Layer:
    _check_present(result)
    kwargs = {
        "colormap": "magma",
        "contrast_limits": (0.0, 1.0),
        "blending": "additive",
        "rgb": False,
        "multiscale": False,
    }
    return uncertainty(list(result.maps.values())), kwargs, "image"


def _derive_peaks(result: LabelsWithMaps, options: DerivedOptions) -> _Layer:
    _check_present(result)
    places: list[NDArray[np.float64]] = []
    ids: list[int] = []
    probabilities: list[float] = []
    for label, data in result.maps.items():
        for number, plane in enumerate(result.planes(data)):
            tops = peaks(plane, options.peak_distance, options.peak_threshold)
            places.append(result.places(tops.places, number))
            ids.extend([label] * len(tops.places))
            probabilities.extend(float(value) for value in tops.probabilities)
    kwargs = {
        "ndim": result.labels.ndim,
        "features": {
            "class": result.class_names(ids),
            "label": ids,
            "probability": probabilities,
        },
        "face_color": _item_colors(result, ids),
        "border_color": "white",
        "size": 8,
    }
    return np.concatenate(places), kwargs, "points"


def _derive_boxes(result: LabelsWithMaps, options: DerivedOptions) -> _Layer:
    boxes: list[NDArray[np.float64]] = []
    ids: list[int] = []
    means: list[float] = []
    for number, plane in enumerate(_find_instances(result, options)):
        # pixels are centred on whole numbers, so their edges are half a pixel off
        top, left, bottom, right = (plane.boxes.T - 0.5).astype(np.float64)
        corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
        rectangles = np.stack([np.stack(c, axis=-1) for c in corners], axis=1)
        boxes.extend(result.places(rectangles, number))
        ids.extend(int(i) for i in plane.ids)
        means.extend(float(p) for p in plane.probabilities)
    kwargs = {
        "ndim": result.labels.ndim,
        "shape_type": "rectangle",
        "features": {
            "class": result.class_names(ids),
            "label": ids,
            "mean probability": means,
        },
        "edge_color": _item_colors(result, ids),
        "face_color": "transparent",
        "edge_width": 1,
    }
    return boxes, kwargs, "shapes"


_DERIVE: dict[str, Callable[[LabelsWithMaps, DerivedOptions], _Layer]] = {
    "instances": _derive_instances,
    "uncertainty": _derive_uncertainty,
    "peaks": _derive_peaks,
    "boxes": _derive_boxes,
}


def _displayed(plane: Sequence[int], axes: int) -> tuple[int, int]:
    """Read the axes of a plane from an entry, which may come from anybody."""
    shown = sorted(plane[:2])
    if len(set(shown)) == 2 and shown[0] >= 0 and shown[1] < axes:
        return shown[0], shown[1]
    return axes - 2, axes - 1


def _read_colors(labels: Any, classes: Mapping[int, str]) -> dict[int, Color]:
    shown = getattr(labels.colormap, "color_dict", {})
    colors: dict[int, Color] = {}
    for number, label in enumerate(i for i in classes if i):
        if label in shown:
            red, green, blue = (float(part) for part in shown[label][:3])
            colors[label] = (red, green, blue)
        else:
            colors[label] = class_color(number)
    return colors


def _item_colors(result: LabelsWithMaps, ids: Sequence[int]) -> Any:
    if not ids:
        return "white"
    return np.array([(*result.color(label), 1.0) for label in ids])


def _instance_colors(
    result: LabelsWithMaps, ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shade the class's colour differently for neighbouring numbers.

    As a list of colours, which napari takes far faster than one that names the ids.
    """
    table = np.zeros((len(ids) + 1, 4))
    for number, label in enumerate(ids, start=1):
        hue, saturation, value = colorsys.rgb_to_hsv(*result.color(int(label)))
        step = (number * 0.6180339887) % 1 - 0.5  # evenly spread, never repeated soon
        shade = colorsys.hsv_to_rgb(
            (hue + 0.08 * step) % 1,
            min(1.0, max(0.0, saturation * (1 - 0.7 * abs(step)))),
            min(1.0, max(0.35, value * (1 + 0.6 * step))),
        )
        table[number] = (*shade, 1.0)
    return table
