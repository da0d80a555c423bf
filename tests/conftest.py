"""What all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# viewer changes off the main thread raise
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"

# no models, settings or encoded images of the user who runs the tests
_settings = tempfile.mkdtemp(prefix="napari-gem-tests-")
atexit.register(shutil.rmtree, _settings, ignore_errors=True)
os.environ["NAPARI_GEM_CONFIG"] = _settings
os.environ["NAPARI_GEM_CACHE"] = _settings + "/features"
