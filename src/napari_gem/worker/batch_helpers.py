"""Processes that share the images of a batch with the one that began it."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING

from napari_gem.core.atomic import Claim, remove_leftovers
from napari_gem.core.batch import ImageOutcome
from napari_gem.core.errors import GemError
from napari_gem.segmentation.batch_folder import PICTURES
from napari_gem.worker.client import FOLDER_PREFIX
from napari_gem.worker.messages import (
    ON_THE_WAY,
    BatchFinished,
    BatchImage,
    Cancel,
    Failed,
    Request,
    Storage,
)
from napari_gem.worker.process import WorkerProcess, how_it_ended, not_started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_gem.models.model import Model
    from napari_gem.segmentation.batch import Batch, ImagePlace, ImageQueue
    from napari_gem.worker.messages import Event

PATIENCE = 0.7
"""Seconds that a helper gets to stop before it is killed: Ctrl-C takes a second."""

GIBIBYTE = 1 << 30

IMAGE_BYTES = GIBIBYTE // 2
"""Memory for an image of usual size and its maps."""


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_jobs(jobs: int, device: str, scheduler: str = "") -> None:
    """Refuse processes for which there are no cores; before a model is loaded.

    Raises
    ------
    GemError
        With what to do.
    """
    if jobs == 1:
        return
    if scheduler:
        raise GemError(
            "--jobs and --scheduler exclude each other: the workers of the cluster "
            "share the tiles of each image. Leave one of them out."
        )
    cores = available_cores()
    if jobs > cores:
        raise GemError(
            f"--jobs is {jobs}, but this program may use {cores} cores, and more "
            f"processes take longer. Give at most {cores}."
        )
    from napari_gem.models.load import choose_device

    if choose_device(device).type != "cpu":
        raise GemError(
            "--jobs is for the processor: a GPU is busy with one process, and each "
            "more takes memory of it for a model. Leave --jobs out, or add --device "
            "cpu."
        )


def check_memory(jobs: int) -> None:
    """Refuse processes that the free memory does not suffice for, if that is known.

    Each takes what this process does, which has loaded the model, and its images.

    Raises
    ------
    GemError
        With how many it suffices for.
    """
    try:
        free, own = _memory()
    except (OSError, ValueError, LookupError):  # not every system says it so
        return
    each = own + IMAGE_BYTES
    possible = 1 + free // each
    if jobs > possible:
        raise GemError(
            f"The free memory, {free / GIBIBYTE:.1f} GiB, does not suffice for {jobs} "
            f"processes: each more takes about {each / GIBIBYTE:.1f} GiB. Give --jobs "
            f"{possible}, or close other programs."
        )


def _memory() -> tuple[int, int]:
    """Bytes of memory that can still be taken, and those that this process has."""
    system, own = Path("/proc/meminfo"), Path("/proc/self/status")
    return _kilobytes(system, "MemAvailable:"), _kilobytes(own, "VmRSS:")


def _kilobytes(path: Path, name: str) -> int:
    lines = map(str.split, path.read_text(encoding="utf-8").splitlines())
    return {line[0]: int(line[1]) << 10 for line in lines if line[:1] == [name]}[name]


@dataclass(eq=False)
class _Helper:
    """A process, with the image that it has in work."""

    claim: Claim
    process: WorkerProcess | None = None
    place: ImagePlace | None = None
    run: int = 0


class BatchHelpers:
    """Worker processes that take images of a batch, each the next one when it is free.

    Parameters
    ----------
    batch, model
        As this process uses them; each helper loads the model for itself.
    jobs
        Processes in all, with this one; each has its share of the cores.

    Attributes
    ----------
    notices
        Sentences for the user.
    """

    def __init__(self, batch: Batch, model: Model, jobs: int) -> None:
        self._batch, self._model, self._jobs = batch, model, jobs
        self._threads = max(1, available_cores() // jobs)
        self.notices: list[str] = []
        self._helpers: list[_Helper] = []
        self._done: SimpleQueue[tuple[ImagePlace, ImageOutcome]] = SimpleQueue()
        self._taken = self._given = 0
        self._lock = Lock()
        self._ending = False

    @contextmanager
    def start(self, images: ImageQueue, key: str) -> Iterator[None]:
        """Let them take images until the end of the context; then they are ended."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        self._images, self._key = images, key
        try:
            for _ in range(self._jobs - 1):
                self._start_one()
            yield
        finally:
            self._end()
            torch.set_num_threads(before)

    def finished(self) -> list[tuple[ImagePlace, ImageOutcome]]:
        """Give what was finished since the last call."""
        done = []
        with suppress(Empty):
            while True:
                done.append(self._done.get_nowait())
        self._given += len(done)
        return done

    @property
    def busy(self) -> bool:
        """Whether an image is in work, was not reported yet, or is for anyone to take.

        Helpers take and give back images under the same lock: none is overlooked.
        """
        with self._lock:
            return self._taken > self._given or len(self._images) > 0

    def _start_one(self) -> None:
        helper = _Helper(Claim(Path(tempfile.gettempdir()), FOLDER_PREFIX))
        self._helpers.append(helper)
        try:
            helper.claim.path.mkdir(mode=0o700)
            helper.process = WorkerProcess(
                helper.claim.path,
                Storage(),
                on_event=lambda _, event: self._hear(helper, event),
                on_end=lambda process, _: self._on_end(helper, process),
                threads=self._threads,
            )
        except Exception as error:
            raise GemError(not_started(error)) from error
        self._send_next(helper)

    def _send_next(self, helper: _Helper) -> None:
        with self._lock:
            place = None if self._ending else next(self._images, None)
            self._taken += place is not None
        helper.place = place
        helper.run += 1
        if place is None or helper.process is None:
            return
        batch, model = self._batch, self._model
        image = BatchImage(
            batch.asked,
            batch.options,
            batch.outlines,
            self._key,
            str(batch.folder),
            os.fsencode(place.path).decode("latin-1"),
            place.name,
            model.card,
            model.revision,
            model.precision,
        )
        job = replace(batch.asked.job, device=model.device)
        helper.process.send(Request(helper.run, job, image=image))

    def _hear(self, helper: _Helper, event: Event) -> None:
        """Take what came of an image; on the thread that reads from the process."""
        if event.run != helper.run or isinstance(event, ON_THE_WAY):
            return
        if isinstance(event, BatchFinished):
            self._finish(helper, event.report.outcomes[0])
            self._send_next(helper)
            return
        # without its model it can do no image, and others can do this one
        place, helper.place = helper.place, None
        if place is None or self._ending:
            return
        with self._lock:
            self._images.give_back(place)
            self._taken -= 1
        why = event.message if isinstance(event, Failed) else ""
        self.notices.append(f"A process of the batch ended early. {why}".strip())

    def _on_end(self, helper: _Helper, process: WorkerProcess) -> None:
        problem = how_it_ended(process.popen.returncode)
        self._finish(helper, ImageOutcome("", "", "failed", problem))

    def _finish(self, helper: _Helper, outcome: ImageOutcome) -> None:
        place, helper.place = helper.place, None
        if place is not None and not self._ending:
            known = replace(outcome, name=place.name, path=str(place.path))
            self._done.put((place, known))

    def _end(self) -> None:
        """Stop what is in work within a moment, end all, and tidy up."""
        with self._lock:
            self._ending = True
        in_work = [each.place.name for each in self._helpers if each.place is not None]
        for helper in self._helpers:
            if helper.place is not None and helper.process is not None:
                helper.process.send(Cancel(helper.run))
        until = time.monotonic() + PATIENCE
        while any(each.place for each in self._helpers) and time.monotonic() < until:
            time.sleep(0.02)
        for helper in self._helpers:
            if helper.process is not None:
                helper.process.kill()
        for helper in self._helpers:
            if helper.process is not None:
                helper.process.join()
            helper.claim.release()
        for name in (*in_work, PICTURES) if in_work else ():
            remove_leftovers(self._batch.folder / name)
