"""The command line ends in order, whatever zarr's thread still does."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys, threading, time
import zarr, zarr.core.sync
from napari_gem.cli import app as command

def app():
    zarr.create_array({}, shape=(4,), dtype="int8")[:] = 1
    begun = threading.Event()
    busy = lambda: (begun.set(), time.sleep(0.5))
    zarr.core.sync.loop[0].call_soon_threadsafe(busy)
    begun.wait()

command.app = app
if sys.argv[1] == "in order":
    command.main()
else:
    app()
print("done")
"""


@pytest.mark.parametrize("method", ["in order", "as zarr does it"])
def test_zarrs_busy_thread_is_waited_for(method: str) -> None:
    command = [sys.executable, "-c", CODE, method]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "done\n"
    # if zarr waits by itself one day, this shows it
    assert ("Traceback" in ended.stderr) == (method != "in order"), ended.stderr
