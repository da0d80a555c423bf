"""What a run changed in the viewer, to bring it back."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from napari.layers import Layer

from napari_gem.core.foreign_text import without_tags
from napari_gem.layers.entry import LayerEntry, read_entry, write_entry
from napari_gem.layers.ledger import Ledger, Snapshot, features_as_text, table_as_text
from napari_gem.layers.transform import TRANSFORM, set_transform
from napari_gem.layers.writing.update import is_same_class
from napari_gem.widget.results.strokes import forget_strokes

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_gem.layers import LayerData
    from napari_gem.layers.maps import ImagePlane

LARGEST = 2 << 30
"""Bytes of maps that are kept at most; labels are always kept."""


TOO_LARGE = "'{}' was too large to be kept and stays."


@dataclass(frozen=True, eq=False)
class _State:
    """A layer before the run.

    Attributes
    ----------
    data
        The array itself: the run gives the layer another one, or `Undo.keep_plane`
        has what was in it. None if it was too large to be kept.
    snapshot
        The layer as we had left it.
    """

    layer: ref[Any]
    data: Any
    features: Any
    colormap: Any
    entry: LayerEntry
    transform: dict[str, Any]
    name: str
    visible: bool
    snapshot: Snapshot | None


class Undo:
    """Notes what a run changes.

    Attributes
    ----------
    fresh
        The array that a layer got in the run and that no other has.
    maps
        Maps of each result before the run, without data where they were too large to
        be kept.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._states: WeakKeyDictionary[Any, _State] = WeakKeyDictionary()
        self._added: list[ref[Any]] = []
        self._removed: list[tuple[int, Any]] = []
        self._planes: list[tuple[ref[Any], tuple[slice, ...], Any, Any, Any]] = []
        self._parts: list[tuple[Any, tuple[slice, ...], Any]] = []
        self._too_large: list[str] = []
        self._noted: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
        self._noted_parts: set[str] = set()
        self._arrays: list[Any] = []  # of the maps before the run
        self._lost: list[Any] = []
        self._kept = 0
        self.maps: dict[ImagePlane, list[LayerData]] = {}
        self.fresh: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def keep(self, layer: Any, then: Snapshot | None, in_place: bool = False) -> None:
        """Note a layer before it is changed; once is enough."""
        if layer in self._states or any(layer is added() for added in self._added):
            return
        data = layer.data
        is_labels = hasattr(layer, "selected_label")
        if any(data is lost for lost in self._lost):
            data = None
        elif not (is_labels or in_place or layer.multiscale or self._has_map(data)):
            self._kept += data.nbytes
            data = data if self._kept <= LARGEST else None
        self._states[layer] = _State(
            layer=ref(layer),
            data=data,
            features=layer.features.copy() if is_labels else None,
            colormap=layer.colormap,
            entry=read_entry(layer),
            transform={name: getattr(layer, name) for name in TRANSFORM},
            name=layer.name,
            visible=layer.visible,
            snapshot=then,
        )

    def keep_maps(
        self,
        plane: ImagePlane,
        maps: tuple[LayerData, ...],
        in_place: bool = False,
    ) -> None:
        """Note the maps of a result before there are others; once is enough.

        They are not copied; if they are written ``in_place``, `keep_part` is called.
        """
        if plane in self.maps:
            return
        self.maps[plane] = []
        for known in maps:
            if not (in_place or plane.is_large):
                self._kept += known.data.nbytes
            if self._kept > LARGEST:
                self._lost.append(known.data)
                self._too_large.append(str(known.kwargs["name"]))
                known = replace(known, data=None)
            else:
                self._arrays.append(known.data)
            self.maps[plane].append(known)

    def keep_part(self, known: LayerData, index: tuple[slice, ...]) -> None:
        """Note a part of a map before it is written in place; once is enough."""
        array, name = known.data, str(known.kwargs["name"])
        key = f"{id(array)} {index}"
        if key in self._noted_parts or not self._has_map(array):
            return
        self._noted_parts.add(key)
        old = array[index]
        self._kept += old.nbytes
        if self._kept <= LARGEST:
            self._parts.append((array, index, old.copy()))
        elif name not in self._too_large:
            self._too_large.append(name)

    def keep_plane(
        self, layer: Any, index: tuple[slice, ...], old: Any, then: Snapshot
    ) -> None:
        """Note a part of labels before it is written in place; once is enough.

        The layer was noted with `keep` before, or added. ``then`` is what we had
        written there.
        """
        noted = self._noted.setdefault(layer, set())
        if layer not in self._states or str(index) in noted:
            return
        noted.add(str(index))
        own = None if then.own is None else _pack(then.own)
        self._planes.append((ref(layer), index, _pack(old), _pack(then.data), own))

    def add(self, layer: Any) -> None:
        """Note a layer that was added."""
        self._added.append(ref(layer))
        if hasattr(layer, "selected_label"):  # the array of a map is kept elsewhere
            self.fresh[layer] = layer.data

    def set_data(self, layer: Any, data: Any, *, preview: bool) -> None:
        """Replace a layer's data; in previews write into an array of our own.

        Writing takes half as long as replacing: napari need not ask for the extent.
        """
        now = layer.data
        is_ours = now is self.fresh.get(layer)
        if preview and is_ours and (now.shape, now.dtype) == (data.shape, data.dtype):
            now[...] = data
            layer.refresh(extent=False, thumbnail=False, highlight=False)
        else:
            layer.data = data
            forget_strokes(layer)
            self.fresh[layer] = data

    def has_noted(self, layer: Any) -> bool:
        """Tell whether a layer is brought back from what was noted of it."""
        return layer in self._states

    def remove(self, layer: Any) -> None:
        """Remove a layer from the viewer."""
        self._removed.append((self._viewer.layers.index(layer), layer))
        self._viewer.layers.remove(layer)

    def restore(self, ledger: Ledger) -> str:
        """Bring everything back, the ledger too; say what happened, for the user."""
        every = self._viewer.layers
        selected, active = set(every.selection), every.selection.active
        sentences = ["The last run is undone."]
        for added in self._added:
            layer = added()
            if layer is not None and layer in every:
                sentences.append(self._take_away(layer, ledger))
        for state in list(self._states.values()):
            layer = state.layer()
            if layer is not None and layer in every:
                sentences += self._restore(layer, state, ledger)
        self._restore_planes(ledger)
        self._restore_parts()
        stay = [TOO_LARGE.format(name) for name in self._too_large]
        sentences += [each for each in stay if each not in sentences]
        for index, layer in reversed(self._removed):
            if layer not in every:
                every.insert(min(index, len(every)), layer)
        every.selection = {layer for layer in selected if layer in every}
        if active in every:
            every.selection.active = active
        return " ".join(part for part in sentences if part)

    def _take_away(self, layer: Any, ledger: Ledger) -> str:
        then = ledger.get(layer)
        if then is not None and then.differs(layer):
            write_entry(layer, replace(read_entry(layer), layer=""))  # the user's now
            return f"'{layer.name}' was changed since, so it was kept."
        self._viewer.layers.remove(layer)
        return ""

    def _restore(self, layer: Any, state: _State, ledger: Ledger) -> list[str]:
        entry = read_entry(layer)
        if not is_same_class(entry, state.entry):
            return []  # it shows another class now
        sentences: list[str] = []
        now = ledger.get(layer)
        if now is not None and self._is_lost(layer, state, now):
            sentences.append(
                f"What was painted since is in '{self._save_copy(layer)}'."
            )
        if state.data is None:
            sentences.append(TOO_LARGE.format(layer.name))
        else:
            # hidden maps of classes that are off were not written to
            if layer.data is not state.data:
                layer.data = state.data
                forget_strokes(layer)
            set_transform(layer, state.transform)
            if layer.colormap is not state.colormap:
                layer.colormap = state.colormap
        if state.features is not None and features_as_text(layer) != table_as_text(
            state.features
        ):
            layer.features = state.features
        if layer.name == entry.shown_name and layer.name != state.name:
            layer.name = state.name
        if entry.is_hidden != state.entry.is_hidden:
            layer.visible = state.visible
        write_entry(layer, state.entry)
        ledger.put(layer, state.snapshot)
        return sentences

    def _is_lost(self, layer: Any, state: _State, now: Snapshot) -> bool:
        """Tell whether bringing a layer back would lose what the user did since."""
        if layer.data is not state.data or layer.data.shape != now.data.shape:
            return now.differs(layer)
        data = layer.data
        return any(
            not np.array_equal(data[index], now.data[index])
            for weak, index, *_ in self._planes
            if weak() is layer
        )

    def _restore_planes(self, ledger: Ledger) -> None:
        changed: set[Any] = set()
        for weak, index, data, labels, own in reversed(self._planes):
            layer: Any = weak()
            if layer is None or layer not in self._viewer.layers:
                continue
            if self._states[layer].data is None:
                continue
            layer.data[index] = _unpack(data)
            then = ledger.get(layer)
            if then is not None:
                then.data[index] = _unpack(labels)
                if then.own is not None:
                    then.own[index] = False if own is None else _unpack(own)
            changed.add(layer)
        for layer in changed:
            forget_strokes(layer)
            layer.refresh()

    def _restore_parts(self) -> None:
        for array, index, old in reversed(self._parts):
            array[index] = old
        for layer in self._viewer.layers:
            if any(layer.data is array for array, *_ in self._parts):
                layer.refresh()

    def _has_map(self, array: Any) -> bool:
        return any(array is known for known in self._arrays)

    def _save_copy(self, layer: Any) -> str:
        """Give the array that the user painted to a layer of its own."""
        data, kwargs, kind = layer.as_layer_data_tuple()
        if layer.data is self._states[layer].data:
            data = np.array(data)  # it is written in place
        kwargs = {
            **kwargs,
            "name": without_tags(f"{layer.name} · painted"),
        }
        copy = Layer.create(data, kwargs, kind)
        copy.metadata = {}
        write_entry(copy, replace(read_entry(layer), layer=""))
        return str(self._viewer.add_layer(copy).name)


def _pack(array: Any) -> tuple[bytes, Any, tuple[int, ...]]:
    """Labels of a plane take a hundredth of their size."""
    return zlib.compress(array.tobytes(), 1), array.dtype, array.shape


def _unpack(packed: tuple[bytes, Any, tuple[int, ...]]) -> Any:
    data, dtype, shape = packed
    return np.frombuffer(zlib.decompress(data), dtype).reshape(shape)
