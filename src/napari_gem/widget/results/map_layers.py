"""Which maps have a layer: that of the current class, those chosen, or all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from napari.layers import Layer

from napari_gem.layers.entry import (
    PROBABILITY,
    LayerEntry,
    is_result,
    read_entry,
    write_entry,
)
from napari_gem.layers.maps import ImagePlane, ResultMaps, join_maps
from napari_gem.layers.transform import transform_of
from napari_gem.layers.writing.colors import new_map_color
from napari_gem.layers.writing.layer_data import LayerData
from napari_gem.layers.writing.update import (
    find_map,
    is_same_class,
    plan_update,
    result_of,
)
from napari_gem.widget.results.signing import add_signed, update_properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.components import ViewerModel

    from napari_gem.core.prompts import Prompt
    from napari_gem.layers import LayerImage, Ledger, Plan, Policy
    from napari_gem.widget.results.undo import Undo

MapChoice = Literal["current", "chosen", "all"]
"""``current``: one layer for each result, which shows the current class. ``chosen``:
a layer for each class that the user asked for. ``all``: a layer for each class."""


class MapLayers:
    """Our map layers in a viewer, and the maps that they show.

    A map layer that the user renamed, or whose data he replaced, stays with its class
    and in the viewer whatever is chosen.

    Parameters
    ----------
    viewer
        Where the layers are.

    Attributes
    ----------
    maps
        All maps, also those without a layer.
    choice
        Which maps have a layer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.maps = ResultMaps()
        self.choice: MapChoice = "all"
        self._current: LayerEntry | None = None
        self._chosen: list[LayerEntry] = []
        self._followers: WeakSet[Any] = WeakSet()
        self._next_follower: LayerData | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    # --- what the user does

    def set_current(self, prompt: Prompt | None) -> None:
        """Let the layers that follow the current class show this class."""
        self._current = None if prompt is None else _entry(prompt)
        if self.choice == "current":
            for layer in self._layers(followers=True):
                self._follow(layer)

    def set_choice(self, choice: MapChoice) -> None:
        """Choose which maps have a layer; visible ones stay visible."""
        if choice == self.choice:
            return
        self.choice = choice
        followers = self._layers(followers=True)
        self._followers.clear()
        for plane in self.maps.planes():
            layers = self._layers(plane)
            if choice == "all":
                self._add_missing(plane, self.maps.get(plane), visible=False)
            elif choice == "chosen":
                for layer in layers:
                    if layer.visible:
                        self._choose(read_entry(layer))
                    else:
                        self.viewer.layers.remove(layer)
            elif layers or not followers:
                self._keep_one(plane, layers)

    def toggle(self, prompt: Prompt) -> None:
        """Show or hide the maps of a class; what has no layer gets one."""
        entry = _entry(prompt)
        for plane in self.maps.planes():
            if self.choice == "current" and not self._layers(plane, followers=True):
                self._add_follower(plane)
            elif self.choice == "chosen":
                self._choose(entry)
                known = find_map(self.maps.get(plane), entry)
                self._add_missing(plane, [known] if known else [], visible=False)
        ours = [x for x in self.viewer.layers if _is_map(x)]
        same = [layer for layer in ours if is_same_class(read_entry(layer), entry)]
        shown = not any(layer.visible for layer in same)
        for layer in same:
            layer.visible = shown

    # --- what a run does

    def plan(
        self,
        image: LayerImage,
        maps: Sequence[LayerData],
        labels: LayerData,
        policy: Policy,
        ledger: Ledger,
    ) -> Plan:
        """Decide which layers are updated, added and removed: see `plan_update`.

        Parameters
        ----------
        maps
            Those that are kept from now on, or those of a preview.
        labels
            Of the result.
        """
        plane = ImagePlane(image.source, tuple(image.plane), labels.is_large)
        preview = labels.entry.step > 1
        followers = self._layers(plane, followers=True)
        existing = [x for x in self.viewer.layers if x not in followers]
        shown = result_of(existing, *plane[:2], PROBABILITY, plane.is_large)
        asked = [each for each in maps if not each.entry.is_hidden]
        wanted = [
            each
            for each in asked
            if self._has_layer(each.entry) or find_map(shown, each.entry) is not None
        ]
        plan = plan_update(existing, image, [*wanted, labels], policy, ledger)
        self._next_follower = None
        if not followers:
            if self.choice == "current" and asked and not preview:
                self._next_follower = first = self._followed(asked, LayerEntry())
                adopted = find_map(self._layers(plane), first.entry)
                if adopted is not None:
                    self._followers.add(adopted)
                else:
                    plan = replace(plan, add=(first, *plan.add))
            return plan
        for layer in followers:
            entry = read_entry(layer)
            if preview:
                result = find_map(asked, entry)
                if result is not None and (layer.visible or entry.is_hidden):
                    plan = replace(plan, update=((layer, result), *plan.update))
            elif entry.label in labels.entry.off_classes:
                plan = replace(plan, hide=(*plan.hide, layer))
            elif asked:
                result = self._followed(asked, entry)
                plan = replace(plan, update=((layer, result), *plan.update))
            else:
                plan = replace(plan, remove=(*plan.remove, layer))
        return plan

    def show(self, layer: Any, known: LayerData) -> None:
        """Let a layer show a map, which may be that of another class than before."""
        is_same = is_same_class(read_entry(layer), known.entry)
        show_map(layer, known)
        if not is_same:
            layer.colormap = known.kwargs["colormap"]

    def refresh(self, known: LayerData) -> None:
        """Draw again what shows a map that was written in place."""
        for layer in self.viewer.layers:
            if layer.data is known.data:
                layer.refresh(extent=False, thumbnail=False, highlight=False)

    def note_added(self, layer: Any, result: LayerData) -> None:
        """Note a layer that was added as planned."""
        if result is self._next_follower:
            self._followers.add(layer)

    def note_layers(self, plane: ImagePlane) -> None:
        """Keep the user's colormaps, and maps of layers that an earlier dock made."""
        for layer in self._layers(plane, every=True):
            entry, maps = read_entry(layer), self.maps.get(plane)
            if find_map(maps, entry) is None and entry.step == 1:
                self.maps.put(plane, [*maps, _read(layer)])
            self._note_color(plane, layer)

    def unchanged(self) -> list[Any]:
        """List our map layers that the user neither renamed nor gave other data."""
        return self._layers()

    def after_undo(self, layers: Iterable[Any], undo: Undo) -> None:
        """Let these layers show the maps that were brought back."""
        every = self.viewer.layers
        for layer in [x for x in layers if x in every]:
            plane = ImagePlane.of_layer(layer)
            known = find_map(self.maps.get(plane), read_entry(layer))
            if plane not in undo.maps:
                continue
            if layer in self._followers and self.maps.get(plane):
                self._follow(layer)
            elif known is None:
                every.remove(layer)
            elif not undo.has_noted(layer):
                self.show(layer, known)

    def clear(self) -> None:
        """Forget all maps; the layers stay."""
        self.maps.clear()
        self._followers.clear()

    # --- layers

    def _layers(
        self,
        plane: ImagePlane | None = None,
        *,
        followers: bool = False,
        every: bool = False,
    ) -> list[Any]:
        """List our map layers that the user did not make his own, or all of ours."""
        return [
            layer
            for layer in self.viewer.layers
            if _is_map(layer)
            and plane in (None, ImagePlane.of_layer(layer))
            and (not followers or layer in self._followers)
            and (every or not self._is_own(layer))
        ]

    def _is_own(self, layer: Any) -> bool:
        """Tell whether the user renamed a map layer or replaced its data."""
        entry = read_entry(layer)
        if layer.name != entry.shown_name:
            return True
        if entry.step > 1:
            return False
        known = find_map(self.maps.get(ImagePlane.of_layer(layer)), entry)
        return known is not None and not _has_data(layer, known)

    def _has_layer(self, entry: LayerEntry) -> bool:
        if self.choice == "chosen":
            return any(is_same_class(each, entry) for each in self._chosen)
        return self.choice == "all"

    def _choose(self, entry: LayerEntry) -> None:
        if not any(is_same_class(each, entry) for each in self._chosen):
            self._chosen.append(entry)

    def _followed(self, maps: Sequence[LayerData], now: LayerEntry) -> LayerData:
        """Choose the map to be followed: the current class's, or this, or the first."""
        for entry in (self._current, now):
            known = None if entry is None else find_map(maps, entry)
            if known is not None:
                return known
        return maps[0]

    def _follow(self, layer: Any) -> None:
        plane = ImagePlane.of_layer(layer)
        self._note_color(plane, layer)
        maps = [each for each in self.maps.get(plane) if not each.entry.is_hidden]
        entry = read_entry(layer)
        if not maps:
            return
        known = self._followed(maps, entry)
        if not (_has_data(layer, known) and is_same_class(entry, known.entry)):
            self.show(layer, known)

    def _keep_one(self, plane: ImagePlane, layers: list[Any]) -> None:
        """Let one layer follow the current class; the others go."""
        if not layers:
            self._add_follower(plane)
            return
        visible = any(layer.visible for layer in layers)
        first = layers[0]
        if self._current is not None:
            first = find_map(layers, self._current) or first
        self._followers.add(first)
        self._follow(first)
        first.visible = visible
        for layer in layers:
            if layer is not first:
                self._note_color(plane, layer)
                self.viewer.layers.remove(layer)

    def _add_follower(self, plane: ImagePlane) -> None:
        maps = [each for each in self.maps.get(plane) if not each.entry.is_hidden]
        if maps:
            known = self._followed(maps, LayerEntry())
            self._followers.add(self._add(plane, known, visible=False))

    def _add_missing(
        self, plane: ImagePlane, maps: Iterable[LayerData], *, visible: bool
    ) -> None:
        shown = self._layers(plane, every=True)
        for known in maps:
            if not known.entry.is_hidden and find_map(shown, known.entry) is None:
                self._add(plane, known, visible=visible)

    def _add(self, plane: ImagePlane, known: LayerData, *, visible: bool) -> Any:
        data, kwargs, kind = known.as_tuple()
        layer = Layer.create(data, {**kwargs, "visible": visible}, kind)
        labels = [
            x
            for x in self.viewer.layers
            if hasattr(x, "selected_label") and ImagePlane.of_layer(x) == plane
        ]
        add_signed(self.viewer, layer, known, below=labels[0] if labels else None)
        return layer

    def _note_color(self, plane: ImagePlane, layer: Any) -> None:
        """Keep the colormap of a map layer with its map."""
        maps = list(self.maps.get(plane))
        known = find_map(maps, read_entry(layer))
        if known is not None and known.kwargs["colormap"] is not layer.colormap:
            kwargs = {**known.kwargs, "colormap": layer.colormap}
            maps[maps.index(known)] = replace(known, kwargs=kwargs)
            self.maps.put(plane, maps)

    def _on_removed(self, _event: Any = None) -> None:
        """Forget the maps of results that are gone."""
        if self.maps.planes():
            self.maps.keep_only(self.viewer.layers)


def show_map(layer: Any, known: LayerData) -> None:
    """Let a layer show a map; opacity, contrast and so on stay."""
    if not _has_data(layer, known):
        layer.data = known.data
    color = new_map_color(layer, known)
    if color is not None:
        layer.colormap = color
    was_hidden = read_entry(layer).is_hidden
    update_properties(layer, known, known.entry)
    if was_hidden and not known.entry.is_hidden:
        layer.visible = True


def preview_map(
    layer: Any, result: LayerData, image: LayerImage, labels: LayerData, undo: Undo
) -> None:
    """Let a layer show a preview of its map."""
    data = join_maps(layer.data, result, image, labels)
    if result.is_large:
        layer.data = data
    else:
        undo.set_data(layer, data, preview=True)
    was_hidden = read_entry(layer).is_hidden
    update_properties(layer, result, result.entry)
    if was_hidden:
        layer.visible = True


def hide(layer: Any, undo: Undo) -> None:
    """Hide the map of a class that is off until it is on again."""
    if layer.visible:
        undo.keep(layer, None)
        write_entry(layer, replace(read_entry(layer), is_hidden=True))
        layer.visible = False


def _entry(prompt: Prompt) -> LayerEntry:
    return LayerEntry(
        class_name=prompt.name, label=prompt.label, stable=bool(prompt.label)
    )


def _read(layer: Any) -> LayerData:
    """Take the map of a layer."""
    kwargs = {
        **transform_of(layer),
        "name": read_entry(layer).given_name,
        "colormap": layer.colormap,
        "contrast_limits": (0.0, 1.0),
        "blending": "additive",
        "visible": False,
        "rgb": False,
        "multiscale": bool(layer.multiscale),
    }
    data = list(layer.data) if layer.multiscale else layer.data
    return LayerData(data, kwargs, "image", read_entry(layer))


def _is_map(layer: Any) -> bool:
    return is_result(layer) and read_entry(layer).role == PROBABILITY


def _has_data(layer: Any, known: LayerData) -> bool:
    """Tell whether a layer shows the data of a map."""
    if known.is_large:
        return bool(layer.multiscale) and layer.data[0] is known.data[0]
    return layer.data is known.data
