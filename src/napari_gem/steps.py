"""Long work as a generator: it yields `Progress` and returns its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_gem.types import Progress

Returned = TypeVar("Returned")


def run(
    steps: Generator[Progress, None, Returned],
    progress: Callable[[Progress], object] | None = None,
) -> Returned:
    """Run steps to their end and return their result."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: Returned = end.value
            return result
        if progress:
            progress(step)
