"""Many images by one recipe, and several images for ``segment``."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from napari_gem.core.atomic import sole_writer
from napari_gem.core.errors import GemError
from napari_gem.models import load
from napari_gem.segmentation import batch as batch_module
from napari_gem.segmentation.batch_folder import ImageFolder
from napari_gem.worker import batch_helpers
from napari_gem.worker.batch_helpers import available_cores
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

WORDS = ["-p", "cat, kitten", "-p", "dog", "--background", "", "--threshold", "0"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (40, 56, 3)).astype(np.uint8)).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images with names that could collide, one of which is broken."""
    folder = tmp_path / "images"
    names = (
        "a.png",
        "A.tif",
        "a.jpg",
        "-b c.png",
        "細胞.png",
        "x/a.png",
        "report.csv.png",
    )
    for seed, name in enumerate(names):
        write_image(folder / name, seed)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    return folder


@pytest.fixture
def recipe(call: Call, images: Path, tiny: Path, tmp_path: Path) -> Path:
    made = call("segment", images / "a.png", *WORDS, "-o", tmp_path / "r", "-m", tiny)
    assert made[0] == 0
    return tmp_path / "r/recipe.json"


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "report.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_broken_image_stops_none_and_names_never_collide(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = ["run", recipe, images, "--pattern", "**/*.*", "-o", out]
    status, said, error = call(*run)
    assert status == 1
    assert "7 of 8 images are done" in said
    assert "Not done (1):" in error
    assert "'broken.png' cannot be read" in error
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    done = folders - {"contact-sheet"}
    assert len({name.casefold() for name in done}) == 7
    assert {"b-c", "細胞", "report.csv-2"} <= done
    table = rows(out)
    assert len(table) == 7 * 2 + 1
    for name in done:
        own = [row for row in table if row["name"] == name]
        labels = tifffile.imread(out / name / "labels.tif")
        for row in own:
            number = int(row["label"])
            assert int(row["pixels"]) == (labels == number).sum()
            assert float(row["share"]) == pytest.approx((labels == number).mean())
    sheet = (out / "contact-sheet.html").read_text(encoding="utf-8")
    assert sheet.count("<img") == 7
    assert "broken.png" in sheet
    # as replay does, for any of them
    name = next(row["name"] for row in table if row["image"].endswith("x/a.png"))
    assert call("replay", recipe, images / "x/a.png", "-o", tmp_path / "one")[0] == 0
    one, other = (
        tifffile.imread(p / "labels.tif") for p in (tmp_path / "one", out / name)
    )
    assert np.array_equal(one, other)


def test_results_are_kept_and_only_what_changed_is_done_again(
    call: Call,
    images: Path,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (images / "broken.png").unlink()
    out = tmp_path / "out"
    run = ["run", recipe, images, "-o", out]
    assert call(*run)[0] == 0
    before = content(out)
    status, _, error = call(*run)
    assert status == 2
    assert "--resume" in error
    jobs = []
    real = batch_module.job_steps
    monkeypatch.setattr(
        batch_module, "job_steps", lambda *a, **k: (jobs.append(1), real(*a, **k))[1]
    )
    status, said, _ = call(*run, "--resume")
    assert (status, len(jobs)) == (0, 0)
    assert "6 of them before" in said
    assert content(out) == before
    # half-written, other bytes, other recipe
    (out / "細胞/finished.json").unlink()
    write_image(images / "-b c.png", 99)
    status, _, error = call(*run, "--resume")
    assert (status, len(jobs)) == (1, 1)
    assert "The image has changed" in error
    assert content(out / "細胞") == {
        name.removeprefix("細胞/"): held
        for name, held in before.items()
        if name.startswith("細胞/")
    }
    assert call(*run, "--resume", "--overwrite")[0] == 0
    assert len(jobs) == 2
    other = json.loads(recipe.read_text(encoding="utf-8"))
    other["prompts"][0]["threshold"] = 0.9
    recipe.write_text(json.dumps(other), encoding="utf-8")
    kept = content(out)
    status, _, error = call(*run, "--resume")
    assert (status, len(jobs)) == (1, 2)
    assert "another recipe" in error
    for name in ("細胞/labels.tif", "batch.json"):
        assert content(out)[name] == kept[name]


def test_files_of_the_user_and_results_of_another_recipe_are_kept(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.csv").write_text("mine", encoding="utf-8")
    run = ["run", recipe, images / "a.png", images / "A.tif", "-o", out]
    status, _, error = call(*run)
    assert status == 2
    assert "report.csv, which no batch wrote" in error
    assert (out / "report.csv").read_text(encoding="utf-8") == "mine"
    assert call(*run, "--overwrite")[0] == 0
    # a file is missing: the same recipe makes it again, another one does not
    whole = content(out)
    (out / "a/probabilities.tif").unlink()
    left = content(out / "a")
    other = json.loads(recipe.read_text(encoding="utf-8"))
    usual = recipe.read_text(encoding="utf-8")
    other["prompts"][0]["threshold"] = 0.9
    recipe.write_text(json.dumps(other), encoding="utf-8")
    status, _, error = call(*run, "--resume")
    assert status == 1
    assert "another recipe" in error
    assert content(out / "a") == left
    recipe.write_text(usual, encoding="utf-8")
    assert call(*run, "--resume")[0] == 0
    assert content(out) == whole
    # a shorter list does not shorten the report
    assert call("run", recipe, images / "a.png", "-o", out, "--resume")[0] == 0
    assert {row["name"] for row in rows(out)} == {"a", "A-2"}
    # a list of files that leads elsewhere is none
    finished = out / "a/finished.json"
    record = json.loads(finished.read_text(encoding="utf-8"))
    for wrong in ("..", "", "../A-2"):
        changed = json.dumps({**record, "files": [wrong]})
        finished.write_text(changed, encoding="utf-8")
        status, _, error = call(*run, "--resume")
        assert status == 1, error
        assert "names other files" in error
        assert call(*run, "--overwrite", "--write", "labels")[0] == 0
        assert (out / "A-2/labels.tif").exists()


def test_several_images_of_segment_share_the_code(
    call: Call, images: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    more = [*WORDS, "-o", out, "-m", tiny, "--write", "labels"]
    status, said, _ = call("segment", images / "a.png", images / "A.tif", *more)
    assert status == 0
    assert "2 of 2 images are done" in said
    assert sorted(path.name for path in (out / "a").iterdir()) == [
        "finished.json",
        "labels.tif",
        "recipe.json",
    ]
    status, said, _ = call("segment", images, *more, "--resume")
    assert status == 1
    assert "2 of them before" in said
    status, _, error = call("segment", images / "a.png", *more, "--resume")
    assert status == 2
    assert "several images" in error


def test_a_dry_run_writes_nothing(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    status, said, _ = call("run", recipe, images, "-o", tmp_path / "out", "--dry-run")
    assert status == 0
    assert "a: " in said
    assert "7 images" in said
    assert not (tmp_path / "out").exists()
    one = ["segment", images / "a.png", *WORDS, "-o", tmp_path / "out", "--dry-run"]
    status, said, _ = call(*one)
    assert status == 0
    assert said == f"{images / 'a.png'}: results would be in {tmp_path / 'out'}\n"
    assert not (tmp_path / "out").exists()


def test_the_batch_can_end_with_the_first_failure(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    places = [images / "broken.png", images / "a.png"]
    status, said, error = call("run", recipe, *places, "-o", out, "--no-keep-going")
    assert status == 1
    assert "0 of 2 images are done" in said
    assert "Not done (2):" in error
    assert "1 more, which the batch did not come to" in error
    assert "1 not come to" in (out / "contact-sheet.html").read_text(encoding="utf-8")
    assert not (out / "a").exists()


def test_the_order_of_kinds_is_no_other_recipe(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    run = ["run", recipe, images / "a.png", images / "A.tif", "-o", tmp_path / "out"]
    assert call(*run, "--write", "labels,overlay")[0] == 0
    status, said, error = call(*run, "--write", "overlay,labels", "--resume")
    assert status == 0, error
    assert "2 of them before" in said


@pytest.mark.parametrize("first", [True, False], ids=["first run", "later run"])
def test_files_of_a_run_that_was_killed_go_when_others_are_asked_for(
    call: Call,
    images: Path,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: bool,
) -> None:
    out = tmp_path / "out"
    run = ["run", recipe, images / "a.png", images / "A.tif", "-o", out]
    if not first:
        assert call(*run, "--write", "labels,probabilities")[0] == 0

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ImageFolder, "end", killed)
        patched.setattr(ImageFolder, "give_up", lambda *_: None)
        assert call(*run, "--write", "labels,overlay", "--overwrite")[0] == 130
    assert (out / "a/overlay.png").exists()
    assert (out / "a/probabilities.tif").exists() is not first
    status, said, error = call(*run, "--write", "labels", "--resume", "--overwrite")
    assert status == 0, error
    assert "of them before" not in said
    for name in ("a", "A-2"):
        files = sorted(path.name for path in (out / name).iterdir())
        assert files == ["finished.json", "labels.tif", "recipe.json"]


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    if available_cores() < 2:
        pytest.skip("one core")
    run = ["run", recipe, images, "--pattern", "**/*.*"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert call(*run, "-o", one)[0] == 1
    status, said, error = call(*run, "-o", two, "--jobs", "2")
    assert status == 1
    assert "7 of 8 images are done" in said
    assert "'broken.png' cannot be read" in error
    assert content(two) == content(one)
    status, said, _ = call(*run, "-o", two, "--jobs", "2", "--resume")
    assert "7 of them before" in said


def test_more_processes_than_there_is_room_for_are_refused(
    call: Call,
    images: Path,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ["run", recipe, images, "-o", tmp_path / "out", "--jobs", "3"]
    monkeypatch.setattr(batch_helpers, "available_cores", lambda: 2)
    assert "Give at most 2." in call(*run)[2]
    monkeypatch.setattr(batch_helpers, "available_cores", lambda: 4)
    with monkeypatch.context() as patched:
        patched.setattr(load, "choose_device", lambda _: torch.device("cuda"))
        assert "is for the processor" in call(*run)[2]
    monkeypatch.setattr(batch_helpers, "_memory", lambda: (3 << 30, 1 << 30))
    run[-1] = "4"
    assert "Give --jobs 3" in call(*run)[2]
    assert "several images" in call("segment", images / "a.png", *WORDS, *run[3:])[2]
    assert not (tmp_path / "out").exists()


def test_own_results_are_no_images(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    (images / "broken.png").unlink()
    run = ["run", recipe, images, "--pattern", "**/*.*", "-o", images]
    status, said, error = call(*run, "--write", "labels,overlay")
    assert status == 0, said + error
    before = content(images)
    status, said, _ = call(*run, "--write", "labels,overlay", "--resume")
    assert status == 0
    assert "7 of 7 images are done, 7 of them before" in said
    assert content(images) == before


def test_another_process_that_writes_there_is_told(
    call: Call, images: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with sole_writer(out):
        status, _, error = call("run", recipe, images, "-o", out)
        with pytest.raises(GemError, match="Another process"), sole_writer(out):
            pass
    assert status == 2
    assert "Another process writes to" in error
    assert list(out.iterdir()) == []


def test_mixed_coordinate_systems_are_told(
    call: Call, recipe: Path, tmp_path: Path
) -> None:
    rasterio = pytest.importorskip("rasterio")
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    for number, crs in enumerate(("EPSG:26914", "EPSG:32633")):
        path = tmp_path / f"{number}.tif"
        place = rasterio.Affine(2, 0, 5e5, 0, -2, 5e6)
        shape = {"count": 3, "height": 40, "width": 50, "dtype": "uint8"}
        how = {"driver": "GTiff", "photometric": "RGB", "crs": crs, "transform": place}
        with rasterio.open(path, "w", **shape, **how) as file:
            file.write(pixels)
    out = tmp_path / "out"
    status, _, error = call("run", recipe, tmp_path / "*.tif", "-o", out)
    assert status == 0
    assert "different coordinate systems: EPSG:26914 (1), EPSG:32633 (1)" in error
    assert {row["area_unit"] for row in rows(out)} == {"m²"}
    area = sum(float(row["area"]) for row in rows(out))
    assert area == pytest.approx(2 * 40 * 50 * 4, rel=2e-3), "as on the ellipsoid"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("way", "jobs"), [(signal.SIGKILL, 1), (signal.SIGINT, 1), (signal.SIGINT, 2)]
)
def test_a_batch_that_was_stopped_goes_on(
    call: Call, recipe: Path, images: Path, tmp_path: Path, way: signal.Signals, jobs
) -> None:
    if jobs > available_cores():
        pytest.skip("one core")
    for seed in range(12):
        write_image(images / f"more {seed}.png", seed)
    assert call("run", recipe, images, "-o", tmp_path / "whole")[0] == 1
    out = tmp_path / "out"
    command = [sys.executable, "-m", "napari_gem.cli", "run", recipe, images, "-o", out]
    stopped = 0
    for seed in range(3):
        process = subprocess.Popen(
            [*map(str, command), "--resume", "--jobs", str(jobs)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        count = len(list(out.glob("*/finished.json")))
        while process.poll() is None:
            if len(list(out.glob("*/finished.json"))) > count + seed:
                time.sleep(0.02 * seed)
                process.send_signal(way)
                break
            time.sleep(0.005)
        status = process.wait()
        stopped += status in (-way, 130)
        # an interrupted run has tidied up, a killed one leaves what it had in work
        # (but an empty lock, if it was stopped just then: the next run removes it)
        left = [path for path in out.rglob(".unfinished*") if path.is_dir()]
        assert way == signal.SIGKILL or not left
    assert stopped == 3
    assert call("run", recipe, images, "-o", out, "--resume")[0] == 1
    mine, expected = content(out), content(tmp_path / "whole")
    assert list(mine) == list(expected)
    assert mine == expected
    shutil.rmtree(out)
