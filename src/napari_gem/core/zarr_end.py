"""The end of zarr's thread, in order also where the machine is busy."""

from __future__ import annotations

import atexit
import sys

LONGEST = 60.0
"""Seconds that are waited for at most."""


def close_zarr_at_exit() -> None:
    """Stop zarr's event loop when the interpreter ends, and wait for its thread.

    zarr itself waits 0.2 s and then closes a loop that may still run, which prints a
    traceback. What is registered after zarr is called before zarr's own end; by then
    the threads of pools that read or write have ended.
    """
    if "zarr.core.sync" in sys.modules:
        atexit.register(_close)


def _close() -> None:
    sync = sys.modules["zarr.core.sync"]
    try:
        loop, thread = sync.loop[0], sync.iothread[0]
    except (AttributeError, LookupError, TypeError):  # another version of zarr
        return
    if loop is not None and thread is not None and loop.is_running():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LONGEST)
