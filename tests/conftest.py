"""What all tests share."""

from __future__ import annotations

import os

# viewer changes off the main thread raise
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"
