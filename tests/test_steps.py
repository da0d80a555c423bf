from __future__ import annotations

import threading
import time

import pytest

from napari_gem.steps import aside_steps, run
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
