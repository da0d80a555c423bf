"""What every layer of ours gets: its place, its name, and the entry that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_gem.layers.entry import read_entry, write_entry
from napari_gem.layers.ledger import features_as_text, table_as_text
from napari_gem.layers.transform import TRANSFORM, set_transform
from napari_gem.layers.writing.results import short_name
from napari_gem.layers.writing.update import new_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_gem.layers import LayerData, LayerEntry


def set_features(layer: Any, features: Any) -> None:
    """Set the features of a labels layer; setting the same would draw it again."""
    if features_as_text(layer) != table_as_text(features):
        layer.features = features


def update_properties(layer: Any, result: LayerData, entry: LayerEntry) -> None:
    """Set name, place and metadata; visibility, opacity and so on stay."""
    set_transform(layer, {name: result.kwargs[name] for name in TRANSFORM})
    name = new_name(layer, result)
    shown = read_entry(layer).shown_name
    if name is not None:
        layer.name = name
        shown = layer.name
    _sign(layer, result, entry, shown)


def add_signed(
    viewer: ViewerModel, layer: Any, result: LayerData, below: Any = None
) -> None:
    """Add a layer that is known as ours from the start.

    It goes below our labels layer ``below``, and what was selected stays so; without
    one it goes on top and is selected.
    """
    same = [each for each in viewer.layers if each.name == layer.name]
    source = result.entry.source
    if same and read_entry(same[0]).source != source:
        # a number would not say which image it is of
        layer.name = " · ".join(filter(None, (layer.name, _image_name(viewer, source))))
    _sign(layer, result, result.entry, layer.name)
    if below is None:
        viewer.add_layer(layer)
    else:
        every = viewer.layers
        selected, active = set(every.selection), every.selection.active
        every.insert(every.index(below), layer)
        every.selection = selected
        every.selection.active = active
    _sign(layer, result, result.entry, layer.name)  # it may have got a number


def _image_name(viewer: ViewerModel, source: str) -> str:
    """Find the name of the image that a result is about, shortened."""
    names = (each.name for each in viewer.layers if str(each.unique_id) == source)
    return short_name(next(names, ""))


def _sign(layer: Any, result: LayerData, entry: LayerEntry, shown_name: str) -> None:
    """Mark a layer as ours."""
    signed = replace(
        entry,
        given_name=result.kwargs["name"],
        shown_name=shown_name,
        layer=str(layer.unique_id),
    )
    write_entry(layer, signed)
