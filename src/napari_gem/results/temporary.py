"""Folders for results that are too large for the memory, gone when nothing shows them.

They lie beside the encoded images, in a folder of each process, which holds it as long
as it lives; the next process removes what one left that was killed.
"""

from __future__ import annotations

import atexit
import shutil
import weakref
from pathlib import Path

from napari_gem.core.atomic import Claim
from napari_gem.core.errors import GemError
from napari_gem.core.folders import default_folder
from napari_gem.core.path_names import is_too_long
from napari_gem.results import pyramid

PREFIX = "process-"

INSIDE = f"{PREFIX}12345678/100/{pyramid.INSIDE}"
"""The longest path in the folder."""


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
        self._count = 0

    def new(self) -> Path:
        """Name a folder that does not exist yet.

        Raises
        ------
        GemError
            If the folder of this process cannot be made.
        """
        own = self._own or self._make()
        self._count += 1
        return own / str(self._count)

    def _make(self) -> Path:
        if is_too_long(self._base / INSIDE):
            raise GemError(
                f"The path of the folder '{self._base}' for large results is too "
                "long for Windows. Choose a folder with a shorter path for encoded "
                "images in the Preferences."
            )
        try:
            self._base.mkdir(parents=True, exist_ok=True)
            claim = Claim(self._base, PREFIX)
            claim.path.mkdir()
        except OSError as error:
            raise GemError(
                f"The folder '{self._base}' for large results cannot be written "
                f"({error.strerror or error}). Choose another folder for encoded "
                "images in the Preferences."
            ) from error
        # layers may outlive this object: the folder stays until the process ends
        atexit.register(claim.release)
        self._own = claim.path
        return claim.path


def results_folder(features: str = "") -> Path:
    """Where results of large images are, given where encoded images are."""
    folder = Path(features) if features else default_folder()
    if not folder.name:  # a root, or the current folder
        return folder / "results"
    return folder.with_name(f"{folder.name}-results")
