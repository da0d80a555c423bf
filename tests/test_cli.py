from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem import __version__, cli
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process: (status, output, errors)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["napari-gem", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_segment_writes_a_folder(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    words = ["-p", "cat, kitten", "-p", "dog"]
    status, said, _ = call("segment", image, *words, "-o", tmp_path / "out", "-m", tiny)
    assert status == 0
    assert "cat: " in said
    assert str(tmp_path / "out") in said
    assert tifffile.imread(tmp_path / "out/labels.tif").shape == (40, 56)
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert recipe["prompts"][0]["words"] == ["cat", "kitten"]
    assert recipe["model"] == str(tiny)


def test_plane_and_percentiles_are_chosen(
    call: Call, tiny: Path, tmp_path: Path
) -> None:
    stack = np.random.default_rng(0).integers(0, 9999, (4, 30, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    common = ["segment", tmp_path / "stack.tif", "-p", "cat", "-m", tiny]
    status, _, error = call(*common, "-o", tmp_path / "out")
    assert status == 2
    assert "--index" in error
    assert not (tmp_path / "out").exists()
    more = ["--index", "1", "--percentiles", "0", "100", "-o", tmp_path / "out"]
    assert call(*common, *more)[0] == 0
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert recipe["appearance"]["limits"] == [stack[1].min(), stack[1].max()]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "none.png"}, "There is no file"),
        ({"image": "broken.png"}, "cannot be read"),
        ({"-p": " , "}, "There is no prompt"),
        ({"-m": "no-such-model"}, "no-such-model"),
        ({"-o": "image.png/out"}, "cannot be written"),
        ({"--device": "abacus"}, "abacus"),
        ({"--percentiles": "nonsense"}, "percentiles"),
        ({"--index": "a"}, "whole numbers"),
        ({"--index": "0"}, "single plane"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(
    call: Call,
    image: Path,
    tiny: Path,
    change: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(image.parent)
    (image.parent / "broken.png").write_bytes(image.read_bytes()[:100])
    before = sorted(image.parent.rglob("*"))
    options = {"-p": "cat", "-o": "out", "-m": str(tiny)} | change
    first = options.pop("image", image)
    words = [part for pair in options.items() for part in pair]
    status, _, error = call("segment", first, *words)
    assert status == 2
    assert said in error
    assert "Traceback" not in error
    left = [path for path in image.parent.rglob("*") if path.name != "out"]
    assert sorted(left) == before
    assert not any((image.parent / "out").glob("*"))


def test_models_lists_what_can_be_used(call: Call) -> None:
    status, said, _ = call("models")
    assert status == 0
    assert said.startswith("embedded\n")
    assert "ViT-B-16-quickgelu/openai" in said
    assert "licence" in said


def test_version_and_help(call: Call) -> None:
    assert call("--version")[1].strip() == f"napari-gem {__version__}"
    status, said, _ = call("segment", "--help")
    assert status == 0
    assert "--prompt" in said


def test_demo_without_a_screen_writes_a_folder(tmp_path: Path) -> None:
    import os

    hidden = ("DISPLAY", "WAYLAND_DISPLAY")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "napari_gem.cli", "demo", "-o", tmp_path / "out"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path / "out") in done.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"labels.tif", "overlay.png", "probabilities.tif", "recipe.json"} <= names


def test_an_unknown_sample_is_named(call: Call) -> None:
    status, _, error = call("demo", "--sample", "moon")
    assert status == 2
    assert "moon" in error
    assert "fluorescence" in error
