"""Whether somebody changed a layer since we wrote it: the one place that decides.

Painting changes a layer's array in place, so a copy of it is kept: comparing with it
is exact, whoever changed the layer and however. Of layers that this dock has not
written, the fingerprint in their entry is compared. Of labels that something was
derived from, a checksum is kept, which takes no memory.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from napari_gem.core.region import expand
from napari_gem.layers.entry import read_entry
from napari_gem.layers.levels.on_disk import DiskArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    Pixels = NDArray[np.bool_]

ROWS = 256
"""Rows compared at once: a difference is found without reading all."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A layer as we left it.

    Attributes
    ----------
    data
        Copy of the layer's data; a list of arrays for shapes. Empty for layers with
        levels, which nobody can paint on.
    features
        Columns of the layer's features, as text.
    own
        Pixels of labels that are the user's; None if there are none.
    """

    data: Any
    features: Mapping[str, list[str]]
    own: Pixels | None = None

    @classmethod
    def take(cls, layer: Any, own: Pixels | None = None) -> Snapshot:
        """Copy a layer as it is now."""
        if getattr(layer, "multiscale", False):
            data: Any = np.zeros(0)
        elif isinstance(layer.data, list):
            data = [np.array(part) for part in layer.data]
        else:
            data = np.array(layer.data)
        return cls(data, features_as_text(layer), own)

    def differs(self, layer: Any) -> bool:
        """Tell whether data or features of a layer are others than these."""
        return self.data_differs(layer) or features_as_text(layer) != self.features

    def data_differs(self, layer: Any) -> bool:
        """Tell whether the data of a layer are others than these."""
        if getattr(layer, "multiscale", False):
            return False
        now, then = layer.data, self.data
        if isinstance(now, list):
            same = len(now) == len(then) and all(map(np.array_equal, now, then))
            return not same
        if (now.shape, now.dtype) != (then.shape, then.dtype):
            return True
        if not isinstance(now, np.ndarray):  # a stack on disk: one plane at a time
            return any(not np.array_equal(now[i], then[i]) for i in range(now.shape[0]))
        if now.ndim > 2 and now.shape[0] == 1:
            now, then = now[0], then[0]
        return any(
            not np.array_equal(now[i : i + ROWS], then[i : i + ROWS])
            for i in range(0, len(now), ROWS)
        )

    def part(self, index: tuple[slice, ...]) -> Snapshot:
        """Give a part of it."""
        own = None if self.own is None else self.own[index]
        return replace(self, data=self.data[index], own=own)


class Ledger:
    """Our layers as we left them; what is noted of a layer goes with it."""

    def __init__(self) -> None:
        self._snapshots: WeakKeyDictionary[Any, Snapshot] = WeakKeyDictionary()

    def note(self, layer: Any, own: Pixels | None = None) -> None:
        """Note a layer as it is now, and which of its pixels are the user's."""
        self.put(layer, Snapshot.take(layer, own))

    def get(self, layer: Any) -> Snapshot | None:
        """Give a layer as we left it; None if it is not known."""
        return self._snapshots.get(layer)

    def put(self, layer: Any, snapshot: Snapshot | None) -> None:
        """Note how we left a layer; None forgets it."""
        if snapshot is None:
            self._snapshots.pop(layer, None)
        else:
            self._snapshots[layer] = snapshot

    def clear(self) -> None:
        """Forget all layers."""
        self._snapshots.clear()

    def is_changed(self, layer: Any) -> bool:
        """Tell whether a layer of ours has pixels or features that are the user's."""
        snapshot = self.get(layer)
        if snapshot is not None:
            return snapshot.own is not None or snapshot.differs(layer)
        return _differs_from_fingerprint(layer)


@dataclass(frozen=True, eq=False)
class Basis:
    """Labels and maps as they were when something was derived from them."""

    labels: ref[Any]
    checksum: int
    recipes: list[Any]

    @classmethod
    def take(cls, labels: Any, maps: Iterable[Any]) -> Basis:
        """Note labels and the maps that belong to them as they are now."""
        data = labels.data
        if isinstance(data, DiskArray):  # reading it takes seconds
            checksum = data.changes
        else:
            checksum = zlib.crc32(np.ascontiguousarray(data).data)
        recipes = [read_entry(layer).recipe for layer in maps]
        return cls(ref(labels), checksum, recipes)

    def is_equal(self, other: Basis) -> bool:
        """Tell whether labels and maps are the same."""
        return (self.checksum, self.recipes) == (other.checksum, other.recipes)


def features_as_text(layer: Any) -> dict[str, list[str]]:
    """Columns of a layer's features, as text."""
    return table_as_text(getattr(layer, "features", {}))


def table_as_text(table: Any) -> dict[str, list[str]]:
    """Columns of a table, as text."""
    return {str(name): [_as_text(value) for value in table[name]] for name in table}


def own_pixels(data: NDArray[Any], snapshot: Snapshot | None) -> Pixels | None:
    """Find the pixels of labels that are the user's, also those that he set to 0.

    Parameters
    ----------
    data
        A labels layer's data.
    snapshot
        The layer as we left it; None if that is not known: then whatever has a label
        may be the user's.

    Returns
    -------
    NDArray[bool] or None
        None if there are none.
    """
    if snapshot is None or snapshot.data.shape != data.shape:
        own = data != 0
    else:
        own = data != snapshot.data
        if snapshot.own is not None:
            own |= snapshot.own
    return own if own.any() else None


def fingerprint(
    labels: NDArray[Any], features: Mapping[str, Any], step: int = 1
) -> str:
    """Digest of a labels layer's data and features.

    Of labels that `expand` made, one pixel of each repeated square is read.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{labels.shape}{labels.dtype}".encode())
    read = labels[(slice(None, None, step),) * labels.ndim]
    digest.update(np.ascontiguousarray(read).data)
    for column in features:
        values = [_as_text(value) for value in features[column]]
        digest.update(f"{column}{values}".encode())
    return digest.hexdigest()


def _as_text(value: Any) -> str:
    """Write a value; pandas makes NaN of None, so both are empty."""
    return "" if value is None or value != value else str(value)


def _differs_from_fingerprint(layer: Any) -> bool:
    if layer.multiscale:
        return False
    entry = read_entry(layer)
    data = np.asarray(layer.data)
    if fingerprint(data, dict(layer.features), entry.step) != entry.fingerprint:
        return True
    coarse = data[(slice(None, None, entry.step),) * data.ndim]
    return entry.step > 1 and not np.array_equal(
        expand(coarse, entry.step, data.shape), data
    )
