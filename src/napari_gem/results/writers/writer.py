"""The face of all writers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.core.progress import Progress
    from napari_gem.results.writers.maps import ResultMaps


class WriteSteps(Protocol):
    """Writes files of a result to a folder, which is empty or holds other files."""

    def __call__(
        self, maps: ResultMaps, folder: Path, outlines: OutlineParameters, /
    ) -> Iterator[Progress]:
        """Write; the caller may stop after any step."""


@dataclass(frozen=True)
class Writer:
    """Writes results in one format.

    Attributes
    ----------
    help
        What it writes, as a part of a sentence.
    names
        Of all files and folders that it may write.
    steps
        Does it.
    needs
        Modules of the extra ``vectors`` that it imports.
    """

    help: str
    names: tuple[str, ...]
    steps: WriteSteps
    needs: tuple[str, ...] = ()

    def check_installed(self, name: str) -> None:
        """Refuse to begin without what it needs.

        Raises
        ------
        GemError
            With the command that installs it.
        """
        missing = [module for module in self.needs if find_spec(module) is None]
        if missing:
            raise GemError(
                f"To write {name}, {' and '.join(missing)} must be installed: run "
                "'pip install \"napari-gem[vectors]\"'."
            )
