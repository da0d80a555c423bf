"""Qt needs a screen; without one these tests fail, they are not skipped."""

from __future__ import annotations

import os
import sys

import pytest
from napari._qt import qt_viewer  # noqa: F401 (before garbage is looked for)

from napari_gem.worker.client import WorkerClient
from tests.screen import start_xvfb

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def pytest_configure(config):
    if sys.platform == "linux" and not any(os.environ.get(name) for name in SCREENS):
        raise pytest.UsageError(
            "There is no screen. Run: python tests/screen.py --always python -m pytest"
        )
    virtual = "NAPARI_GEM_VIRTUAL_SCREEN" in os.environ
    if virtual and hasattr(config, "workerinput"):
        # tests that run side by side would take the focus from each other
        server, os.environ["DISPLAY"] = start_xvfb()

        def stop():
            server.terminate()
            server.wait()

        config.add_cleanup(stop)


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """Nothing that was used last comes from outside of a test."""
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def worker_when_needed(request, monkeypatch):
    """Start a worker process with the first run: most tests of a dock have none.

    A dock starts it when it opens, and it then loads torch for seconds, beside the
    test. Tests of just that have the marker `early_worker`.
    """
    if not request.node.get_closest_marker("early_worker"):
        monkeypatch.setattr(WorkerClient, "start", lambda _client: None)
