"""An earlier result and a new one in one array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_gem.core.foreign_text import feature_text
from napari_gem.core.region import expand, inside
from napari_gem.layers.entry import EXAMPLES, LABELS, is_result, read_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_gem.layers.ledger import Pixels
    from napari_gem.layers.reading.source import LayerImage
    from napari_gem.layers.writing.layer_data import LayerData
    from napari_gem.layers.writing.update import Policy


class ArrayRegion(NamedTuple):
    """Box of an array, and which elements of it are meant."""

    box: tuple[slice, ...]
    mask: Pixels | None
    """None for all of the box."""


def computed_region(result: LayerData, image: LayerImage) -> ArrayRegion | None:
    """Tell which part of a layer a result was computed for; None for all of it."""
    region = result.entry.region
    if region is None:
        return None
    box, mask = inside(region, result.entry.step, image.shape)
    down, right = image.geometry.displayed
    every = [slice(None)] * len(image.geometry.transform["scale"])
    every[down], every[right] = box
    placed = None if mask is None else image.geometry.place(mask)
    return ArrayRegion(tuple(every), placed)


def _copy_region(
    target: NDArray[Any], region: ArrayRegion | None, source: NDArray[Any]
) -> None:
    """Write a region of an array into another."""
    if region is None:
        target[...] = source
    else:
        where = True if region.mask is None else region.mask
        np.copyto(target[region.box], source[region.box], where=where)


def combine_maps(
    old: NDArray[Any],
    result: LayerData,
    region: ArrayRegion | None,
    shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Make a map's new data: the earlier ones outside of the result's region.

    Parameters
    ----------
    old
        The layer's data.
    result
        Map of the new result, perhaps of a preview.
    region
        From `computed_region`.
    shape
        Shape of the labels of the result.
    """
    expanded = expand(result.data, result.entry.step, shape)
    if region is None or old.shape != shape:
        return expanded
    new: NDArray[np.float32] = np.array(old)
    _copy_region(new, region, expanded)
    return new


def combine_labels(
    old: NDArray[Any],
    result: LayerData,
    region: ArrayRegion | None,
    policy: Policy,
    own: Pixels | None,
) -> tuple[NDArray[Any], Pixels | None]:
    """Make the new data of a labels layer.

    Parameters
    ----------
    old
        The layer's data.
    result
        Labels of the new result.
    region
        From `computed_region`.
    policy
        ``fill`` keeps the user's pixels; others do not, within the region.
    own
        The user's pixels in ``old``; None if there are none.

    Returns
    -------
    data
        An array of its own.
    own
        The user's pixels in it; None if there are none.
    """
    if old.shape != result.data.shape:
        return result.data.copy(), None
    if region is None and (own is None or policy != "fill"):
        return result.data.copy(), None
    new = old.astype(np.result_type(old.dtype, result.data.dtype))
    _copy_region(new, region, result.data)
    if own is None:
        return new, None
    if policy == "fill":
        np.copyto(new, old, where=own, casting="unsafe")
    else:
        _copy_region(own, region, np.zeros_like(own))
    return new, own if own.any() else None


def combine_features(old: Any, new: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Join two features tables by label id: ours count, other rows and columns stay.

    Parameters
    ----------
    old
        Features of a labels layer.
    new
        ``index``, ``class`` and ``words`` of a result.
    """
    table = {str(name): list(old[name]) for name in old}
    if table and "index" not in table:  # row i is label i
        table["index"] = list(range(len(old)))
    ids = [int(label) for label in table.get("index", [])]
    rows = {label: row for row, label in reversed(list(enumerate(ids)))}
    others = [label for label in rows if label not in new["index"]]
    joined: dict[str, list[Any]] = {}
    for name in {**new, **table}:
        have = table.get(name)
        empty = _empty(have)
        mine = new.get(name) or [
            have[rows[label]] if have is not None and label in rows else empty
            for label in new["index"]
        ]
        kept = [have[rows[label]] if have is not None else None for label in others]
        joined[name] = [*mine, *kept]
    return joined


def named_ids(layers: Iterable[Any]) -> dict[int, str]:
    """Tell which class each label id stands for in our layers.

    Parameters
    ----------
    layers
        The viewer's. Read are the features of our labels and of our examples; of two
        that differ, the layer further up counts.

    Returns
    -------
    dict[int, str]
        Names of classes; background is left out.
    """
    columns = {LABELS: "index", EXAMPLES: "label"}
    names: dict[int, str] = {}
    for layer in layers:
        entry = read_entry(layer)
        column = columns.get(entry.role) if is_result(layer) else None
        if column is None or "class" not in layer.features:
            continue
        table = layer.features
        classes = {**entry.off_classes, **entry.classes}
        ids = table[column] if column in table else range(len(table))
        for value, name in zip(ids, table["class"], strict=True):
            label = _whole(value)
            if label > 0 and isinstance(name, str) and name:
                given = classes.get(label, "")  # features may have it in other letters
                names[label] = given if feature_text(given) == name else name
    return names


def _whole(value: Any) -> int:
    """Read an id that the user may have edited; 0 for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _empty(column: list[Any] | None) -> Any:
    numbers = column and all(isinstance(v, (int, float, np.number)) for v in column)
    return float("nan") if numbers else ""
