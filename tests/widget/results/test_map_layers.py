"""Which maps have a layer, without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gem import layers
from napari_gem.core.prompts import Prompt
from napari_gem.layers.derived import maps_of, read_labels
from napari_gem.layers.entry import read_entry
from napari_gem.widget.results.result_layers import ResultLayers
from napari_gem.widget.results.stack import StackResult
from napari_gem.widget.results.status import text_at
from tests.layers.scene import results_of

A = Prompt(("a",), label=2)
B = Prompt(("b",), label=5)
C = Prompt(("c",), label=6)


class Scene:
    def __init__(self, shape=(12, 10), choice="current"):
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_image(np.zeros(shape), name="cells", rgb=False)
        self.results = ResultLayers(self.viewer)
        self.maps = self.results.map_layers
        self.maps.set_choice(choice)

    @property
    def image(self):
        return layers.read_layer(self.layer, self.viewer.dims)

    @property
    def shown(self):
        return [x for x in self.viewer.layers if read_entry(x).role == "probability"]

    @property
    def names(self):
        return [x.name for x in self.shown]

    @property
    def labels(self):
        return next(x for x in self.viewer.layers if read_entry(x).role == "labels")

    def show(self, *prompts, **kwargs):
        results = results_of(self.image, *(prompts or (A, B, C)), **kwargs)
        self.results.show(self.image, results)
        return [each.data for each in results[:-1]]

    def data(self, label):
        """The map of a class, as what is derived from labels finds it."""
        kept = self.maps.maps
        return read_labels(self.labels, self.viewer.layers, kept).maps[label]


def test_one_layer_follows_the_current_class():
    scene = Scene()
    first, second, third = scene.show()
    (layer,) = scene.shown
    assert (layer.name, layer.data is first, layer.visible) == ("a · GEM", True, False)
    layer.visible, layer.opacity, layer.contrast_limits = True, 0.4, (0.1, 0.5)
    scene.maps.set_current(C)
    assert scene.shown == [layer]
    assert layer.name == "c · GEM"
    assert np.array_equal(layer.data, third)
    assert read_entry(layer).class_name == "c"
    assert (layer.visible, layer.opacity) == (True, 0.4)
    assert layer.contrast_limits == [0.1, 0.5]
    color = layer.colormap.map([1.0])[0][:3]
    assert np.allclose(color, scene.labels.get_color(6)[:3], atol=0.01)
    # what is derived reads the maps of all classes
    for label, expected in ((2, first), (5, second), (6, third)):
        assert np.array_equal(scene.data(label), expected)
    scene.maps.set_current(None)
    assert layer.name == "c · GEM"


def test_the_status_reads_maps_without_a_layer():
    scene, everything = Scene(), Scene(choice="all")
    for each in (scene, everything):
        each.show()
    texts = [
        text_at(list(x.viewer.layers), x.layer, (3, 5), x.maps.maps)
        for x in (scene, everything)
    ]
    assert texts[0] == texts[1] != ""


def test_undo_brings_maps_and_the_layer_back():
    scene = Scene()
    before = scene.show()
    (layer,) = scene.shown
    scene.show(shift=1)
    assert not np.array_equal(layer.data, before[0])
    scene.maps.set_current(B)  # since the run
    scene.results.undo()
    assert scene.shown == [layer]
    assert layer.name == "b · GEM"
    assert layer.data is before[1]
    for label, expected in zip((2, 5, 6), before, strict=True):
        assert np.array_equal(scene.data(label), expected)
    scene.show(A)
    assert scene.names == ["a · GEM"]
    scene.results.undo()
    assert scene.names == ["b · GEM"]
    assert np.array_equal(scene.data(6), before[2])


def test_undo_of_the_first_run_leaves_nothing():
    scene = Scene()
    scene.show()
    scene.maps.set_current(B)
    scene.results.undo()
    assert list(scene.viewer.layers) == [scene.layer]
    assert not scene.maps.maps.planes()


def test_previews_change_no_kept_map():
    scene = Scene()
    full = [each.copy() for each in scene.show()]
    (layer,) = scene.shown
    layer.visible = True
    for shift in (1, 2):
        scene.show(step=2, shift=shift)
        assert not np.array_equal(layer.data, full[0])
    scene.maps.set_current(B)
    assert np.array_equal(layer.data, full[1])
    scene.maps.set_current(A)
    assert np.array_equal(layer.data, full[0])


def test_a_renamed_layer_stays_with_its_class():
    scene = Scene()
    scene.show()
    (mine,) = scene.shown
    mine.name = "mine"
    scene.maps.set_current(B)
    assert scene.names == ["mine"]
    after = scene.show(shift=1)
    assert scene.names == ["mine", "b · GEM"]
    assert np.array_equal(mine.data, after[0])
    scene.maps.set_choice("chosen")
    assert scene.names == ["mine"]


def test_the_map_of_a_class_that_is_off_is_hidden_until_it_is_on():
    scene = Scene()
    scene.show()
    (layer,) = scene.shown
    layer.visible = True
    scene.show(B, C, classes=(A, B, C))
    assert scene.shown == [layer]
    assert not layer.visible
    assert set(
        read_labels(scene.labels, scene.viewer.layers, scene.maps.maps).maps
    ) == {
        5,
        6,
    }
    scene.show(shift=1)
    assert layer.visible
    assert layer.name == "a · GEM"


def test_choices():
    scene = Scene()
    scene.show()
    assert len(scene.shown) == 1
    scene.maps.set_choice("all")
    assert sorted(scene.names) == ["a · GEM", "b · GEM", "c · GEM"]
    assert scene.viewer.layers[-1] is scene.labels
    scene.maps.toggle(B)
    scene.maps.set_choice("chosen")
    assert scene.names == ["b · GEM"]
    scene.maps.toggle(C)
    assert sorted(scene.names) == ["b · GEM", "c · GEM"]
    assert all(layer.visible for layer in scene.shown)
    scene.show(shift=1)
    assert sorted(scene.names) == ["b · GEM", "c · GEM"]
    scene.maps.set_current(C)
    scene.maps.set_choice("current")
    assert scene.names == ["c · GEM"]
    assert scene.shown[0].visible
    scene.viewer.layers.remove(scene.shown[0])
    scene.maps.toggle(C)
    assert scene.names == ["c · GEM"]
    assert scene.shown[0].visible


def test_a_colormap_of_the_user_comes_back_with_its_class():
    scene = Scene()
    scene.show()
    (layer,) = scene.shown
    layer.colormap = "viridis"
    scene.maps.set_current(B)
    assert layer.colormap.name != "viridis"
    scene.maps.set_current(A)
    assert layer.colormap.name == "viridis"
    scene.show(shift=1)
    assert layer.colormap.name == "viridis"


def test_maps_go_with_the_last_layer_of_their_result():
    scene = Scene()
    scene.show()
    scene.viewer.layers.remove(scene.shown[0])
    assert len(maps_of(scene.labels, scene.viewer.layers, scene.maps.maps)) == 3
    scene.viewer.layers.remove(scene.labels)
    assert not scene.maps.maps.planes()


@pytest.mark.parametrize("current", [A, B])
def test_a_stack_has_one_layer_too(current):
    scene = Scene((3, 12, 10))
    scene.maps.set_current(current)
    StackResult(scene.results, scene.layer).add(
        scene.image, results_of(scene.image, A, B)
    )
    (layer,) = scene.shown
    assert layer.name == f"{current.name} · GEM stack"
    before = {label: np.array(scene.data(label)) for label in (2, 5)}
    StackResult(scene.results, scene.layer).add(
        scene.image, results_of(scene.image, A, B, shift=1)
    )
    assert not np.array_equal(scene.data(5), before[5])
    scene.results.undo()
    for label, expected in before.items():
        assert np.array_equal(scene.data(label), expected)
    scene.maps.set_current(A)
    assert np.array_equal(layer.data, before[2])
