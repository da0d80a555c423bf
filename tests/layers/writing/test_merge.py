"""Our labels merged into the user's, without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_gem.core.errors import GemError
from napari_gem.layers import KEY
from napari_gem.layers.writing.merge import merged_layer


def pair(ours=None, target=None, **kwargs):
    mine = Labels(
        np.array([[0, 1, 1], [2, 2, 0]], np.uint8) if ours is None else ours,
        name="ours",
        features={
            "index": [0, 1, 2],
            "class": ["background", "a", "b"],
            "prompt": ["", "a, aa", "b"],
        },
        colormap={None: "gray", 0: "transparent", 1: "red", 2: "lime"},
        scale=(9, 9),
    )
    theirs = Labels(
        np.array([[0, 0, 1], [5, 0, 5]], np.uint8) if target is None else target,
        name="theirs",
        scale=(2, 3),
        **kwargs,
    )
    return ViewerModel(), mine, theirs


def merge_into(viewer, ours, target, policy="fill"):
    return viewer.add_layer(
        Layer.create(*merged_layer(ours, target, policy).as_tuple())
    )


def frozen(layer):
    return layer.data.copy(), str(layer.as_layer_data_tuple()[1])


def test_ids_that_clash_get_new_ones():
    viewer, ours, target = pair()
    viewer.layers.extend([ours, target])
    ours.metadata = {KEY: {"role": "labels", "recipe": {"model": "m"}}}
    before = frozen(ours), frozen(target)
    copy = merge_into(viewer, ours, target)
    assert copy in viewer.layers
    assert copy.data.tolist() == [[0, 6, 1], [5, 2, 5]]
    assert list(copy.features["index"]) == [0, 6, 2]
    assert list(copy.features["class"]) == ["background", "a", "b"]
    assert np.array_equal(copy.scale, (2, 3))
    assert copy.name == "theirs · merged"
    assert copy.metadata[KEY] == {"role": "merged", "recipe": {"model": "m"}}
    for (data, entry), layer in zip(before, (ours, target), strict=True):
        assert np.array_equal(layer.data, data)
        assert str(layer.as_layer_data_tuple()[1]) == entry
    copy.paint((0, 0), 3)
    assert np.array_equal(target.data, before[1][0])


def test_replacing_takes_other_pixels_too():
    viewer, ours, target = pair()
    copy = merge_into(viewer, ours, target, "replace")
    assert copy.data.tolist() == [[0, 6, 6], [2, 2, 5]]


def test_a_class_of_the_same_name_gets_the_id_of_the_target():
    viewer, ours, target = pair(
        features={"index": [5, 1], "class": ["a", "z"], "note": ["n", "m"]},
        colormap={None: "gray", 0: "transparent", 5: "blue", 1: "white"},
    )
    copy = merge_into(viewer, ours, target)
    assert copy.data.tolist() == [[0, 5, 1], [5, 2, 5]]
    assert dict(zip(copy.features["index"], copy.features["class"], strict=True)) == {
        0: "background",
        5: "a",
        1: "z",
        2: "b",
    }
    notes = dict(zip(copy.features["index"], copy.features["note"], strict=True))
    assert notes[5] == "n"
    assert notes[1] == "m"
    assert np.allclose(copy.get_color(5), (0, 0, 1, 1))
    assert np.allclose(copy.get_color(2), (0, 1, 0, 1))


def test_ids_that_do_not_fit_get_a_larger_type():
    viewer, ours, target = pair(target=np.full((2, 3), 255, np.uint8))
    target.data[0, 1] = 1
    copy = merge_into(viewer, ours, target, "replace")
    assert copy.data.dtype == np.uint16
    assert copy.data.tolist() == [[255, 256, 256], [2, 2, 255]]


def test_signed_targets_and_several_planes():
    stack = np.zeros((2, 2, 3), np.int32)
    stack[1] = 1
    ours = np.stack([np.ones((2, 3), np.uint8), np.full((2, 3), 2, np.uint8)])
    viewer, mine, target = pair(ours)
    target = Labels(stack, name="theirs")
    copy = merge_into(viewer, mine, target)
    assert copy.data.dtype == np.int32
    assert (copy.data[0] == 2 + 1).all()
    assert (copy.data[1] == 1).all()


def test_what_cannot_be_merged_is_told():
    viewer, ours, _ = pair()
    for target, message in [
        (Labels(np.zeros((3, 3), int), name="t"), r"'t' has \(3, 3\); they must agree"),
        (Image(np.zeros((2, 3)), name="t"), "'t' is a Image layer"),
        (
            Labels([np.zeros((4, 6), int), np.zeros((2, 3), int)], name="t"),
            "'t' has several resolutions",
        ),
    ]:
        with pytest.raises(GemError, match=message):
            merge_into(viewer, ours, target)
    assert len(viewer.layers) == 0
