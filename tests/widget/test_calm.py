"""The viewer stays calm while layers are made ready; see `tests.bench_widget`."""

from __future__ import annotations

import sys
import time
from threading import Thread

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gem.layers import read_layer
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.results import result_layers
from napari_gem.widget.results.result_layers import warm_up
from napari_gem.widget.run import controller as controller_module
from napari_gem.widget.run.controller import Controller
from tests.layers.scene import results_of
from tests.widget.hand_client import HandClient


def test_layers_are_warmed_up_once_and_not_before_the_first(qtbot, monkeypatch):
    """Both threads would build pint's registry of units at a time."""
    warmed = []
    monkeypatch.setattr(controller_module, "warm_up", lambda: warmed.append(1))
    viewer = ViewerModel()
    controller = Controller(viewer, HandClient)
    controller.start()
    qtbot.wait(50)
    assert not warmed
    viewer.add_image(np.zeros((4, 4)))
    viewer.add_image(np.zeros((4, 4)))
    qtbot.waitUntil(lambda: bool(warmed))
    assert len(warmed) == 1
    controller.close()


def test_a_closed_controller_warms_up_nothing(qtbot, monkeypatch):
    warmed = []
    monkeypatch.setattr(controller_module, "warm_up", lambda: warmed.append(1))
    viewer = ViewerModel()
    controller = Controller(viewer, HandClient)
    controller.start()
    controller.close()
    viewer.add_image(np.zeros((4, 4)))
    qtbot.wait(50)
    assert not warmed


@pytest.fixture
def interval():
    """Python's usual interval, whatever a failed test left behind."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def test_warming_up_hands_the_lock_on_and_leaves_the_interval_alone(
    monkeypatch, interval
):
    seen = []
    monkeypatch.setattr(
        result_layers, "_warm_layers", lambda: seen.append(sys.getswitchinterval())
    )
    thread = Thread(target=warm_up)
    thread.start()
    thread.join()
    assert seen[0] <= 0.001
    assert sys.getswitchinterval() == interval


def test_the_interval_comes_back_if_warming_up_fails(monkeypatch, interval):
    def fail():
        raise RuntimeError

    monkeypatch.setattr(result_layers, "_warm_layers", fail)
    with pytest.raises(RuntimeError):
        warm_up()
    assert sys.getswitchinterval() == interval


def test_warming_up_draws_the_patterns_that_a_first_labels_layer_needs():
    from vispy.visuals.line import dash_atlas

    dash_atlas._make_pattern.cache_clear()
    warm_up()
    known = dash_atlas._make_pattern.cache_info()
    dash_atlas.DashAtlas()
    assert dash_atlas._make_pattern.cache_info().misses == known.misses > 0


def test_layers_take_the_main_thread_little_longer_than_naparis_own_calls():
    """In processor time of this thread, so that other work does not count."""
    viewer = ViewerModel()
    image = read_layer(viewer.add_image(np.zeros((512, 512))), viewer.dims)
    shown = result_layers.ResultLayers(viewer)
    results = [results_of(image, *"abcde", shift=shift) for shift in range(6)]
    shown.show(image, results[0])
    ours, bare = [], []
    for result in results[1:]:
        ours.append(spent(lambda result=result: shown.show(image, result, live=True)))
        arrays = [(layer, np.array(layer.data)) for layer in viewer.layers[1:]]
        bare.append(spent(lambda arrays=arrays: replace_data(arrays)))
    assert min(ours) < 2 * min(bare) + 0.02


@pytest.mark.slow
def test_a_moving_slider_takes_little_of_the_main_thread(make_napari_viewer, qtbot):
    """From the move to the request to the worker, with as many classes as a set has."""
    viewer = make_napari_viewer()
    widget = GemWidget(viewer, Controller(viewer, HandClient))
    client = widget.controller._client
    viewer.add_image(np.zeros((64, 64), np.uint16))
    widget.prompt_table.load_set("aerial")
    widget.run()
    slider = widget.advanced_panel._controls["background_weight"]
    moves = []
    for number in range(1, 5):
        client.send(client.finished(number))
        qtbot.waitUntil(lambda: widget.controller._task is None)
        moves.append(spent(lambda at=number: setattr(slider, "value", 1 + at / 10)))
        assert len(client.requests) == number + 1
    assert min(moves) < 0.03
    widget.close()


def replace_data(arrays):
    for layer, data in arrays:
        layer.data = data


def spent(call):
    """Seconds of the processor that this thread spends."""
    start = time.thread_time()
    call()
    return time.thread_time() - start
