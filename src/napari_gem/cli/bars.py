"""Progress as a bar on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from napari_gem.core.progress import Progress


class Bars:
    """Shows each stage as a bar, one after the other."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: object = None

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def show(self, progress: Progress) -> None:
        """Show how far a stage is."""
        from tqdm import tqdm

        if progress.stage != self._stage:
            self.close()
            self._stage = progress.stage
            # what was done before does not count for the estimate
            self._bar = tqdm(
                desc=shown(progress.stage),
                initial=progress.done,
                leave=False,
                disable=None if sys.stderr else True,
            )
        if isinstance(self._bar, tqdm):
            self._bar.total = progress.total or None
            self._bar.n = progress.done
            self._bar.refresh()

    def close(self) -> None:
        """Clear the line."""
        from tqdm import tqdm

        if isinstance(self._bar, tqdm):
            self._bar.close()
        self._stage, self._bar = "", None
