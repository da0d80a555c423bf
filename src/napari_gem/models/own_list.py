"""The user's own catalogue: a file like ``models.toml`` in the folder of settings."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomli_w
from platformdirs import user_config_path

from napari_gem.core.atomic import write_whole
from napari_gem.core.errors import GemError
from napari_gem.core.folders import named_folder
from napari_gem.core.json_records import read_text

FOLDER_VARIABLE = "NAPARI_GEM_CONFIG"
"""Environment variable: folder for settings and the user's own catalogue."""

FILE_NAME = "models.toml"

FRESH = "NAPARI_GEM_FRESH"
"""Variable of the environment: if it is set, nothing is recalled or kept of what was
used."""

LARGEST_FILE = 8 << 20
"""Bytes: an entry takes some hundred."""


def config_folder() -> Path:
    """Folder of what was used last and of the user's own catalogue."""
    usual = user_config_path("napari-gem", appauthor=False)
    return named_folder(FOLDER_VARIABLE) or usual


def own_path() -> Path:
    """Where the user's own catalogue is kept, if there is one."""
    return config_folder() / FILE_NAME


def read_own() -> tuple[dict[str, Any], ...]:
    """Entries of the user's own catalogue that have an id and a name."""
    return tuple(entry for entry in _entries() if _is_named(entry))


def count_nameless() -> int:
    """Count the entries that have no id or no name: they stay in the file."""
    return sum(not _is_named(entry) for entry in _entries())


def add_own(entry: dict[str, Any]) -> None:
    """Add an entry, in the place of one with the same id."""
    _write([*_without(entry["id"]), entry])


def forget_own(id_: str) -> bool:
    """Take an entry out; tell whether there was one. Weights files are left alone.

    Raises
    ------
    GemError
        If the file cannot be read or written; then it stays as it was.
    """
    kept = _without(id_)
    if len(kept) < len(_entries()):
        _write(kept)
        return True
    return False


def _without(id_: str) -> list[Any]:
    return [e for e in _entries() if not (isinstance(e, dict) and e.get("id") == id_)]


def _is_named(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    texts = entry.get("id"), entry.get("name")
    return all(isinstance(text, str) and text for text in texts)


def _entries() -> tuple[Any, ...]:
    path = own_path()
    try:
        state = path.stat()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise GemError(_unreadable(path, error)) from error
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, _mtime: int, _size: int) -> tuple[Any, ...]:
    if not path.is_file():
        raise GemError(_unreadable(path, "it is no file"))
    try:
        entries = tomllib.loads(read_text(path, LARGEST_FILE))["model"]
    # tomllib raises RecursionError too, and more of what is damaged
    except Exception as error:
        raise GemError(_unreadable(path, error)) from error
    if not isinstance(entries, list):
        raise GemError(_unreadable(path, "'model' is no list of tables"))
    return tuple(entries)


def _write(entries: list[Any]) -> None:
    path = own_path()
    text = tomli_w.dumps({"model": entries})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise GemError(
            f"Your list of models '{path}' cannot be written ({error}). Make its "
            "folder writable."
        ) from error


def _unreadable(path: Path, error: object) -> str:
    return (
        f"Your list of models '{path}' cannot be read ({error}). Correct it, or move "
        "it away."
    )
