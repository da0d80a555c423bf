"""The command as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from napari_gem.core.json_records import to_dict
from napari_gem.evaluation.datasets import list_kinds
from napari_gem.evaluation.store import IMAGES, REPORT, RESULTS
from napari_gem.models.find import find_model
from napari_gem.models.presets import with_preset
from tests.tiny import write_tiny_model
from training.make_folder import write_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(call: Call) -> Call:
    """Run ``evaluate`` in this process: (status, output, errors)."""
    return partial(call, "evaluate")


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "scenes", "aerial", 4, side=64)


def test_a_table_results_and_a_report(call: Call, scenes: Path, tmp_path: Path) -> None:
    (scenes / "images" / "0003.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    asked = ("folder", scenes, "--out", out, "--device", "cpu", "--skip-bad")
    status, said, errors = call(*asked, "--method", "vv", "--depth", 4)
    assert status == 0
    lines = said.splitlines()
    assert lines[0].split()[:3] == ["class", "IoU", "boundary"]
    assert any(line.startswith("mean ") for line in lines)
    assert "3 of 4 images measured, 1 left out" in lines
    assert "Left out: 0003: '0003.png' cannot be read" in errors
    results = json.loads((out / RESULTS).read_text())
    assert results["run"]["gem"]["method"] == "vv"
    assert results["run"]["gem"]["depth"] == 4
    status, again, _ = call(*asked, "--method", "vv", "--depth", 4, "--resume")
    assert (status, again) == (0, said)


def test_a_preset_and_its_protocol(call: Call, scenes: Path, tmp_path: Path) -> None:
    tiny = write_tiny_model(tmp_path / "tiny")
    asked = ("folder", scenes, "-m", tiny, "--limit", 1, "--preset")
    for name, protocol in (("paper", "paper"), ("photo", "model")):
        assert call(*asked, name, "--out", tmp_path / name)[0] == 0
        run = json.loads((tmp_path / name / RESULTS).read_text())["run"]
        gem = with_preset(find_model(str(tiny)), name).encode.gem
        assert (run["preset"], run["protocol"]) == (name, protocol)
        assert run["gem"] == to_dict(gem)
    other = (*asked, "microscopy", "--out", tmp_path / "photo", "--resume")
    status, _, error = call(*other)
    assert status == 2
    assert "another preset: photo there" in error


def test_kinds_are_listed(call: Call) -> None:
    status, said, _ = call("?")
    assert status == 0
    assert [line.partition(":")[0] for line in said.splitlines()] == [*list_kinds()]


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (("imagenet", "."), "data set 'imagenet'"),
        (("folder", "nowhere"), "no folder 'nowhere'"),
        (("folder", ".", "--protocol", "fast"), "protocol 'fast'"),
        (("folder", ".", "--control", "luck"), "control 'luck'"),
        (("folder", ".", "--preset", "best"), "preset 'best'"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(
    typed: tuple[str, ...],
    answer: str,
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, errors = call(*typed)
    assert status == 2
    assert errors.startswith("Error: ") and answer in errors
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_method_and_a_lone_class_are_refused(
    call: Call, scenes: Path, tmp_path: Path
) -> None:
    asked = ("folder", scenes, "--device", "cpu", "--out", tmp_path / "out")
    assert "Method is 'sam'" in call(*asked, "--method", "sam")[2]
    (scenes / "classes.txt").write_text("1: water\n")
    assert "Only 'water' would be looked for" in call(*asked)[2]
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_control_c_keeps_what_is_done(tmp_path: Path) -> None:
    scenes = write_folder(tmp_path / "scenes", "aerial", 30, side=64)
    out = tmp_path / "out"
    typed = [*"-m napari_gem.cli evaluate folder".split(), str(scenes)]
    process = subprocess.Popen(
        [sys.executable, *typed, "--out", str(out), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    try:
        until = time.monotonic() + 120
        while not (out / IMAGES).is_file() or not (out / IMAGES).read_text():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    done = len((out / IMAGES).read_text().splitlines())
    assert 1 <= done < 30
    assert f"{done} of 30 images measured" in said
    assert "Go on with the same command and --resume" in errors
    assert json.loads((out / RESULTS).read_text())["measured"] == done
    assert (out / REPORT).is_file()
