"""Our labels merged into a copy of the user's labels layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import without_tags
from napari_gem.layers.entry import MERGED, LayerEntry, class_names, read_entry
from napari_gem.layers.writing.colors import labels_colors
from napari_gem.layers.writing.combine import combine_features
from napari_gem.layers.writing.layer_data import LayerData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MergePolicy = Literal["fill", "replace"]
"""Whether our labels go only where the target is 0, or wherever we have one."""


def merged_layer(ours: Any, target: Any, policy: MergePolicy = "fill") -> LayerData:
    """Make layer data of a labels layer with our labels merged in.

    A label id of ours that the target uses for something else becomes the next free
    one; where both call a class by the same name, it gets the target's id.

    Parameters
    ----------
    ours, target
        Labels layers of the same shape; neither is changed.
    policy
        ``fill`` writes where the target is 0, ``replace`` also elsewhere.

    Returns
    -------
    LayerData
        With the target's place and settings, features of both, and the recipe of
        ours.

    Raises
    ------
    GemError
        If shapes differ or a layer has several resolutions.
    """
    for layer in (ours, target):
        if not hasattr(layer, "selected_label"):
            raise GemError(
                f"'{layer.name}' is a {type(layer).__name__} layer; only labels layers "
                "can be merged. Choose a labels layer."
            )
        if layer.multiscale:
            raise GemError(
                f"'{layer.name}' has several resolutions; labels of one resolution "
                "are needed. Choose another layer."
            )
    if tuple(ours.data.shape) != tuple(target.data.shape):
        raise GemError(
            f"'{ours.name}' has shape {tuple(ours.data.shape)}, '{target.name}' has "
            f"{tuple(target.data.shape)}; they must agree. Choose labels of the same "
            "image."
        )
    mine, theirs = np.asarray(ours.data), np.asarray(target.data)
    ids = _new_ids(mine, class_names(ours), theirs, class_names(target))
    data = _merge(mine, theirs, ids, policy)
    _, kwargs, _ = target.as_layer_data_tuple()
    del kwargs["metadata"]
    kwargs.pop("properties", None)  # the same as features, and would count more
    kwargs = {
        **kwargs,
        "name": without_tags(f"{target.name} · merged"),
        "features": _joined_features(ours.features, target.features, ids),
        "multiscale": False,
    }
    shown = getattr(target.colormap, "color_dict", None)
    if shown is not None:
        kwargs["colormap"] = {
            **labels_colors({new: ours.get_color(old) for old, new in ids.items()}),
            **shown,
        }
    recipe = read_entry(ours).recipe
    # the merged layer is the user's own and never updated
    entry = LayerEntry(role=MERGED, recipe=recipe) if recipe else LayerEntry()
    return LayerData(data, kwargs, "labels", entry)


def _new_ids(
    mine: NDArray[Any],
    names: dict[int, str],
    theirs: NDArray[Any],
    known: dict[int, str],
) -> dict[int, int]:
    """Id in the merged labels for each of ours."""
    by_name = {name: label for label, name in reversed(known.items()) if name}
    present = {int(v) for v in np.unique(mine)} - {0}
    taken = {0, *known, *(int(v) for v in np.unique(theirs))}
    ids: dict[int, int] = {}
    for label in sorted(present | names.keys() - {0}):
        name = names.get(label, "")
        ids[label] = by_name.get(name, 0) or (0 if label in taken else label)
    free = max({*taken, *ids, *ids.values()}) + 1
    for label, new in ids.items():
        if not new:
            ids[label] = free
            free += 1
    return ids


def _merge(
    mine: NDArray[Any],
    theirs: NDArray[Any],
    ids: Mapping[int, int],
    policy: MergePolicy,
) -> NDArray[Any]:
    largest = max(ids.values(), default=0)
    kind = theirs.dtype
    if largest > np.iinfo(kind).max:
        kind = np.promote_types(kind, np.min_scalar_type(largest))
        if kind.kind == "f":
            kind = np.dtype(np.int64)
    known = np.array([0, *ids], np.int64)
    order = np.argsort(known)
    new = np.array([0, *ids.values()], kind)[order]
    merged: NDArray[Any] = theirs.astype(kind)
    for i in range(len(mine)):  # plane by plane: the search takes 8 bytes a pixel
        where = mine[i] != 0
        if policy == "fill":
            where &= theirs[i] == 0
        merged[i][where] = new[np.searchsorted(known[order], mine[i][where])]
    return merged


def _joined_features(
    ours: Any, target: Any, ids: Mapping[int, int]
) -> dict[str, list[Any]]:
    """Features of the target, with rows for our labels under their new ids."""
    table = {str(name): list(ours[name]) for name in ours}
    if "index" not in table:
        return {str(name): list(target[name]) for name in target}
    rows = [
        (row, ids[int(label)])
        for row, label in enumerate(table["index"])
        if int(label) in ids
    ]
    have = {int(v) for v in target["index"]} if "index" in target else set()
    fresh = [(row, new) for row, new in rows if new not in have]
    added = {name: [values[row] for row, _ in fresh] for name, values in table.items()}
    added["index"] = [new for _, new in fresh]
    if 0 not in have:
        for name, values in table.items():
            zero = next((i for i, v in enumerate(table["index"]) if int(v) == 0), None)
            if zero is not None:
                added[name].insert(0, values[zero])
    return combine_features(target, added)
