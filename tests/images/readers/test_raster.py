"""JPEG 2000, VRT and ENVI, written by GDAL."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.transform import Affine

from napari_gem.core.errors import GemError
from napari_gem.core.location import RPC as RPC_TAG
from napari_gem.core.location import TIEPOINTS
from napari_gem.images.files import open_scene
from napari_gem.images.readers import picture, raster
from napari_gem.images.scene import Scene

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (3, 300, 200)).astype(np.uint8)
PLACE = {"crs": "EPSG:32633", "transform": Affine(2, 0, 500_000, 0, -2, 5e6)}
LOSSLESS = {"QUALITY": "100", "REVERSIBLE": "YES"}


def write(path: Path, driver: str, pixels: Any = PIXELS, **options: Any) -> Path:
    count, height, width = pixels.shape
    size = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver=driver, **size, **options) as made:
        made.write(pixels)
    return path


def as_vrt(path: Path) -> Path:
    rasterio.shutil.copy(path, path.with_suffix(".vrt"), driver="VRT")
    return path.with_suffix(".vrt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rasters")


@pytest.fixture(scope="module")
def scenes(folder: Path) -> dict[str, Scene]:
    """The same picture in all of these kinds, and as GeoTIFF."""
    geotiff = write(folder / "a.tif", "GTiff", tiled=True, **PLACE)
    paths = {
        "tiff": geotiff,
        "vrt": as_vrt(geotiff),
        "jpeg 2000": write(folder / "a.jp2", "JP2OpenJPEG", **LOSSLESS, **PLACE),
        "envi": write(folder / "e.img", "ENVI", **PLACE),
        "without a suffix": write(folder / "e", "ENVI", **PLACE),
    }
    renamed = paths["jpeg 2000"].rename(folder / "a.png")
    return {kind: open_scene(p) for kind, p in {**paths, "jpeg 2000": renamed}.items()}


def test_all_kinds_have_the_same_pixels_at_the_same_place(
    scenes: dict[str, Scene],
) -> None:
    expected = scenes["tiff"]
    for kind, scene in scenes.items():
        assert np.array_equal(scene.pixels, np.moveaxis(PIXELS, 0, -1)), kind
        assert scene.location == expected.location, kind
        assert scene.unit == "m", kind
        assert {c: v for c, _, v in scene.geo_tags}[TIEPOINTS] is not None, kind
        assert not scene.notices, kind


@given(st.slices(300), st.slices(200), st.one_of(st.slices(3), st.integers(0, 2)))
def test_parts_are_those_of_the_whole(rows: slice, columns: slice, bands: Any) -> None:
    part = opened()[bands, rows, columns]
    assert np.array_equal(part, PIXELS[bands, rows, columns])


@cache
def opened() -> raster.RasterLevel:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.jp2", "JP2OpenJPEG", **LOSSLESS, **PLACE)
        return raster.RasterLevel(path, "JP2OpenJPEG")


def test_overviews_are_levels(folder: Path) -> None:
    large = RNG.integers(0, 255, (1, 1500, 1300)).astype(np.uint8)
    scene = open_scene(
        write(folder / "l.jp2", "JP2OpenJPEG", large, **LOSSLESS, **PLACE), [0]
    )
    shapes = [level.shape for level in scene.levels]
    assert shapes[:3] == [(1500, 1300), (750, 650), (375, 325)]
    for level, location in zip(scene.levels, scene.locations, strict=True):
        corners = scene.locations[0].corners(shapes[0])
        assert np.allclose(location.corners(level.shape), corners)


def test_many_bands_and_no_data(folder: Path) -> None:
    cube = RNG.integers(1, 60_000, (5, 40, 30)).astype(np.uint16)
    cube[:, :4] = 0
    path = write(folder / "cube.img", "ENVI", cube, nodata=0, **PLACE)
    scene = open_scene(path, bands="5,1=cyan")
    assert np.array_equal(scene.pixels, np.moveaxis(cube[[4, 0]], 0, -1))
    assert scene.bands[1].color == (0, 1, 1)
    assert not scene.valid[0][:4, :].any()
    assert scene.valid[0][4:, :].all()
    with pytest.raises(GemError, match="--bands"):
        open_scene(path)


def test_a_palette_is_painted(folder: Path) -> None:
    numbers = RNG.integers(0, 2, (1, 20, 30)).astype(np.uint8)
    path = write(folder / "p.tif", "GTiff", numbers, photometric="palette", **PLACE)
    with rasterio.open(path, "r+") as opened:
        opened.write_colormap(1, {0: (10, 20, 30), 1: (200, 100, 50)})
    scene = open_scene(as_vrt(path), [0])
    assert np.array_equal(
        scene.pixels, np.array([(10, 20, 30), (200, 100, 50)], np.uint8)[numbers[0]]
    )


def test_control_points_and_rpcs_are_passed_on(folder: Path) -> None:
    points = [
        GroundControlPoint(r, c, 5 + c / 100, 50 - r / 100)
        for r, c in ((0, 0), (0, 200), (300, 0))
    ]
    path = write(folder / "gcp.tif", "GTiff", gcps=points, crs="EPSG:4326")
    scene = open_scene(as_vrt(path))
    assert scene.location is None
    assert any("control points" in notice for notice in scene.notices)
    expected = {code: value for code, _, value in open_scene(path).geo_tags}
    found = {code: value for code, _, value in scene.geo_tags}
    assert found[TIEPOINTS] == expected[TIEPOINTS]
    ones = [1.0, *[0.0] * 19]
    rpcs = RPC(0, 1, 50, 1, ones, ones, 100, 50, 5, 1, ones, ones, 100, 50)
    scene = open_scene(as_vrt(write(folder / "rpc.tif", "GTiff", rpcs=rpcs)))
    assert RPC_TAG in {code for code, _, _ in scene.geo_tags}


BAND = """<VRTDataset rasterXSize="200" rasterYSize="300">{more}
<VRTRasterBand dataType="Byte" band="1"{kind}><SimpleSource>
<SourceFilename relativeToVRT="{beside}">{name}</SourceFilename>
<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.contact("a VRT that names other files")
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "/etc/passwd", "beside": "0"}, "not in its folder"),
        ({"name": "../outside.tif"}, "not in its folder"),
        ({"name": "/vsicurl/http://127.0.0.1/a.tif", "beside": "0"}, "not in its"),
        ({"name": "/vsizip/a.zip/a.tif", "beside": "0"}, "not in its folder"),
        ({"name": "link.tif"}, "not in its folder"),
        ({"name": "missing.tif"}, "missing"),
        ({"name": "text.tif"}, "no TIFF"),
        ({"name": "other.vrt"}, "no TIFF"),
        ({"name": "nested.png"}, "no TIFF"),
        ({"kind": ' subclass="VRTRawRasterBand"'}, "computes its pixels"),
        ({"kind": "><sourcefilename>a.tif</sourcefilename><UnitType/"}, "computes"),
        ({"more": "<PansharpeningOptions/>"}, "computes its pixels"),
        ({"kind": ' subClass="VRTDerivedRasterBand"'}, "computes its pixels"),
        ({"kind": ' subClass="VRTRawRasterBand"'}, "computes its pixels"),
        ({"more": "<!DOCTYPE a>"}, "no VRT file"),
    ],
)
def test_a_vrt_opens_rasters_beside_it_alone(
    tmp_path: Path, fields: dict[str, str], why: str
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write(tmp_path / "outside.tif", "GTiff", **PLACE)
    write(inner / "a.tif", "GTiff", **PLACE)
    (inner / "link.tif").symlink_to(tmp_path / "outside.tif")
    (inner / "text.tif").write_text("no raster")
    usual = {"name": "a.tif", "beside": "1", "kind": "", "more": ""}
    (inner / "other.vrt").write_text(BAND.format(**usual))
    whole = BAND.format(**usual).encode()
    (inner / "nested.png").write_bytes(picture.MAGIC[0] + whole)
    path = inner / "v.vrt"
    path.write_text(BAND.format(**usual))
    assert np.array_equal(open_scene(path, [0]).pixels, PIXELS[0])
    path.write_text(BAND.format(**{**usual, **fields}))
    with pytest.raises(GemError, match=why):
        open_scene(path, [0])


def test_damaged_files_and_a_missing_library_are_sentences(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write(folder / "whole.jp2", "JP2OpenJPEG", **PLACE)
    data = whole.read_bytes()
    (folder / "cut.jp2").write_bytes(data[: len(data) // 4])
    with pytest.raises(GemError, match=r"'cut\.jp2' cannot be read"):
        open_scene(folder / "cut.jp2").in_memory()
    (folder / "broken.vrt").write_text("<VRTDataset rasterXSize=")
    with pytest.raises(GemError, match=r"'broken\.vrt' cannot be read"):
        open_scene(folder / "broken.vrt")
    envi = write(folder / "cut.img", "ENVI", **PLACE)
    envi.write_bytes(envi.read_bytes()[:-1])
    with pytest.raises(GemError, match="cut short"):
        open_scene(envi)
    monkeypatch.setattr(raster, "find_spec", lambda _name: None)
    with pytest.raises(GemError, match=r"needs rasterio.*napari-gem\[geo\]"):
        open_scene(whole)


def test_a_band_that_is_called_alpha_stays_an_opacity_only_if_it_is_one(
    folder: Path,
) -> None:
    four = RNG.integers(0, 255, (4, 60, 50)).astype(np.uint8)
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = write(
        folder / "four.tif", "GTiff", four, photometric="rgb", alpha="yes", **PLACE
    )
    with rasterio.open(path, "r+") as opened:
        opened.colorinterp = colors
    scene = open_scene(as_vrt(path))
    assert scene.levels[0].shape == (60, 50, 3)
    assert any("taken for a band" in notice for notice in scene.notices)
