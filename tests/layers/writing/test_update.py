"""Results that meet earlier ones and the user's painting, without Qt."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_gem import layers
from napari_gem.core import region as regions
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.core.region import Region
from napari_gem.layers.writing.combine import named_ids
from napari_gem.widget.results import undo
from napari_gem.widget.results.result_layers import ResultLayers
from tests.layers.scene import entry, results_of, show_results

RNG = np.random.default_rng(3)
A = Prompt(("a",), label=2)
B = Prompt(("b",), label=5)


class Scene:
    def __init__(self, shape=(12, 10)):
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_image(RNG.random(shape), name="cells", rgb=False)
        self.image = layers.read_layer(self.layer, self.viewer.dims)
        self.results = ResultLayers(self.viewer)

    def show(self, *prompts, policy="new", **kwargs):
        results = results_of(self.image, *(prompts or (A, B)), **kwargs)
        self.results.show(self.image, results, policy)
        return results[-1].data.copy()

    @property
    def ours(self):
        return list(self.viewer.layers)[1:]

    @property
    def labels(self):
        return next(x for x in reversed(self.ours) if isinstance(x, Labels))


@pytest.fixture
def scene():
    return Scene()


# --- previews


def test_a_preview_updates_labels_and_shown_maps_only(scene):
    scene.show()
    first, second, labels = scene.ours
    first.visible = True
    hidden = second.data
    before = hidden.copy()
    expected = scene.show(step=3, shift=1)
    assert np.array_equal(labels.data, expected)
    assert first.data.shape == (12, 10)
    assert np.array_equal(first.data > 0, expected == 2)
    assert second.data is hidden
    assert np.array_equal(hidden, before)
    full = scene.show(shift=1)
    assert scene.ours == [first, second, labels]
    assert np.array_equal(labels.data, full)
    assert np.array_equal(second.data > 0, full == 5)


def test_previews_write_into_the_array_of_the_first(scene):
    scene.show()
    labels = scene.labels
    before = labels.data
    kept = before.copy()
    scene.show(step=2)
    array = labels.data
    assert array is not before
    for shift in (1, 2):
        expected = scene.show(step=2, shift=shift)
        assert labels.data is array
        assert np.array_equal(array, expected)
        assert np.array_equal(labels._slice.image.raw, expected)  # what is drawn
    assert np.array_equal(before, kept)
    scene.show(shift=2)
    assert labels.data is not array


def test_a_preview_adds_and_removes_no_map(scene):
    scene.show(A, B, step=2)
    assert [x.name for x in scene.ours] == ["labels · GEM"]
    scene.show(A, B)
    assert len(scene.ours) == 3
    scene.show(A, step=2)
    assert len(scene.ours) == 3
    scene.show(A)
    assert len(scene.ours) == 2


def test_painting_on_a_preview_is_kept(scene):
    scene.show(step=2)
    painted = scene.labels
    painted.paint((2, 2), 9)
    kept = painted.data.copy()
    scene.show(step=2, shift=1)
    scene.show(shift=1)
    assert np.array_equal(painted.data, kept)
    assert scene.labels is not painted
    assert sum(isinstance(x, Labels) for x in scene.ours) == 2


# --- painted labels


def paint(layer):
    layer.paint((2, 2), 9)


def fill(layer):
    layer.contiguous = False
    layer.fill((0, 1), 9)


def erase(layer):
    layer.paint((3, 3), 0)


def in_place(layer):
    layer.data[-1, -1] = 9


def replaced(layer):
    data = layer.data.copy()
    data[0, 0] = 9
    layer.data = data


def named(layer):
    features = layer.features.copy()
    features.loc[1, "class"] = "other"
    layer.features = features


CHANGES = [paint, fill, erase, in_place, replaced, named]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("remembers", [True, False])
def test_every_change_is_seen(scene, change, remembers):
    scene.show()
    ledger = scene.results.ledger if remembers else layers.Ledger()
    assert layers.painted_labels(scene.viewer.layers, scene.image, ledger) is None
    change(scene.labels)
    painted = layers.painted_labels(scene.viewer.layers, scene.image, ledger)
    assert painted is scene.labels


def test_painting_that_was_undone_is_none(scene):
    scene.show()
    scene.labels.paint((2, 2), 9)
    assert scene.results.painted(scene.image) is scene.labels
    scene.labels.undo()
    assert scene.results.painted(scene.image) is None
    scene.labels.redo()
    assert scene.results.painted(scene.image) is scene.labels


def test_our_undo_leaves_napari_nothing_to_bring_back(scene):
    scene.show()
    before = scene.labels.data.copy()
    scene.show(shift=1, policy="replace")
    scene.labels.paint((2, 2), 9)
    scene.labels.undo()
    scene.results.undo()
    scene.labels.redo()
    assert np.array_equal(scene.labels.data, before)


@pytest.mark.parametrize("policy", ["new", "ask"])
def test_policy_new_keeps_the_painted_layer(scene, policy):
    scene.show()
    painted = scene.labels
    painted.paint((2, 2), 9)
    kept = painted.data.copy()
    expected = scene.show(shift=1, policy=policy)
    assert np.array_equal(painted.data, kept)
    assert np.array_equal(scene.labels.data, expected)
    # the question is answered: there is a layer that nobody painted
    assert scene.results.painted(scene.image) is None
    again = scene.show(shift=2, policy=policy)
    assert np.array_equal(scene.labels.data, again)
    assert sum(isinstance(x, Labels) for x in scene.ours) == 2


def test_policy_fill_goes_around_what_was_painted(scene):
    first = scene.show()
    labels = scene.labels
    labels.brush_size = 3
    labels.paint((2, 2), 9)
    labels.paint((8, 8), 0)
    labels.features = {
        "index": [0, 2, 5, 9],
        "class": ["background", "a", "b", "mine"],
        "note": ["", "x", "", "y"],
    }
    own = labels.data != first
    painted = labels.data.copy()
    assert own.sum() > 6
    for shift in (1, 2, 0):
        expected = scene.show(shift=shift, step=1 + shift % 2, policy="fill")
        assert scene.labels is labels
        assert np.array_equal(labels.data[own], painted[own])
        assert np.array_equal(labels.data[~own], expected[~own])
    assert list(labels.features["index"]) == [0, 2, 5, 9]
    assert list(labels.features["class"]) == ["background", "a", "b", "mine"]
    assert list(labels.features["note"]) == ["", "x", "", "y"]
    # painted later: adds up
    labels.paint((5, 5), 4)
    own |= labels.data == 4
    expected = scene.show(shift=1, policy="fill")
    assert np.array_equal(labels.data[~own], expected[~own])
    assert (labels.data == 4).any()
    assert (labels.data == 9).any()
    assert scene.results.painted(scene.image) is labels


def test_policy_fill_without_memory_fills_zeros_only(scene):
    scene.show()
    scene.labels.paint((2, 2), 9)
    before = scene.labels.data.copy()
    scene.results = ResultLayers(scene.viewer)
    expected = scene.show(shift=1, policy="fill")
    assert np.array_equal(scene.labels.data[before != 0], before[before != 0])
    assert np.array_equal(scene.labels.data[before == 0], expected[before == 0])


def test_policy_replace_overwrites_and_can_be_undone(scene):
    scene.show()
    labels = scene.labels
    labels.paint((2, 2), 9)
    painted = labels.data.copy()
    expected = scene.show(shift=1, policy="replace")
    assert scene.labels is labels
    assert np.array_equal(labels.data, expected)
    assert scene.results.painted(scene.image) is None
    scene.results.undo()
    assert np.array_equal(labels.data, painted)
    assert scene.results.painted(scene.image) is labels


def test_colors_of_labels_that_were_painted_stay(scene):
    scene.show()
    labels = scene.labels
    labels.colormap = {**dict(labels.colormap.color_dict), 9: "white"}
    labels.paint((2, 2), 9)
    scene.show(Prompt(("c",), label=4), policy="fill")
    assert np.allclose(labels.get_color(9), 1)
    assert not np.allclose(labels.get_color(4), (0.5, 0.5, 0.5, 1))


# --- regions

RECTANGLE = Region((3, 9), (2, 7))
TRIANGLE = Region((2, 11), (1, 9), ((1.5, 0.5), (10.5, 0.5), (10.5, 8.5)))


@pytest.mark.parametrize("region", [RECTANGLE, TRIANGLE])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("remembers", [True, False])
def test_a_region_leaves_the_rest(scene, region, step, remembers):
    before = scene.show()
    first, _, labels = scene.ours
    first.visible = True
    if not remembers:
        scene.results = ResultLayers(scene.viewer)
    map_before = first.data.copy()
    new = scene.show(A, B, shift=1, step=step, region=region)
    assert scene.labels is labels
    (rows, columns), mask = regions.inside(region, step, (12, 10))
    inside = np.zeros((12, 10), bool)
    inside[rows, columns] = True if mask is None else mask
    assert 0 < inside.sum() < inside.size
    assert np.array_equal(labels.data[~inside], before[~inside])
    assert np.array_equal(labels.data[inside], new[inside])
    assert np.array_equal(first.data[~inside], map_before[~inside])
    assert np.array_equal(first.data[inside] > 0, new[inside] == 2)
    if step == 1:
        assert not layers.Ledger().is_changed(labels)
    assert scene.results.painted(scene.image) is None


def test_a_region_keeps_names_of_classes_that_are_gone(scene):
    scene.show(A, B)
    scene.show(Prompt(("c",), label=7), region=RECTANGLE)
    assert dict(
        zip(scene.labels.features["index"], scene.labels.features["class"], strict=True)
    ) == {0: "background", 2: "a", 5: "b", 7: "c"}
    colors = scene.labels.colormap.color_dict
    assert {0, 2, 5, 7} <= colors.keys()


@pytest.mark.parametrize("policy", ["fill", "replace"])
def test_a_region_of_painted_labels(scene, policy):
    scene.show()
    labels = scene.labels
    labels.brush_size = 1
    labels.paint((5, 5), 9)  # inside
    labels.paint((0, 0), 9)
    labels.data[1, 1] = 9
    scene.show(shift=1, region=RECTANGLE, policy=policy)
    assert labels.data[0, 0] == labels.data[1, 1] == 9
    assert (labels.data[5, 5] == 9) == (policy == "fill")
    expected = scene.show(shift=2, policy="fill")
    assert labels.data[0, 0] == labels.data[1, 1] == 9
    assert (labels.data[5, 5] == expected[5, 5]) == (policy == "replace")


# --- undo


def state(scene):
    return [
        (
            layer,
            np.array(layer.data),
            layer.name,
            str(layer.metadata),
            layer.colormap,
            None if not isinstance(layer, Labels) else layer.features.to_dict(),
            np.array(layer.scale),
        )
        for layer in scene.viewer.layers
    ]


def same(before, after):
    assert [x[0] for x in before] == [x[0] for x in after]
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old[1], new[1])
        assert old[2:6] == new[2:6]
        assert np.array_equal(old[6], new[6])


C = Prompt(("c",), label=9, color=(1.0, 0.0, 0.0))


@pytest.mark.parametrize("painted", [False, True])
@pytest.mark.parametrize("previews", [0, 1, 3])
@pytest.mark.parametrize("policy", ["new", "fill", "replace"])
def test_undo_brings_back_what_was(scene, painted, previews, policy):
    scene.show(A, B)
    first, second, _ = scene.ours
    first.visible = True
    if painted:
        scene.labels.paint((4, 4), 8)
    before = state(scene)
    red = Prompt(("a",), label=2, title="other", color=(1.0, 0.0, 0.0))
    for number in range(previews):
        scene.show(red, C, step=2, shift=number, policy=policy)
    scene.show(red, C, shift=1, policy=policy)
    assert second not in scene.viewer.layers
    assert first.name == "other · GEM"
    first.visible = False
    scene.viewer.layers.selection.active = scene.layer
    assert scene.results.can_undo
    assert scene.results.undo() == "The last run is undone."
    same(before, state(scene))
    assert not first.visible
    assert scene.viewer.layers.selection == {scene.layer}
    assert not scene.results.can_undo
    with pytest.raises(GemError, match="no run to undo"):
        scene.results.undo()
    # the run after that finds everything as it was left
    assert (scene.results.painted(scene.image) is not None) == painted
    scene.show(A, B, shift=2, policy=policy)
    assert len(scene.ours) == 3 + (painted and policy == "new")


def test_undo_of_the_first_run_removes_its_layers(scene):
    scene.show()
    scene.results.undo()
    assert scene.ours == []


def test_undo_keeps_what_was_painted_since(scene):
    scene.show()
    added = scene.labels
    added.paint((2, 2), 9)
    painted = added.data.copy()
    sentence = scene.results.undo()
    assert scene.ours == [added]
    assert "was changed since, so it was kept" in sentence
    assert np.array_equal(added.data, painted)
    expected = scene.show()
    assert np.array_equal(added.data, painted)
    labels = scene.labels
    assert labels is not added
    scene.show(shift=1)
    labels.paint((2, 2), 9)
    painted = labels.data.copy()
    sentence = scene.results.undo()
    assert np.array_equal(labels.data, expected)
    copy = scene.viewer.layers["labels · GEM [1] · painted"]
    assert copy.name in sentence
    assert np.array_equal(copy.data, painted)
    assert not layers.is_result(copy)
    assert scene.results.painted(scene.image) is None


def test_undo_skips_layers_that_the_user_deleted(scene):
    scene.show()
    first, second, labels = scene.ours
    before = second.data.copy()
    scene.show(shift=1)
    scene.viewer.layers.remove(first)
    scene.viewer.layers.remove(labels)
    scene.results.undo()
    assert scene.ours == [second]
    assert np.array_equal(second.data, before)


def test_undo_shows_maps_of_classes_that_were_switched_off(scene):
    scene.show()
    second = scene.ours[1]
    second.visible = True
    scene.show(A, classes=(A, B))
    assert not second.visible
    scene.results.undo()
    assert second.visible
    assert "off" not in entry(second)


def test_undo_says_so_if_maps_were_too_large_to_keep(scene, monkeypatch):
    scene.show()
    first, second, labels = scene.ours
    monkeypatch.setattr(undo, "LARGEST", first.data.nbytes)
    before = first.data.copy(), labels.data.copy()
    scene.show(shift=1)
    after = second.data.copy()
    sentence = scene.results.undo()
    assert "'b · GEM' was too large to be kept and stays." in sentence
    assert np.array_equal(first.data, before[0])
    assert np.array_equal(labels.data, before[1])
    assert np.array_equal(second.data, after)


def test_only_one_run_is_kept(scene):
    scene.show()
    data = weakref.ref(scene.labels.data)
    scene.show(shift=1)
    gc.collect()
    assert data() is not None
    scene.show(shift=2)
    gc.collect()
    assert data() is None
    layer = weakref.ref(scene.labels)
    scene.viewer.layers.clear()
    scene.viewer.add_points()  # a viewer holds the layer that was added last
    gc.collect()
    assert layer() is None
    assert len(scene.results.ledger._snapshots) == 0


def test_showing_once_without_memory(scene):
    show_results(scene.viewer, scene.image, results_of(scene.image, A, B))
    data = results_of(scene.image, A, B, shift=1)
    show_results(scene.viewer, scene.image, data)
    assert len(scene.ours) == 3
    assert np.array_equal(scene.labels.data, data[-1].data)


# --- napari's undo of painting


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize("policy", ["fill", "replace"])
def test_naparis_undo_brings_no_earlier_pixels_back(scene, policy, undone):
    scene.show()
    ours = scene.labels
    ours.mode = "paint"
    ours.paint((5, 5), 7)
    if undone:
        ours.undo()
    scene.show(A, Prompt(("c",), label=6), policy=policy)
    assert scene.labels is ours
    new = ours.data.copy()
    ours.undo()
    ours.redo()
    assert np.array_equal(ours.data, new)
    assert (ours.mode, ours.editable) == ("paint", True)
    ours.paint((2, 2), 9)
    ours.undo()
    assert np.array_equal(ours.data, new), "what is painted now can be undone"


# --- what label ids stand for


def test_our_labels_tell_what_their_ids_stand_for(scene):
    scene.show()
    ours = scene.labels
    copy = Labels(ours.data, features={"index": [7], "class": ["copy"]})
    copy.metadata = dict(ours.metadata)
    scene.viewer.add_layer(copy)
    assert named_ids(scene.viewer.layers) == {2: "a", 5: "b"}
    ours.features = {"class": ["background", "x", None, 3, ""]}
    assert named_ids(scene.viewer.layers) == {1: "x"}
    ours.features = {"index": ["odd", None, 4.0, 9], "class": ["x", "y", "z", "w"]}
    assert named_ids(scene.viewer.layers) == {4: "z", 9: "w"}
    ours.features = {}
    assert named_ids(scene.viewer.layers) == {}
