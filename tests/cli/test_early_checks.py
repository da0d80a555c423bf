"""What is wrong on the command line is told before torch is loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.contact("early checks")

# many refusals by one program of its own, in which nobody imported torch before
CHILD = """
import contextlib, io, json, sys
from napari_gem.cli import app as command
outcomes = []
for words in json.load(sys.stdin):
    sys.argv = ["napari-gem", *words]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        command.main()
    loaded = sorted({"torch", "open_clip"} & set(sys.modules))
    outcomes.append((said.getvalue(), loaded))
print(json.dumps(outcomes))
"""

SEGMENT = ["segment", "image.png", "-p", "cat", "-o", "out"]
EVALUATE = ["evaluate", "folder", "images", "-o", "out"]
REPLAY = ["replay", "recipe.json", "image.png", "-o", "out"]
CASES = {
    "level": (
        [*SEGMENT, "--level", "7"],
        "no level 7; 'image.png' has levels 0",
    ),
    "device": ([*SEGMENT, "--device", "gpu"], "There is no device 'gpu'; choose auto"),
    "precision": ([*SEGMENT, "--precision", "half"], "There is no precision 'half'"),
    "file for a folder": ([*SEGMENT[:-1], "image.png"], "cannot be written"),
    "file for a parent": ([*SEGMENT[:-1], "image.png/out"], "cannot be written"),
    "preset": ([*SEGMENT, "--preset", "nice"], "nice"),
    "region": ([*SEGMENT, "--region", "0", "99", "0", "9"], "do not fit an image of"),
    "region file": ([*SEGMENT, "--region-file", "a.json"], "'a.json' cannot be read"),
    "percentiles": ([*SEGMENT, "--percentiles", "9", "5"], "smaller one first"),
    "limits": ([*SEGMENT, "--limits", "9", "5"], "smaller one first"),
    "zoom": ([*SEGMENT, "--zoom", "1e9"], "Zoom is"),
    "smoothing": ([*SEGMENT, "--smoothing", "1e9"], "Smoothing is"),
    "refinement": ([*SEGMENT, "--refinement", "1000000"], "Refinement is"),
    "template": ([*SEGMENT, "--template", "none"], "no list of templates 'none'"),
    "scheduler": ([*SEGMENT, "--scheduler", "http://host:8787"], "of a web page"),
    "model": ([*SEGMENT, "-m", "nonsense"], "There is no model 'nonsense'"),
    "index": ([*SEGMENT, "--index", "x"], "give whole numbers"),
    "image": ([*SEGMENT[:1], "none.png", *SEGMENT[2:]], "none.png"),
    "replay device": ([*REPLAY, "--device", "cuda:x"], "There is no device 'cuda:x'"),
    "replay recipe": (REPLAY, "recipe.json"),
    "evaluate device": ([*EVALUATE, "--device", "gpu"], "There is no device 'gpu'"),
    "evaluate precision": ([*EVALUATE, "--precision", "x"], "no precision 'x'"),
    "evaluate method": ([*EVALUATE, "--method", "x"], "Method is 'x'; choose gem, vv"),
    "evaluate protocol": ([*EVALUATE, "--protocol", "x"], "x"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list]]:
    folder = tmp_path_factory.mktemp("early")
    Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(folder / "image.png")
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([words for words, _ in CASES.values()]),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [path.name for path in folder.iterdir()] == ["image.png"]
    yield dict(zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True))
    shutil.rmtree(folder)


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_before_torch_is_loaded(
    case: str, outcomes: dict[str, list]
) -> None:
    said, loaded = outcomes[case]
    assert CASES[case][1] in said
    assert "Traceback" not in said
    assert loaded == []


def test_a_folder_is_made_on_trial_only(tmp_path: Path) -> None:
    from napari_gem.results.save import check_folder

    check_folder(tmp_path / "new" / "newer" / "out")
    assert not list(tmp_path.iterdir())
