"""The process that runs the pipeline for the dock widget.

``python -m napari_gem.worker FOLDER [STORAGE]`` reads requests from its standard input
and writes events to its standard output (see `napari_gem.worker.messages`); `Storage`
comes as JSON. It keeps the last model and the images encoded so far, so that new words
cost a matrix product, and it ends when its input ends: then the viewer is gone.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from napari_gem.core import atomic
from napari_gem.core.checked_files import DamagedError
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_json
from napari_gem.core.memory import NoMemoryError, is_out_of_memory
from napari_gem.core.progress import Progress
from napari_gem.models.card import DownloadNeeded
from napari_gem.worker.messages import (
    Cancel,
    Cancelled,
    Failed,
    ImageFinished,
    Interim,
    NeedsDownload,
    Progressed,
    Request,
    Storage,
    from_line,
    to_line,
)
from napari_gem.worker.process import trace, unexpected
from napari_gem.worker.session import LostImageError, Session

if TYPE_CHECKING:
    from typing import BinaryIO

    from napari_gem.worker.messages import Event

EVENT_SECONDS = 0.05
"""Progress of one stage is sent at most this often."""


class Stopped(Exception):  # noqa: N818 (no error: the user wants it)
    """The run is wanted no more."""


class Worker:
    """Answers what comes down the pipe until it ends.

    The folder is private to the viewer's process and this one; requests and events are
    the two ends of the pipe.
    """

    def __init__(
        self,
        folder: Path,
        requests: BinaryIO,
        events: BinaryIO,
        storage: Storage | None = None,
    ) -> None:
        self._folder = folder
        self._requests = requests
        self._events = events
        self._session = Session(folder, storage)
        self._inbox: SimpleQueue[Request] = SimpleQueue()
        self._wanted = 0
        self._sent = (0.0, "")

    def serve(self) -> None:
        """Answer requests; does not return."""
        Thread(target=self._listen, daemon=True).start()
        # what fails here fails again in the first run, which tells it
        with suppress(Exception):
            _import_heavy()
        self._send(Progressed(0, Progress("Ready")))
        while True:
            request = self._inbox.get()
            try:
                event = self._answer(request)
            except Exception as error:  # noqa: BLE001 (the next one must be answered)
                event = Failed(request.run, unexpected(error), trace(error))
            self._send(event)

    def _listen(self) -> None:
        try:
            for line in self._requests:
                message = from_line(line)
                if isinstance(message, Request):
                    self._wanted = message.run
                    self._inbox.put(message)
                elif isinstance(message, Cancel) and message.run == self._wanted:
                    self._wanted = 0
        finally:
            self._leave()

    def _answer(self, request: Request) -> Event:
        from napari_gem.core.progress import run

        steps = self._session.steps(request)
        failed: Failed
        short = False
        try:
            return run(steps, lambda progress: self._report(request.run, progress))
        except Stopped:
            return Cancelled(request.run)
        except DownloadNeeded as error:
            return NeedsDownload(request.run, error.card)
        except GemError as error:
            lost = isinstance(error, LostImageError | DamagedError)
            if isinstance(error, DamagedError):
                self._session.images.clear()  # else they were read again and again
            failed = Failed(request.run, str(error), lost=lost)
            short = isinstance(error, NoMemoryError)
        except Exception as error:  # noqa: BLE001 (the user sees it; the worker goes on)
            failed = Failed(request.run, unexpected(error), trace(error))
            short = is_out_of_memory(error)
        finally:
            steps.close()
            self._session.images.trim()
        if short:
            self._session.forget()
        return failed

    def _report(self, run: int, progress: Progress | Interim | ImageFinished) -> None:
        if self._wanted != run:
            raise Stopped
        if not isinstance(progress, Progress):
            self._send(progress)
            return
        when, stage = self._sent
        now = time.monotonic()
        last = progress.done == progress.total
        if stage != progress.stage or last or now - when >= EVENT_SECONDS:
            self._sent = (now, progress.stage)
            self._send(Progressed(run, progress))

    def _send(self, event: Event) -> None:
        try:
            line = to_line(event)
        except Exception as error:  # noqa: BLE001 (a run without an answer never ends)
            problem = f"The answer could not be written ({type(error).__name__})."
            line = to_line(Failed(event.run, f"{problem} Press Run again."))
        try:
            self._events.write(line)
            self._events.flush()
        except OSError:
            self._leave()

    def _leave(self) -> None:
        for _ in range(3):  # the other thread may be writing to it
            atomic.remove(self._folder)
        # the system takes a moment to drop the lock of a viewer that was killed
        for pause in atomic.PAUSES:
            if atomic.remove_leftover(self._folder):
                break
            time.sleep(pause)
        os._exit(0)


def _import_heavy() -> None:
    """Load torch and open_clip while the user still types."""
    from napari_gem.backbones.open_clip_import import import_open_clip
    from napari_gem.models import load  # noqa: F401
    from napari_gem.segmentation import job  # noqa: F401

    import_open_clip()


def _take(descriptor: int, mode: str, replacement: int) -> BinaryIO:
    """Keep a standard stream for the protocol and give all others another one.

    What a library prints, or a child of this process reads, cannot break the protocol.
    """
    taken: Any = os.fdopen(os.dup(descriptor), mode)
    os.dup2(replacement, descriptor)
    stream: BinaryIO = taken
    return stream


def main() -> None:
    """Serve the process that started this one."""
    faulthandler.enable()
    # Ctrl-C in the terminal is for the viewer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    requests, events = _take(0, "rb", nothing), _take(1, "wb", 2)
    storage = from_json(Storage, sys.argv[2]) if len(sys.argv) > 2 else Storage()
    Worker(Path(sys.argv[1]), requests, events, storage).serve()
