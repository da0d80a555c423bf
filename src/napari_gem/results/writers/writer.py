"""The face of all writers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_gem.core.location import Location
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
    needs_on_ground
        Those that it imports besides for an image that lies on the ground.
    only_on_ground
        Whether it cannot write results of other images.
    check_place
        Raises `GemError` for a place on the ground, and a (height, width) in pixels,
        that it cannot write; None if it can write all.
    """

    help: str
    names: tuple[str, ...]
    steps: WriteSteps
    needs: tuple[str, ...] = ()
    needs_on_ground: tuple[str, ...] = ()
    only_on_ground: bool = False
    check_place: Callable[[Location, tuple[int, int]], object] | None = None

    def check(self, name: str, on_ground: bool | None) -> None:
        """Refuse to begin what cannot be done.

        Parameters
        ----------
        name
            What users call this.
        on_ground
            Whether the image lies on the ground; None if that is not known yet.

        Raises
        ------
        GemError
            With what to do.
        """
        needs = (*self.needs, *(self.needs_on_ground if on_ground else ()))
        missing = [module for module in needs if find_spec(module) is None]
        if missing:
            raise GemError(
                f"To write '{name}', {' and '.join(missing)} must be installed: run "
                "'pip install \"napari-gem[vectors]\"'."
            )
        if self.only_on_ground and on_ground is False:
            raise GemError(
                "The image does not say where it lies on the ground, so there is no "
                f"'{name}' of it. Write polygons, which are in pixels then."
            )
