"""The viewer stays calm while layers are made ready; see `tests.bench_widget`."""

from __future__ import annotations

import sys
from threading import Thread

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gem._qt import controller as controller_module
from napari_gem._qt import results
from napari_gem._qt.controller import Controller
from napari_gem._qt.results import warm_up
from tests._qt.hand_client import HandClient


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
        results, "_warm_layers", lambda: seen.append(sys.getswitchinterval())
    )
    thread = Thread(target=warm_up)
    thread.start()
    thread.join()
    assert seen[0] <= 0.001
    assert sys.getswitchinterval() == interval


def test_the_interval_comes_back_if_warming_up_fails(monkeypatch, interval):
    def fail():
        raise RuntimeError

    monkeypatch.setattr(results, "_warm_layers", fail)
    with pytest.raises(RuntimeError):
        warm_up()
    assert sys.getswitchinterval() == interval
