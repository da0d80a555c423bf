"""Our entry in a layer's metadata: what the layer shows, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from napari_gem.core.region import Region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

KEY = "napari_gem"
"""Where the entry is in a layer's metadata."""

PROBABILITY, LABELS, MERGED, EXAMPLES = "probability", "labels", "merged", "examples"
"""Roles; what is derived from a result has its kind as role."""

STORED_NAMES = {
    "class_name": "class",
    "derived_from": "of",
    "off_classes": "off",
    "is_hidden": "off",
}
"""Names in the metadata of fields that are called otherwise here."""

Color = tuple[float, ...]


@dataclass(frozen=True)
class LayerEntry:
    """What we note in a layer's metadata.

    Attributes
    ----------
    role
        ``probability``, ``labels``, ``merged``, ``examples``, or the kind of what is
        derived from a result; empty for layers that we did not make.
    layer
        Unique id of the layer that the entry was written for. A copy, or a layer that
        was read from a file, has another id: it is the user's.
    source, plane
        Which image layers were segmented, and which plane of them.
    step
        Image pixels per pixel of the result; more than 1 in previews.
    patch
        Image pixels per pixel of a large image's map.
    recipe
        How the result was made, as `napari_gem.core.json_records.to_dict` gives it.
    class_name, label, color
        Class of a map, its label id, and the colour that its prompt asks for.
    stable
        Whether the prompt has a label id, by which the class is known.
    is_hidden
        Whether a map was hidden because its class is off.
    classes, off_classes, colors
        By label id: classes of labels, classes that were off, and colours.
    fixed
        Label ids whose prompts ask for a colour.
    fingerprint
        Of labels, see `napari_gem.layers.ledger.fingerprint`.
    given_name, shown_name
        The name that we gave the layer, and what napari made of it.
    derived_from, options, stale
        Id of the labels that a layer was derived from, how, and whether they have
        changed since.
    prompts
        Lines that a sample image suggests.
    """

    role: str = ""
    layer: str = ""
    source: str = ""
    plane: tuple[int, ...] = ()
    step: int = 1
    patch: float = 1.0
    recipe: Mapping[str, Any] = field(default_factory=dict)
    class_name: str = ""
    label: int = 0
    color: Color = ()
    stable: bool = False
    is_hidden: bool = False
    classes: Mapping[int, str] = field(default_factory=dict)
    off_classes: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, Color] = field(default_factory=dict)
    fixed: tuple[int, ...] = ()
    fingerprint: str = ""
    given_name: str = ""
    shown_name: str = ""
    derived_from: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    stale: bool = False
    prompts: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, stored: object) -> LayerEntry:
        """Read an entry, which may come from anybody: what is malformed is left out."""
        if not isinstance(stored, dict):
            return cls()
        values = {
            name: value
            for name, key, check in _FIELDS
            if key in stored and (value := check(stored[key])) is not None
        }
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Give what is stored: plain data, without fields that have their default."""
        return {
            key: _plain(value)
            for name, key, _ in _FIELDS
            if (value := getattr(self, name)) != getattr(_EMPTY, name)
        }

    @property
    def region(self) -> Region | None:
        """Region that the recipe asks for; None for all of the image."""
        region = self.recipe.get("region")
        if region is None:
            return None
        corners = tuple(
            (float(row), float(column)) for row, column in region["polygon"]
        )
        return Region(tuple(region["rows"]), tuple(region["columns"]), corners)

    def is_about(self, source: str, plane: Iterable[int], role: str) -> bool:
        """Tell whether a layer has this role for this plane of these image layers."""
        return (self.source, self.plane, self.role) == (source, tuple(plane), role)


def read_entry(layer: Any) -> LayerEntry:
    """Read our entry of a layer or `LayerData`; an empty one if it has no entry."""
    entry = getattr(layer, "entry", None)
    if isinstance(entry, LayerEntry):
        return entry
    return LayerEntry.from_dict(getattr(layer, "metadata", {}).get(KEY))


def write_entry(layer: Any, entry: LayerEntry) -> None:
    """Write our entry of a layer; other metadata stay."""
    layer.metadata = {**layer.metadata, KEY: entry.to_dict()}


def is_result(layer: Any) -> bool:
    """Tell whether we made a layer; a copy or a layer read from a file is the user's.

    Whoever adds a result layer writes its ``unique_id`` into our entry.
    """
    stored = layer.metadata.get(KEY)
    return isinstance(stored, dict) and stored.get("layer") == str(layer.unique_id)


def is_result_of_ours(layer: Any) -> bool:
    """Tell whether a layer was made by us, also if it is a copy or from a file."""
    stored = layer.metadata.get(KEY)
    return isinstance(stored, dict) and ("role" in stored or is_result(layer))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _number(value: object) -> float | None:
    return value if type(value) in (int, float) else None  # type: ignore[return-value]


def _record(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _tuple_of(check: Callable[[object], Any]) -> Callable[[object], Any]:
    def read(value: object) -> tuple[Any, ...] | None:
        if not isinstance(value, list | tuple):
            return None
        parts = [check(part) for part in value]
        return None if None in parts else tuple(parts)

    return read


def _by_label(check: Callable[[object], Any]) -> Callable[[object], Any]:
    def read(value: object) -> dict[int, Any] | None:
        if not isinstance(value, dict):
            return None
        return {
            int(label): part
            for label, stored in value.items()
            if (text := str(label)).isdecimal() and len(text) < 20
            if (part := check(stored)) is not None
        }

    return read


_CHECKS: dict[str, Callable[[object], Any]] = {
    "str": _text,
    "bool": _flag,
    "int": _whole,
    "float": _number,
    "Color": _tuple_of(_number),
    "tuple[int, ...]": _tuple_of(_whole),
    "tuple[str, ...]": _tuple_of(_text),
    "Mapping[str, Any]": _record,
    "Mapping[int, str]": _by_label(_text),
    "Mapping[int, Color]": _by_label(_tuple_of(_number)),
}
"""What reads a stored value of a field of this type; None if it is malformed."""

_FIELDS = [
    (each.name, STORED_NAMES.get(each.name, each.name), _CHECKS[str(each.type)])
    for each in fields(LayerEntry)
]
_EMPTY = LayerEntry()


def class_names(labels: Any) -> dict[int, str]:
    """Read the class of each label id from the features of a labels layer."""
    features = labels.features
    if "class" not in features or "index" not in features:
        return {}
    pairs = zip(features["index"], features["class"], strict=True)
    return {int(index): str(name) for index, name in pairs if index == index // 1}
