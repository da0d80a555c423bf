"""The command line on consoles that cannot show, or must not obey, what it says."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_gem.cli.bars import Bars
from napari_gem.cli.consent import can_ask
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.core.terminal import others_safe, say, show_anything
from tests.tiny import write_tiny_model

pytestmark = pytest.mark.contact("foreign text")

SOURCE = Path(__file__).parents[2] / "src"


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "napari_gem.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        check=False,
    )


def test_a_console_without_the_characters_of_a_class_gets_the_result(tmp_path):
    model = write_tiny_model(tmp_path / "tiny")
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "image.png")
    done = run(
        *("segment", tmp_path / "image.png", "-p", "核, נוקלאוס", "-p", "שלום"),
        *("-m", model, "-o", tmp_path / "out"),
        PYTHONIOENCODING="cp1252",
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert b"\\u6838: " in done.stdout
    assert (tmp_path / "out" / "labels.tif").is_file()


@pytest.mark.parametrize(
    "console",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "utf-8:strict"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=str,
)
def test_no_console_is_commanded_by_a_name(console, tmp_path):
    name = "核\x1b]0;title\x07\x1b[2J\u202e\n.json"
    done = run("replay", tmp_path / name, tmp_path / "i.png", "-o", "o", **console)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"\\x1b]0;title\\x07\\x1b[2J\\u" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert not {b"\x1b", b"\x07", "\u202e".encode()} & {
        done.stderr[i : i + n] for n in (1, 3) for i in range(len(done.stderr))
    }


def test_without_streams_nothing_is_said_and_nothing_fails(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    show_anything()
    say("核")
    say("核", aside=True)
    assert not can_ask()
    with Bars() as bars:
        bars.show(Progress("Encoding", 1, 2))


def test_a_stream_of_another_kind_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    show_anything()
    say("a\x1b[0m")
    assert sys.stdout.getvalue() == "a\\x1b[0m\n"


def test_a_line_stays_one(capsys):
    say("Results in 'a\nError: b'", "\r2")
    assert capsys.readouterr().out == "Results in 'a\\nError: b'\n\\r2\n"


@pytest.mark.filterwarnings("default")
def test_what_others_log_and_warn_of_commands_nothing(capsys):
    name = "cell\x1b[31m.tif"
    with others_safe():
        logging.getLogger("other.part").warning("%s is strange", name)
        warnings.warn(f"{name} is old", UserWarning, stacklevel=1)
        logging.getLogger("tifffile").warning("%s: missing data are zeroed", name)
    assert capsys.readouterr().err.splitlines() == [
        "cell\\x1b[31m.tif is strange",
        "UserWarning: cell\\x1b[31m.tif is old",
    ]


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_output_that_cannot_be_written_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(GemError, match="No space left"):
        say("result")
    monkeypatch.setattr(sys, "stderr", Full())
    say("notice", aside=True)
