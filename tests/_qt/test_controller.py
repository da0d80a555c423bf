"""Run, cancel and every way in which a run can go wrong, without a window.

The client here is driven by hand, since no worker process can be made to send its
events at just the wrong moment; `test_widget.py` runs the real one.
"""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_gem import layers
from napari_gem._qt import controller as module
from napari_gem._qt.controller import Ask, Controller
from napari_gem.types import (
    Appearance,
    Cancelled,
    Failed,
    GemError,
    Progress,
    Progressed,
)
from tests._qt.hand_client import HandClient


class Stage:
    """A viewer model, a controller, and all that was told."""

    def __init__(self, qtbot):
        self.qtbot = qtbot
        self.viewer = ViewerModel()
        self.controller = Controller(self.viewer, self.make_client)
        self.told, self.progress, self.busy, self.downloads = [], [], [], []
        self.controller.told.connect(lambda *told: self.told.append(told[:2]))
        self.controller.progressed.connect(self.progress.append)
        self.controller.busy_changed.connect(self.busy.append)
        self.controller.download_requested.connect(
            lambda *asked: self.downloads.append(asked)
        )

    def make_client(self, on_event):
        self.client = HandClient(on_event)
        return self.client

    def image(self, *shape, **kwargs):
        data = np.random.default_rng(3).random(shape or (12, 10))
        return self.viewer.add_image(data, **kwargs)

    def run(self, layer, text="nuclei\nfilament", **kwargs):
        """Press Run, with nothing wrong."""
        before = len(self.client.requests)
        self.controller.run(Ask(layer, text, **kwargs))
        assert len(self.client.requests) == before + 1

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=5000)

    def settle(self):
        self.qtbot.wait(50)

    def send(self, event):
        self.client.send(event)
        self.settle()

    def send_and_hold(self, finished):
        """Stop where the maps are read, until ``client.loaded`` is set."""
        self.client.loaded.clear()
        self.client.send(finished, wait=False)
        assert self.client.loading.wait(5)

    def results(self):
        return [layer for layer in self.viewer.layers if layers.is_result(layer)]


@pytest.fixture
def stage(qtbot):
    made = Stage(qtbot)
    yield made
    made.controller.close()


def test_a_run_from_request_to_layers(stage):
    layer = stage.image(contrast_limits=(0.1, 0.9), gamma=0.7)
    stage.run(layer, "nuclei, nucleus\n\nfilament", device="cpu")
    assert stage.busy == [True]
    request = stage.client.requests[0]
    assert [p.words for p in request.prompts] == [("nuclei", "nucleus"), ("filament",)]
    assert request.appearance == Appearance(limits=(0.1, 0.9), gamma=0.7)
    assert (request.model, request.device) == ("embedded", "cpu")
    assert not request.download
    assert np.array_equal(stage.client.pixels[0], layer.data)
    stage.send(Progressed(1, Progress("Encoding", 1, 4, 2.0)))
    assert stage.progress[-1] == Progress("Encoding", 1, 4, 2.0)
    stage.send(stage.client.finished(1))
    stage.until(lambda: not stage.controller.busy)
    assert [x.name for x in stage.viewer.layers[1:]] == [
        "nuclei · GEM",
        "filament · GEM",
        "labels · GEM",
    ]
    assert stage.told[-1] == (
        "warning",
        "Done: labels and 2 maps. Not in the labels: filament.",
    )
    assert stage.busy == [True, False]


def test_the_second_run_updates_the_layers_of_the_first(stage):
    layer = stage.image()
    for number in (1, 2):
        stage.run(layer)
        stage.send(stage.client.finished(number))
        stage.until(lambda: not stage.controller.busy)
    assert len(stage.results()) == 3


WRONG = {
    "no image": (lambda s: None, "nuclei", {}, "There is no image layer"),
    "no prompt": (lambda s: s.image(), "", {}, "There is no prompt"),
    "blanks": (lambda s: s.image(), " \n , ,\n\t", {}, "There is no prompt"),
    "twice": (lambda s: s.image(), "a\nb, A", {}, "'A' stands twice"),
    "labels": (
        lambda s: s.viewer.add_labels(np.zeros((4, 4), int), name="cells"),
        "nuclei",
        {},
        "'cells' is a Labels layer",
    ),
    "unknown model": (
        lambda s: s.image(),
        "nuclei",
        {"model": "ViT-B-99/nothing"},
        "There is no model 'ViT-B-99/nothing'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_told_and_nothing_starts(stage, case):
    make, text, kwargs, expected = WRONG[case]
    stage.controller.run(Ask(make(stage), text, **kwargs))
    kind, sentence = stage.told[-1]
    assert kind == "error"
    assert expected in sentence
    assert not stage.busy
    assert not stage.client.requests


def test_a_volume_is_refused_until_the_viewer_shows_a_slice(stage):
    layer = stage.image(4, 6, 5)
    stage.viewer.dims.ndisplay = 3
    stage.controller.run(Ask(layer, "nuclei"))
    assert "Switch to 2D" in stage.told[-1][1]
    stage.viewer.dims.ndisplay = 2
    stage.run(layer)
    assert stage.controller.busy


def test_a_download_is_asked_for_first(stage, monkeypatch):
    monkeypatch.setattr(module, "is_available", lambda card: False)
    layer = stage.image()
    ask = Ask(layer, "nuclei", model="ViT-B-16-quickgelu/openai")
    stage.controller.run(ask)
    assert not stage.busy
    (card, asked) = stage.downloads[0]
    assert card.id == "ViT-B-16-quickgelu/openai"
    assert asked is ask
    stage.run(layer, model=card.id, download=True)
    assert stage.client.requests[0].download
    stage.send(Cancelled(1))
    stage.run(layer, model=card.id)
    assert stage.client.requests[1].download, "asked again for the same model"
    assert len(stage.downloads) == 1


def test_more_maps_than_fit_are_refused_before_anything_starts(stage, monkeypatch):
    monkeypatch.setattr("napari_gem.pipeline.LARGEST_MAPS", 100)
    stage.controller.run(Ask(stage.image(), "nuclei"))
    assert not stage.controller.busy
    assert "fewer classes" in stage.told[-1][1]


def test_run_pressed_twice(stage):
    layer = stage.image()
    stage.run(layer)
    stage.controller.run(Ask(layer, "nuclei"))
    assert stage.told[-1][0] == "warning"
    assert len(stage.client.requests) == 1


def test_cancel(stage):
    layer = stage.image()
    stage.run(layer)
    stage.controller.cancel()
    stage.controller.cancel()
    assert stage.client.cancels == 1
    assert stage.controller.busy
    stage.send(Progressed(1, Progress("Encoding", 2, 4)))
    assert stage.progress[-1] == Progress("Cancelling")
    stage.send(Cancelled(1))
    assert not stage.controller.busy
    assert stage.told[-1] == ("info", "Cancelled.")
    assert len(stage.viewer.layers) == 1
    stage.run(layer)
    assert stage.controller.busy


def test_a_result_that_comes_after_cancel_is_dropped(stage):
    stage.run(stage.image())
    stage.controller.cancel()
    stage.send(stage.client.finished(1))
    assert not stage.controller.busy
    assert not stage.results()


def test_cancel_while_layers_are_made(stage):
    stage.run(stage.image())
    stage.send_and_hold(stage.client.finished(1))
    stage.controller.cancel()
    stage.client.loaded.set()
    stage.until(lambda: not stage.controller.busy)
    assert stage.told[-1] == ("info", "Cancelled.")
    assert not stage.results()


def test_events_of_other_runs_are_dropped(stage):
    layer = stage.image()
    stage.run(layer)
    stage.controller.cancel()
    stage.send(Cancelled(1))
    stage.run(layer)
    count = len(stage.told)
    stage.send(stage.client.finished(1))
    stage.send(Failed(1, "late"))
    stage.send(Progressed(1, Progress("Encoding", 3, 4)))
    assert stage.controller.busy
    assert len(stage.told) == count
    assert not stage.results()
    assert stage.progress[-1].stage == "Reading image"
    stage.send(stage.client.finished(2))
    stage.until(lambda: not stage.controller.busy)
    assert len(stage.results()) == 3


def test_a_failed_run_says_why_and_the_next_one_starts(stage, caplog):
    layer = stage.image()
    stage.run(layer)
    stage.send(Failed(1, "The GPU has not enough memory.", "Traceback ..."))
    assert stage.told[-1] == ("error", "The GPU has not enough memory.")
    assert "Traceback" in caplog.text
    stage.run(layer)
    assert stage.controller.busy


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GemError("The file is gone."), "The file is gone."),
        (MemoryError(), "The memory does not suffice"),
        (ValueError("odd"), "The layers could not be made (odd)."),
    ],
)
def test_errors_while_layers_are_made(stage, error, expected):
    layer = stage.image()
    stage.run(layer)
    stage.client.error = error
    stage.send(stage.client.finished(1))
    stage.until(lambda: not stage.controller.busy)
    assert stage.told[-1][0] == "error"
    assert expected in stage.told[-1][1]
    assert not stage.results()


def test_the_layer_is_removed_during_the_run(stage):
    layer = stage.image()
    other = stage.image()
    stage.run(layer)
    stage.viewer.layers.remove(other)
    assert not stage.client.cancels
    stage.viewer.layers.remove(layer)
    assert stage.client.cancels == 1
    stage.send(Cancelled(1))
    assert stage.told[-1] == ("warning", module.REMOVED)
    assert len(stage.viewer.layers) == 0


def test_the_layer_is_removed_while_layers_are_made(stage):
    layer = stage.image()
    stage.run(layer)
    stage.send_and_hold(stage.client.finished(1))
    stage.viewer.layers.remove(layer)
    stage.client.loaded.set()
    stage.until(lambda: not stage.controller.busy)
    assert stage.told[-1] == ("warning", module.REMOVED)
    assert len(stage.viewer.layers) == 0


def test_the_layer_is_renamed_and_moved_during_the_run(stage):
    layer = stage.image()
    stage.run(layer)
    layer.name, layer.scale, layer.translate = "renamed", (0.5, 0.5), (3, 4)
    stage.send(stage.client.finished(1))
    stage.until(lambda: not stage.controller.busy)
    labels = stage.results()[-1]
    assert isinstance(labels, Labels)
    assert np.allclose(labels.data_to_world((2, 3)), layer.data_to_world((2, 3)))


def test_the_data_are_replaced_during_the_run(stage):
    layer = stage.image()
    stage.run(layer)
    layer.data = np.zeros((5, 5))
    stage.send(stage.client.finished(1))
    stage.until(lambda: not stage.controller.busy)
    assert stage.told[-1][0] == "error"
    assert "were replaced during the run" in stage.told[-1][1]
    assert not stage.results()


def test_close_during_a_run(stage):
    layer = stage.image()
    stage.run(layer)
    finished = stage.client.finished(1)
    stage.controller.close()
    stage.controller.close()
    assert stage.client.closed == 1
    told = list(stage.told)
    stage.send(finished)
    stage.controller.run(Ask(layer, "nuclei"))
    stage.viewer.layers.remove(layer)
    assert stage.told == told
    assert not stage.results()


def test_close_while_layers_are_made(stage):
    stage.run(stage.image())
    stage.send_and_hold(stage.client.finished(1))
    stage.controller.close()
    stage.client.loaded.set()
    stage.settle()
    assert not stage.results()


def test_notices_are_told(stage):
    stage.run(stage.image(), "unicorn")
    stage.send(stage.client.finished(1, ("It was not trained on 'unicorn'.",)))
    stage.until(lambda: not stage.controller.busy)
    assert stage.told[-1] == (
        "warning",
        "Done: labels and 1 map. It was not trained on 'unicorn'.",
    )


def test_a_changed_appearance_is_told(stage):
    layer = stage.image(contrast_limits=(0, 1))
    stage.run(layer)
    stage.send(stage.client.finished(1))
    stage.until(lambda: not stage.controller.busy)
    layer.opacity = 0.5
    assert stage.told[-1][1].startswith("Done")
    layer.contrast_limits = (0, 0.5)
    assert stage.told[-1] == ("info", module.CHANGED)


def test_the_appearance_changes_during_the_run(stage):
    layer = stage.image(contrast_limits=(0, 1))
    stage.run(layer)
    layer.gamma = 0.5
    stage.send(stage.client.finished(1))
    stage.until(lambda: not stage.controller.busy)
    assert stage.client.requests[0].appearance.gamma == 1
    assert stage.told[-1] == ("info", module.CHANGED)
