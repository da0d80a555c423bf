from __future__ import annotations

import threading
import time

import pytest

from napari_gem.steps import Clock, aside_steps, run
from napari_gem.types import Progress


def test_a_call_beside_gives_its_result_and_its_error() -> None:
    seen: list[Progress] = []
    assert run(aside_steps("Asking", lambda: 3), seen.append) == 3
    assert {step.stage for step in seen} <= {"Asking"}

    def fail() -> None:
        raise TimeoutError("so late")

    with pytest.raises(TimeoutError, match="so late"):
        run(aside_steps("Asking", fail))


def test_a_call_beside_can_be_left() -> None:
    go_on = threading.Event()
    steps = aside_steps("Asking", go_on.wait)
    assert next(steps).stage == next(steps).stage == "Asking"
    start = time.monotonic()
    steps.close()
    assert time.monotonic() - start < 0.2
    go_on.set()


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
