"""Folders for results that are too large for the memory, gone when nothing shows them.

They lie beside the encoded images, in a folder of each process, which holds a lock in
it as long as it lives; the next process removes what one left that was killed.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from napari_gem.cache_folder import default_folder
from napari_gem.types import GemError

PREFIX = "process-"

YOUNG_SECONDS = 60.0
"""Folders younger than this are never taken for left over."""


class ResultFolder:
    """A folder that is removed with the last reference to this, or with the process.

    Parameters
    ----------
    path
        Need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)


class ResultFolders:
    """Makes places for results.

    Parameters
    ----------
    features
        Where encoded images are kept; empty takes the usual place.
    """

    def __init__(self, features: str = "") -> None:
        self._base = results_folder(features)
        self._own: Path | None = None
        self._made = 0

    def new(self) -> Path:
        """Name a folder that does not exist yet.

        Raises
        ------
        GemError
            If the folder of this process cannot be made.
        """
        own = self._own or self._make()
        self._made += 1
        return own / str(self._made)

    def _make(self) -> Path:
        try:
            self._base.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._base, PREFIX)
            own = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._base))
        except OSError as error:
            raise GemError(
                f"The folder '{self._base}' for large results cannot be written "
                f"({error.strerror or error}). Choose another folder for encoded "
                "images in the Preferences."
            ) from error
        lock = FileLock(own / "lock")
        lock.acquire()
        # layers may outlive this object: the folder stays until the process ends
        atexit.register(_remove, own, lock)
        self._own = own
        return own


def results_folder(features: str = "") -> Path:
    """Where results of large images are, given where encoded images are."""
    folder = Path(features) if features else default_folder()
    if not folder.name:  # a root, or the current folder
        return folder / "results"
    return folder.with_name(f"{folder.name}-results")


def remove_leftovers(base: Path, prefix: str) -> None:
    """Remove folders with a file ``lock`` whose process did not live to do it."""
    for folder in base.glob(f"{prefix}*"):
        lock = folder / "lock"
        with suppress(OSError, Timeout):  # not ours, or alive
            # a young one may be just being made, its lock not yet held
            dated = lock if lock.exists() else folder
            old = time.time() - dated.stat().st_mtime > YOUNG_SECONDS
            ours = not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
            if old and ours:
                with FileLock(lock, timeout=0):
                    pass
                shutil.rmtree(folder, ignore_errors=True)


def _remove(folder: Path, lock: FileLock) -> None:
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)
