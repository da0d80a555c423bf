"""The class of the table and the label that the brush paints."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtWidgets import QApplication

from napari_gem import layers
from napari_gem.core.colors import class_color
from napari_gem.core.prompts import Prompt
from napari_gem.prompts.sets import PromptSet
from napari_gem.widget.prompts.table import PromptTable
from napari_gem.widget.results.brush import Brush
from napari_gem.widget.results.result_layers import ResultLayers
from tests.layers.scene import results_of

NAMES = ("a", "b", "c")


class Scene:
    """A viewer with an image, a table of three classes, and results to be shown."""

    def __init__(self, viewer, qtbot):
        self.viewer = viewer
        self.table = PromptTable()
        qtbot.addWidget(self.table)
        self.table.add_text("\n".join(NAMES))
        self.table.view.go_to(1)
        self.image = viewer.add_image(np.zeros((12, 10)))
        self.results = ResultLayers(viewer)
        self.brush = Brush(viewer, self.table)
        self.brush.set_source(self.view().source)

    def view(self, image=None):
        image = self.image if image is None else image
        return layers.read_layer(image, self.viewer.dims)

    def show(self, image=None, policy="new"):
        view = self.view(image)
        self.results.show(view, results_of(view, *self.table.prompts()), policy)
        return next(x for x in reversed(self.viewer.layers) if isinstance(x, Labels))

    @property
    def current(self):
        return self.table.current().name


@pytest.fixture
def scene(qtbot):
    scene = Scene(ViewerModel(), qtbot)
    yield scene
    scene.brush.detach()


def test_the_first_stroke_is_of_the_current_class(scene):
    labels = scene.show()
    assert labels.selected_label == 2
    labels.paint((3, 3), labels.selected_label)
    position = (3, 3)
    assert "class: b" in labels.get_status(position, world=True)["coordinates"]
    color = scene.table.current().color
    assert np.allclose(labels.get_color(labels.selected_label)[:3], color, atol=0.01)


def test_class_and_label_follow_each_other(scene):
    labels = scene.show()
    scene.table.select_next()
    assert (scene.current, labels.selected_label) == ("c", 3)
    labels.selected_label = 1
    assert scene.current == "a"
    for label in (0, 57):
        labels.selected_label = label
        assert (scene.current, labels.selected_label) == ("a", label)
    scene.brush.set_source(scene.view().source)
    scene.table.model.change(1, threshold=0.3)
    assert labels.selected_label == 57, "a label of no class stays chosen"
    scene.table.select_next()
    assert labels.selected_label == 2
    scene.table.model.remove([2])
    assert labels.selected_label == scene.table.current().label


def test_napari_s_controls_choose_the_row(make_napari_viewer, qtbot):
    scene = Scene(make_napari_viewer(show=True), qtbot)
    labels = scene.show()
    scene.viewer.layers.selection.active = labels
    controls = scene.viewer.window._qt_viewer.controls.widgets[labels]
    box = controls._label_control.selection_spinbox
    assert box.value() == 2
    box.setValue(3)
    QApplication.processEvents()
    assert scene.current == "c"
    scene.brush.detach()


def test_other_images_and_layers_of_others_are_left_alone(scene):
    mine = scene.viewer.add_labels(np.zeros((12, 10), int))
    other = scene.viewer.add_image(np.ones((12, 10)))
    first, second = scene.show(), scene.show(other)
    copy = scene.viewer.add_labels(first.data.copy(), metadata=dict(first.metadata))
    scene.table.select_next()
    chosen = [layer.selected_label for layer in (mine, first, second, copy)]
    assert chosen == [1, 3, 1, 1]
    for layer in (mine, second, copy):
        layer.selected_label = 2
    assert scene.current == "c"
    scene.brush.set_source(scene.view(other).source)
    assert (first.selected_label, second.selected_label) == (3, 3)


def test_several_results_of_an_image_follow(scene):
    first = scene.show()
    first.paint((3, 3), 1)
    second = scene.show()
    assert second is not first
    second.selected_label = 3
    assert (scene.current, first.selected_label) == ("c", 3)
    scene.viewer.layers.remove(second)
    second.selected_label = 1
    assert scene.current == "c", "it is in the viewer no more"


def test_a_stroke_keeps_its_label(scene):
    labels = scene.show()
    scene.viewer.layers.selection.active = labels
    labels.mode = "paint"
    event = SimpleNamespace(type="mouse_press")
    stroke = scene.brush._watch_stroke(scene.viewer, event)
    assert scene.brush._watch_stroke in scene.viewer.mouse_drag_callbacks
    next(stroke)
    event.type = "mouse_move"
    next(stroke)
    scene.table.select_next()
    assert labels.selected_label == 2
    event.type = "mouse_release"
    assert next(stroke, "end") == "end"
    assert labels.selected_label == 3
    labels.mode = "pick"
    assert next(scene.brush._watch_stroke(scene.viewer, event), "end") == "end"


def test_labels_that_cannot_have_the_number_are_left_alone(scene):
    labels = scene.show()
    assert labels.dtype == np.uint8
    scene.table.model.load(PromptSet("x", prompts=(Prompt(("z",), 300),)))
    assert scene.table.current().label == 300
    assert labels.selected_label == 2


def test_large_labels_follow(scene):
    levels = [np.zeros((32, 32), np.uint16), np.zeros((16, 16), np.uint16)]
    large = Labels(levels, multiscale=True)
    large.editable = False
    source = scene.view().source
    large.metadata = {
        "napari_gem": {
            "role": "labels",
            "source": source,
            "layer": str(large.unique_id),
        }
    }
    scene.viewer.add_layer(large)
    assert large.selected_label == 2
    large.selected_label = 3
    assert scene.current == "c"


def test_after_the_dock_nothing_follows(scene):
    labels = scene.show()
    scene.brush.detach()
    scene.table.select_next()
    labels.selected_label = 1
    assert scene.current == "c"
    assert scene.brush._watch_stroke not in scene.viewer.mouse_drag_callbacks


def test_a_class_without_a_result_is_painted_in_its_colour(scene):
    labels = scene.show()
    scene.table.add_text("new")
    prompt = scene.table.current()
    assert labels.selected_label == prompt.label == 4
    assert labels.get_color(4)[:3] == pytest.approx(class_color(3), abs=0.004)
    before = labels.colormap
    scene.table.view.go_to(0)
    assert labels.colormap is before, "its colour is known"
    # the next result keeps it, and the table's colour comes first
    scene.table.model.change(4, color=(1.0, 0.0, 0.0))
    assert scene.show(policy="replace") is labels
    assert labels.get_color(4)[:3] == pytest.approx((1, 0, 0), abs=0.004)


def test_the_brush_follows_in_a_stack(scene):
    stack = scene.viewer.add_image(np.zeros((3, 12, 10)), name="stack")
    view = scene.view(stack)
    scene.brush.set_source(view.source)
    scene.results.show(view, results_of(view, *scene.table.prompts()), "new")
    labels = next(x for x in reversed(scene.viewer.layers) if isinstance(x, Labels))
    assert labels.data.shape == (1, 12, 10), "the slice that is shown"
    assert labels.selected_label == 2
    scene.table.view.go_to(2)
    assert labels.selected_label == 3
    scene.viewer.dims.set_current_step(0, 2)
    labels.selected_label = 1
    assert scene.current == "a"
