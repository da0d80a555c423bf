"""Layers that are seen together are offered together, and chosen as the user said."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from qtpy.QtCore import QCoreApplication

from napari_gem.widget.image.image_choice import ImageChoice

RNG = np.random.default_rng(5)
SHAPE = (20, 30)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def choice(viewer, qtbot):
    choice = ImageChoice(viewer)
    qtbot.addWidget(choice, before_close_func=lambda choice: choice.detach())
    return choice


def add_channels(viewer, count=3, shape=SHAPE, **kwargs):
    """Add an array with an axis of channels, as napari's users do."""
    layers = viewer.add_image(RNG.random((count, *shape)), channel_axis=0, **kwargs)
    return list(layers)


def texts(choice):
    return [choice.itemText(row) for row in range(choice.count())]


def names(choice):
    return [layer.name for layer in choice.picture().layers]


def later():
    """What comes now does not come together with what was there before."""
    QCoreApplication.processEvents()
    QCoreApplication.processEvents()


def pick(choice, text):
    choice.setCurrentIndex(texts(choice).index(text))


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("shape", [SHAPE, (5, *SHAPE)])
def test_channels_of_an_array_are_chosen_together(viewer, choice, count, shape):
    layers = add_channels(viewer, count, shape)
    assert choice.picture().layers == tuple(layers)
    assert choice.layer() == layers[0]
    single = [layer.name for layer in reversed(layers)]
    assert texts(choice) == [f"Image ({count} channels)", *single]
    assert choice.left_out() == []


def test_channels_that_are_there_when_the_dock_opens(viewer, qtbot):
    layers = add_channels(viewer, name=["DAPI", "GFP", "actin"])
    viewer.add_labels(np.ones(SHAPE, int))
    choice = ImageChoice(viewer)
    qtbot.addWidget(choice)
    assert choice.picture().layers == tuple(layers)
    assert texts(choice)[0] == "DAPI + GFP + actin (3 channels)"
    choice.detach()


def test_pyramids_of_channels(viewer, choice):
    levels = [RNG.random((2, 64 // step, 80 // step)) for step in (1, 2)]
    viewer.add_image(levels, channel_axis=0, multiscale=True)
    assert texts(choice)[0] == "Image (2 channels)"
    assert len(choice.picture().layers) == 2


def test_channels_of_a_file_carry_its_name(viewer, choice):
    with layer_source(path="/data/cells.tif", reader_plugin="some"):
        add_channels(viewer, name=["DAPI", "GFP", "actin"])
    assert texts(choice)[0] == "cells.tif (3 channels)"


def test_files_with_channels_are_images_of_their_own(viewer, choice):
    for path in ("/data/a.tif", "/data/b.tif"):
        with layer_source(path=path):
            add_channels(viewer, 2, name=["DAPI", "GFP"])
        later()
    two = [text for text in texts(choice) if "channels" in text]
    assert two == ["b.tif (2 channels)", "a.tif (2 channels)"]
    assert names(choice) == ["DAPI [1]", "GFP [1]"]
    viewer.layers.selection.active = viewer.layers["GFP"]
    assert names(choice) == ["DAPI", "GFP"]


def test_a_split_stack_is_chosen_together(viewer, choice):
    from napari.layers._layer_actions import _split_stack

    viewer.add_image(RNG.random((2, *SHAPE)), name="cells")
    _split_stack(viewer.layers)
    assert names(choice) == ["cells layer 0", "cells layer 1"]


@pytest.mark.parametrize(
    "other",
    [
        {"data": RNG.random((*SHAPE, 3)), "rgb": True},
        {"data": RNG.random(SHAPE)},  # which hides what is below it
        {"data": RNG.random((9, 9)), "blending": "additive"},
        {"data": RNG.random(SHAPE), "blending": "additive", "scale": (2, 2)},
        {"data": RNG.random(SHAPE), "blending": "additive", "units": ("um", "um")},
        {"data": RNG.random(SHAPE), "blending": "minimum"},
    ],
    ids=["colours", "opaque", "shape", "scale", "units", "minimum"],
)
def test_what_is_no_channel_is_not_offered_as_one(viewer, choice, other):
    layers = add_channels(viewer, 2)
    viewer.add_image(name="other", **other)
    assert names(choice) == ["other"]
    assert texts(choice) == ["other", "Image (2 channels)", "Image [1]", "Image"]
    viewer.layers.selection.active = layers[1]
    assert choice.picture().layers == tuple(layers)


def test_a_layer_that_is_added_later_joins_only_if_the_user_says_so(viewer, choice):
    layers = add_channels(viewer, 2)
    later()
    third = viewer.add_image(RNG.random(SHAPE), name="third", blending="additive")
    assert names(choice) == ["third"]
    assert choice.left_out() == layers
    whole = "Image + Image [1] + third (3 channels)"
    assert texts(choice)[:2] == ["Image (2 channels)", whole]
    viewer.layers.selection.active = layers[0]
    assert choice.picture().layers == tuple(layers)
    assert choice.left_out() == [third]
    pick(choice, whole)
    viewer.add_image(RNG.random((9, 9)))
    viewer.layers.selection.active = third
    assert choice.picture().layers == (*layers, third)
    assert texts(choice)[0] != "Image (2 channels)"


def test_a_map_of_an_array_is_not_taken_for_its_channel(viewer, qtbot):
    photo = viewer.add_image(np.zeros(SHAPE, np.uint8), name="photo")
    viewer.add_image(RNG.random(SHAPE), name="map", blending="additive")
    choice = ImageChoice(viewer)
    qtbot.addWidget(choice)
    assert texts(choice) == ["photo + map (2 channels)", "map", "photo"]
    assert names(choice) == ["map"]
    viewer.layers.selection.active = photo
    assert names(choice) == ["photo"]
    choice.detach()


def test_channels_of_two_files_are_offered_together_but_not_chosen(viewer, choice):
    for name in ("DAPI", "GFP"):
        with layer_source(path=f"/data/{name}.tif"):
            viewer.add_image(RNG.random(SHAPE), name=name)
    assert texts(choice) == ["GFP", "DAPI"]
    viewer.layers["GFP"].blending = "additive"
    assert texts(choice) == ["DAPI + GFP (2 channels)", "GFP", "DAPI"]
    assert names(choice) == ["GFP"]
    viewer.layers["GFP"].translate = (3, 3)
    assert texts(choice) == ["GFP", "DAPI"]


def test_a_channel_that_was_chosen_alone_stays_alone(viewer, choice):
    _first, second, _third = add_channels(viewer)
    heard = []
    choice.picture_changed.connect(lambda: heard.append(names(choice)))
    pick(choice, "Image [1]")
    assert heard == [["Image [1]"]]
    viewer.add_image(RNG.random((9, 9)), name="other")
    viewer.layers.selection.active = second
    assert names(choice) == ["Image [1]"]
    viewer.layers.selection.active = viewer.layers["Image"]
    assert names(choice) == ["Image"]
    pick(choice, "Image (3 channels)")
    viewer.layers.selection.active = viewer.layers["other"]
    viewer.layers.selection.active = second
    assert len(names(choice)) == 3


def test_a_hidden_channel_is_not_taken(viewer, choice):
    first, second, third = add_channels(viewer)
    heard = []
    choice.picture_changed.connect(lambda: heard.append(choice.picture().layers))
    second.visible = False
    assert heard == [(first, third)]
    assert choice.left_out() == [second]
    assert texts(choice)[0] == "Image (2 channels), 1 hidden"
    first.visible = False
    assert heard[-1] == (third,)
    assert choice.layer() == third
    third.visible = False  # to look at the labels: the image is what it was
    assert heard[-1] == (first, second, third)
    for layer in (first, second, third):
        layer.visible = True
    assert choice.picture().layers == (first, second, third)
    assert texts(choice)[0] == "Image (3 channels)"


def test_a_channel_that_is_removed(viewer, choice):
    first, second, third = add_channels(viewer)
    viewer.layers.remove(first)
    assert choice.picture().layers == (second, third)
    viewer.layers.remove(third)
    assert choice.picture().layers == (second,)
    assert texts(choice) == ["Image [1]"]
    viewer.layers.clear()
    assert choice.layer() is None
    assert not choice.isEnabled()


def test_many_layers_that_come_one_by_one(viewer, choice):
    """The look of a picture costs nothing where no layers are added to others."""
    for number in range(4):
        viewer.add_image(RNG.random(SHAPE), name=f"image {number}")
    assert texts(choice) == [f"image {number}" for number in (3, 2, 1, 0)]
