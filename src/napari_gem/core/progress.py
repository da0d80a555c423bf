"""Generators that yield their progress and return their result."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


@dataclass(frozen=True)
class Progress:
    """One step of long work.

    Attributes
    ----------
    stage
        What is being done, as shown to the user: ``Loading model``, ``Encoding`` ...
    done, total
        Steps (tiles, prompts ...) done and in all; ``total`` 0 means unknown.
    seconds_left
        Estimate for this stage; None while unknown.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


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


def aside(name: str, call: Callable[[], Returned]) -> Future[Returned]:
    """Begin a call that cannot be stopped, in a thread of its own.

    Parameters
    ----------
    name, call
        Of the thread, and what is done in it.

    Returns
    -------
    Future
        Gives its result, or raises what it raises.
    """
    ended = Future[Returned]()

    def work() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:  # noqa: BLE001 (raised by the one who waits)
            ended.set_exception(error)

    # a daemon: a silent server must not hold up the end of the program
    threading.Thread(target=work, name=name, daemon=True).start()
    return ended


def aside_steps(
    stage: str,
    call: Callable[[], Returned],
    seconds: float | None = None,
    leave: Callable[[Returned], object] | None = None,
    report: Callable[[], Progress] | None = None,
    news: threading.Event | None = None,
) -> Generator[Progress, None, Returned]:
    """Wait for a call that cannot be stopped, such as a question to a server.

    Parameters
    ----------
    stage, call
        What is shown meanwhile, and what is done in a thread of its own.
    seconds
        How long it is waited for; None for as long as it takes.
    leave
        Is given the result if it comes when nobody waits for it any more.
    report
        Tells how far the call is; without it only the stage is shown.
    news
        The call sets it when ``report`` has something new to tell.

    Yields
    ------
    Progress
        At least four times a second. Closing the generator leaves the call alone.

    Returns
    -------
    Returned
        Its result; what it raises is raised.

    Raises
    ------
    TimeoutError
        If it takes longer.
    """
    until = None if seconds is None else time.monotonic() + seconds
    ended = aside(stage, call)
    news = threading.Event() if news is None else news
    ended.add_done_callback(lambda _: news.set())
    try:
        while not ended.done():
            yield report() if report else Progress(stage)
            left = 0.25 if until is None else min(0.25, until - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"nothing came in {seconds:g} seconds")
            news.wait(left)
            news.clear()
    except BaseException:
        if leave is not None:
            ended.add_done_callback(partial(_leave, leave))
        raise
    return ended.result()


def _leave(leave: Callable[[Returned], object], ended: Future[Returned]) -> None:
    if ended.exception() is None:
        leave(ended.result())


def prefetched(
    items: Iterator[Step], stop: Callable[[], object] | None = None
) -> Generator[Step | None, None, None]:
    """Compute the next item in a thread while the one before is worked on.

    Parameters
    ----------
    items
        One is computed ahead, no more.
    stop
        Called when nobody wants more items; then what is being computed is waited for.
        None leaves it alone.

    Yields
    ------
    Step or None
        The items in their order, or what computing them raises. If it can be stopped,
        None four times a second while the next is not there.
    """
    end: Any = object()
    pool = ThreadPoolExecutor(1)
    try:
        coming = pool.submit(next, items, end)
        while True:
            while stop and not coming.done():
                wait([coming], 0.25)
                if not coming.done():
                    yield None
            item = coming.result()
            if item is end:
                return
            coming = pool.submit(next, items, end)
            yield item
    finally:
        if stop:
            stop()
        # Python may tidy up a generator that was left anywhere, even in a thread that
        # is being started and holds a lock: whoever waited there would wait for ever
        pool.shutdown(wait=stop is not None, cancel_futures=True)


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
        self._started = self._last = time.monotonic()

    def progress(self, stage: str, done: int, *, waits: bool = False) -> Progress:
        """Tell how far the work is when so many steps are done.

        While it waits for something, no time is estimated, and none counts.
        """
        now = time.monotonic()
        if waits:
            self._started += now - self._last
        self._last = now
        if waits:
            return Progress(stage, done, self._total)
        fresh = done - self._skipped
        spent = now - self._started
        left = spent / fresh * (self._total - done) if fresh else None
        return Progress(stage, done, self._total, left)
