"""What files of the hub and of the web have alike when they are downloaded."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.progress import Clock, Progress
from napari_gem.models.card import size_text

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(frozen=True)
class CachedFile:
    """A file in a cache.

    Attributes
    ----------
    repository
        ``OWNER/REPOSITORY``, or the address of a file of the web.
    revision
        Its commit, or its SHA-256.
    name
        Path inside the repository, with ``/``.
    path
        Where it is.
    """

    repository: str
    revision: str
    name: str
    path: Path


class Meter:
    """Adds up the bytes of several files, and estimates the time left."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._clock: Clock | None = None

    def steps(
        self, transfer: Generator[Progress, None, None], size: int
    ) -> Generator[Progress, None, None]:
        """Bring one file of so many bytes (0 if not known)."""
        with closing(transfer):
            for step in transfer:
                received = size if step.stage == "Checking" and size else step.done
                done = self._done + (min(received, size) if size else received)
                if step.stage == "Downloading" and self._total:
                    # what an earlier try left took no time
                    self._clock = self._clock or Clock(self._total, skipped=done)
                    yield self._clock.progress(step.stage, done)
                else:
                    yield Progress(step.stage, done, self._total)
        self._done += size


def check_room(needed: int, cache: Path, variable: str) -> None:
    """Refuse a download for which the disk has no room.

    ``variable`` is the environment variable that names another folder.
    """
    existing = next((path for path in (cache, *cache.parents) if path.exists()), None)
    free = shutil.disk_usage(existing).free if existing else needed
    if free < needed:
        raise GemError(
            f"The download needs {size_text(needed)}; the disk of {cache} has "
            f"{size_text(free)} left. Make room there, or set {variable} to a folder "
            "of another disk."
        )
