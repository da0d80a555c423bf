"""What happens to the viewer's layers when a result comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_gem.core.colors import class_color
from napari_gem.layers.writing.results import (
    KEY,
    LayerData,
    labels_colors,
    map_colormap,
)
from napari_gem.layers.writing.written import is_changed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_gem.layers.reading.source import LayerImage
    from napari_gem.layers.writing.written import Ledger

Policy = Literal["ask", "new", "fill", "replace", "keep"]
"""What happens to labels that the user painted, when a result comes.

``new``: they stay, the result gets a layer of its own. ``fill``: they stay, the result
goes around them, in the same layer. ``replace``: the result takes their place.
``keep``: they stay, and no layer is made: the result's labels are dropped. ``ask``: not
chosen yet; as ``new``.
"""
POLICIES: tuple[Policy, ...] = ("ask", "new", "fill", "replace", "keep")


@dataclass(frozen=True, eq=False)
class Plan:
    """What happens to the viewer's layers when a result comes.

    Attributes
    ----------
    update
        Our layers of the same image plane, and their new data.
    add
        Layers to be made.
    remove
        Our maps of classes that are gone.
    hide
        Our maps of classes that are off.
    kept
        The painted labels layer that stays as it is, with no other in its place.
    """

    update: tuple[tuple[Any, LayerData], ...]
    add: tuple[LayerData, ...]
    remove: tuple[Any, ...]
    hide: tuple[Any, ...] = ()
    kept: Any = None


def is_large(result: LayerData) -> bool:
    """Tell whether a result has levels that are read where they are shown."""
    return bool(result.kwargs.get("multiscale"))


def is_result(layer: Any) -> bool:
    """Tell whether we made a layer; a copy or a layer read from a file is the user's.

    Whoever adds a result layer writes its ``unique_id`` into our metadata entry.
    """
    entry = layer.metadata.get(KEY)
    return isinstance(entry, dict) and entry.get("layer") == str(layer.unique_id)


def is_made(layer: Any) -> bool:
    """Tell whether a layer was made by us, also if it is a copy or from a file."""
    entry = layer.metadata.get(KEY)
    return isinstance(entry, dict) and ("role" in entry or is_result(layer))


def result_of(
    existing: Iterable[Any],
    source: str,
    plane: Sequence[Any],
    role: str,
    large: bool = False,
) -> list[Any]:
    """List our layers of an image plane that have a role, with or without levels."""
    wanted = source, list(plane), role
    return [
        layer
        for layer in existing
        if is_result(layer)
        and bool(layer.multiscale) == large
        and tuple(layer.metadata[KEY].get(key) for key in ("source", "plane", "role"))
        == wanted
    ]


def plan_update(
    existing: Iterable[Any],
    image: LayerImage,
    results: Iterable[LayerData],
    policy: Policy = "new",
    ledger: Ledger | None = None,
) -> Plan:
    """Decide which layers are updated, added and removed.

    A map of ours of the same plane of the same image is updated if its class is asked
    for again (known by its label id where the prompt has one, else by its name),
    hidden if its class is off, and removed if its class is gone. Our labels layer is
    updated if nobody changed its data or features, or if the policy says so. Other
    layers are left alone. A preview adds and removes no maps, and updates only those
    that are shown.

    Parameters
    ----------
    existing
        The viewer's layers.
    image
        What was segmented.
    results
        From `result_layers`.
    policy
        What happens to labels that somebody changed.
    ledger
        Our labels layers as we left them.

    Returns
    -------
    Plan
        Every result but some maps of a preview, and the labels if a painted layer is
        kept, is in ``update`` or in ``add``.
    """
    results = list(results)
    existing = list(existing)
    told = results[-1].kwargs["metadata"][KEY]
    preview = told["step"] > 1
    large = is_large(results[-1])
    maps = result_of(existing, image.source, image.plane, "probability", large)
    update, add = [], []
    for result in results[:-1]:
        entry = result.kwargs["metadata"][KEY]
        found = next((layer for layer in maps if _same_class(layer, entry)), None)
        if found is not None:
            maps.remove(found)
            if not preview or found.visible or found.metadata[KEY].get("off"):
                update.append((found, result))
        elif not preview:
            add.append(result)
    off = [layer for layer in maps if str(layer.metadata[KEY]["label"]) in told["off"]]
    gone = [] if preview else [layer for layer in maps if layer not in off]
    labels = _target(existing, image.source, image.plane, policy, ledger, large)
    kept = None
    if labels is None and policy == "keep":
        kept = painted_labels(existing, image, ledger, large)
    if labels is not None:
        update.append((labels, results[-1]))
    elif kept is None:
        add.append(results[-1])
    return Plan(tuple(update), tuple(add), tuple(gone), tuple(off), kept)


def painted_labels(
    existing: Iterable[Any],
    image: LayerImage | tuple[str, Sequence[Any]],
    ledger: Ledger | None = None,
    large: bool = False,
) -> Any | None:
    """Find the labels layer for which the user is to choose a `Policy`.

    Parameters
    ----------
    existing
        The viewer's layers.
    image
        What was segmented; or its ``source`` and ``plane``.
    ledger
        Our labels layers as we left them; without it layers are hashed.
    large
        Whether the result has levels; nobody can paint on such layers.

    Returns
    -------
    Layer or None
        Ours, changed by somebody since; None if there is none, or another one of the
        same image plane that nobody changed.
    """
    source, plane = (
        image if isinstance(image, tuple) else (image.source, tuple(image.plane))
    )
    ours = result_of(existing, source, plane, "labels", large)
    if any(not _changed(layer, ledger) for layer in ours):
        return None
    return ours[-1] if ours else None


def _target(
    existing: Iterable[Any],
    source: str,
    plane: Sequence[Any],
    policy: Policy,
    ledger: Ledger | None,
    large: bool = False,
) -> Any | None:
    """Choose the labels layer that takes a result; None for a new one."""
    ours = result_of(existing, source, plane, "labels", large)
    for layer in reversed(ours):
        if not _changed(layer, ledger):
            return layer
    return ours[-1] if ours and policy in ("fill", "replace") else None


target_labels = _target


def _changed(layer: Any, ledger: Ledger | None) -> bool:
    return is_changed(layer, None if ledger is None else ledger.get(layer))


def _same_class(layer: Any, entry: Mapping[str, Any]) -> bool:
    written = layer.metadata[KEY]
    key = "label" if written.get("stable") and entry["stable"] else "class"
    return bool(written.get(key) == entry[key])


def color_results(
    existing: Iterable[Any], image: LayerImage, results: Sequence[LayerData]
) -> list[LayerData]:
    """Give maps and labels the colours that their classes have in the viewer.

    A prompt's own colour comes first. Else a class keeps the colour of its map, also
    one that the user gave it; new classes get the colour of their label id, or, where
    nobody chose that id, the next that is free.
    """
    large = is_large(results[-1])
    maps = result_of(existing, image.source, image.plane, "probability", large)
    told = results[-1].kwargs["metadata"][KEY]
    entries = [result.kwargs["metadata"][KEY] for result in results[:-1]]
    chosen: dict[str, tuple[float, ...]] = {}
    for entry in entries:
        found = next((layer for layer in maps if _same_class(layer, entry)), None)
        if entry["color"]:
            chosen[str(entry["label"])] = tuple(entry["color"])
        elif found is not None:
            shown = found.colormap.map([1.0])[0][:3]
            chosen[str(entry["label"])] = tuple(float(part) for part in shown)
    for entry in entries:
        number = entry["label"] - 1
        if str(entry["label"]) in chosen:
            continue
        while not entry["stable"] and _is_taken(class_color(number), chosen.values()):
            number += 1
        chosen[str(entry["label"])] = class_color(number)
    colors = {label: list(chosen[label]) for label in told["classes"]}
    colored = [
        _with(result, {}, map_colormap(chosen[str(entry["label"])]))
        for result, entry in zip(results[:-1], entries, strict=True)
    ]
    table = labels_colors({int(label): color for label, color in colors.items()})
    return [*colored, _with(results[-1], {"colors": colors}, table)]


def _close(first: Iterable[float], second: Iterable[float], by: float = 0.01) -> bool:
    """Compare two colours; numpy takes a hundred times as long for so few numbers."""
    return all(abs(a - b) <= by for a, b in zip(first, second, strict=True))


def _is_taken(color: tuple[float, ...], others: Iterable[tuple[float, ...]]) -> bool:
    return any(_close(color, other) for other in others)


def _with(result: LayerData, told: Mapping[str, Any], colormap: Any) -> LayerData:
    entry = {**result.kwargs["metadata"][KEY], **told}
    changed = {"colormap": colormap, "metadata": {KEY: entry}}
    return LayerData(result.data, {**result.kwargs, **changed}, result.kind)


def kept_label_colors(
    layer: Any, result: LayerData
) -> dict[int | None, tuple[float, ...]] | None:
    """Choose the colours of a labels layer that is updated.

    Classes keep a colour that the user gave them in this layer, unless their prompt
    has one; so do other labels.

    Returns
    -------
    dict or None
        Colour for each id; None leaves the layer's colours alone: they are these, it
        is no labels layer, or the user chose automatic colours.
    """
    current = getattr(layer.colormap, "color_dict", None)
    if result.kind != "labels" or current is None:
        return None
    written, told = layer.metadata[KEY], result.kwargs["metadata"][KEY]
    table = labels_colors({int(i): color for i, color in told["colors"].items()})
    ids = {name: int(label) for label, name in told["classes"].items()}
    for label, color in current.items():
        if label is None or label in told["fixed"]:
            continue
        before = written["colors"].get(str(label))
        name = written["classes"].get(str(label))
        now = ids.get(name, label) if name is not None else label
        changed = before is None or not _close(color[:3], before)
        if label and now not in told["fixed"] and (changed or now not in table):
            table[now] = tuple(float(part) for part in color)
    same = current.keys() == table.keys() and all(
        _close(current[label], table[label], 0.004) for label in table
    )
    return None if same else table


def map_color(layer: Any, result: LayerData) -> dict[str, Any] | None:
    """Choose the colormap of a map that is updated; None leaves it as it is.

    It changes only if the prompt has a colour that the map does not show.
    """
    color = result.kwargs["metadata"][KEY].get("color")
    if not color or _close(layer.colormap.map([1.0])[0][:3], color):
        return None
    return map_colormap(color)


def new_name(layer: Any, result: LayerData) -> str | None:
    """Choose the name of a layer that is updated; None if it stays.

    It follows the class's name as long as the user has not renamed the layer.
    """
    written = layer.metadata[KEY]
    name: str = result.kwargs["name"]
    if layer.name != written.get("shown_name") or name == written.get("given_name"):
        return None
    return name
