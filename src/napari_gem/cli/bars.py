"""Progress as a bar on the terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from napari_gem.core.batch import IMAGES
from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_gem.core.progress import Progress


class Bars:
    """Shows each stage as a bar, one after the other."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: object = None

    def __enter__(self) -> Self:
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


class BatchBars(Bars):
    """Shows a bar of the images, and below it one of the stage of the image in work."""

    def __init__(self) -> None:
        super().__init__()
        self._images = Bars()

    def show(self, progress: Progress) -> None:
        """Show how far the images, or a stage, are."""
        if progress.stage == IMAGES:
            super().close()
            self._images.show(progress)
        else:
            super().show(progress)

    def close(self) -> None:
        """Clear both lines."""
        super().close()
        self._images.close()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the lines to something that is said meanwhile."""
        from tqdm import tqdm

        super().close()
        with tqdm.external_write_mode():
            yield
