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
