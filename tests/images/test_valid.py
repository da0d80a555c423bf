from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import Resampling
from rasterio.transform import Affine

from napari_gem.core import bounds
from napari_gem.core.errors import GemError
from napari_gem.images.files import open_scene
from napari_gem.images.readers import tiff as tiff_reader
from napari_gem.images.rendering import render, stretch
from napari_gem.images.valid import Filled, Valid

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
HOLE = np.zeros((48, 32), bool)
HOLE[5:20, 8:25] = True
PLACE = {"crs": "EPSG:32633", "transform": Affine(1, 0, 5, 0, -1, 9)}


def write(path: Path, pixels: np.ndarray, **options: object) -> Path:
    """Write (rows, columns, bands) as GDAL does."""
    height, width, count = pixels.shape
    size = {"width": width, "height": height, "count": count, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver="GTiff", **size, **PLACE, **options) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return path


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 0), ("uint16", 65535), ("float32", -9999), ("int16", -32768)],
)
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_a_value_for_no_data(
    tmp_path: Path,
    dtype: str,
    nodata: float,
    bands: int,
    large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if large:
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
    pixels = RNG.integers(1, 250, (*HOLE.shape, bands)).astype(dtype)
    pixels[HOLE] = nodata
    rgb = {"photometric": "RGB"} if bands > 1 else {}
    scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=nodata, **rgb))
    assert (np.asarray(scene.valid[0][:, :]) == ~HOLE).all()
    assert (np.asarray(scene.valid[0][3:9, 7:30]) == ~HOLE[3:9, 7:30]).all()
    seen = scene.pixels
    color = 3 if bands > 1 else 1
    shown = seen[..., None] if bands == 1 else seen
    assert (shown[~HOLE][:, :color] == pixels[~HOLE][:, :color]).all()
    appearance = stretch(seen, valid=np.asarray(scene.valid[0][:, :]))
    assert appearance.limits[1] <= 255
    assert (render(seen, appearance)[HOLE] == 0).all()


def test_black_water_that_another_band_sees_is_data(tmp_path: Path) -> None:
    pixels = np.zeros((*HOLE.shape, 4), np.uint8)
    pixels[~HOLE, 3] = 5
    path = write(tmp_path / "a.tif", pixels, nodata=0, photometric="RGB", alpha="NO")
    assert (np.asarray(open_scene(path).valid[0][:, :]) == ~HOLE).all()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_mask_pages_of_all_levels(
    tmp_path: Path, interleave: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
    pixels = RNG.integers(0, 250, (*HOLE.shape, 3)).astype(np.uint8)
    path = tmp_path / "a.tif"
    size = {"width": 32, "height": 48, "count": 3, "dtype": "uint8"}
    more = {"photometric": "RGB", "interleave": interleave, "tiled": True}
    more |= {"blockxsize": 16, "blockysize": 16}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", driver="GTiff", **size, **PLACE, **more) as file:
            file.write(np.moveaxis(pixels, -1, 0))
            file.write_mask(~HOLE)
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], Resampling.nearest)
    scene = open_scene(path)
    assert [level.shape for level in scene.levels] == [(48, 32, 3), (24, 16, 3)]
    assert (np.asarray(scene.valid[0][:, :]) == ~HOLE).all()
    assert scene.valid[1].shape == (24, 16)
    assert (np.asarray(scene.pixels)[HOLE] == 0).all()
    assert (np.asarray(scene.pixels)[~HOLE] == pixels[~HOLE]).all()
    assert open_scene(path, nodata="none").valid == ()


def test_transparent_pixels_and_nan_hold_no_data(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 255, (*HOLE.shape, 4)).astype(np.uint8)
    pixels[..., 3] = np.where(HOLE, 0, 200)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    floats = RNG.random(HOLE.shape, np.float32)
    floats[HOLE] = np.nan
    zarr.save_array(str(tmp_path / "a.zarr"), floats)
    for name in ("a.png", "a.zarr"):
        scene = open_scene(tmp_path / name)
        assert (np.asarray(scene.valid[0][:, :]) == ~HOLE).all()
    assert open_scene(tmp_path / "a.png").levels[0].shape[2] == 4


def test_another_value_than_that_of_the_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = RNG.integers(1, 9, (*HOLE.shape, 1)).astype(np.uint8)
    pixels[HOLE] = 200
    path = write(tmp_path / "a.tif", pixels)
    assert open_scene(path).valid == ()
    for text in ("200", "200.0"):
        scene = open_scene(path, nodata=text)
        assert (np.asarray(scene.valid[0][:, :]) == ~HOLE).all()
    assert open_scene(path, nodata="0.5").valid == ()
    with pytest.raises(GemError, match="give a number, or none"):
        open_scene(path, nodata="black")
    # as some programs write it
    with rasterio.open(path, "r+") as file:
        file.nodata = 200
    content = path.read_bytes()
    assert content.count(b"200\0") == 1
    path.write_bytes(content.replace(b"200\0", b"2e2\0"))
    assert (np.asarray(open_scene(path).valid[0][:, :]) == ~HOLE).all()
    assert capfd.readouterr().err == ""


@given(
    hole=st.lists(st.booleans(), min_size=48, max_size=48),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
    seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    bands=st.sampled_from([0, 3]),
)
@settings(max_examples=60, deadline=None)
def test_what_lies_in_a_hole_is_never_seen(
    hole: list[bool], dtype: str, seeds: tuple[int, int], bands: int
) -> None:
    mask = ~np.array(hole).reshape(6, 8)
    shape = (6, 8, bands) if bands else (6, 8)
    values = np.random.default_rng(0).integers(1, 99, shape).astype(dtype)
    seen = []
    for seed in seeds:
        pixels = values.copy()
        other = np.random.default_rng(seed).integers(0, 30_000, shape)
        pixels[~mask] = other.astype(dtype)[~mask]
        filled = Filled(pixels, Valid(pixels, mask=mask), None)
        appearance = stretch(filled, valid=mask)
        seen.append(render(filled[:, :], appearance))
    assert (seen[0] == seen[1]).all()
    assert (seen[0][~mask] == 0).all()


def test_a_large_image_notes_where_it_holds_data_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_HELD", 1)
    hole = np.zeros((1100, 90), bool)
    hole[300:700, 20:60] = True
    for dtype, nodata in ("uint8", 0), ("float32", np.nan), ("float32", -9999):
        pixels = RNG.integers(1, 250, (*hole.shape, 1)).astype(dtype)
        pixels[hole] = nodata
        scene = open_scene(write(tmp_path / "a.tif", pixels, nodata=nodata))
        (valid,) = scene.valid
        assert valid.coarse(3).all()  # nobody has asked yet
        for rows in range(0, 1100, 256):
            scene.levels[0][rows : rows + 256, 0:50]
            scene.levels[0][rows : rows + 256, 50:90]
        assert (valid.coarse(3) == ~hole[::3, ::3]).all()
        rows, columns = np.arange(0, 1100, 7) // 3 * 3, np.arange(0, 90, 7) // 3 * 3
        assert (valid.coarse(7) == ~hole[rows[:, None], columns]).all()
