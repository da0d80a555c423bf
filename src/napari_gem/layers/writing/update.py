"""What happens to the viewer's layers when a result comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_gem.layers.entry import LABELS, PROBABILITY, is_result, read_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_gem.layers.entry import LayerEntry
    from napari_gem.layers.ledger import Ledger
    from napari_gem.layers.reading.source import LayerImage
    from napari_gem.layers.writing.layer_data import LayerData

Policy = Literal["ask", "new", "fill", "replace", "keep"]
"""What happens to labels that the user painted, when a result comes.

``new``: they stay, the result gets a layer of its own. ``fill``: they stay, the result
goes around them, in the same layer. ``replace``: the result takes their place.
``keep``: they stay, and no layer is made: the result's labels are dropped. ``ask``: not
chosen yet; as ``new``.
"""


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


def result_of(
    existing: Iterable[Any],
    source: str,
    plane: Sequence[int],
    role: str,
    large: bool = False,
) -> list[Any]:
    """List our layers of an image plane that have a role, with or without levels."""
    return [
        layer
        for layer in existing
        if is_result(layer)
        and bool(layer.multiscale) == large
        and read_entry(layer).is_about(source, plane, role)
    ]


def plan_update(
    existing: Iterable[Any],
    image: LayerImage,
    results: Iterable[LayerData],
    policy: Policy,
    ledger: Ledger,
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
    *new_maps, new_labels = results
    existing = list(existing)
    preview, large = new_labels.entry.step > 1, new_labels.is_large
    maps = result_of(existing, image.source, image.plane, PROBABILITY, large)
    update, add = [], []
    for result in new_maps:
        layer = find_map(maps, result.entry)
        if layer is not None:
            maps.remove(layer)
            if not preview or layer.visible or read_entry(layer).is_hidden:
                update.append((layer, result))
        elif not preview:
            add.append(result)
    off_classes = new_labels.entry.off_classes
    off = [layer for layer in maps if read_entry(layer).label in off_classes]
    gone = [] if preview else [layer for layer in maps if layer not in off]
    labels = _labels_to_update(existing, image, policy, ledger, large)
    kept = None
    if labels is None and policy == "keep":
        kept = painted_labels(existing, image, ledger, large)
    if labels is not None:
        update.append((labels, new_labels))
    elif kept is None:
        add.append(new_labels)
    return Plan(tuple(update), tuple(add), tuple(gone), tuple(off), kept)


def painted_labels(
    existing: Iterable[Any], image: LayerImage, ledger: Ledger, large: bool = False
) -> Any | None:
    """Find the labels layer for which the user is to choose a `Policy`.

    Parameters
    ----------
    existing
        The viewer's layers.
    image
        What was segmented.
    ledger
        Our labels layers as we left them.
    large
        Whether the result has levels; nobody can paint on such layers.

    Returns
    -------
    Layer or None
        Ours, changed by somebody since; None if there is none, or another one of the
        same image plane that nobody changed.
    """
    ours = result_of(existing, image.source, image.plane, LABELS, large)
    if any(not ledger.is_changed(layer) for layer in ours):
        return None
    return ours[-1] if ours else None


def find_map(maps: Iterable[Any], entry: LayerEntry) -> Any | None:
    """Find the map of a class: by its label id if the prompt has one, else by name."""
    same = (layer for layer in maps if is_same_class(read_entry(layer), entry))
    return next(same, None)


def is_same_class(known: LayerEntry, entry: LayerEntry) -> bool:
    """Tell whether two maps are of one class: see `find_map`."""
    if known.stable and entry.stable:
        return known.label == entry.label
    return known.class_name == entry.class_name


def new_name(layer: Any, result: LayerData) -> str | None:
    """Choose the name of a layer that is updated; None if it stays.

    It follows the class's name as long as the user has not renamed the layer.
    """
    entry = read_entry(layer)
    name: str = result.kwargs["name"]
    if layer.name != entry.shown_name or name == entry.given_name:
        return None
    return name


def _labels_to_update(
    existing: Iterable[Any],
    image: LayerImage,
    policy: Policy,
    ledger: Ledger,
    large: bool,
) -> Any | None:
    """Choose the labels layer that takes a result; None for a new one."""
    ours = result_of(existing, image.source, image.plane, LABELS, large)
    for layer in reversed(ours):
        if not ledger.is_changed(layer):
            return layer
    return ours[-1] if ours and policy in ("fill", "replace") else None
