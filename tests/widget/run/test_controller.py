"""Run, cancel and every way in which a run can go wrong, without a window.

The client here is driven by hand, since no worker process can be made to send its
events at just the wrong moment; `test_widget.py` runs the real one.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QCoreApplication

from napari_gem import layers
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.core.results import Job
from napari_gem.models.card import ModelCard
from napari_gem.widget.run import controller as module
from napari_gem.widget.run.controller import Controller
from napari_gem.widget.run.inputs import RunInputs, job_of
from napari_gem.widget.run.live_updates import REST
from napari_gem.widget.state import Encoded
from napari_gem.worker.messages import Cancelled, Failed, NeedsDownload, Progressed
from tests.widget.hand_client import HandClient

OWN = {each.name for each in fields(RunInputs)}


class Stage:
    """A viewer model, a controller, and all that was messages."""

    def __init__(self, qtbot):
        self.qtbot = qtbot
        self.viewer = ViewerModel()
        self.controller = Controller(self.viewer, self.make_client)
        self.messages, self.progress, self.busy, self.downloads = [], [], [], []
        self.controller.message_sent.connect(
            lambda *message: self.messages.append(message[:2])
        )
        self.controller.progressed.connect(self.progress.append)
        self.controller.busy_changed.connect(self.busy.append)
        self.controller.download_requested.connect(
            lambda *asked: self.downloads.append(asked)
        )
        self.policies, self.kept = [], []
        self.undoable, self.failed = [], []
        self.controller.labels_kept.connect(self.kept.append)
        self.controller.undo_changed.connect(self.undoable.append)
        self.controller.failed.connect(self.failed.append)
        self.controller.policy_requested.connect(
            lambda *asked: self.policies.append(asked)
        )

    def make_client(self, on_event):
        self.client = HandClient(on_event)
        return self.client

    def image(self, *shape, **kwargs):
        data = np.random.default_rng(3).random(shape or (12, 10))
        return self.viewer.add_image(data, **kwargs)

    def ask(self, layer, text="nuclei\nfilament", **kwargs):
        """What the widget would ask for."""
        image = layers.read_layer(layer, self.viewer.dims)
        words = (line.split(", ") for line in text.split("\n") if line.strip())
        prompts = tuple(Prompt(tuple(each), label=i) for i, each in enumerate(words, 1))
        own = {name: kwargs.pop(name) for name in OWN & set(kwargs)}
        job = Job(prompts=prompts, appearance=image.appearance, **kwargs)
        return RunInputs((layer,), image, job_of(job, image), **own)

    def is_live(self, inputs):
        """Whether the worker can score this at once."""
        return self.controller.encoded(inputs) is Encoded.LIVE

    def run(self, layer, text="nuclei\nfilament", **kwargs):
        """Press Run, with nothing wrong."""
        before = len(self.client.requests)
        self.controller.run(self.ask(layer, text, **kwargs))
        assert len(self.client.requests) == before + 1

    def finish(self, run, **kwargs):
        """Let the worker end a run."""
        self.send(self.client.finished(run, **kwargs))
        self.until(lambda: not self.controller.busy)

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=5000)

    def settle(self):
        """Let Qt deliver what was sent, and what is sent then."""
        for _ in range(4):
            QCoreApplication.sendPostedEvents()
            QCoreApplication.processEvents()

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
    stage = Stage(qtbot)
    yield stage
    stage.controller.close()


@pytest.mark.slow
def test_a_run_from_request_to_layers(stage):
    layer = stage.image(contrast_limits=(0.1, 0.9), gamma=0.7)
    stage.run(layer, "nuclei, nucleus\n\nfilament", device="cpu")
    assert stage.busy == [True]
    request = stage.client.requests[0]
    assert [p.words for p in request.job.prompts] == [
        ("nuclei", "nucleus"),
        ("filament",),
    ]
    assert request.job.appearance == Appearance(limits=(0.1, 0.9), gamma=0.7)
    assert (request.job.model, request.job.device) == ("embedded", "cpu")
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
    assert stage.messages[-1] == (
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
    "no prompt": ("", {}, "There is no prompt"),
    "twice": ("a\nb, A", {}, "'A' stands twice"),
    "unknown model": ("a", {"model": "ViT-B-99/nothing"}, "There is no model"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_told_and_nothing_starts(stage, case):
    text, kwargs, expected = WRONG[case]
    stage.controller.run(stage.ask(stage.image(), text, **kwargs))
    kind, sentence = stage.messages[-1]
    assert kind == "error"
    assert expected in sentence
    assert not stage.busy
    assert not stage.client.requests


def test_a_layer_that_is_gone_is_told(stage):
    layer = stage.image()
    ask = stage.ask(layer)
    stage.viewer.layers.remove(layer)
    stage.controller.run(ask)
    assert stage.messages[-1] == ("error", module.NO_IMAGE)


def test_a_download_is_asked_for_first(stage, monkeypatch):
    monkeypatch.setattr(module, "is_available", lambda card: False)
    layer = stage.image()
    ask = stage.ask(layer, "nuclei", model="ViT-B-16-quickgelu/openai")
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
    monkeypatch.setattr("napari_gem.core.validation.LARGEST_MAPS", 100)
    stage.controller.run(stage.ask(stage.image(), "nuclei"))
    assert not stage.controller.busy
    assert "fewer classes" in stage.messages[-1][1]


def test_run_pressed_twice(stage):
    layer = stage.image()
    stage.run(layer)
    stage.controller.run(stage.ask(layer, "nuclei"))
    assert stage.messages[-1][0] == "warning"
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
    assert stage.messages[-1] == ("info", "Cancelled.")
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
    assert stage.messages[-1] == ("info", "Cancelled.")
    assert not stage.results()


def test_events_of_other_runs_are_dropped(stage):
    layer = stage.image()
    stage.run(layer)
    stage.controller.cancel()
    stage.send(Cancelled(1))
    stage.run(layer)
    count = len(stage.messages)
    stage.send(stage.client.finished(1))
    stage.send(Failed(1, "late"))
    stage.send(Progressed(1, Progress("Encoding", 3, 4)))
    assert stage.controller.busy
    assert len(stage.messages) == count
    assert not stage.results()
    assert stage.progress[-1].stage == "Reading image"
    stage.send(stage.client.finished(2))
    stage.until(lambda: not stage.controller.busy)
    assert len(stage.results()) == 3


def test_a_failed_run_says_why_and_the_next_one_starts(stage, caplog):
    layer = stage.image()
    stage.run(layer)
    stage.send(Failed(1, "The GPU has not enough memory.", "Traceback ..."))
    assert stage.messages[-1] == ("error", "The GPU has not enough memory.")
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
    assert stage.messages[-1][0] == "error"
    assert expected in stage.messages[-1][1]
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
    assert stage.messages[-1] == ("warning", module.REMOVED)
    assert len(stage.viewer.layers) == 0


def test_the_layer_is_removed_while_layers_are_made(stage):
    layer = stage.image()
    stage.run(layer)
    stage.send_and_hold(stage.client.finished(1))
    stage.viewer.layers.remove(layer)
    stage.client.loaded.set()
    stage.until(lambda: not stage.controller.busy)
    assert stage.messages[-1] == ("warning", module.REMOVED)
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


CHANGES = {
    "hidden": lambda viewer, layer: setattr(layer, "visible", False),
    "rotated": lambda viewer, layer: setattr(layer, "rotate", 30),
    "put elsewhere": lambda viewer, layer: setattr(layer, "affine", np.eye(4) * 2),
    "given units": lambda viewer, layer: setattr(layer, "units", ("s", "µm", "µm")),
    "sliced": lambda viewer, layer: viewer.dims.set_point(0, 2),
    "transposed": lambda viewer, layer: setattr(viewer.dims, "order", (1, 2, 0)),
    "shown as a volume": lambda viewer, layer: setattr(viewer.dims, "ndisplay", 3),
    "under another": lambda viewer, layer: viewer.layers.move(0, 2),
    "shown otherwise": lambda viewer, layer: setattr(layer, "contrast_limits", (0, 3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_layer_changes_during_the_run(stage, change):
    """What was asked for is shown, where the image is now; nothing else changes."""
    layer, other = stage.image(3, 12, 10), stage.image(6, 6)
    stage.viewer.dims.set_point(0, 1)
    asked = stage.ask(layer)
    stage.controller.run(asked)
    CHANGES[change](stage.viewer, layer)
    before = [layer.visible, layer.units, list(stage.viewer.dims.order)]
    stage.finish(1)
    labels = stage.results()[-1]
    assert labels.data.shape == (1, 12, 10)
    for point in ((0, 2, 3), (0, 11, 9)):
        world = layer.data_to_world(np.add(point, (1, 0, 0)))
        assert np.allclose(labels.data_to_world(point), world)
    assert labels.units == layer.units
    assert [layer.visible, layer.units, list(stage.viewer.dims.order)] == before
    assert stage.messages[-1][1].startswith("Done")
    assert stage.is_live(asked)
    if change in ("sliced", "transposed", "shown otherwise"):
        assert not stage.is_live(stage.ask(layer))
    assert other in stage.viewer.layers


def test_the_data_are_replaced_during_the_run(stage):
    layer = stage.image()
    stage.run(layer)
    layer.data = np.zeros((5, 5))
    stage.send(stage.client.finished(1))
    stage.until(lambda: not stage.controller.busy)
    assert stage.messages[-1][0] == "error"
    assert "were replaced during the run" in stage.messages[-1][1]
    assert not stage.results()


def test_close_during_a_run(stage):
    layer = stage.image()
    stage.run(layer)
    finished = stage.client.finished(1)
    stage.controller.close()
    stage.controller.close()
    assert stage.client.closed == 1
    messages = list(stage.messages)
    stage.send(finished)
    stage.controller.run(stage.ask(layer, "nuclei"))
    stage.viewer.layers.remove(layer)
    assert stage.messages == messages
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
    assert stage.messages[-1] == (
        "warning",
        "Done: labels and 1 map. It was not trained on 'unicorn'.",
    )


def test_words_on_an_encoded_image_come_at_once(stage):
    layer = stage.image(2000, 1000)
    stage.controller.refresh(stage.ask(layer))
    assert not stage.client.requests, "nothing is encoded yet"
    assert stage.controller.encoded(stage.ask(layer)) is Encoded.NO
    stage.run(layer)
    stage.finish(1)
    assert stage.is_live(stage.ask(layer))
    stage.controller.refresh(stage.ask(layer, "nuclei\nspot"))
    first = stage.client.requests[1]
    assert (first.encoded, first.preview, first.pixels) == ("image 1", True, "")
    assert not stage.controller.busy
    for text in ("cell", "cells", "ship"):
        stage.controller.refresh(stage.ask(layer, text))
    assert len(stage.client.requests) == 2, "one preview at a time"
    stage.send(stage.client.finished(2, step=4))
    assert [p.name for p in stage.client.requests[2].job.prompts] == ["ship"]
    assert stage.client.requests[2].preview
    stage.send(stage.client.finished(3, step=4))
    labels = stage.results()[-1]
    assert labels.data.shape == (2000, 1000)
    stage.until(lambda: len(stage.client.requests) == 4)
    assert not stage.client.requests[3].preview
    stage.send(stage.client.finished(4))
    assert [x.name for x in stage.results()] == ["ship · GEM", "labels · GEM"]
    stage.settle()
    assert len(stage.client.requests) == 4


def test_a_preview_of_full_size_is_final(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.send(stage.client.finished(2))
    stage.qtbot.wait(REST + 50)
    assert len(stage.client.requests) == 2


def test_a_change_gives_up_the_full_size(stage):
    layer = stage.image(2000, 1000)
    stage.run(layer)
    stage.finish(1)
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.send(stage.client.finished(2, step=4))
    stage.until(lambda: len(stage.client.requests) == 3)
    stage.controller.refresh(stage.ask(layer, "ship"))
    assert stage.client.requests[3].preview
    stage.send(stage.client.finished(3))
    assert "ship" not in str(stage.results()), "the older one is dropped"


def test_what_is_shown_is_not_scored_again(stage):
    layer = stage.image(2000, 1000)
    stage.run(layer)
    stage.finish(1)
    shown = stage.results()
    shown[-1].paint((2, 2), 7)
    for _ in range(3):
        stage.controller.refresh(stage.ask(layer))
    assert len(stage.client.requests) == 1
    assert stage.results() == shown
    # while a preview is made, and while its full size is waited for
    for _ in range(2):
        stage.controller.refresh(stage.ask(layer, "cell"))
    stage.send(stage.client.finished(2, step=4))
    stage.controller.refresh(stage.ask(layer, "cell"))
    assert len(stage.client.requests) == 2
    stage.until(lambda: len(stage.client.requests) == 3)
    assert not stage.client.requests[2].preview


def test_a_change_that_is_taken_back_while_another_is_scored(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    for text in ("cell", "ship", "cell"):
        stage.controller.refresh(stage.ask(layer, text))
    stage.send(stage.client.finished(2))
    assert [p.name for p in stage.client.requests[-1].job.prompts] == ["cell"]
    assert len(stage.client.requests) == 2


def test_a_change_that_a_run_swept_away_is_shown_again(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.run(layer, "cell")
    stage.controller.cancel()
    stage.send(Cancelled(3))
    stage.controller.refresh(stage.ask(layer, "cell"))
    assert len(stage.client.requests) == 4


def test_pixels_replaced_after_another_run_was_cancelled(stage):
    layer, other = stage.image(), stage.image()
    stage.run(layer)
    stage.finish(1)
    stage.run(other)
    stage.controller.cancel()
    stage.send(Cancelled(2))
    layer.data = np.zeros((12, 10))
    assert not stage.is_live(stage.ask(layer))


def test_run_during_a_preview(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.run(layer, "ship")
    stage.send(stage.client.finished(2))
    assert stage.controller.busy
    stage.finish(3)
    assert stage.results()[0].name == "ship · GEM"


NOT_CURRENT = {
    "appearance": lambda s, layer: setattr(layer, "gamma", 0.5),
    "data": lambda s, layer: setattr(layer, "data", np.zeros((12, 10))),
    "removed": lambda s, layer: s.viewer.layers.remove(layer),
}


@pytest.mark.parametrize("change", NOT_CURRENT)
def test_another_image_needs_a_run(stage, change):
    layer = stage.image(contrast_limits=(0, 1))
    stage.run(layer)
    stage.finish(1)
    assert stage.is_live(stage.ask(layer, "other words"))
    NOT_CURRENT[change](stage, layer)
    ask = stage.ask(layer, "other words")
    assert not stage.is_live(ask)
    stage.controller.refresh(ask)
    assert len(stage.client.requests) == 1


def test_detail_model_and_region_need_a_run(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    for change in (
        {"detail": 4.0},
        {"model": "other"},
        {"region": Region((0, 5), (0, 5))},
        {"precision": "float32"},
    ):
        assert not stage.is_live(stage.ask(layer, **change))


def test_an_image_that_the_worker_forgot_needs_a_run(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.send(Failed(2, "The image is no longer encoded.", lost=True))
    assert stage.messages[-1][0] == "error"
    assert stage.controller.encoded(stage.ask(layer)) is Encoded.NO
    assert stage.busy == [True, False]


def test_words_that_the_worker_refuses_leave_the_image_encoded(stage):
    layer = stage.image()
    stage.run(layer, "nuclei")
    stage.finish(1)
    stage.controller.refresh(stage.ask(layer, "refused"))
    stage.controller.refresh(stage.ask(layer, "refused too"))
    stage.send(Failed(2, "Give other background words."))
    assert stage.messages[-1] == ("error", "Give other background words.")
    assert len(stage.client.requests) == 3, "what was changed meanwhile is asked"
    stage.send(Failed(3, "Give other background words."))
    assert not stage.failed
    assert stage.is_live(stage.ask(layer, "nuclei"))
    stage.controller.refresh(stage.ask(layer, "nuclei"))
    stage.send(stage.client.finished(4))
    assert stage.messages[-1] == ("info", "")


def test_pixels_replaced_during_a_run_are_told(stage):
    layer = stage.image()
    stage.run(layer)
    layer.data = np.zeros((12, 10))
    stage.finish(1)
    assert module.STALE in stage.messages[-1][1]
    assert not stage.is_live(stage.ask(layer))


def test_painted_labels_are_asked_about(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    labels = stage.results()[-1]
    labels.paint((2, 2), 7)
    ask = stage.ask(layer)
    stage.controller.run(ask)
    assert stage.policies == [(labels, ask)]
    assert not stage.controller.busy
    stage.run(layer, policy="fill")
    stage.finish(2)
    assert labels.data[2, 2] == 7
    assert len(stage.results()) == 3
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.send(stage.client.finished(3))
    assert labels.data[2, 2] == 7, "nothing is asked while a control moves"


def test_undo_brings_back_what_was_before_the_run(stage):
    layer = stage.image()
    stage.controller.undo()
    assert stage.messages[-1] == ("warning", "There is no run to undo.")
    stage.run(layer)
    stage.finish(1)
    stage.controller.undo()
    assert list(stage.viewer.layers) == [layer]


def test_undo_is_offered_when_there_is_something(stage):
    layer = stage.image(name="cells")
    assert not stage.undoable
    stage.run(layer)
    assert not stage.undoable
    stage.finish(1)
    assert "'cells'" in stage.undoable[-1]
    stage.controller.undo()
    assert stage.undoable[-1] == ""


def test_changes_leave_painted_labels_alone_and_say_so(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    labels = stage.results()[-1]
    labels.paint((2, 2), 7)
    painted = labels.data.copy()
    stage.client.label = 2
    for run, text in ((2, "nuclei\nship"), (3, "nuclei\nboat")):
        stage.controller.refresh(stage.ask(layer, text))
        stage.send(stage.client.finished(run))
    assert np.array_equal(labels.data, painted)
    assert [x.name for x in stage.results()] == [
        "nuclei · GEM",
        "boat · GEM",
        "labels · GEM",
    ], "maps are updated, below the labels"
    assert stage.kept == [labels], "said once"
    # the answer holds from then on
    stage.run(layer, "nuclei\nboat", policy="fill")
    stage.finish(4)
    assert stage.kept[-1] is None
    assert labels.data[2, 2] == 7
    assert labels.data[9, 9] == 2
    stage.client.label = 1
    stage.controller.refresh(stage.ask(layer, "nuclei"))
    stage.send(stage.client.finished(5))
    assert labels.data[2, 2] == 7
    assert labels.data[9, 9] == 1


@pytest.mark.parametrize("policy", ["new", "replace"])
def test_what_was_painted_after_an_answer_stays(stage, policy):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    stage.results()[-1].paint((2, 2), 7)
    stage.run(layer, policy=policy)
    stage.finish(2)
    count = len(stage.viewer.layers)
    labels = next(x for x in reversed(stage.results()) if isinstance(x, Labels))
    stage.client.label = 2
    stage.controller.refresh(stage.ask(layer, "nuclei\nship"))
    stage.send(stage.client.finished(3))
    assert (labels.data == 2).all(), "nobody painted on it yet"
    labels.paint((3, 3), 8)
    stage.client.label = 1
    stage.controller.refresh(stage.ask(layer, "nuclei\nboat"))
    stage.send(stage.client.finished(4))
    assert labels.data[3, 3] == 8
    assert labels.data[9, 9] == 2
    assert stage.kept == [labels]
    assert len(stage.viewer.layers) == count
    stage.viewer.layers.remove(labels)
    assert stage.kept[-1] is None


def test_new_for_good_gives_changes_a_layer_of_their_own(stage):
    layer = stage.image()
    stage.run(layer, policy="new")
    stage.finish(1)
    stage.results()[-1].paint((2, 2), 7)
    for run, text in ((2, "nuclei\nship"), (3, "nuclei\nboat")):
        stage.controller.refresh(stage.ask(layer, text, policy="new"))
        stage.send(stage.client.finished(run))
    assert len([x for x in stage.results() if isinstance(x, Labels)]) == 2
    assert not stage.kept


def test_only_what_is_broken_is_announced(stage):
    layer = stage.image()
    stage.controller.run(stage.ask(layer, ""))
    stage.run(layer)
    stage.send(Failed(1, "The GPU has not enough memory."))
    assert stage.failed == ["The GPU has not enough memory."]
    stage.run(layer)
    stage.finish(2)
    stage.controller.refresh(stage.ask(layer, "a\na"))
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.send(Failed(3, "The image is no longer encoded.", lost=True))
    assert len(stage.failed) == 1
    stage.run(layer)
    stage.finish(4)
    stage.controller.refresh(stage.ask(layer, "cell"))
    stage.send(Failed(5, "Something unexpected went wrong.", "Traceback"))
    assert stage.failed[1:] == ["Something unexpected went wrong."]


def test_a_model_of_unknown_size_is_described_by_the_worker(stage):
    layer = stage.image()
    stage.run(layer, model="ViT-B-32/laion2b_e16")
    card = ModelCard("ViT-B-32/laion2b_e16", "B/32", "ViT-B-32", "open_clip:x", size=9)
    stage.send(NeedsDownload(1, card))
    assert not stage.controller.busy
    assert stage.downloads[0][0] is card


def test_words_changed_during_a_run_are_shown_after_it(stage):
    layer = stage.image()
    stage.run(layer)
    stage.controller.refresh(stage.ask(layer, "nuclei\nfilament"))
    stage.finish(1)
    assert len(stage.client.requests) == 1, "nothing was changed"
    stage.run(layer)
    stage.controller.refresh(stage.ask(layer, "ship"))
    stage.finish(2)
    assert [p.name for p in stage.client.requests[2].job.prompts] == ["ship"]
    assert stage.client.requests[2].encoded == "image 2"


def test_another_image_chosen_during_a_run_is_not_current_after_it(stage):
    layer, other = stage.image(), stage.image()
    stage.run(layer)
    stage.controller.refresh(stage.ask(other))
    stage.finish(1)
    assert not stage.is_live(stage.ask(other))
    assert len(stage.client.requests) == 1


def test_undo_waits_for_the_run(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    stage.run(layer)
    stage.controller.undo()
    assert stage.messages[-1][0] == "warning"
    assert len(stage.results()) == 3
    stage.controller.cancel()
    stage.send(Cancelled(2))
    assert not stage.controller.busy


def test_undo_after_live_changes_brings_back_what_was_painted(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    labels = stage.results()[-1]
    labels.paint((2, 2), 7)
    stage.run(layer, policy="replace")
    stage.finish(2)
    assert labels.data[2, 2] == 1
    for run, text in ((3, "nuclei\nship"), (4, "nuclei\nboat")):
        stage.controller.refresh(stage.ask(layer, text))
        stage.send(stage.client.finished(run))
    stage.controller.undo()
    assert labels.data[2, 2] == 7


def test_live_changes_go_on_as_the_run_did(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    labels = stage.results()[-1]
    labels.paint((2, 2), 7)
    stage.run(layer, policy="fill")
    stage.finish(2)
    stage.controller.refresh(stage.ask(layer, "nuclei\nship"))
    stage.send(stage.client.finished(3))
    assert labels.data[2, 2] == 7
    assert [x for x in stage.results() if isinstance(x, Labels)] == [labels]


def test_a_switched_off_table_is_told_and_taken_back(stage):
    layer = stage.image()
    stage.run(layer)
    stage.finish(1)
    ask = stage.ask(layer, "nuclei")
    off = tuple(replace(prompt, on=False) for prompt in ask.job.prompts)
    stage.controller.refresh(replace(ask, job=replace(ask.job, prompts=off)))
    assert stage.messages[-1] == (
        "error",
        "Every class is switched off. Switch one on.",
    )
    stage.controller.refresh(ask)
    stage.send(stage.client.finished(2))
    assert stage.messages[-1] == ("info", "")


def test_why_there_is_no_run_is_said_until_there_can_be_one(stage):
    layer = stage.image()
    stage.controller.run(stage.ask(layer, ""))
    assert "There is no prompt" in stage.messages[-1][1]
    stage.controller.refresh(stage.ask(layer, ""))
    assert "There is no prompt" in stage.messages[-1][1]
    stage.controller.refresh(stage.ask(layer))
    assert stage.messages[-1] == ("info", "")
    stage.controller.run(stage.ask(layer, ""))
    stage.run(layer)
    stage.finish(1)
    stage.controller.refresh(stage.ask(layer, "nuclei"))
    assert stage.messages[-1][1].startswith("Done"), "what was said since stays"


def test_a_recipe_tells_the_size_of_a_pixel(stage):
    layer = stage.image(scale=(0.5, 0.25), units="µm")
    heard = []
    stage.controller.scored.connect(heard.append)
    stage.run(layer)
    stage.finish(1)
    assert (heard[0].result.recipe.pixel_size, heard[0].result.recipe.unit) == (
        (0.5, 0.25),
        "µm",
    )
    kept = stage.results()[-1].metadata[layers.KEY]["recipe"]
    assert (tuple(kept["pixel_size"]), kept["unit"]) == ((0.5, 0.25), "µm")
    layer.units = "pixel"
    assert layers.read_layer(layer, stage.viewer.dims).pixel_size == (None, "")


def run_stack(stage, text="nuclei\nfilament", **kwargs):
    """Segment three slices."""
    layer = stage.image(3, 12, 10)
    stage.viewer.dims.set_point(0, 0)
    more = tuple(
        layers.read_layer(layer, stage.viewer.dims, position={0: n}) for n in (1, 2)
    )
    stage.controller.run(replace(stage.ask(layer, text, **kwargs), more=more))
    for run in (1, 2, 3):
        stage.send(stage.client.finished(run))
    stage.until(lambda: not stage.controller.busy)
    return layer


def test_a_stack_is_one_run(stage):
    layer = run_stack(stage)
    labels = stage.results()[-1]
    assert labels.data.shape == (3, 12, 10)
    assert labels.data.all()
    assert stage.is_live(stage.ask(layer))
    stage.controller.undo()
    assert list(stage.viewer.layers) == [layer]
    assert not stage.is_live(stage.ask(layer)), "its layers are gone"


def test_a_change_shows_in_the_slice_on_screen(stage):
    layer = run_stack(stage)
    labels = stage.results()[-1]
    before = labels.data.copy()
    stage.viewer.dims.set_point(0, 1)
    stage.controller.refresh(stage.ask(layer))
    assert len(stage.client.requests) == 3, "the slice shows this already"
    stage.controller.refresh(stage.ask(layer, "nuclei\nship"))
    assert stage.client.requests[3].encoded == "image 2"
    finished = stage.client.finished(4)
    stage.client.label = 2
    stage.send(finished)
    assert np.array_equal(labels.data[[0, 2]], before[[0, 2]])
    assert (labels.data[1] == 2).all()
    assert stage.messages[-1] == ("info", module.ONE_SLICE)
    assert stage.results()[-1] is labels
    # what was painted meanwhile stays
    labels.data[1, 3, 3] = 7
    count = len(stage.messages)
    stage.controller.refresh(stage.ask(layer, "nuclei\nboat"))
    stage.send(stage.client.finished(5))
    assert len(stage.messages) == count, "not that the slice is up to date"
    assert labels.data[1, 3, 3] == 7
    assert stage.kept == [labels]
    stage.controller.undo()
    assert layer in stage.viewer.layers


def test_a_slice_that_the_worker_forgot_leaves_the_others(stage):
    layer = run_stack(stage)
    stage.viewer.dims.set_point(0, 1)
    stage.controller.refresh(stage.ask(layer, "ship"))
    stage.send(Failed(4, "The image is no longer encoded.", lost=True))
    assert not stage.is_live(stage.ask(layer))
    stage.viewer.dims.set_point(0, 2)
    assert stage.is_live(stage.ask(layer))


def test_examples_of_a_stack_hold_when_a_slice_is_looked_at(stage):
    layer = stage.image(2, 12, 10)
    stage.viewer.dims.set_point(0, 0)
    ask = stage.ask(layer, "nuclei")
    placed = Example(point=(2.0, 3.0))
    embedded = replace(placed, vector=(1.0, 0.0), model="embedded")
    (prompt,) = ask.job.prompts
    more = (layers.read_layer(layer, stage.viewer.dims, position={0: 1}),)
    placed_prompt = replace(prompt, examples=(placed,))
    asked = replace(ask, job=replace(ask.job, prompts=(placed_prompt,)), more=more)
    stage.controller.run(asked)
    first = stage.client.finished(1)
    prompts = (replace(prompt, examples=(embedded,)),)
    recipe = replace(first.result.recipe, prompts=prompts)
    stage.send(replace(first, result=replace(first.result, recipe=recipe)))
    assert stage.client.requests[1].job.prompts[0].examples == (
        replace(embedded, point=None),
    )
    stage.finish(2)
    stage.viewer.dims.set_point(0, 1)
    stage.controller.refresh(stage.ask(layer, "nuclei"))
    assert len(stage.client.requests) == 2, "its points lie on another slice"
    stage.controller.refresh(stage.ask(layer, "nuclei, cell"))
    assert stage.client.requests[2].job.prompts[0].examples == (
        replace(embedded, point=None),
    )


def test_a_cancelled_stack_leaves_nothing(stage):
    layer = stage.image(3, 12, 10)
    stage.viewer.dims.set_point(0, 0)
    more = (layers.read_layer(layer, stage.viewer.dims, position={0: 1}),)
    stage.controller.run(replace(stage.ask(layer), more=more))
    stage.send(stage.client.finished(1))
    assert stage.results()
    stage.controller.cancel()
    stage.send(Cancelled(2))
    assert not stage.controller.busy
    assert list(stage.viewer.layers) == [layer]


# --- whatever comes back, the next run can begin


@pytest.mark.contact("remembered state")
@pytest.mark.parametrize(
    "place", ["controller.make_results", "controller.Controller._answer", "submit"]
)
def test_a_run_ends_whatever_fails_here(stage, monkeypatch, caplog, place):
    def fail(*_, **__):
        raise ValueError("odd \udcff")  # as in names of files, and in no encoding

    layer = stage.image()
    with monkeypatch.context() as patch:
        if place == "submit":
            patch.setattr(stage.client, "submit", fail)
            stage.controller.run(stage.ask(layer))
        else:
            stage.run(layer)
            patch.setattr(f"napari_gem.widget.run.{place}", fail)
            stage.send(stage.client.finished(1))
        stage.until(lambda: not stage.controller.busy)
    assert stage.messages[-1][0] == "error"
    assert "ValueError" in stage.messages[-1][1]
    assert "ValueError" in caplog.text.encode().decode()
    stage.run(layer)
    stage.finish(len(stage.client.requests))
    assert stage.results()
