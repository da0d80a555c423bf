"""Result layers, on napari's own layers and viewer model without Qt."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Layer

from napari_gem import layers
from napari_gem.core.colors import class_color
from napari_gem.core.prompts import Prompt
from tests.layers.scene import entry, entry_of, results_of
from tests.layers.scene import show_results as show

RNG = np.random.default_rng(7)


def read_2d(viewer, layer):
    return layers.read_layer(layer, viewer.dims)


@pytest.fixture
def scene():
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((12, 10)), name="cells")
    return viewer, layer, read_2d(viewer, layer)


def test_result_layers_tell_classes_colors_and_recipe(scene):
    viewer, layer, image = scene
    show(viewer, image, results_of(image, "nuclei,nucleus", "filament"))
    nuclei, filament, labels = viewer.layers[1:]
    assert [x.name for x in viewer.layers] == [
        "cells",
        "nuclei · GEM",
        "filament · GEM",
        "labels · GEM",
    ]
    assert nuclei.contrast_limits == [0, 1]
    assert nuclei.blending == "additive"
    assert [nuclei.visible, filament.visible, labels.visible] == [False, False, True]
    assert nuclei.data.dtype == np.float32
    features = labels.features
    assert list(features["index"]) == [0, 1, 2]
    assert list(features["class"]) == ["background", "nuclei", "filament"]
    words = features["words"]
    assert words[1] == "nuclei, nucleus"
    assert list(words.isna()) == [True, False, True]
    for number, single in enumerate((nuclei, filament), start=1):
        top = single.colormap.map([1.0])[0]
        assert np.allclose(labels.get_color(number), top, atol=0.01)
    assert entry(labels)["recipe"]["model"] == "embedded"
    assert entry(labels)["source"] == str(layer.unique_id)
    assert "class: nuclei" in labels.get_status((0, 1), world=True)["coordinates"]
    assert "metadata" not in entry(labels)


def test_a_map_three_pixels_wide_is_no_rgb_image():
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((6, 3)), rgb=False)
    image = read_2d(viewer, layer)
    show(viewer, image, results_of(image, "a"))
    assert viewer.layers[1].data.shape == (6, 3)
    assert not viewer.layers[1].rgb


def test_many_classes_have_colors_of_their_own(scene):
    viewer, _, image = scene
    names = [f"class {i}" for i in range(30)]
    colored = layers.color_results(viewer.layers, image, results_of(image, *names))
    colors = entry_of(colored[-1])["colors"].values()
    assert len({tuple(np.round(color, 2)) for color in colors}) == 30


def test_the_next_run_updates_our_layers(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, "a", "b"))
    first, second, labels = viewer.layers[1:]
    first.name, first.visible, first.opacity = "mine", True, 0.3
    first.colormap = "magenta"
    labels.name, labels.visible = "my labels", False
    labels.metadata["note"] = 5
    results = results_of(image, "c", "a")
    viewer.layers.selection.active = first
    show(viewer, image, results)
    # a new map lies below the labels, and what was selected stays so
    assert list(viewer.layers)[1:] == [first, viewer.layers["c · GEM"], labels]
    assert viewer.layers.selection == {first}
    assert second not in viewer.layers
    assert (first.name, first.visible, first.opacity) == ("mine", True, 0.3)
    assert first.colormap.name == "magenta"
    assert np.array_equal(first.data, results[1].data)
    assert (labels.name, labels.visible) == ("my labels", False)
    assert labels.metadata["note"] == 5
    assert np.array_equal(labels.data, results[-1].data)
    assert list(labels.features["class"]) == ["background", "c", "a"]
    assert np.allclose(labels.get_color(2)[:3], (1, 0, 1))
    assert not layers.Ledger().is_changed(labels)


@pytest.mark.parametrize("change", ["paint", "data", "features"])
def test_labels_that_somebody_changed_are_left_alone(scene, change):
    viewer, _, image = scene
    show(viewer, image, results_of(image, "a", "b"))
    painted = viewer.layers[-1]
    assert not layers.Ledger().is_changed(painted)
    if change == "paint":
        painted.paint((2, 2), 7)
    elif change == "data":
        painted.data = painted.data[::-1].copy()
    else:
        painted.features = {"index": [0, 1, 2], "class": ["background", "x", "b"]}
    before = painted.data.copy(), painted.features.copy(), dict(painted.metadata)
    show(viewer, image, results_of(image, "b"))
    fresh = viewer.layers[-1]
    assert fresh is not painted
    assert np.array_equal(painted.data, before[0])
    assert painted.features.equals(before[1])
    assert painted.metadata == before[2]
    # the run after that updates the fresh one
    show(viewer, image, results_of(image, "b", "c"))
    assert viewer.layers.index(fresh) >= 0
    assert np.array_equal(painted.data, before[0])
    assert sum(isinstance(layer, Labels) for layer in viewer.layers) == 2


def test_colors_that_the_user_gave_a_label_stay(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, "a", "b"))
    labels = viewer.layers[-1]
    labels.colormap = {**dict(labels.colormap.color_dict), 2: "white"}
    show(viewer, image, results_of(image, "b", "c"))
    assert np.allclose(labels.get_color(1), 1)
    labels.new_colormap(seed=3)
    automatic = labels.colormap
    show(viewer, image, results_of(image, "b"))
    assert labels.colormap is automatic


def test_copies_and_other_images_are_left_alone(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, "a"))
    ours = list(viewer.layers)[1:]
    copies = [Layer.create(*layer.as_layer_data_tuple()) for layer in ours]
    viewer.layers.extend(copies)
    other = viewer.add_image(RNG.random((12, 10)))
    second = read_2d(viewer, other)
    show(viewer, second, results_of(second, "a"))
    assert len(viewer.layers) == 1 + 2 + 2 + 1 + 2
    kept = [np.array(layer.data) for layer in copies]
    show(viewer, image, results_of(image, "z"))
    assert all(layer in viewer.layers for layer in copies)
    assert all(np.array_equal(a.data, b) for a, b in zip(copies, kept, strict=True))


def test_each_slice_keeps_its_results():
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((4, 5, 6)))
    for step in (1, 3, 1):
        viewer.dims.set_current_step(0, step)
        image = read_2d(viewer, layer)
        show(viewer, image, results_of(image, "a"))
    names = [x.name for x in viewer.layers[1:]]
    assert names == [
        "a · GEM slice 1",
        "labels · GEM slice 1",
        "a · GEM slice 3",
        "labels · GEM slice 3",
    ]


def test_the_image_is_never_changed(scene):
    viewer, layer, image = scene
    before = layer.as_layer_data_tuple()
    pixels = layer.data.copy()
    show(viewer, image, results_of(image, "a", "b"))
    show(viewer, image, results_of(image, "b"))
    after = layer.as_layer_data_tuple()
    assert after[0] is before[0]
    assert np.array_equal(after[0], pixels)
    assert {k: repr(v) for k, v in after[1].items()} == {
        k: repr(v) for k, v in before[1].items()
    }


def test_nothing_is_touched_if_a_layer_cannot_be_made(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, "a"))
    before = [(layer.name, np.array(layer.data)) for layer in viewer.layers]
    broken = results_of(image, "a", "b")
    broken[1] = replace(broken[1], kwargs={**broken[1].kwargs, "blending": "odd"})
    with pytest.raises(ValueError, match="odd"):
        show(viewer, image, broken)
    after = [(layer.name, np.array(layer.data)) for layer in viewer.layers]
    assert all(a == c for (a, _), (c, _) in zip(before, after, strict=True))
    assert all(
        np.array_equal(b, d) for (_, b), (_, d) in zip(before, after, strict=True)
    )


NUCLEUS = Prompt(("nuclei", "nucleus"), label=3, title="Nucleus")
FILAMENT = Prompt(("filament",), label=7, color=(1.0, 0.0, 0.0))


def test_ids_titles_and_colors_are_those_of_the_prompts(scene):
    viewer, _, image = scene
    off = Prompt(("debris",), label=5, on=False)
    table = (NUCLEUS, off, FILAMENT)
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT, classes=table))
    nucleus, filament, labels = viewer.layers[1:]
    assert [nucleus.name, filament.name] == ["Nucleus · GEM", "filament · GEM"]
    assert set(np.unique(labels.data)) == {0, 3, 7}
    assert list(labels.features["index"]) == [0, 3, 7, 5]
    assert list(labels.features["class"]) == [
        "background",
        "Nucleus",
        "filament",
        "debris",
    ]
    assert list(labels.features["words"])[1] == "nuclei, nucleus"
    third = class_color(2)
    assert np.allclose(labels.get_color(3)[:3], third, atol=0.01)
    assert np.allclose(nucleus.colormap.map([1.0])[0][:3], third, atol=0.01)
    assert np.allclose(labels.get_color(7), (1, 0, 0, 1))
    for layer in (nucleus, filament, labels):
        assert json.loads(json.dumps(layer.metadata)) == layer.metadata


def test_a_long_class_is_cut_in_the_list_of_layers_only(scene):
    *_, image = scene
    first, *_ = results_of(image, "x" * 500)
    assert first.kwargs["name"] == f"{'x' * 59}… · GEM"
    assert entry_of(first)["class"] == "x" * 500


def test_a_class_is_known_by_its_label_id(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT))
    nucleus, filament, labels = viewer.layers[1:]
    filament.name = "mine"
    renamed = Prompt(("x",), label=3), Prompt(("y",), label=7)
    show(viewer, image, results_of(image, *reversed(renamed)))
    assert list(viewer.layers)[1:] == [nucleus, filament, labels]
    assert [nucleus.name, filament.name] == ["x · GEM", "mine"]
    assert entry(nucleus)["class"] == "x"
    show(viewer, image, results_of(image, *renamed))
    assert list(viewer.layers)[1:] == [nucleus, filament, labels]


def test_a_color_of_the_prompt_counts_more_than_one_of_the_layer(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT))
    nucleus, filament, labels = viewer.layers[1:]
    for layer in (nucleus, filament):
        layer.colormap = "magenta"
    labels.colormap = {**dict(labels.colormap.color_dict), 3: "white", 7: "white"}
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT))
    assert nucleus.colormap.name == "magenta"
    assert np.allclose(filament.colormap.map([1.0])[0][:3], (1, 0, 0))
    assert np.allclose(labels.get_color(3), 1)
    assert np.allclose(labels.get_color(7), (1, 0, 0, 1))
    blue = Prompt(("filament",), label=7, color=(0.0, 0.0, 1.0))
    show(viewer, image, results_of(image, NUCLEUS, blue))
    assert np.allclose(filament.colormap.map([1.0])[0][:3], (0, 0, 1))
    assert np.allclose(labels.get_color(7), (0, 0, 1, 1))


def test_what_is_equal_is_not_set_again(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT))
    seen = []
    for layer in viewer.layers[1:]:
        for name in ("colormap", "features", "scale", "translate", "affine", "name"):
            emitter = getattr(layer.events, name, None)
            if emitter is not None:
                emitter.connect(lambda event, name=name: seen.append(name))
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT, shift=1))
    # napari tells of features whenever a labels layer gets data
    assert [name for name in seen if name != "features"] == []
    assert seen.count("features") == 1


def test_maps_of_classes_that_are_off_are_hidden(scene):
    viewer, _, image = scene
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT))
    nucleus, filament, _ = viewer.layers[1:]
    filament.visible = True
    table = (NUCLEUS, FILAMENT)
    show(viewer, image, results_of(image, NUCLEUS, classes=table))
    assert filament in viewer.layers
    assert not filament.visible
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT, classes=table, step=2))
    assert filament.visible
    show(viewer, image, results_of(image, NUCLEUS, FILAMENT, classes=table))
    assert filament.visible
    assert not nucleus.visible
    show(viewer, image, results_of(image, NUCLEUS, classes=(NUCLEUS,)))
    assert filament not in viewer.layers


# --- previews


@pytest.mark.parametrize("shape", [(12, 10), (13, 11), (1, 5), (8, 4)])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_expanding(shape, step):
    coarse = tuple(-(-n // step) for n in shape)
    array = RNG.integers(0, 9, coarse)
    whole = layers.expand(array, step, shape)
    assert whole.shape == shape
    for i in range(shape[0]):
        for j in range(shape[1]):
            assert whole[i, j] == array[i // step, j // step]
    stack = layers.expand(array[None], step, (1, *shape))
    assert np.array_equal(stack[0], whole)


@pytest.mark.parametrize("flip", [False, True])
def test_previews_of_a_slice_lie_on_it(flip):
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((4, 7, 9)), rgb=False)
    if flip:
        viewer.dims.order = (0, 2, 1)
    image = read_2d(viewer, layer)
    preview = results_of(image, "a", "b", step=4)
    show(viewer, image, preview)
    (labels,) = viewer.layers[1:]
    assert labels.data.shape == (1, 7, 9)
    shown = labels.data[0].T if flip else labels.data[0]
    assert shown[2, 5] == shown[0, 4]
    assert not layers.Ledger().is_changed(labels)
    labels.data[0, 2, 2] += 1
    assert layers.Ledger().is_changed(labels)


@pytest.mark.contact("foreign text")
def test_what_napari_shows_of_a_class_is_no_html_and_no_formula(scene):
    viewer, layer, _ = scene
    layer.name = "<b>cells</b>\x1b[2J"
    words = ["<img src=x>", "=1+1", "核", "5 < 6"]
    image = read_2d(viewer, layer)
    prompts = [Prompt((word,)) for word in words]
    show(viewer, image, results_of(image, *prompts))
    added = viewer.layers[1:]
    assert [x.name for x in added[:-1]] == [
        "\u2039img src=x> · GEM",
        "=1+1 · GEM",
        "核 · GEM",
        "5 < 6 · GEM",
    ]
    names = ["background", "\u2039img src=x>", "'=1+1", "核", "5 < 6"]
    assert list(added[-1].features["class"]) == names
    assert added[-1].features["words"].isna().all(), "they are the names"
    # what the layers tell of themselves is as it was typed
    assert [entry(x)["class"] for x in added[:-1]] == words
    assert list(entry(added[-1])["classes"].values()) == words
