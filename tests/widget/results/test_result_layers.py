"""Results in a real viewer: what is drawn, and layers that come back."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_gem import layers
from napari_gem.core.prompts import Prompt
from napari_gem.widget.results.result_layers import ResultLayers, warm_up
from napari_gem.widget.results.stack import StackResult
from tests.layers.scene import results_of

A = Prompt(("a",), label=1, color=(1.0, 0.0, 0.0))
B = Prompt(("b",), label=2, color=(0.0, 0.0, 1.0))


@pytest.fixture
def scene(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_image(np.zeros((40, 40), np.float32), contrast_limits=(0, 1))
    image = layers.read_layer(layer, viewer.dims)
    return viewer, image, ResultLayers(viewer)


def uniform(image, label, step=1):
    """Every pixel has one label."""
    results = results_of(image, A, B, step=step)
    data = np.full(image.shape, label, np.uint8)
    return [*results[:-1], replace(results[-1], data=data)]


def colors(viewer):
    """Red and blue of the middle of the canvas."""
    QApplication.processEvents()
    shot = viewer.screenshot(canvas_only=True, flash=False)
    return tuple(int(v) for v in shot[shot.shape[0] // 2, shot.shape[1] // 2, [0, 2]])


def test_previews_are_drawn(scene):
    viewer, image, results = scene
    results.show(image, uniform(image, 1))
    red, blue = colors(viewer)
    assert red > 100 > blue
    for label in (2, 1, 2):  # the second and third are written in place
        results.show(image, uniform(image, label, step=4))
        red, blue = colors(viewer)
        assert (blue > 100 > red) == (label == 2)
    results.undo()
    red, blue = colors(viewer)
    assert red > 100 > blue


@pytest.mark.slow
def test_layers_come_back_and_go_on(scene):
    viewer, image, results = scene
    results.show(image, results_of(image, A, B))
    first, second, labels = viewer.layers[1:]
    second.visible = True
    results.show(image, results_of(image, A))
    assert second not in viewer.layers
    results.undo()
    assert list(viewer.layers)[1:] == [first, second, labels]
    # controls, drawing and moving of a layer that came back
    viewer.layers.selection.active = second
    second.opacity = 0.5
    second.colormap = "magma"
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    viewer.layers.move(2, 0)
    colors(viewer)
    labels.paint((3, 3), 2)
    assert results.painted(image) is labels


def test_warming_up_can_be_done_on_another_thread(make_napari_viewer):
    with ThreadPoolExecutor() as pool:
        assert pool.submit(warm_up).result() is None


@pytest.mark.contact("leftovers")
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("which", ["b", "labels"])
@pytest.mark.slow
def test_another_plugin_that_fails_leaves_the_layers_as_they_were(
    scene, earlier, which
):
    viewer, image, results = scene
    if earlier:
        results.show(image, uniform(image, 1))
        viewer.layers.remove(next(x for x in viewer.layers if which in x.name))
    before = [(layer.name, np.array(layer.data)) for layer in viewer.layers]

    def failing(event):
        if which in event.value.name:
            raise ValueError("of another plugin")

    viewer.layers.events.inserted.connect(failing)
    with pytest.raises(ValueError, match="of another plugin"):
        results.show(image, uniform(image, 2))
    assert [name for name, _ in before] == [layer.name for layer in viewer.layers]
    for (_, data), layer in zip(before, viewer.layers, strict=True):
        assert np.array_equal(data, layer.data)
    assert results.can_undo == earlier
    viewer.layers.events.inserted.disconnect(failing)
    results.show(image, uniform(image, 2))
    assert len(viewer.layers) == 4


@pytest.mark.contact("leftovers")
@pytest.mark.slow
def test_a_stack_whose_layers_cannot_be_added_leaves_none(make_napari_viewer):
    viewer = make_napari_viewer()
    layer = viewer.add_image(np.zeros((3, 40, 40), np.float32))
    image = layers.read_layer(layer, viewer.dims)
    stack = StackResult(ResultLayers(viewer), layer)

    def failing(event):
        raise ValueError("of another plugin")

    viewer.layers.events.inserted.connect(failing)
    with pytest.raises(ValueError, match="of another plugin"):
        stack.add(image, results_of(image, A, B))
    assert list(viewer.layers) == [layer]
    assert stack.labels is None


@pytest.mark.contact("Qt bindings")
def test_a_closed_dock_keeps_no_copies_of_labels(scene):
    viewer, image, results = scene
    results.show(image, results_of(image, A, B))
    kept = weakref.ref(results.ledger.get(viewer.layers[-1]))
    results.forget()
    gc.collect()
    assert kept() is None
    assert not results.can_undo
    results.show(image, results_of(image, A, B))  # the layers are there still
