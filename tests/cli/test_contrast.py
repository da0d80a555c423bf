"""Contrast is a rule in a recipe, so that it suits other exposures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_gem.images.samples import read_sample
from napari_gem.results.recipe import read_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

NOTICE = "contrast limits are numbers"


@pytest.fixture(scope="module")
def exposures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One 16-bit image in two exposures."""
    folder = tmp_path_factory.mktemp("exposures")
    pixels = read_sample("fluorescence")[0].pixels[100:190, 100:210]
    grey = pixels.sum(axis=-1, dtype=np.uint16)
    for name, image in (("short.tif", grey), ("long.tif", grey * 64 + 500)):
        tifffile.imwrite(folder / name, image, photometric="minisblack")
    return folder


def labels_of(folder: Path) -> np.ndarray:
    return tifffile.imread(folder / "labels.tif")


def segment(call: Call, image: Path, folder: Path, *more: object) -> Path:
    words = ["-p", "nuclei", "-p", "filaments"]
    status, _, error = call("segment", image, *words, "-o", folder, *more)
    assert status == 0, error
    return folder / "recipe.json"


def test_percentiles_are_measured_in_another_exposure(
    call: Call, exposures: Path, tmp_path: Path
) -> None:
    more = ["--percentiles", "1", "99"]
    recipe = segment(call, exposures / "short.tif", tmp_path / "short", *more)
    other = segment(call, exposures / "long.tif", tmp_path / "long", *more)
    status, _, error = call(
        "replay", recipe, exposures / "long.tif", "-o", tmp_path / "again"
    )
    assert status == 0
    assert NOTICE not in error
    labels = labels_of(tmp_path / "again")
    assert np.array_equal(labels, labels_of(tmp_path / "long"))
    assert len(np.unique(labels)) > 1
    again = read_recipe(tmp_path / "again").appearance
    assert again == read_recipe(other).appearance != read_recipe(recipe).appearance
    assert (again.contrast, again.percentiles) == ("percentiles", (1, 99))


def test_fixed_limits_stay_without_a_word(
    call: Call, exposures: Path, tmp_path: Path
) -> None:
    more = ["--limits", "20", "600"]
    recipe = segment(call, exposures / "short.tif", tmp_path / "short", *more)
    status, _, error = call(
        "replay", recipe, exposures / "long.tif", "-o", tmp_path / "again"
    )
    assert status == 0
    assert NOTICE not in error
    again = read_recipe(tmp_path / "again").appearance
    assert (again.limits, again.contrast) == ((20, 600), "fixed")


def test_an_older_recipe_keeps_its_limits_and_a_notice_says_so(
    call: Call, exposures: Path, tmp_path: Path
) -> None:
    recipe = segment(call, exposures / "short.tif", tmp_path / "short")
    content = json.loads(recipe.read_text(encoding="utf-8"))
    limits = content["appearance"]["limits"]
    del content["appearance"]["contrast"], content["appearance"]["percentiles"]
    recipe.write_text(json.dumps(content), encoding="utf-8")
    out = ["-o", tmp_path / "again"]
    status, _, error = call("replay", recipe, exposures / "long.tif", *out)
    assert status == 0
    assert NOTICE in error
    again = read_recipe(tmp_path / "again").appearance
    assert (list(again.limits), again.contrast) == (limits, "")
    out = ["-o", tmp_path / "other", "--percentiles", "0.5", "99.5"]
    status, _, error = call("replay", recipe, exposures / "long.tif", *out)
    assert status == 0
    assert NOTICE not in error
    assert read_recipe(tmp_path / "other").appearance.contrast == "percentiles"


def test_bad_percentiles_are_refused(
    call: Call, exposures: Path, tmp_path: Path
) -> None:
    recipe = segment(call, exposures / "short.tif", tmp_path / "short")
    content = json.loads(recipe.read_text(encoding="utf-8"))
    content["appearance"]["percentiles"] = [9, 3]
    recipe.write_text(json.dumps(content), encoding="utf-8")
    status, _, error = call(
        "replay", recipe, exposures / "long.tif", "-o", tmp_path / "again"
    )
    assert status == 2
    assert "The percentiles are 9" in error
