from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem import __version__
from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import GemParameters, LabelParameters, ScoreParameters
from napari_gem.core.prompts import label_ids
from napari_gem.core.region import Region
from napari_gem.images.samples import read_sample
from napari_gem.models.find import find_model
from napari_gem.models.presets import with_preset
from napari_gem.prompts.word_lists import read_templates
from napari_gem.results.recipe import read_recipe
from tests.tiny import PATCH, write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]


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


def test_a_class_that_is_probably_not_in_the_image_is_called_so(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    words = ["-p", "cat", "-p", "dog", "--background", "grass"]
    pushed = ["--present", "1", "--absent-weight", "10"]
    _, said, _ = call(
        "segment", image, *words, *pushed, "-o", tmp_path / "out", "-m", tiny
    )
    assert "cat: 0.0% of the image (probably not here)" in said
    _, said, _ = call(
        "segment", image, *words, "--present", "-0.9", "-o", tmp_path / "b", "-m", tiny
    )
    assert "probably not here" not in said


def test_shares_are_of_the_region(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    # without a background each pixel has one of the classes
    words = ["-p", "cat", "-p", "dog", "--background", "", "--threshold", "0"]
    common = ["segment", image, *words, "-o", tmp_path / "out", "-m", tiny]
    common.append("--overwrite")
    triangle = [[[0, 0], [40, 0], [0, 30], [0, 0]]]
    drawn = {"type": "Polygon", "coordinates": triangle}
    (tmp_path / "drawn.geojson").write_text(json.dumps(drawn))
    for whole, more in (
        ("image", []),
        ("region", ["--region", "0", "20", "8", "36"]),
        ("region", ["--region-file", tmp_path / "drawn.geojson"]),
    ):
        _, said, _ = call(*common, *more)
        shares = re.findall(rf"([\d.]+)% of the {whole}", said)
        assert len(shares) == 2
        assert sum(map(float, shares)) == pytest.approx(100, abs=0.2)
    labels = tifffile.imread(tmp_path / "out/labels.tif")
    rows, columns = np.indices(labels.shape)
    drawn_part = (columns + 0.5) / 40 + (rows + 0.5) / 30 < 0.98
    assert labels[drawn_part].all()
    assert not labels[(columns + 0.5) / 40 + (rows + 0.5) / 30 > 1.02].any()


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
        ({"--detail": "4", "--zoom": "2"}, "Give one of them"),
        ({"--limits": "2 1"}, "smaller one first"),
        ({"--region": "0 99 0 9"}, "do not fit"),
        ({"--template": "no-such-list"}, "openai-7"),
        ({"--threshold": "2"}, "threshold"),
        ({"--background-weight": "0"}, "Background weight is 0"),
        ({"--preset": "best"}, "choose one of microscopy, paper"),
        ({"--preset": "paper", "--zoom": "2"}, "leave out --detail"),
        ({"--refinement": "-1"}, "Refinement is -1"),
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
    words = [part for name, value in options.items() for part in (name, value)]
    for name in ("--limits", "--region"):
        if name in words:
            words[-1:] = words[-1].split()
    status, _, error = call("segment", first, *words)
    assert status == 2
    assert said in error
    assert "Traceback" not in error
    left = [path for path in image.parent.rglob("*") if path.name != "out"]
    assert sorted(left) == before
    assert not any((image.parent / "out").glob("*"))


def test_options_reach_the_recipe(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    said = "--threshold 0.4 --background-weight 0.5 --smoothing 2 --minimum-size 3"
    said += " --detail 4 --depth 3 --iterations 2 --temperature-scale 2 --residual"
    said += " --limits 5 200 --gamma 0.5 --region 0 30 8 50"
    options = [*said.split(), "--template", "bare", "--template", "the {}"]
    options += ["--background", "sky, sea", "--background", "wall"]
    common = ["segment", image, "-m", tiny, "-p", "cat"]
    assert call(*common, "-o", tmp_path / "out", *options)[0] == 0
    recipe = read_recipe(tmp_path / "out")
    assert recipe.prompts[0].threshold == 0.4
    score = ScoreParameters(
        scale=40.0,
        background=("sky", "sea", "wall"),
        templates=(*read_templates("bare"), "the {}"),
        domain="photograph",
        absent_spread=0.0,
        likeliest=8,
        background_weight=0.5,
        smoothing=2.0,
    )
    assert recipe.score == score
    assert recipe.encode.zoom == PATCH / 4
    gem = GemParameters(depth=3, iterations=2, temperature_scale=2.0, residual=True)
    assert recipe.encode.gem == gem
    assert recipe.label == LabelParameters(minimum_size=3)
    assert recipe.region == Region(rows=(0, 30), columns=(8, 50))
    assert recipe.appearance == Appearance(rgb=True, limits=(5.0, 200.0), gamma=0.5)
    # what is left out is as the model's card says
    assert call(*common, "-o", tmp_path / "usual", "--no-residual")[0] == 0
    usual, card = read_recipe(tmp_path / "usual"), find_model(str(tiny))
    assert usual.score == replace(card.score, domain="photograph")
    assert usual.label == LabelParameters()
    assert usual.region is None
    plain = replace(card.encode, gem=replace(card.encode.gem, residual=False))
    assert usual.encode == plain


def test_a_preset_is_laid_over_the_card(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    common = ["segment", image, "-m", tiny, "-p", "cat", "--preset"]
    assert call(*common, "photo", "--refinement", "3", "-o", tmp_path / "a")[0] == 0
    photo, recipe = (
        with_preset(find_model(str(tiny)), "photo"),
        read_recipe(tmp_path / "a"),
    )
    assert recipe.encode == photo.encode
    assert recipe.score == replace(photo.score, refinement=3, domain="photograph")
    assert call(*common, "paper", "-o", tmp_path / "b")[0] == 0
    assert read_recipe(tmp_path / "b").squash == 448
    first = tifffile.imread(tmp_path / "b/labels.tif")
    assert first.shape == (40, 56)
    assert call("replay", tmp_path / "b", image, "-o", tmp_path / "c")[0] == 0
    assert (tifffile.imread(tmp_path / "c/labels.tif") == first).all()


def test_no_background_is_an_empty_word(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    words = ["-p", "cat", "-p", "dog", "--background", ""]
    assert call("segment", image, "-m", tiny, *words, "-o", tmp_path)[0] == 0
    assert read_recipe(tmp_path).score.background == ()


def test_a_prompt_set_brings_classes_words_and_sentences(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    content = {
        "name": "pets",
        "prompts": [
            {"words": ["cat"], "label": 4, "threshold": 0.3},
            {"words": ["cow"], "label": 9, "on": False},
        ],
        "background": ["sky"],
        "templates": ["a {}", "the {}"],
    }
    file = tmp_path / "pets.json"
    file.write_text(json.dumps(content))
    common = [
        "segment",
        image,
        "-m",
        tiny,
        "--set",
        file,
        "-o",
        tmp_path,
        "--overwrite",
    ]
    status, said, error = call(*common, "-p", "dog, puppy")
    assert status == 0, error
    assert "   4 cat: " in said
    recipe = read_recipe(tmp_path)
    assert [prompt.name for prompt in recipe.prompts] == ["cat", "dog"]
    assert label_ids(recipe.prompts) == (4, 1)
    assert recipe.prompts[0].threshold == 0.3
    assert recipe.score.background == ("sky",)
    assert recipe.score.templates == ("a {}", "the {}")
    # what is told beside it goes before it
    more = ["--background", "sea", "--template", "{}", "--threshold", "0.6"]
    assert call(*common, *more)[0] == 0
    recipe = read_recipe(tmp_path)
    assert recipe.prompts[0].threshold == 0.6
    assert recipe.score.background == ("sea",)
    assert recipe.score.templates == ("{}",)
    status, _, error = call("segment", image, "--set", "no-such-set", "-o", tmp_path)
    assert status == 2
    assert "fluorescence" in error


@pytest.mark.slow
def test_classes_of_a_set_that_the_model_does_not_know_are_left_out(
    call: Call, tmp_path: Path
) -> None:
    pixels = read_sample("fluorescence")[0].pixels[:256, :256]
    file = tmp_path / "cells.png"
    Image.fromarray(pixels).save(file)
    status, said, error = call("segment", file, "--set", "fluorescence", "-o", tmp_path)
    assert status == 0, error
    assert "knows 9 of the 18 classes of the set 'Fluorescence'" in error
    recipe = read_recipe(tmp_path)
    assert label_ids(recipe.prompts) == (1, 2, 3, 4, 5, 6, 8, 10, 11)
    assert "This model was not trained on" not in said + error
    labels = tifffile.imread(tmp_path / "labels.tif")
    assert np.isin([1, 2, 3], labels).all()


def test_a_recipe_is_replayed(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    out, again, moved = (tmp_path / name for name in ("out", "again", "moved"))
    words = ["-p", "cat", "-p", "dog", "--threshold", "0.3"]
    assert call("segment", image, *words, "-o", out, "-m", tiny)[0] == 0
    status, said, _ = call("replay", out / "recipe.json", image, "-o", again)
    assert status == 0
    assert "cat: " in said
    labels = tifffile.imread(out / "labels.tif")
    np.testing.assert_array_equal(tifffile.imread(again / "labels.tif"), labels)
    # the model's folder has another place, the weights are the same
    shutil.copytree(tiny, tmp_path / "models/tiny")
    options = ["-m", tmp_path / "models/tiny", "-o", moved, "--overwrite"]
    assert call("replay", out, image, *options)[0] == 0
    np.testing.assert_array_equal(tifffile.imread(moved / "labels.tif"), labels)
    # or the model is another one
    write_tiny_model(tmp_path / "models/tiny", seed=2)
    status, _, error = call("replay", out, image, *options)
    assert status == 2
    assert "weights" in error
    status, _, error = call("replay", out, image, *options, "--other-weights")
    assert status == 0, error
    status, _, error = call("replay", image, image, "-o", again)
    assert status == 2
    assert "no recipe" in error


def test_models_lists_what_can_be_used(call: Call) -> None:
    status, said, _ = call("models")
    assert status == 0
    assert "\nDemonstration\n* embedded\n" in said
    assert "\n  ViT-B-16-quickgelu/openai\n" in said
    assert "\nRemote sensing\n" in said
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


@pytest.mark.contact("damaged caches")
def test_without_a_place_for_encoded_images_a_small_one_is_segmented_all_the_same(
    call: Call, image: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_GEM_CACHE", str(image))
    out = tmp_path / "out"
    status, _, error = call("segment", image, "-p", "cat", "-o", out, "-m", tiny)
    assert status == 0
    assert "cannot be made" in error
    assert "not kept for later runs" in error
    status, _, error = call("segment", out / "overlay.png", "-p", "cat", "-o", out)
    assert status == 2
    assert "would be replaced by a result" in error


@pytest.mark.contact("leftovers")
def test_ctrl_c_before_a_command_begins_is_no_traceback(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_gem.cli.app.app", stop)
    assert call("cache") == (130, "", "Aborted!\n")


@pytest.mark.contact("leftovers")
def test_little_is_loaded_before_ctrl_c_is_heeded() -> None:
    code = (
        "import sys, napari_gem.cli.__main__\n"
        "print({'typer', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


@pytest.mark.contact("leftovers")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_low_limit_of_open_files_is_a_sentence() -> None:
    command = f"ulimit -n 8; '{sys.executable}' -m napari_gem.cli cache"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The system lets a program open 8 files here")


def test_words_are_compared_in_a_table_and_a_picture(
    call: Call, image: Path, tiny: Path, tmp_path: Path
) -> None:
    asked = ["words", image, "-w", "cat, kitten", "-w", "tom cat", "-m", tiny]
    status, said, _ = call(*asked, "-o", tmp_path / "out", "--region", 0, 40, 0, 20)
    assert status == 0
    assert "% clear" in said
    lines = (tmp_path / "out/words.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {"cat", "kitten", "tom cat"}
    with Image.open(tmp_path / "out/words.png") as picture:
        assert picture.width > 400
    status, _, problem = call(*asked, "-o", tmp_path / "out")
    assert status == 2
    assert "give --overwrite" in problem
