"""The command line with images that are read in parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_gem.core import bounds
from napari_gem.encoding import feature_cache
from napari_gem.images.bounded_zarr import BoundedStore
from napari_gem.results.writers import regions
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(0).integers(0, 255, (200, 120, 3)).astype(np.uint8)
WORDS = ("-p", "cat, kitten", "-p", "dog")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def call(
    call: Call, monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path
) -> Call:
    """Run the command line, with the small model: (status, output, errors)."""
    monkeypatch.setenv("NAPARI_GEM_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, str, str]:
        more = ("-m", tiny) if arguments[0] == "segment" else ()
        return call(*arguments, *more)

    return run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Two levels."""
    group = zarr.create_group(str(tmp_path / "scene.zarr"))
    group["0"], group["1"] = PIXELS, PIXELS[::2, ::2]
    return tmp_path / "scene.zarr"


def test_a_large_scene_becomes_zarr(
    call: Call, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said, _ = call("segment", image, *WORDS, "-o", tmp_path / "plain")
    assert status == 0
    assert "Level 0 of 0 to 1 is used: 200 x 120" in said
    plain = tifffile.imread(tmp_path / "plain/labels.tif")
    monkeypatch.setattr(bounds, "LARGEST_TIFF", 1000)
    status, said, _ = call("segment", image, *WORDS, "-o", tmp_path / "out")
    assert status == 0
    assert "cat: " in said
    assert "labels.zarr" in said
    labels = zarr.open_group(tmp_path / "out/labels.zarr", mode="r")
    assert (labels["0"][:] == plain).all()
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert recipe["prompts"][0]["words"] == ["cat", "kitten"]


def test_other_files_are_made_of_the_zarr_of_a_large_scene(
    call: Call,
    image: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_TIFF", 1000)
    monkeypatch.setattr(regions, "BAND_PIXELS", 33 * PIXELS.shape[1])
    out = tmp_path / "out"
    more = ("--write", "labels,polygons,coco,table", "--minimum-area", 2, "-o", out)
    status, said, _ = call("segment", image, *WORDS, *more)
    assert status == 0
    names = "labels.zarr, probabilities.zarr, recipe.json, classes.csv, coco.json, "
    assert f"{names}labels.tif, polygons.geojson, regions.csv" in said
    group = zarr.open_group(out / "labels.zarr", mode="r")
    assert group.attrs["napari_gem"]["source"] == image.name
    stored = group["0"][:]
    assert (tifffile.imread(out / "labels.tif") == stored).all()
    features = json.loads((out / "polygons.geojson").read_text("utf-8"))["features"]
    assert features
    assert len((out / "regions.csv").read_text().splitlines()) == len(features) + 1
    # all is kept, also by a recipe that is replayed
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    for asked in (
        ("segment", image, *WORDS),
        ("replay", out, image, "-m", tiny),
    ):
        status, _, told = call(*asked, "-o", out, "--write", "polygons")
        assert status == 2
        assert "holds results already" in told
        status, _, told = call(*asked, "-o", tmp_path / "new", "--write", "lonlat")
        assert status == 2
        assert "does not say where it lies on the ground" in told
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert not (tmp_path / "new").exists()


def test_levels_regions_and_details(call: Call, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    region = ("--region", 40, 120, 20, 100)
    outcome = call("segment", image, *WORDS, "-o", out, "--detail", 16, *region)
    assert outcome[0] == 0
    assert "Level 1 of 0 to 1" in outcome[1]
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["encode"]["zoom"] == 1
    assert recipe["region"]["rows"] == [20, 60]
    assert tifffile.imread(out / "labels.tif").shape == (100, 60)
    status, _, said = call("segment", image, *WORDS, "-o", out, "--level", 2)
    assert status == 2
    assert "levels 0 to 1" in said


def test_only_chunks_near_a_region_are_read(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "sparse.zarr", tmp_path / "out"
    array = zarr.create_array(
        path, shape=(60_000, 60_000, 3), chunks=(512, 512, 3), dtype="uint8"
    )
    array[30_000:30_200, 40_000:40_120] = PIXELS
    read: list[str] = []
    get = BoundedStore.get

    async def count(self: BoundedStore, key: str, *arguments: Any, **more: Any) -> Any:
        if key.startswith("c/"):
            read.append(key)
        return await get(self, key, *arguments, **more)

    monkeypatch.setattr(BoundedStore, "get", count)
    region = ("--region", 30_000, 30_200, 40_000, 40_120)
    more = ("--detail", 16, "--threshold", 0.01, "-o", out, "--overwrite")
    more += ("--limits", "0", "255")  # else a sample of the whole tells the contrast
    status, _, said = call("segment", path, *WORDS, *more, *region)
    assert status == 0, said
    rows = {int(key.split("/")[1]) for key in read}
    columns = {int(key.split("/")[2]) for key in read}
    assert 58 in rows
    assert 78 in columns
    assert len(rows) * len(columns) < 200
    labels = zarr.open_group(out / "labels.zarr", mode="r")["0"]
    part = np.asarray(labels[29_900:30_300, 39_900:40_220])
    assert part[100:300, 100:220].any()
    part[100:300, 100:220] = 0
    assert not part.any()
    # what lies elsewhere is not looked at, what lies near is
    encoded = len(call("cache")[1].splitlines())
    array[:200, :120] = PIXELS
    assert call("segment", path, *WORDS, *more, *region)[0] == 0
    assert len(call("cache")[1].splitlines()) == encoded
    array[30_000:30_200, 40_000:40_120] = PIXELS[::-1]
    assert call("segment", path, *WORDS, *more, *region)[0] == 0
    assert len(call("cache")[1].splitlines()) == encoded + 1


def test_a_second_run_encodes_nothing(
    call: Call, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    begin = feature_cache._Writing.begin

    def count(*arguments: object) -> object:
        calls.append(arguments)
        return begin(*arguments)

    monkeypatch.setattr(feature_cache._Writing, "begin", count)
    out = "-o", tmp_path / "out", "--overwrite"
    for words in (WORDS, ("-p", "tree")):
        assert call("segment", image, *words, *out)[0] == 0
    assert len(calls) == 1
    assert call("segment", image, *WORDS, *out, "--no-cache")[0] == 0
    assert len(calls) == 1
    status, said, _ = call("cache")
    assert status == 0
    assert "of at most 20.0 GiB" in said
    assert len(said.splitlines()) == 2
    assert "removed." in call("cache", "clear")[1]
    assert len(call("cache")[1].splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c_leaves_no_results_and_can_go_on(tiny: Path, tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3)).astype(np.uint8)
    zarr.save_array(str(tmp_path / "a.zarr"), large)
    command = [
        sys.executable,
        "-m",
        "napari_gem.cli",
        "segment",
        tmp_path / "a.zarr",
    ]
    command += ["-p", "cat", "-o", tmp_path / "out", "-m", tiny]
    cache = tmp_path / "cache"
    running = subprocess.Popen(
        command,
        env=os.environ | {"NAPARI_GEM_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while not list(cache.glob("*.part/features")) and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode not in (0, 2)
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert [path.suffix for path in cache.iterdir() if path.name != "locks"] == [
        ".part"
    ]
