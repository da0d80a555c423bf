from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from napari_gem.core.progress import Clock, Progress, aside_steps, prefetched, run


def test_a_call_beside_gives_its_result_and_its_error() -> None:
    seen: list[Progress] = []
    assert run(aside_steps("Asking", lambda: 3), seen.append) == 3
    assert {step.stage for step in seen} <= {"Asking"}

    def fail() -> None:
        raise TimeoutError("so late")

    with pytest.raises(TimeoutError, match="so late"):
        run(aside_steps("Asking", fail))


def test_a_call_beside_can_be_left() -> None:
    go_on, order = threading.Event(), []

    def answer() -> None:
        go_on.wait(60)
        order.append("answered")

    steps = aside_steps("Asking", answer)
    assert next(steps).stage == next(steps).stage == "Asking"
    steps.close()
    order.append("left")
    go_on.set()
    assert order[0] == "left"


def test_waiting_does_not_count_for_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = Clock(4)
    now = 2.0
    assert clock.progress("Encoding", 1).seconds_left == 6.0
    now = 100.0
    assert clock.progress("Waiting", 1, waits=True).seconds_left is None
    now = 102.0
    assert clock.progress("Encoding", 2).seconds_left == 4.0


def test_one_item_is_made_ahead() -> None:
    created: list[int] = []

    def items() -> Iterator[int]:
        for number in range(4):
            created.append(number)
            yield number

    ahead = (item for item in prefetched(items(), list) if item is not None)
    assert next(ahead) == 0
    until(lambda: len(created) > 1)
    time.sleep(0.05)
    assert created == [0, 1]
    assert list(ahead) == [1, 2, 3]


def test_errors_come_after_what_was_made_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise MemoryError

    ahead = (item for item in prefetched(items(), list) if item is not None)
    assert next(ahead) == 1
    with pytest.raises(MemoryError):
        next(ahead)


def test_what_is_made_ahead_can_be_stopped() -> None:
    stopped, ended = threading.Event(), []

    def items() -> Iterator[int]:
        yield 1
        ended.append(stopped.wait(20))
        yield 2

    ahead = prefetched(items(), stopped.set)
    while next(ahead) is None:
        pass
    assert next(ahead) is None  # there the caller may leave
    ahead.close()
    assert ended == [True]


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not happened() and time.monotonic() < end:
        time.sleep(0.01)
    assert happened()
