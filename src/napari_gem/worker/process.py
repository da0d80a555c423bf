"""The worker process: its start, its end and why it ended."""

from __future__ import annotations

import logging
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_lines
from napari_gem.core.json_records import to_json
from napari_gem.core.memory import shortage
from napari_gem.worker.messages import (
    Cancel,
    Event,
    Message,
    Request,
    Storage,
    from_line,
    to_line,
)

CLOSE_SECONDS = 2.0
"""How long the end of the interpreter waits for the worker's end."""

IDLE_THREADS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "KMP_BLOCKTIME": "0",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Threads of torch that wait sleep: spinning ones starve the viewer and each other.
Those of numpy always spin, so there is one: on two cores that halves the time."""

_log = logging.getLogger(__name__)


class WorkerProcess:
    """A running worker with a thread for each direction, so that no pipe blocks.

    Parameters
    ----------
    folder, storage
        See `napari_gem.worker.serve`.
    on_event, on_end
        Called from a thread with each event, and at the end with the last of its log.
    threads
        That torch computes with; None for one a core.
    """

    def __init__(
        self,
        folder: Path,
        storage: Storage,
        on_event: Callable[[WorkerProcess, Event], None],
        on_end: Callable[[WorkerProcess, str], None],
        threads: int | None = None,
    ) -> None:
        self._on_event = on_event
        self._on_end = on_end
        self._log = folder / "log.txt"
        self._outbox: SimpleQueue[Message | None] = SimpleQueue()
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(
                _command(folder, storage),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**IDLE_THREADS, **os.environ, **_thread_count(threads)},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        names = {self._read: "events", self._write: "requests"}
        self._threads = [
            Thread(target=target, name=f"napari-gem {name}", daemon=True)
            for target, name in names.items()
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError:  # no more threads
            self.popen.kill()
            self.popen.wait()
            raise

    def send(self, message: Message) -> None:
        """Have a message written; returns at once."""
        self._outbox.put(message)

    def kill(self) -> None:
        """End it now; ``on_end`` is called when it is gone."""
        self.popen.kill()

    def join(self) -> None:
        """Wait until both threads end, for `CLOSE_SECONDS` each at most."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(CLOSE_SECONDS)

    def _read(self) -> None:
        assert self.popen.stdout  # noqa: S101 (it is a pipe)
        with self.popen.stdout as lines:
            try:
                for line in lines:
                    event = from_line(line)
                    if not isinstance(event, Request | Cancel):
                        self._on_event(self, event)
            except Exception as error:  # noqa: BLE001 (the run must end)
                _log.error("The worker process spoke no protocol.\n%s", trace(error))
                self.kill()
        self.popen.wait()
        self._outbox.put(None)
        self._on_end(self, self._end_of_log())

    def _write(self) -> None:
        assert self.popen.stdin  # noqa: S101 (it is a pipe)
        # a broken pipe: the reading thread tells that the process is gone
        with suppress(OSError), self.popen.stdin as pipe:
            while message := self._outbox.get():
                try:
                    line = to_line(message)
                except Exception as error:  # noqa: BLE001 (as above)
                    said = "A message to the worker could not be written.\n%s"
                    _log.error(said, trace(error))
                    self.kill()  # which ends the run
                    return
                pipe.write(line)
                pipe.flush()

    def _end_of_log(self) -> str:
        with suppress(OSError):
            return self._log.read_bytes()[-4000:].decode(errors="replace")
        return ""


def _thread_count(threads: int | None) -> dict[str, str]:
    """Tell the libraries how many threads they may have; nothing for all cores."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if threads else ()
    return dict.fromkeys(names, str(threads))


def _command(folder: Path, storage: Storage) -> list[str]:
    # what an application that embeds Python gave to multiprocessing.set_executable
    python = Path(os.fsdecode(multiprocessing.spawn.get_executable()))
    if getattr(sys, "frozen", False) and str(python) == sys.executable:
        raise GemError(
            "This application brings no Python interpreter that a worker process could "
            "run in. Install napari and napari-gem with pip or conda."
        )
    console = python.with_name("python.exe")
    if python.name.lower() == "pythonw.exe" and console.exists():
        python = console
    # -P: files in the folder where the viewer was started are no modules
    module = ("-P", "-m", "napari_gem.worker")
    return [str(python), *module, str(folder), to_json(storage)]


def not_started(error: Exception) -> str:
    """Say why the process could not be started."""
    sentence = str(error) if isinstance(error, GemError) else shortage(error)
    if sentence:
        return sentence
    if not isinstance(error, OSError):
        return unexpected(error)
    try:
        folder = f"the folder '{tempfile.gettempdir()}'"
    except OSError:  # there is none
        folder = "a folder for temporary files, which TMPDIR names,"
    return (
        f"The worker process could not be started ({error}). Look whether {folder} "
        "can be written to and is not full, and press Run again."
    )


def unexpected(error: Exception) -> str:
    """Say that something went wrong that nobody thought of."""
    return shortage(error) or (
        f"Something unexpected went wrong ({type(error).__name__}: {error}). "
        "The details say where; please report them. Press Run to try again."
    )


def gone(code: int | None) -> str:
    """Say that the process ended with an exit code while it was needed."""
    return f"{how_it_ended(code)} Press Run again: it starts a new one."


def how_it_ended(code: int | None) -> str:
    """Say how the process ended, and what may have been the reason."""
    end = f"exit code {code}"
    if code is not None and code < 0:
        with suppress(ValueError):
            end = f"signal {signal.Signals(-code).name}"
    why = " The system may have been short of memory." if end.endswith("KILL") else ""
    return f"The worker process ended unexpectedly ({end}).{why}"


def trace(error: Exception) -> str:
    """Tell where an error arose; what others wrote into it commands no terminal."""
    return shown_lines("".join(traceback.format_exception(error)), 20_000)
