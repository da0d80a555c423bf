"""Long work as a generator: it yields `Progress` and returns its result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from napari_gem.types import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

Returned = TypeVar("Returned")


def run(
    steps: Generator[Progress, None, Returned],
    progress: Callable[[Progress], object] | None = None,
) -> Returned:
    """Run steps to their end and return their result.

    If the progress is answered by an exception, the steps are closed first.
    """
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: Returned = end.value
                return result
            if progress:
                progress(step)
    finally:
        steps.close()


class Clock:
    """Estimates the time left from the mean of the steps done so far.

    Parameters
    ----------
    total
        Steps in all.
    skipped
        Steps that were done before and took no time.
    """

    def __init__(self, total: int, skipped: int = 0) -> None:
        self._total = total
        self._skipped = skipped
        self._started = time.monotonic()

    def progress(self, stage: str, done: int) -> Progress:
        """Tell how far the work is when so many steps are done."""
        fresh = done - self._skipped
        spent = time.monotonic() - self._started
        left = spent / fresh * (self._total - done) if fresh else None
        return Progress(stage, done, self._total, left)
