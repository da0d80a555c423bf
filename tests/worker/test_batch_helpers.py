"""Processes that share a batch, without the processes."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from napari_gem.core.appearance import Appearance
from napari_gem.core.atomic import PREFIX, Claim
from napari_gem.core.batch import BatchReport, ImageOutcome
from napari_gem.core.results import Job
from napari_gem.models.domains import DomainRule
from napari_gem.models.find import find_model
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.segmentation.asked import Asked
from napari_gem.segmentation.batch import Batch, ImagePlace, ImageQueue
from napari_gem.worker import batch_helpers
from napari_gem.worker.batch_helpers import BatchHelpers
from napari_gem.worker.messages import (
    BatchFinished,
    Cancel,
    Failed,
    Request,
    from_line,
    to_line,
)


class FakeProcess:
    """Keeps what it is sent."""

    made: list[FakeProcess]

    def __init__(
        self, folder: Path, _: object, on_event: Any, on_end: Any, threads: int
    ):
        self.threads = threads
        self.sent: list[Request] = []
        self.cancelled: list[int] = []
        self.popen = SimpleNamespace(returncode=-9)
        self.on_event, self.on_end = on_event, on_end
        self.made.append(self)

    def send(self, message: object) -> None:
        if isinstance(message, Cancel):
            self.cancelled.append(message.run)
            return
        assert isinstance(message, Request)
        again = from_line(to_line(message))
        assert again == message
        self.sent.append(message)

    def finish(self) -> None:
        outcome = ImageOutcome(self.sent[-1].image.name, "", "done")
        report = BatchReport("", (outcome,))
        self.on_event(self, BatchFinished(self.sent[-1].run, report))

    def kill(self) -> None:
        """Nothing runs."""

    def join(self) -> None:
        """Nothing runs."""


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    made: list[FakeProcess] = []
    monkeypatch.setattr(FakeProcess, "made", made, raising=False)
    monkeypatch.setattr(batch_helpers, "WorkerProcess", FakeProcess)
    monkeypatch.setattr(batch_helpers, "available_cores", lambda: 8)
    monkeypatch.setattr(batch_helpers, "PATIENCE", 0.05)
    return made


def make(folder: Path, names: list[str], jobs: int) -> tuple[BatchHelpers, ImageQueue]:
    job = Job(prompts=parse_prompts(["cat"]), appearance=Appearance())
    card = find_model("embedded")
    rule = DomainRule(card, card.score, {"templates": ("a {}",), "smoothing": 1.0})
    asked = Asked(job, (0.5, 99.5), None, 1.0, None, None, 16, domain=rule)
    model: Any = SimpleNamespace(
        card=card, revision="r", precision="float32", device="cpu"
    )
    paths = tuple(folder / name for name in names)
    places = [ImagePlace(n, path, "abc"[n]) for n, path in enumerate(paths)]
    return BatchHelpers(Batch(paths, folder, asked), model, jobs), ImageQueue(places)


def test_each_takes_the_next_image_when_it_is_free(
    processes: list[FakeProcess], tmp_path: Path
) -> None:
    helpers, queue = make(tmp_path, ["a\udcff.png", "b.png", "c.png"], jobs=3)
    with helpers.start(queue, "key"):
        first, second = processes
        assert (first.threads, second.threads) == (2, 2)
        assert next(queue).name == "c"
        second.finish()
        assert helpers.busy
        first.finish()
        assert helpers.busy, "nobody was told yet"
        told = helpers.finished()
        assert [place.name for place, _ in told] == ["b", "a"]
        assert [outcome.path for _, outcome in told] == [
            str(tmp_path / "b.png"),
            str(tmp_path / "a\udcff.png"),
        ]
        assert not helpers.busy
    assert not helpers.notices


def test_an_image_goes_to_another_if_a_process_has_no_model(
    processes: list[FakeProcess], tmp_path: Path
) -> None:
    helpers, queue = make(tmp_path, ["a.png", "b.png"], jobs=2)
    with helpers.start(queue, "key"):
        processes[0].on_event(processes[0], Failed(1, "No room."))
        assert helpers.busy, "somebody must take the image"
        assert [place.name for place in queue] == ["a", "b"]
        assert not helpers.busy
    assert helpers.notices == ["A process of the batch ended early. No room."]


def test_no_image_is_given_back_to_a_batch_that_was_stopped(
    processes: list[FakeProcess], tmp_path: Path
) -> None:
    helpers, queue = make(tmp_path, ["a.png", "b.png"], jobs=2)
    with helpers.start(queue, "key"):
        queue.stop()
        processes[0].on_event(processes[0], Failed(1, "No room."))
        assert not helpers.busy
        assert next(queue, None) is None


class SlowQueue(ImageQueue):
    """Gives time to look between the taking of an image and its noting."""

    def __next__(self) -> ImagePlace:
        place = super().__next__()
        if self.asks is not None:
            self.asks.start()
            self.asks.join(0.2)
        return place

    asks: Thread | None = None


def test_an_image_that_is_just_being_taken_keeps_the_batch_waiting(
    processes: list[FakeProcess], tmp_path: Path
) -> None:
    helpers, _ = make(tmp_path, ["a.png", "b.png"], jobs=2)
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    queue = SlowQueue([ImagePlace(n, path, path.stem) for n, path in enumerate(paths)])
    with helpers.start(queue, "key"):
        busy: list[bool] = []
        (process,) = processes
        helpers._done.put((ImagePlace(0, paths[0], "a"), ImageOutcome("a", "", "done")))
        helpers.finished()
        queue.asks = asks = Thread(target=lambda: busy.append(helpers.busy))
        process.finish()
        asks.join()
    assert busy == [True]


def test_an_image_fails_with_its_process(
    processes: list[FakeProcess], tmp_path: Path
) -> None:
    helpers, queue = make(tmp_path, ["a.png", "b.png"], jobs=2)
    with helpers.start(queue, "key"):
        processes[0].on_end(processes[0], "")
        ((place, outcome),) = helpers.finished()
        assert (place.name, outcome.state) == ("a", "failed")
        assert "SIGKILL" in outcome.problem
        assert "Press" not in outcome.problem


def test_what_is_in_work_is_stopped_and_leaves_nothing(
    processes: list[FakeProcess], tmp_path: Path
) -> None:
    helpers, queue = make(tmp_path, ["a.png"], jobs=2)
    (tmp_path / "a").mkdir()
    with helpers.start(queue, "key"):
        left = tmp_path / "a" / f"{PREFIX}x"
        left.touch()
        left.with_name(f"{left.name}.lock").touch()  # nobody holds it
        living = Claim(tmp_path / "a")
    assert processes[0].cancelled == [1]
    assert not left.exists()
    living.release()
