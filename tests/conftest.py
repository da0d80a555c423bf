"""What all tests share."""

from __future__ import annotations

import os
import tempfile

# viewer changes off the main thread raise
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"

# no models, settings or encoded images of the user who runs the tests
_settings = tempfile.TemporaryDirectory(prefix="napari-gem-tests-")
os.environ["NAPARI_GEM_CONFIG"] = _settings.name
os.environ["NAPARI_GEM_CACHE"] = _settings.name + "/features"


def pytest_unconfigure() -> None:
    _settings.cleanup()
