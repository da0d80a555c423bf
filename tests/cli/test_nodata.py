"""Pixels without data: no label, no share, and no word about other pixels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from PIL import Image
from rasterio.transform import Affine

from napari_gem.core import bounds
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.slow

HOLE = np.zeros((96, 64), bool)
HOLE[10:50, 20:60] = True
VALUES = np.random.default_rng(0).integers(1, 250, HOLE.shape)
WORDS = ("-p", "cat, kitten", "-p", "dog")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def write(path: Path, kind: str, inside: int) -> Path:
    """Write an image whose hole holds a value or noise below a mask."""
    noise = np.random.default_rng(inside).integers(0, 250, HOLE.shape)
    pixels = np.where(HOLE, noise, VALUES)
    if kind == "alpha":
        alpha = np.where(HOLE, 0, 255)
        rgba = np.stack([pixels] * 3 + [alpha], -1).astype(np.uint8)
        Image.fromarray(rgba).save(path.with_suffix(".png"))
        return path.with_suffix(".png")
    if kind == "NaN":
        floats = np.where(HOLE, np.nan, VALUES).astype(np.float32)
        zarr.save_array(str(path.with_suffix(".zarr")), floats, mode="w")
        return path.with_suffix(".zarr")
    nodata = {"mask": None, "value": 65535, "float": -9999}[kind]
    dtype = "float32" if kind == "float" else "uint16"
    if nodata is not None:
        pixels = np.where(HOLE, nodata, VALUES)
    size = {"width": 64, "height": 96, "count": 1, "dtype": dtype, "nodata": nodata}
    place = {"crs": "EPSG:32633", "transform": Affine(1, 0, 5, 0, -1, 9)}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **size, **place) as file,
    ):
        file.write(pixels.astype(dtype)[None])
        if kind == "mask":
            file.write_mask(~HOLE)
    return path


@pytest.mark.parametrize("kind", ["value", "float", "mask", "alpha", "NaN"])
def test_holes_have_no_label_and_count_nowhere(
    call: Call, kind: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    for number, large in ((1, False), (2, False), (1, True)):
        if large:
            monkeypatch.setattr(bounds, "LARGEST_TIFF", 1)
        path, out = write(tmp_path / "a.tif", kind, number), tmp_path / "out"
        asked = "segment", path, *WORDS, "-m", tiny, "-o", out, "--overwrite"
        status, said, _ = call(*asked)
        assert status == 0
        if large:
            labels = np.asarray(zarr.open_group(out / "labels.zarr", mode="r")["0"])
            maps = zarr.open_group(out / "probabilities.zarr", mode="r")["0"]
            assert (np.asarray(maps).sum(0) == 0).any()
        else:
            labels = tifffile.imread(out / "labels.tif")
            assert (tifffile.imread(out / "probabilities.tif")[:, HOLE] == 0).all()
        assert (labels[HOLE] == 0).all()
        share = (labels[~HOLE] == 1).mean()
        assert f"cat: {share:.1%}" in said
        recipe = json.loads((out / "recipe.json").read_text())
        shares.append((labels.tolist(), recipe["appearance"]))
    assert shares[0] == shares[1] == shares[2]
    assert np.asarray(shares[0][0]).any()


def test_an_image_without_any_data(call: Call, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((20, 30), 7, np.uint8))
    out = ("-o", tmp_path / "out", "-m", tiny, "--overwrite")
    status, _, said = call("segment", path, *WORDS, *out, "--nodata", 7)
    assert status == 2
    assert "holds no data" in said
    assert call("segment", path, *WORDS, *out, "--nodata", "none")[0] == 0
