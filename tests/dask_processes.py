"""A dask scheduler and its workers as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import napari_gem


class Processes:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1")
        for _ in range(workers):
            self.add()

    @property
    def address(self) -> str:
        """Where the scheduler listens, once it has written all of its file."""
        until = time.monotonic() + 120
        while True:
            try:
                return json.loads(self._file.read_text())["address"]
            except (FileNotFoundError, json.JSONDecodeError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def add(self, path: str = "") -> subprocess.Popen:
        """Start a worker, with one more place that Python looks at first."""
        options = "--nthreads", "1", "--no-nanny", "--memory-limit", "0"
        self.workers.append(self._start("worker", *options, path=path))
        return self.workers[-1]

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, kind: str, *options: str, path: str = "") -> subprocess.Popen:
        source = str(Path(napari_gem.__file__).parents[1])
        more = {
            "PYTHONPATH": os.pathsep.join([path, source] if path else [source]),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "dask", kind, *options, "--no-dashboard"]
        command += ["--scheduler-file", str(self._file)]
        with (self._folder / "log.txt").open("a") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | more
            )
