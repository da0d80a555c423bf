"""Long work as a generator: it yields `Progress` and returns its result."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

from napari_gem.types import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

Step = TypeVar("Step")
Returned = TypeVar("Returned")


def run(
    steps: Generator[Step, None, Returned],
    progress: Callable[[Step], object] | None = None,
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


def aside_steps(
    stage: str, call: Callable[[], Returned]
) -> Generator[Progress, None, Returned]:
    """Wait for a call that cannot be stopped, such as a question to a server.

    Parameters
    ----------
    stage, call
        What is shown meanwhile, and what is done in a thread of its own.

    Yields
    ------
    Progress
        At least four times a second. Closing the generator leaves the call alone.

    Returns
    -------
    Returned
        Its result; what it raises is raised.
    """
    ended = Future[Returned]()

    def work() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:  # noqa: BLE001 (raised by the one who waits)
            ended.set_exception(error)

    # a daemon: a silent server must not hold up the end of the program
    threading.Thread(target=work, name=stage, daemon=True).start()
    while not ended.done():
        yield Progress(stage)
        wait([ended], 0.25)
    return ended.result()


def made_ahead(
    items: Iterator[Step], stop: Callable[[], object]
) -> Generator[Step | None, None, None]:
    """Make the next item in a thread while the one before is worked on.

    Parameters
    ----------
    items
        One is made ahead, no more.
    stop
        Called before what is being made is waited for, if nobody wants it any more.

    Yields
    ------
    Step or None
        The items in their order; None four times a second while the next is not there.
        What making it raises is raised.
    """
    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        try:
            while True:
                while not coming.done():
                    wait([coming], 0.25)
                    if not coming.done():
                        yield None
                item = coming.result()
                if item is end:
                    return
                coming = pool.submit(next, items, end)
                yield item
        finally:
            stop()


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
        self._started = self._told = time.monotonic()

    def progress(self, stage: str, done: int, *, waits: bool = False) -> Progress:
        """Tell how far the work is when so many steps are done.

        If it waits for something, no time is told, and what has passed does not count.
        """
        now = time.monotonic()
        if waits:
            self._started += now - self._told
        self._told = now
        if waits:
            return Progress(stage, done, self._total)
        fresh = done - self._skipped
        spent = now - self._started
        left = spent / fresh * (self._total - done) if fresh else None
        return Progress(stage, done, self._total, left)
