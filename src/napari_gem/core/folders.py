"""Folders that the user may name, and where encoded images are kept otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

FOLDER_VARIABLE = "NAPARI_GEM_CACHE"
"""Environment variable: where the features are kept."""


def default_folder() -> Path:
    """Where features are kept if nothing else is said."""
    return named_folder(FOLDER_VARIABLE) or user_cache_path("napari-gem") / "features"


def named_folder(variable: str) -> Path | None:
    """Folder that a variable of the environment names; None if it is not set."""
    name = os.environ.get(variable)
    # Path's own expanduser raises for a user whom nobody knows
    return Path(os.path.expanduser(name)) if name else None  # noqa: PTH111
