"""An earlier result and a new one in one array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_gem.core.region import Region, expand, inside
from napari_gem.layers.writing.results import KEY
from napari_gem.layers.writing.update import is_result
from napari_gem.layers.writing.written import own_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_gem.layers.reading.source import LayerImage
    from napari_gem.layers.writing.results import LayerData
    from napari_gem.layers.writing.update import Policy
    from napari_gem.layers.writing.written import Pixels, Written


class Part(NamedTuple):
    """Part of an array."""

    box: tuple[slice, ...]
    mask: Pixels | None
    """Within the box; None for all of it."""


def asked_region(entry: Mapping[str, Any]) -> Region | None:
    """Read the region of a result from its metadata; None for all of the image."""
    region = entry["recipe"].get("region")
    if region is None:
        return None
    corners = tuple((float(row), float(column)) for row, column in region["polygon"])
    return Region(tuple(region["rows"]), tuple(region["columns"]), corners)


def looked_at(result: LayerData, image: LayerImage) -> Part | None:
    """Tell which part of a layer a result is about; None for all of it."""
    entry = result.kwargs["metadata"][KEY]
    asked = asked_region(entry)
    if asked is None:
        return None
    box, mask = inside(asked, entry["step"], image.shape)
    down, right = image.geometry.displayed
    every = [slice(None)] * len(image.geometry.transform["scale"])
    every[down], every[right] = box
    return Part(tuple(every), None if mask is None else image.geometry.place(mask))


def put(target: NDArray[Any], part: Part | None, source: NDArray[Any]) -> None:
    """Write a part of an array into another."""
    if part is None:
        target[...] = source
    else:
        where = True if part.mask is None else part.mask
        np.copyto(target[part.box], source[part.box], where=where)


def filled_map(
    old: NDArray[Any], result: LayerData, part: Part | None, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Make a map's new data: the earlier ones where the result did not look.

    Parameters
    ----------
    old
        The layer's data.
    result
        Map of the new result, perhaps of a preview.
    part
        What it is about; None for all.
    shape
        Shape of the labels of the result.
    """
    expanded = expand(result.data, result.kwargs["metadata"][KEY]["step"], shape)
    if part is None or old.shape != shape:
        return expanded
    new: NDArray[np.float32] = np.array(old)
    put(new, part, expanded)
    return new


def filled_labels(
    old: NDArray[Any],
    result: LayerData,
    part: Part | None,
    policy: Policy,
    written: Written | None,
    changed: bool,
) -> tuple[NDArray[Any], Pixels | None]:
    """Make the new data of a labels layer.

    Parameters
    ----------
    old
        The layer's data.
    result
        Labels of the new result.
    part
        What it is about; None for all.
    policy
        ``fill`` keeps the user's pixels; others do not, within the part.
    written
        The layer as we left it, if known.
    changed
        Whether somebody changed the layer since.

    Returns
    -------
    data
        An array of its own.
    own
        The user's pixels in it; None if there are none.
    """
    if old.shape != result.data.shape:
        return result.data.copy(), None
    own = own_pixels(old, written) if changed else None
    kind = np.result_type(old.dtype, result.data.dtype)
    if part is None and (own is None or policy != "fill"):
        return result.data.copy(), None
    new = old.astype(kind)
    put(new, part, result.data)
    if own is None:
        return new, None
    if policy == "fill":
        np.copyto(new, old, where=own, casting="unsafe")
    else:
        put(own, part, np.zeros_like(own))
    return new, own if own.any() else None


def filled_features(old: Any, new: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Join two features tables by label id: ours count, other rows and columns stay.

    Parameters
    ----------
    old
        Features of a labels layer.
    new
        ``index``, ``class`` and ``prompt`` of a result.
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
        kept = [have[rows[label]] if have is not None else "" for label in others]
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
    columns = {"labels": "index", "examples": "label"}
    found: dict[int, str] = {}
    for layer in layers:
        column = columns.get(layer.metadata[KEY]["role"]) if is_result(layer) else None
        if column is None or "class" not in layer.features:
            continue
        table = layer.features
        ids = table[column] if column in table else range(len(table))
        for value, name in zip(ids, table["class"], strict=True):
            label = _whole(value)
            if label > 0 and isinstance(name, str) and name:
                found[label] = name
    return found


def _whole(value: Any) -> int:
    """Read an id that the user may have edited; 0 for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _empty(column: list[Any] | None) -> Any:
    numbers = column and all(isinstance(v, (int, float, np.number)) for v in column)
    return float("nan") if numbers else ""
