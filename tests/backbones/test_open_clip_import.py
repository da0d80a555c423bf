"""open_clip imports beside a torchvision that fits and one that does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

DOOR = "from napari_gem.backbones import open_clip_import as door\n"
UNTIL_HERE = """
import importlib
real = importlib.import_module
failed = []
def broken(name, *args):
    if name == "torchvision" and not failed:
        failed.append(name)
        raise RuntimeError(MESSAGE)
    if name == "open_clip":
        raise SystemExit(f"{len(failed)} {len(door._declared)}")
    if name == "torchvision":
        return None
    return real(name, *args)
door.import_module = broken
door.import_open_clip()
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", DOOR + code],
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_without_a_warning() -> None:
    done = run(
        "clip = door.import_open_clip()\n"
        "assert clip is door.import_open_clip()\n"
        "from torchvision.extension import _has_ops\n"
        "assert bool(door._declared) != _has_ops()\n"
        "print(clip.__name__)"
    )
    assert done.stdout.strip() == "open_clip", done.stderr


def test_operators_are_declared_only_after_the_failure() -> None:
    message = "MESSAGE = 'operator torchvision::nms does not exist'"
    assert run(message + UNTIL_HERE).stderr.strip() == "1 1"
    healthy = "MESSAGE = ''" + UNTIL_HERE.replace("failed = []", "failed = ['not']")
    assert run(healthy).stderr.strip() == "1 0"


@pytest.mark.parametrize("message", ["different CUDA major versions"])
def test_other_failures_are_told(message: str) -> None:
    done = run(f"MESSAGE = {message!r}" + UNTIL_HERE)
    assert f"RuntimeError: {message}" in done.stderr
