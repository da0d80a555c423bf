"""Where encoded images are kept on disk, if nothing else is said."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

FOLDER_VARIABLE = "NAPARI_GEM_CACHE"
"""Environment variable: where the features are kept."""


def default_folder() -> Path:
    """Where features are kept if nothing else is said."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(os.path.expanduser(given))  # noqa: PTH111 (which raises nothing)
    return user_cache_path("napari-gem") / "features"
