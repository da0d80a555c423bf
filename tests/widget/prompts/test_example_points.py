"""Examples as points: what becomes of them whatever the user does."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Layer, Points

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Example, Prompt
from napari_gem.widget.prompts.example_points import WAIT, ExamplePoints

A = Prompt(("nucleus", "nuclei"), label=3, color=(1.0, 0.0, 0.0))
B = Prompt((), label=1, title="odd", color=(0.0, 0.0, 1.0))


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def points(viewer):
    """Points of a moved, scaled and turned image of 40 x 60 pixels."""
    image = viewer.add_image(
        np.zeros((40, 60)), scale=(2, 3), translate=(7, -5), rotate=30, name="cells"
    )
    return shown(viewer, image)


def shown(viewer, image):
    example_points = ExamplePoints(viewer)
    example_points.set_image(image, layers.read_layer(image, viewer.dims))
    return example_points


def click(points, image, *pixel):
    """Add a point as napari does, where this pixel of the image is in the world."""
    layer = points.layer
    layer.add(layer.world_to_data(image.data_to_world(pixel)))


def places(points, label):
    return [example.point for example in points.examples(label)]


def near(places, *expected):
    return np.shape(places) == np.shape(expected) and np.allclose(places, expected)


def test_clicks_become_examples_of_the_class(viewer, points):
    image = viewer.layers["cells"]
    assert points.layer is None
    assert points.examples(3) == ()
    points.start(A)
    assert viewer.layers.selection.active is points.layer
    assert points.layer.mode == "add"
    assert points.adding == 3
    assert points.layer.name == "examples · cells"
    entry = points.layer.metadata["napari_gem"]
    assert (entry["role"], entry["source"]) == ("examples", str(image.unique_id))
    click(points, image, 4, 50)
    points.start(B, positive=False)
    click(points, image, 20.5, 6.25)
    points.start(A)
    click(points, image, 5, 5)
    assert near(places(points, 3), (4, 50), (5, 5))
    assert near(places(points, 1), (20.5, 6.25))
    assert [example.positive for example in points.examples(1)] == [False]
    assert [example.positive for example in points.examples(3)] == [True, True]
    layer = points.layer
    assert list(layer.features["class"]) == ["nucleus", "odd", "nucleus"]
    assert [str(symbol) for symbol in layer.symbol] == ["disc", "x", "disc"]
    assert np.allclose(layer.face_color[:, 0], [1, 0, 1])
    assert len(viewer.layers) == 2
    points.stop()
    assert layer.mode == "pan_zoom"
    assert viewer.layers.selection.active is image
    assert points.adding == 0


@pytest.mark.slow
def test_who_is_told_what(viewer, points, qtbot):
    image = viewer.layers["cells"]
    changes = []
    points.changed.connect(changes.append)
    adding = []
    points.adding_changed.connect(adding.append)

    def hear():
        changes.clear()
        qtbot.wait(3 * WAIT)
        return list(changes)

    points.start(A)
    points.start(A, positive=False)
    points.start(B)
    assert hear() == []
    for row in range(5):
        click(points, image, row, 3)
    assert hear() == [1]
    points.start(A)
    click(points, image, 9, 9)
    assert hear() == [3]
    layer = points.layer
    layer.visible = False
    layer.opacity = 0.5
    layer.selected_data = {0}
    assert hear() == []
    layer.remove([5])
    assert hear() == [3]
    layer.data = layer.data + 1
    assert hear() == [1]
    layer.remove(np.flatnonzero(layer.features["label"] == 1).tolist())
    assert hear() == [1]
    assert places(points, 1) == []
    assert adding == [3, 1, 3, 0], adding  # a hidden layer takes no clicks
    points.start(A)
    layer.mode = "select"
    assert adding[-1] == 0
    layer.mode = "add"
    viewer.layers.selection.active = image
    assert adding[-2:] == [3, 0]


def test_dragging_tells_now_and_then(viewer, points, qtbot):
    image = viewer.layers["cells"]
    points.start(A)
    click(points, image, 4, 50)
    layer = points.layer
    qtbot.wait(3 * WAIT)
    changes = []
    points.changed.connect(changes.append)
    layer.mode = "select"
    layer.selected_data = {0}
    layer._set_drag_start({0}, layer.data[0])
    for step in range(20):
        with layer.events.data.blocker():  # as napari does until the button is up
            layer._move({0}, layer.data[0] + (1, 0))
        if step == 10:
            qtbot.waitUntil(lambda: changes == [3])
    qtbot.waitUntil(lambda: len(changes) == 2)
    assert near(places(points, 3), (24, 50))


def test_other_classes_do_not_take_over_selected_points(viewer, points):
    image = viewer.layers["cells"]
    points.start(A)
    click(points, image, 4, 50)
    points.layer.mode = "select"
    points.layer.selected_data = {0}
    points.start(B, positive=False)
    assert near(places(points, 3), (4, 50))
    assert places(points, 1) == []
    assert str(points.layer.symbol[0]) == "disc"
    assert np.allclose(points.layer.face_color[0], (1, 0, 0, 1))
    click(points, image, 5, 5)
    assert near(places(points, 1), (5, 5))
    # a point that is added after another was selected is of that one's class
    points.layer.mode = "select"
    points.layer.selected_data = {0}
    points.layer.mode = "add"
    assert points.adding == 3
    click(points, image, 6, 6)
    assert near(places(points, 3), (4, 50), (6, 6))


def test_users_may_change_the_features(viewer, points, qtbot):
    image = viewer.layers["cells"]
    points.start(A)
    for column in range(3):
        click(points, image, 4, column)
    layer = points.layer
    layer.selected_data = {1}
    layer.current_properties = {
        "label": np.array([1]),
        "class": np.array(["odd"]),
        "positive": np.array([False]),
    }
    assert near(places(points, 1), (4, 1))
    assert points.examples(1)[0].positive is False
    assert [str(symbol) for symbol in layer.symbol] == ["disc", "x", "disc"]
    layer.features = layer.features.assign(label=["strange", None, 3])
    assert near(places(points, 3), (4, 2))
    assert places(points, 1) == []
    layer.features = {}
    assert points.examples(3) == ()
    points.start(A)
    click(points, image, 9, 9)
    assert near(places(points, 3), (9, 9))
    qtbot.wait(2 * WAIT)


def test_deleted_layers_take_their_examples_with_them(viewer, points, qtbot):
    image = viewer.layers["cells"]
    points.start(A)
    click(points, image, 4, 50)
    qtbot.wait(3 * WAIT)
    layer = points.layer
    with qtbot.waitSignal(points.changed) as signal:
        viewer.layers.remove(layer)
    assert signal.args == [3]
    assert points.examples(3) == ()
    assert points.adding == 0
    with qtbot.waitSignal(points.changed):
        viewer.add_layer(layer)  # as undo does
    assert near(places(points, 3), (4, 50))
    viewer.layers.remove(layer)
    points.start(A)
    assert points.layer is not layer
    click(points, image, 1, 1)
    assert near(places(points, 3), (1, 1))
    points.start(A)
    viewer.layers.remove(image)
    assert points.adding == 0
    assert points.examples(3) == ()
    with pytest.raises(GemError, match="no image layer"):
        points.start(A)


def test_layers_of_the_user_are_left_alone(viewer, points, qtbot):
    own = viewer.add_points([[1, 2], [3, 4]], features={"label": [3, 3]})
    points.start(A)
    click(points, viewer.layers["cells"], 4, 50)
    copy = Layer.create(*points.layer.as_layer_data_tuple())
    viewer.add_layer(copy)
    symbols = list(own.symbol)
    points.recolor([B, A])
    points.show({}, ())
    assert list(own.symbol) == symbols
    assert len(own.data) == 2
    assert len(copy.data) == 1
    assert len(points.layer.data) == 0
    viewer.layers.remove(own)
    viewer.layers.remove(copy)
    assert points.layer in viewer.layers
    qtbot.wait(2 * WAIT)


def test_points_stay_on_their_image(viewer, points):
    image = viewer.layers["cells"]
    points.start(A)
    click(points, image, 4, 50)
    image.scale = (1, 1)
    image.translate = (100, 0)
    layer = points.layer
    assert np.allclose(layer.data_to_world(layer.data[0]), image.data_to_world((4, 50)))
    assert near(places(points, 3), (4, 50))
    layer.translate = layer.translate + np.array([10, 0])  # the user moves the points
    world = layer.data_to_world(layer.data[0])
    assert near(places(points, 3), tuple(image.world_to_data(world)))
    assert not near(places(points, 3), (4, 50))


def test_only_the_slice_that_is_shown_counts(viewer):
    image = viewer.add_image(np.zeros((5, 40, 60)), scale=(4, 2, 2))
    viewer.dims.set_current_step(0, 3)
    points = shown(viewer, image)
    points.start(A)
    points.layer.add((3, 10, 20))
    points.layer.add((1, 11, 21))
    assert places(points, 3) == [(10, 20)]
    viewer.dims.set_current_step(0, 1)
    points.set_image(image, layers.read_layer(image, viewer.dims))
    assert places(points, 3) == [(11, 21)]
    # rows run down the screen, whatever axis that is
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_current_step(1, 11)
    view = layers.read_layer(image, viewer.dims)
    assert view.shape == (60, 5)
    points.set_image(image, view)
    assert places(points, 3) == [(21, 1)]
    viewer.dims.order = (1, 0, 2)
    points.set_image(image, layers.read_layer(image, viewer.dims))
    assert places(points, 3) == [(1, 21)]
    viewer.dims.ndisplay = 3
    with pytest.raises(GemError, match="shows a volume"):
        points.start(A)


def test_points_of_any_channel_count(viewer):
    image = viewer.add_image(np.zeros((3, 40, 60)))
    view = layers.read_layers([image], viewer.dims, channel_axis=0)
    points = ExamplePoints(viewer)
    points.set_image(image, view)
    points.start(A)
    points.layer.add((0, 10, 20))
    points.layer.add((2, 11, 21))
    assert places(points, 3) == [(10, 20), (11, 21)]


def test_points_are_told_in_pixels_of_the_level_that_is_segmented(viewer):
    levels = [np.zeros((80, 120)), np.zeros((40, 60))]
    image = viewer.add_image(levels, multiscale=True)
    points = ExamplePoints(viewer)
    points.set_image(image, layers.read_layer(image, viewer.dims, largest=40 * 60))
    points.start(A)
    points.layer.add((0.5, 10.5))  # the middle of four fine pixels
    assert near(places(points, 3), (0, 5))


def test_each_image_has_its_own_points(viewer, points):
    first = viewer.layers["cells"]
    points.start(A)
    click(points, first, 4, 50)
    second = viewer.add_image(np.zeros((30, 30)), name="other")
    points.set_image(second, layers.read_layer(second, viewer.dims))
    assert points.adding == 0
    assert points.examples(3) == ()
    points.start(A)
    click(points, second, 1, 1)
    assert near(places(points, 3), (1, 1))
    points.set_image(first, layers.read_layer(first, viewer.dims))
    assert near(places(points, 3), (4, 50))
    points.set_image(None, None)
    assert points.examples(3) == ()


def test_painted_patches_become_examples(viewer, points):
    image = viewer.layers["cells"]
    data = np.zeros((40, 60), np.uint8)
    data[10:30, 20:25] = 3
    placed = {n: getattr(image, n) for n in ("scale", "translate", "rotate")}
    painted = viewer.add_labels(data.copy(), **placed)
    count = points.from_labels(painted, A, most=20)
    spread = np.array(places(points, 3))
    assert 10 <= count == len(spread) <= 20
    assert (data[tuple(np.round(spread).astype(int).T)] == 3).all()
    assert np.ptp(spread[:, 0]) > 14
    assert (painted.data == data).all()
    assert points.adding == 0
    points.from_labels(painted, B, value=3, positive=False, most=5)
    assert {example.positive for example in points.examples(1)} == {False}
    assert len(points.examples(3)) == count
    with pytest.raises(GemError, match="Nothing is painted with label 1"):
        points.from_labels(painted, B)
    with pytest.raises(GemError, match="axes, as the image has"):
        points.from_labels(image, A)
    with pytest.raises(GemError, match="axes, as the image has"):
        points.from_labels(Labels(np.zeros((2, 4, 6), np.uint8)), A)


def test_patches_painted_on_a_slice_of_another_scale(viewer):
    image = viewer.add_image(np.zeros((5, 40, 60)), scale=(4, 2, 2))
    viewer.dims.set_current_step(0, 3)
    points = shown(viewer, image)
    data = np.zeros((5, 20, 30), np.uint8)
    data[3, 5, 7] = 3
    data[2, 9, 9] = 3
    painted = Labels(data, scale=(4, 4, 4), translate=(0, 1, 1))
    assert points.from_labels(painted, A) == 1
    assert near(places(points, 3), (10.5, 14.5))


def test_colours_and_names_follow_the_table(viewer, points):
    image = viewer.layers["cells"]
    points.start(A)
    click(points, image, 4, 50)
    points.start(B)
    click(points, image, 5, 50)
    green = Prompt(("nucleus",), label=3, title="core", color=(0.0, 1.0, 0.0))
    points.recolor([B, green])
    layer = points.layer
    assert np.allclose(layer.face_color[:, :3], [(0, 1, 0), (0, 0, 1)])
    assert list(layer.features["class"]) == ["core", "odd"]
    click(points, image, 6, 50)
    assert np.allclose(layer.face_color[2, :3], (0, 0, 1))


def test_a_new_widget_takes_the_points_over(viewer, points):
    image = viewer.layers["cells"]
    points.start(A)
    click(points, image, 4, 50)
    layer = points.layer
    points.detach()
    assert layer.mode == "pan_zoom"
    again = shown(viewer, image)
    assert again.layer is layer
    assert again.examples(3) == (Example(again.examples(3)[0].point),)
    assert near(places(again, 3), (4, 50))
    layer.add(layer.data[0])  # nobody of the first hears of it
    viewer.layers.remove(image)
    assert isinstance(layer, Points)


@pytest.mark.slow
def test_points_in_a_real_viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((40, 40), np.float32), contrast_limits=(0, 1))
    points = shown(viewer, image)
    points.start(A)
    with qtbot.waitSignal(points.changed):
        points.layer.add((19.5, 19.5))
    points.stop()
    qtbot.wait(50)
    shot = viewer.screenshot(canvas_only=True, flash=False)
    middle = shot[shot.shape[0] // 2, shot.shape[1] // 2]
    assert middle[0] > 150 > middle[1]
    points.detach()
