"""What can be made of a result: instances, uncertainty, peaks, boxes, a table.

Like a result, each is plain data that `napari.layers.Layer.create` takes, and lies
exactly on the labels that it was made of.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import without_tags
from napari_gem.layers.transform import transform_of
from napari_gem.layers.writing.results import KEY
from napari_gem.layers.writing.update import is_result
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

ExtraKind = Literal["instances", "uncertainty", "peaks", "boxes"]
EXTRA_KINDS: tuple[ExtraKind, ...] = get_args(ExtraKind)

Color = tuple[float, float, float]
Table = dict[str, "NDArray[Any]"]

MOST_COLORS = 4096
"""More instances are shown in automatic colours: a colour each takes napari long."""

TRANSFORM = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class ExtraLayer(NamedTuple):
    """What napari makes a layer of."""

    data: Any
    kwargs: dict[str, Any]
    kind: Literal["image", "labels", "points", "shapes"]


@dataclass(frozen=True)
class ExtraOptions:
    """How instances and peaks are found.

    Attributes
    ----------
    method
        How instances are parted, see `napari_gem.segmentation.postprocess.instances`.
    minimum_size
        Instances with fewer pixels are left out.
    seed_distance
        Pixels between the middles of two instances at least; for watershed.
    peak_distance
        Pixels between two peaks of a class at least.
    peak_threshold
        Peaks below this probability are left out.
    """

    method: InstanceMethod = "components"
    minimum_size: int = 0
    seed_distance: int = 5
    peak_distance: int = 10
    peak_threshold: float = 0.5


@dataclass(frozen=True, eq=False)
class Source:
    """Labels and maps as they were when something was asked to be made of them.

    Attributes
    ----------
    labels
        Data of the labels layer, at most two axes longer than 1 but for stacks.
    maps
        For each label id with a map its data, of the same shape; not for classes that
        are off, whose maps are those of an earlier run.
    classes
        For each label id the name of its class.
    colors
        For each label id its colour.
    displayed
        The two axes of a plane, in the order of the data.
    transform
        ``scale``, ``translate`` ... of the labels layer.
    world
        (axes, axes + 1): a place in pixels, and 1, to world coordinates.
    entry
        Our metadata of the labels layer; empty for labels of the user.
    title, layer
        Name and unique id of the labels layer.
    """

    labels: NDArray[Any]
    maps: Mapping[int, NDArray[Any]]
    classes: Mapping[int, str]
    colors: Mapping[int, Color]
    displayed: tuple[int, int]
    transform: Mapping[str, Any]
    world: NDArray[np.float64]
    entry: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    layer: str = ""

    def planes(self, data: NDArray[Any]) -> NDArray[Any]:
        """View data as (planes, height, width)."""
        moved = np.moveaxis(data, self.displayed, (-2, -1))
        return moved.reshape(-1, *moved.shape[-2:])

    def whole(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Give (planes, height, width) the axes of the labels."""
        others = self._others()
        moved = planes.reshape(*others, *planes.shape[-2:])
        return np.moveaxis(moved, (-2, -1), self.displayed)

    def places(self, places: NDArray[Any], plane: int) -> NDArray[np.float64]:
        """Give (..., 2) rows and columns of a plane the axes of the labels."""
        position = np.unravel_index(plane, self._others()) if self._others() else ()
        full = np.empty((*places.shape[:-1], self.labels.ndim))
        full[..., self._other_axes()] = position
        full[..., self.displayed] = places
        return full

    def _other_axes(self) -> list[int]:
        return [a for a in range(self.labels.ndim) if a not in self.displayed]

    def _others(self) -> tuple[int, ...]:
        return tuple(self.labels.shape[axis] for axis in self._other_axes())


def read_source(labels: Any, layers: Iterable[Any]) -> Source:
    """Take what is needed of a labels layer and the maps that belong to it.

    Parameters
    ----------
    labels
        A labels layer: of a result, also if it was painted since, or of the user.
    layers
        Those of the viewer. Maps belong to labels of the same image and plane.

    Raises
    ------
    GemError
        If it is no labels layer of one resolution.
    """
    if not hasattr(labels, "selected_label"):
        raise GemError(
            f"'{labels.name}' is no labels layer; expected the labels of a result. "
            "Choose them in the layer list."
        )
    if labels.multiscale:
        raise GemError(
            f"'{labels.name}' is shown from disk in several resolutions, so nothing "
            "can be made of it. Press Paint copy first, and choose the copy."
        )
    entry = labels.metadata.get(KEY)
    entry = entry if isinstance(entry, dict) else {}
    data = labels.data  # on disk it is read later, on another thread
    if isinstance(data, np.ndarray):
        data = np.array(data)  # a copy, which the user's brush does not change
    if data.ndim < 2:
        raise GemError(f"'{labels.name}' has one axis; expected two or more.")
    classes = class_names(labels)
    ids = {label_of(layer, classes): layer for layer in maps_of(labels, layers)}
    off = {0, *classes_off(entry)}
    maps = {label: layer.data for label, layer in ids.items() if label not in off}
    axes = np.eye(data.ndim)
    zero = np.asarray(labels.data_to_world(np.zeros(data.ndim)), np.float64)
    steps = [np.asarray(labels.data_to_world(unit)) - zero for unit in axes]
    return Source(
        labels=data,
        maps=maps,
        classes=classes,
        colors=_colors_of(labels, classes),
        displayed=_displayed(entry, data.ndim),
        transform=transform_of(labels),
        world=np.stack([*steps, zero], axis=-1),
        entry=entry,
        title=str(labels.name),
        layer=str(labels.unique_id),
    )


def class_names(labels: Any) -> dict[int, str]:
    """Read the class of each label id from the features of a labels layer."""
    features = labels.features
    if "class" not in features or "index" not in features:
        return {}
    pairs = zip(features["index"], features["class"], strict=True)
    return {int(index): str(name) for index, name in pairs if index == index // 1}


def classes_off(entry: Mapping[str, Any]) -> dict[int, str]:
    """Read from the metadata of labels which classes were off, by label id."""
    off = entry.get("off")
    pairs = off.items() if isinstance(off, dict) else ()
    return {int(label): str(name) for label, name in pairs if str(label).isdecimal()}


def label_of(layer: Any, classes: Mapping[int, str]) -> int:
    """Label id of a map's class, from its metadata; 0 if it is not known."""
    entry = layer.metadata[KEY]
    label = entry.get("label")
    if isinstance(label, int):
        return label
    same = (i for i, name in classes.items() if name == entry.get("class"))
    return next(same, 0)


def maps_of(labels: Any, layers: Iterable[Any]) -> list[Any]:
    """Find the probability maps of the same image and plane as labels.

    Ours come last, so that they win over copies and over maps read from files.
    """
    entry = labels.metadata.get(KEY)
    if not isinstance(entry, dict) or "source" not in entry:
        return []
    found = [
        layer
        for layer in layers
        if isinstance(other := layer.metadata.get(KEY), dict)
        and other.get("role") == "probability"
        and all(other.get(key) == entry.get(key) for key in ("source", "plane"))
        and hasattr(layer, "contrast_limits")
        and not layer.multiscale  # of a large image: with a pixel a patch
    ]
    return sorted(found, key=is_result)


def make_extra(source: Source, kind: ExtraKind, options: ExtraOptions) -> ExtraLayer:
    """Make a layer of labels and their maps; may take seconds.

    Returns
    -------
    ExtraLayer
        Its ``metadata["napari_gem"]`` tells role (the kind), source, plane and recipe,
        and ``of``, the unique id of the labels.

    Raises
    ------
    GemError
        If maps are missing or do not fit the labels.
    """
    source = _held(source)
    make = _MAKERS.get(kind)
    if make is None:
        raise GemError(f"'{kind}' came; expected one of {', '.join(EXTRA_KINDS)}.")
    data, kwargs, layer_kind = make(source, options)
    told = {key: source.entry.get(key) for key in ("source", "plane", "recipe")}
    entry = {
        "role": kind,
        **told,
        "of": source.layer,
        "options": {name: getattr(options, name) for name in vars(options)},
    }
    common = {
        **source.transform,
        "name": without_tags(f"{kind} · {source.title}"),
        "metadata": {KEY: entry},
    }
    return ExtraLayer(data, {**common, **kwargs}, layer_kind)


def instance_table(source: Source, options: ExtraOptions) -> Table:
    """Make a table with a row for each instance; may take seconds.

    Returns
    -------
    Table
        Columns ``instance`` (from 1), ``class``, ``label`` (id), ``area (px)``, area in
        the layer's units, ``mean probability`` (0 to 1, NaN without a map), and the
        centroid: ``row (px)`` and ``column (px)``, for stacks ``axis 0 (px)`` ..., and
        in world coordinates, one column an axis.
    """
    source = _held(source)
    table: list[Table] = []
    for plane, found in enumerate(_find_instances(source, options)):
        places = source.places(found.centroids, plane)
        table.append(_rows(source, found, places, sum(len(t["label"]) for t in table)))
    return {name: np.concatenate([t[name] for t in table]) for name in table[0]}


def _held(source: Source) -> Source:
    """Read what is on disk into memory."""
    maps = {label: np.asarray(data) for label, data in source.maps.items()}
    return replace(source, labels=np.asarray(source.labels), maps=maps)


def _rows(
    source: Source, found: Instances, places: NDArray[np.float64], before: int
) -> Table:
    count, axes = len(found.ids), source.labels.ndim
    names = [source.classes.get(int(i), f"label {i}") for i in found.ids]
    pixel_names = _pixel_names(axes)
    units = [str(unit) for unit in source.transform["units"]]
    labels = list(source.transform["axis_labels"])
    # napari's own are numbers
    if len(set(labels)) < axes or any(each.lstrip("-").isdigit() for each in labels):
        labels = [f"axis {axis}" for axis in range(axes)]
    world = places @ source.world[:, :-1].T + source.world[:, -1]
    area, unit = pixel_area(source)
    rows: Table = {
        "instance": np.arange(before + 1, before + count + 1),
        "class": np.array(names, object),
        "label": found.ids,
        "area (px)": found.areas,
        f"area ({unit})": found.areas * area,
        "mean probability": found.probabilities,
        **{name: places[:, axis] for axis, name in enumerate(pixel_names)},
    }
    for axis in range(axes):
        rows[f"world {labels[axis]} ({units[axis]})"] = world[:, axis]
    return rows


def _pixel_names(axes: int) -> list[str]:
    if axes == 2:
        return ["row (px)", "column (px)"]
    return [f"axis {axis} (px)" for axis in range(axes)]


def _column(values: NDArray[Any]) -> list[float]:
    """Numbers to be read, after one of the background."""
    return [float("nan"), *(float(f"{value:.7g}") for value in values)]


def pixel_area(source: Source) -> tuple[float, str]:
    """Area of a pixel of a plane in world coordinates, and its unit."""
    sides = source.world[:, list(source.displayed)]
    area = float(np.sqrt(max(0.0, np.linalg.det(sides.T @ sides))))
    units = [str(source.transform["units"][axis]) for axis in source.displayed]
    return area, f"{units[0]}²" if units[0] == units[1] else f"{units[0]} {units[1]}"


def _find_instances(source: Source, options: ExtraOptions) -> list[Instances]:
    ids = list(source.maps)
    _check_shapes(source)
    maps = [source.planes(np.asarray(data)) for data in source.maps.values()]
    return [
        instances(
            plane,
            [each[number] for each in maps],
            ids,
            options.method,
            options.minimum_size,
            options.seed_distance,
        )
        for number, plane in enumerate(source.planes(source.labels))
    ]


def _check_shapes(source: Source) -> None:
    shape = source.labels.shape
    for data in source.maps.values():
        if data.shape != shape:
            raise GemError(
                f"The maps have {data.shape} pixels and '{source.title}' {shape}; "
                "expected the same. Wait for the result at full size, or run again."
            )


def _check_present(source: Source) -> None:
    if not source.maps:
        raise GemError(
            f"There are no probability maps that belong to '{source.title}'. Run again "
            "to get them; those of large images have too few pixels for this."
        )
    _check_shapes(source)


def _instances_layer(source: Source, options: ExtraOptions) -> ExtraLayer:
    parts, found = [], _find_instances(source, options)
    count = 0
    for each in found:
        parts.append(np.where(each.labels > 0, each.labels + np.int32(count), 0))
        count += len(each.ids)
    ids = np.concatenate([each.ids for each in found])
    means = np.concatenate([each.probabilities for each in found])
    areas = np.concatenate([each.areas for each in found])
    centroids = [source.places(each.centroids, i) for i, each in enumerate(found)]
    side, unit = pixel_area(source)
    named = _pixel_names(source.labels.ndim)
    places = dict(zip(named, np.concatenate(centroids).T, strict=True))
    names = [source.classes.get(int(i), f"label {i}") for i in ids]
    kwargs: dict[str, Any] = {
        "features": {
            "index": list(range(count + 1)),
            "class": [source.classes.get(0, "background"), *names],
            # what is left out of the status bar is NaN, so the background's is
            "area (px)": _column(areas),
            f"area ({unit})": _column(areas * side),
            "mean probability": _column(means),
            **{name: _column(place) for name, place in places.items()},
        },
        "multiscale": False,
        "opacity": 0.6,
    }
    if 0 < count <= MOST_COLORS:
        kwargs["colormap"] = _instance_colors(source, ids)
    whole = source.whole(np.stack(parts)).astype(np.int32, copy=False)
    return ExtraLayer(whole, kwargs, "labels")


def _uncertainty_layer(source: Source, _options: ExtraOptions) -> ExtraLayer:
    _check_present(source)
    data = uncertainty([np.asarray(m) for m in source.maps.values()])
    kwargs = {
        "colormap": "magma",
        "contrast_limits": (0.0, 1.0),
        "blending": "additive",
        "rgb": False,
        "multiscale": False,
    }
    return ExtraLayer(data, kwargs, "image")


def _peaks_layer(source: Source, options: ExtraOptions) -> ExtraLayer:
    _check_present(source)
    places: list[NDArray[np.float64]] = []
    ids: list[int] = []
    values: list[float] = []
    for label, data in source.maps.items():
        for number, plane in enumerate(source.planes(np.asarray(data))):
            found = peaks(plane, options.peak_distance, options.peak_threshold)
            places.append(source.places(found.places, number))
            ids.extend([label] * len(found.places))
            values.extend(float(v) for v in found.probabilities)
    kwargs = {
        "ndim": source.labels.ndim,
        "features": {
            "class": [source.classes.get(i, f"label {i}") for i in ids],
            "label": ids,
            "probability": values,
        },
        "face_color": _face_colors(source, ids),
        "border_color": "white",
        "size": 8,
    }
    return ExtraLayer(np.concatenate(places), kwargs, "points")


def _boxes_layer(source: Source, options: ExtraOptions) -> ExtraLayer:
    boxes: list[NDArray[np.float64]] = []
    ids: list[int] = []
    means: list[float] = []
    for number, found in enumerate(_find_instances(source, options)):
        # pixels are centred on whole numbers, so their edges are half a pixel off
        top, left, bottom, right = (found.boxes.T - 0.5).astype(np.float64)
        corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
        rectangles = np.stack([np.stack(c, axis=-1) for c in corners], axis=1)
        boxes.extend(source.places(rectangles, number))
        ids.extend(int(i) for i in found.ids)
        means.extend(float(p) for p in found.probabilities)
    names = [source.classes.get(i, f"label {i}") for i in ids]
    kwargs = {
        "ndim": source.labels.ndim,
        "shape_type": "rectangle",
        "features": {"class": names, "label": ids, "mean probability": means},
        "edge_color": _face_colors(source, ids),
        "face_color": "transparent",
        "edge_width": 1,
    }
    return ExtraLayer(boxes, kwargs, "shapes")


_MAKERS: dict[str, Callable[[Source, ExtraOptions], ExtraLayer]] = {
    "instances": _instances_layer,
    "uncertainty": _uncertainty_layer,
    "peaks": _peaks_layer,
    "boxes": _boxes_layer,
}


def _displayed(entry: Mapping[str, Any], axes: int) -> tuple[int, int]:
    plane = entry.get("plane")
    if isinstance(plane, list) and all(isinstance(axis, int) for axis in plane[:2]):
        shown = sorted(plane[:2])
        if len(set(shown)) == 2 and shown[0] >= 0 and shown[1] < axes:
            return shown[0], shown[1]
    return axes - 2, axes - 1


def _colors_of(labels: Any, classes: Mapping[int, str]) -> dict[int, Color]:
    shown = getattr(labels.colormap, "color_dict", {})
    colors: dict[int, Color] = {}
    for number, label in enumerate(i for i in classes if i):
        if label in shown:
            red, green, blue = (float(part) for part in shown[label][:3])
            colors[label] = (red, green, blue)
        else:
            colors[label] = class_color(number)
    return colors


def _face_colors(source: Source, ids: Sequence[int]) -> Any:
    if not ids:
        return "white"
    colors = [source.colors.get(i) or class_color(i - 1) for i in ids]
    return np.array([(*color, 1.0) for color in colors])


def _instance_colors(source: Source, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shade the class's colour differently for neighbouring numbers.

    As a list of colours, which napari takes far faster than one that names the ids.
    """
    table = np.zeros((len(ids) + 1, 4))
    for number, label in enumerate(ids, start=1):
        color = source.colors.get(int(label)) or class_color(int(label) - 1)
        hue, saturation, value = colorsys.rgb_to_hsv(*color)
        step = (number * 0.6180339887) % 1 - 0.5  # evenly spread, never repeated soon
        shade = colorsys.hsv_to_rgb(
            (hue + 0.08 * step) % 1,
            min(1.0, max(0.0, saturation * (1 - 0.7 * abs(step)))),
            min(1.0, max(0.35, value * (1 + 0.6 * step))),
        )
        table[number] = (*shade, 1.0)
    return table
