"""The viewer's end of the worker process: no Qt, no torch, and never in the way.

All work is done on one private thread, which takes jobs from a queue: what the caller
asks, what the worker says, and that the worker is gone. So nothing here needs a lock
but the number of the current run.
"""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_gem.core.atomic import Claim
from napari_gem.core.errors import GemError
from napari_gem.core.memory import shortage
from napari_gem.core.progress import Progress
from napari_gem.core.validation import is_cluster
from napari_gem.core.word_comparison import ComparedMaps
from napari_gem.images.rendering import check_image
from napari_gem.results.temporary import ResultFolders
from napari_gem.worker.arrays import load_array, save_array
from napari_gem.worker.messages import (
    ON_THE_WAY,
    Cancel,
    Cancelled,
    Compared,
    Event,
    Failed,
    Finished,
    Interim,
    Progressed,
    Request,
    Storage,
    from_line,
    to_line,
)
from napari_gem.worker.process import (
    CLOSE_SECONDS,
    WorkerProcess,
    gone,
    not_started,
    trace,
    unexpected,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.images.references import ImageReference

    Pixels = ArrayLike | LazyArray

CANCEL_SECONDS = 1.0
"""`Cancelled` comes after this time at the latest."""

LONGEST_STEP = 10.0
"""A worker that takes long steps gets at most this time to stop before it is killed."""

FOLDER_PREFIX = "napari-gem-run-"

_Job = Callable[[], None]
_log = logging.getLogger(__name__)


class WorkerClient:
    """A worker process that is started when needed and runs one request at a time.

    All methods return at once and may be called from any thread, also from
    ``on_event``.

    Parameters
    ----------
    on_event
        Called with each event from one private thread, never from the caller's.
        Events of runs that a newer one replaced are dropped. ``run`` 0 tells that the
        worker process is ready.
    storage
        Room that encoded images may take; None takes the defaults of `Storage`.
    """

    def __init__(
        self, on_event: Callable[[Event], object], storage: Storage | None = None
    ) -> None:
        self._on_event = on_event
        self._storage = storage or Storage()
        self._results = ResultFolders(self._storage.folder)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = Lock()
        self._runs = 0
        self._current = 0
        self._closed = False
        # from here on only the private thread reads and writes
        self._folder: Path | None = None
        self._claim: Claim | None = None
        self._process: WorkerProcess | None = None
        self._ready = False
        self._busy: Request | None = None
        self._waiting: Request | None = None
        self._cancel_by: float | None = None
        self._kill_by: float | None = None
        self._stage = ""
        self._heard = self._step = 0.0
        self._thread: Thread | None = None
        atexit.register(self.close, CLOSE_SECONDS)
        # whoever makes this gets it; a run tells that there is no thread
        with suppress(GemError):
            self._need_thread()

    @property
    def running(self) -> bool:
        """Whether a run was submitted and has not ended."""
        return self._current != 0

    @property
    def process_id(self) -> int | None:
        """Process id of the worker; None while there is none."""
        process = self._process
        return process.popen.pid if process else None

    def start(self) -> None:
        """Start the process ahead of the first run, so that torch is loaded then."""
        self._jobs.put(self._start)

    def submit(
        self,
        pixels: Pixels | Callable[[], Pixels] | None,
        request: Request,
        *,
        large: bool = False,
    ) -> int:
        """Start a run; one that is under way is cancelled.

        Parameters
        ----------
        pixels
            An image as `napari_gem.images.rendering.check_image` takes it, or what
            gives one: called on a private thread, and read there some rows at a time.
            None if the request names an encoded image.
        request
            What to do; its ``run``, ``pixels`` and ``folder`` are filled in.
        large
            Whether the results are written to disk: `Finished` then has a folder.

        Returns
        -------
        int
            Number of the run. Its last event is `Finished`, `Cancelled` or `Failed`,
            unless a newer run replaces it.

        Raises
        ------
        GemError
            If the system gives no thread.
        """
        self._need_thread()
        with self._lock:
            if self._closed:
                raise RuntimeError("This worker is closed.")
            self._runs += 1
            self._current = run = self._runs
        job = partial(self._begin, pixels, replace(request, run=run), large)
        self._jobs.put(job)
        return run

    def cancel(self) -> None:
        """Cancel the current run; its `Cancelled` comes within about a second."""
        self._jobs.put(partial(self._cancel, self._current))

    def close(self, wait: float = 0.0) -> None:
        """End the process and remove its folder; no event comes any more.

        Parameters
        ----------
        wait
            Seconds to wait for both at most; 0 leaves them to the private thread.
        """
        with self._lock:
            closed, self._closed = self._closed, True
            self._current = 0
        if not closed:
            self._jobs.put(None)
        if wait and self._thread and current_thread() is not self._thread:
            self._thread.join(wait)

    def _need_thread(self) -> None:
        with self._lock:
            if self._thread or self._closed:
                return
            thread = Thread(target=self._serve, name="napari-gem", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise GemError(shortage(error) or str(error)) from error
            self._thread = thread

    @staticmethod
    def load_maps(
        finished: Finished,
    ) -> tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]:
        """Read the maps of a finished run and delete their files.

        May be called from ``on_event``, so that no other thread waits for the disk.

        Returns
        -------
        probabilities, labels
            As in `Segmentation`.

        Raises
        ------
        GemError
            If the files are gone.
        """
        paths = Path(finished.result.probabilities), Path(finished.result.labels)
        probabilities, labels = (load_array(path) for path in paths)
        for path in paths:
            path.unlink(missing_ok=True)
        return probabilities, labels

    @staticmethod
    def load_comparison(event: Compared) -> ComparedMaps:
        """Read the maps of compared words and delete their file; see `load_maps`."""
        path = Path(event.maps)
        maps = load_array(path)
        path.unlink(missing_ok=True)
        return ComparedMaps(event.compared, maps[0], maps[1])

    # ------------------------------------------------------ on the private thread

    def _serve(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._patience())
            except Empty:
                job = self._lose_patience
            if job is None:
                break
            try:
                job()
            except Exception as error:  # noqa: BLE001 (the next job must be done)
                self._recover(error)
        for end in (self._end_process, self._remove_folder):
            with suppress(Exception):
                end()
        atexit.unregister(self.close)

    def _recover(self, error: Exception) -> None:
        """Answer for a job that failed unexpectedly, and begin afresh.

        Nothing in here may raise: there is nobody who would go on.
        """
        details = trace(error)
        _log.error("A job of the worker's client failed.\n%s", details)
        run, busy = self._current, self._busy
        for end in (self._end_process, self._forget_waiting):
            with suppress(Exception):
                end()
        if busy:
            with suppress(Exception):
                _remove_files(self._folder, busy)
        self._process = self._busy = self._waiting = None
        self._ready = False
        self._cancel_by = self._kill_by = None
        if run:
            self._deliver(Failed(run, unexpected(error), details))

    def _patience(self) -> float | None:
        times = [t for t in (self._cancel_by, self._kill_by) if t is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _lose_patience(self) -> None:
        now = time.monotonic()
        if self._cancel_by is not None and now >= self._cancel_by:
            self._cancel_by = None
            if self._busy:
                self._deliver(Cancelled(self._busy.run))
        if self._kill_by is not None and now >= self._kill_by:
            self._drop_process()
            self._send_waiting()

    def _start(self) -> None:
        try:
            self._need_process()
        except Exception as error:  # noqa: BLE001 (the first run tells it)
            _log.warning("The worker process could not be started.\n%s", trace(error))

    def _begin(
        self,
        pixels: Pixels | Callable[[], Pixels] | None,
        request: Request,
        large: bool,
    ) -> None:
        if request.run != self._current:
            return
        self._forget_waiting()
        if self._process and self._busy:
            self._process.send(Cancel(self._busy.run))
        try:
            folder = self._need_process()
            if large:
                request = replace(request, folder=str(self._results.new()))
        except Exception as error:  # noqa: BLE001 (the user sees it)
            self._deliver(Failed(request.run, not_started(error), trace(error)))
            return
        if pixels is None:
            self._prepared(request)
            return
        stage = "Reading image" if self._ready else "Starting"
        self._deliver(Progressed(request.run, Progress(stage)))
        path = folder / f"pixels-{request.run}.npy"
        thread = Thread(
            target=self._prepare,
            args=(pixels, replace(request, pixels=str(path))),
            name="napari-gem pixels",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as error:
            _remove_files(self._folder, request)
            self._deliver(Failed(request.run, shortage(error) or unexpected(error)))

    def _cancel(self, run: int) -> None:
        if run == 0 or run != self._current:
            return
        if self._process and self._busy:
            self._process.send(Cancel(self._busy.run))
            if self._kill_by is None:
                now = time.monotonic()
                # killing loses finished tiles: slow steps get the time they need
                patience = min(2 * self._step, LONGEST_STEP)
                self._kill_by = now + max(CANCEL_SECONDS, patience)
                if self._busy.run == run:
                    self._cancel_by = now + CANCEL_SECONDS
        if not self._busy or self._busy.run != run:
            self._forget_waiting()
            self._deliver(Cancelled(run))

    def _prepared(self, request: Request) -> None:
        if request.run != self._current:
            _remove_files(self._folder, request)
            return
        self._waiting = request
        self._send_waiting()

    def _send_waiting(self) -> None:
        if self._busy or not self._waiting:
            return
        request, self._waiting = self._waiting, None
        try:
            self._need_process()
        except Exception as error:  # noqa: BLE001 (the user sees it)
            _remove_files(self._folder, request)
            self._deliver(Failed(request.run, not_started(error), trace(error)))
            return
        if self._process:
            self._busy = request
            self._stage, self._step = "", 0.0
            self._process.send(request)

    def _hear(self, process: WorkerProcess, event: Event) -> None:
        if process is not self._process:
            return
        if event.run == 0:
            self._ready = True
            self._pass_on(event)
        elif isinstance(event, ON_THE_WAY):
            if isinstance(event, Progressed):
                self._measure(event.progress)
            if self._kill_by is None:
                self._deliver(event)
            else:
                discard(event)
        elif self._busy and event.run == self._busy.run:
            self._end_run(event)
            self._send_waiting()

    def _measure(self, progress: Progress) -> None:
        """Note how long a step takes, and so when to expect a sign of life."""
        now = time.monotonic()
        self._step = now - self._heard if progress.stage == self._stage else 0.0
        self._stage, self._heard = progress.stage, now

    def _process_gone(self, process: WorkerProcess, error: str) -> None:
        if process is not self._process:
            return
        busy = self._busy
        self._drop_process()
        if busy:
            sentence = gone(process.popen.returncode)
            self._deliver(Failed(busy.run, sentence, error, lost=True))
        self._send_waiting()

    def _end_process(self) -> None:
        """Kill the process if it lives."""
        process, self._process = self._process, None
        self._ready = False
        if process:
            process.kill()
            process.join()

    def _drop_process(self) -> None:
        """Kill the process if it lives, and end its run."""
        self._end_process()
        if self._kill_by is not None and self._busy:
            self._end_run(Cancelled(self._busy.run))
        elif self._busy:
            _remove_files(self._folder, self._busy)
        self._busy = None

    def _end_run(self, event: Event) -> None:
        if self._kill_by is not None:
            event = Cancelled(event.run)
        if self._busy and isinstance(event, Finished | Compared):
            for path in filter(None, (self._busy.pixels, self._busy.valid)):
                _unlink(path)
        elif self._busy:
            _remove_files(self._folder, self._busy)
        self._busy = None
        self._cancel_by = self._kill_by = None
        self._deliver(event)

    def _deliver(self, event: Event) -> None:
        """Pass an event on if it is of the current run."""
        with self._lock:
            stale = self._closed or event.run != self._current
            if not stale and not isinstance(event, ON_THE_WAY):
                self._current = 0
        if stale:
            discard(event)
        else:
            self._pass_on(event)

    def _pass_on(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 (the next event must come through)
            kind = type(event).__name__
            _log.error("Nobody took the event %s.\n%s", kind, trace(error))

    def _need_process(self) -> Path:
        if self._folder and not self._folder.is_dir() and not self._busy:
            # a cleaner of old temporary files was here
            self._drop_process()
            self._remove_folder()
        folder = self._folder or self._make_folder()
        if not self._process:
            self._process = WorkerProcess(
                folder,
                self._storage,
                on_event=lambda *said: self._jobs.put(partial(self._hear, *said)),
                on_end=lambda *said: self._jobs.put(partial(self._process_gone, *said)),
            )
        return folder

    def _make_folder(self) -> Path:
        # held as long as this process lives, whatever way it ends
        claim = Claim(Path(tempfile.gettempdir()), FOLDER_PREFIX)
        try:
            claim.path.mkdir(mode=0o700)
        except BaseException:
            claim.release()
            raise
        self._claim, self._folder = claim, claim.path
        return claim.path

    def _remove_folder(self) -> None:
        claim, self._claim, self._folder = self._claim, None, None
        if claim:
            claim.release()

    def _forget_waiting(self) -> None:
        if self._waiting:
            _remove_files(self._folder, self._waiting)
        self._waiting = None

    # ------------------------------------------------- on a thread for each run

    def _prepare(self, pixels: Pixels | Callable[[], Pixels], request: Request) -> None:
        try:
            given = pixels() if callable(pixels) else pixels
            lazy = hasattr(given, "shape")
            array = cast("LazyArray", given) if lazy else np.asarray(given)
            check_image(array, request.job.appearance)
            from_line(to_line(request))
            reference = _find_place(given, request)
            if reference is None:
                request = self._copy(array, request)
            else:
                request = replace(request, pixels="", reference=reference)
        except GemError as error:
            _remove_files(self._folder, request)
            self._jobs.put(partial(self._deliver, Failed(request.run, str(error))))
        except Exception as error:  # noqa: BLE001 (a lazy array may raise anything)
            message = shortage(error) or (
                f"The image could not be read ({type(error).__name__}: {error}). "
                "Look whether its file is still there."
            )
            failed = Failed(request.run, message, trace(error))
            _remove_files(self._folder, request)
            self._jobs.put(partial(self._deliver, failed))
        else:
            self._jobs.put(partial(self._prepared, request))  # which looks at the run
        finally:
            if self._closed:
                _remove_files(self._folder, request)

    def _copy(self, pixels: LazyArray, request: Request) -> Request:
        """Copy pixels, and where they hold data, to files of the run."""

        def is_wanted() -> bool:
            return request.run == self._current

        path = Path(request.pixels)
        save_array(path, pixels, is_wanted)
        valid = getattr(pixels, "valid", None)
        if valid is None:
            return request
        mask = path.with_name(f"valid-{request.run}.npy")
        save_array(mask, valid, is_wanted)
        return replace(request, valid=str(mask))


def _find_place(pixels: object, request: Request) -> ImageReference | None:
    """Say where the pixels lie, if it is worth while to read them there."""
    plane = getattr(pixels, "file_plane", None)
    whole = getattr(pixels, "whole", None)
    elsewhere = request.folder or is_cluster(request.job.device)
    if plane is None and (whole is None or not elsewhere):
        return None
    from napari_gem.images.references import reference_to_array, reference_to_plane

    try:
        return reference_to_plane(plane) if plane else reference_to_array(whole)
    except GemError:
        raise
    except Exception:  # noqa: BLE001 (whatever it is, they are copied)
        _log.debug("Where the pixels lie was not found.", exc_info=True)
        return None


def discard(event: Event) -> None:
    """Remove the files of a result that nobody wants."""
    if isinstance(event, Interim):
        event = event.preview
    if isinstance(event, Finished) and event.folder:
        shutil.rmtree(event.folder, ignore_errors=True)
    elif isinstance(event, Finished):
        _unlink(event.result.probabilities)
        _unlink(event.result.labels)
    elif isinstance(event, Compared):
        _unlink(event.maps)


def _remove_files(folder: Path | None, request: Request) -> None:
    """Remove the pixels of a run and the maps that its worker may have begun."""
    with suppress(OSError):  # the folder is gone
        for path in folder.glob(f"*-{request.run}.npy") if folder else ():
            _unlink(path)
    if request.folder:
        shutil.rmtree(request.folder, ignore_errors=True)


def _unlink(path: str | Path) -> None:
    with suppress(OSError):
        Path(path).unlink(missing_ok=True)
