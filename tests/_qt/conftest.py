"""Qt needs a screen; without one these tests fail, they are not skipped."""

from __future__ import annotations

import os
import sys

import pytest

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def pytest_configure(config):
    if sys.platform == "linux" and not any(os.environ.get(name) for name in SCREENS):
        raise pytest.UsageError(
            "There is no screen. Run: python tests/screen.py --always python -m pytest"
        )


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """Nothing that was used last comes from outside of a test."""
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "config"))
