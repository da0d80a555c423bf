"""Pictures that lie on the ground by the files beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import tifffile
from PIL import Image, ImageOps
from rasterio.crs import CRS
from rasterio.transform import Affine

from napari_gem.core.progress import run
from napari_gem.images.files import open_scene
from napari_gem.images.readers import world_file
from napari_gem.segmentation.batch_folder import hash_steps

PIXELS = np.random.default_rng(0).integers(0, 255, (30, 20, 3)).astype(np.uint8)
WORLD = "2.0\n0.0\n0.0\n-2.0\n500001.0\n4999999.0\n"
CORNERS = [(5e6, 500_000), (5e6, 500_040), (5e6 - 60, 500_000), (5e6 - 60, 500_040)]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(PIXELS).save(tmp_path / "map.png")
    return tmp_path / "map.png"


def test_a_picture_without_a_suffix_is_read(picture: Path) -> None:
    assert open_scene(picture.rename(picture.with_suffix(""))).location is None


@pytest.mark.parametrize("ending", [".pgw", ".pngw", ".wld", ".PGW"])
def test_six_numbers_and_a_system(picture: Path, ending: str) -> None:
    picture.with_suffix(ending).write_text(WORLD)
    wkt = CRS.from_epsg(32633).to_wkt(version="WKT1_ESRI")
    picture.with_suffix(".prj").write_text(wkt)
    scene = open_scene(picture)
    assert scene.location is not None
    assert list(scene.location.corners((30, 20))) == CORNERS
    assert (scene.unit, scene.location.crs) == ("m", "EPSG:32633")
    assert scene.geo_tags
    assert not scene.notices


def test_what_gdal_writes_beside_a_picture_is_read(tmp_path: Path) -> None:
    kind = {"width": 20, "height": 30, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": Affine(2, 0, 500_000, 0, -2, 5e6)}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **kind, **place) as a:
        a.write(np.moveaxis(PIXELS, -1, 0))
    target = tmp_path / "map.png"
    rasterio.shutil.copy(tmp_path / "a.tif", target, driver="PNG", worldfile="yes")
    expected, scene = open_scene(tmp_path / "a.tif"), open_scene(target)
    assert scene.location == expected.location
    assert np.array_equal(scene.pixels, PIXELS)


def test_a_world_file_is_for_what_lies_nowhere(
    tmp_path: Path,
) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb")
    path.with_suffix(".tfw").write_text(WORLD)
    location = open_scene(path).location
    assert location is not None
    assert list(location.corners((30, 20))) == CORNERS
    tifffile.imwrite(
        path, PIXELS, photometric="rgb", resolution=(1e4, 1e4), resolutionunit=3
    )
    again = open_scene(path).location
    assert again == location, "dots in print say nothing of the ground"
    geo = tmp_path / "geo.tif"
    kind = {"width": 20, "height": 30, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": Affine(1, 0, 7, 0, -1, 9)}
    with rasterio.open(geo, "w", driver="GTiff", **kind, **place) as made:
        made.write(np.moveaxis(PIXELS, -1, 0))
    geo.with_suffix(".tfw").write_text(WORLD)
    own = open_scene(geo).location
    assert own is not None
    assert own.origin == (8.5, 7.5)


def test_a_system_that_is_missing_or_nonsense_is_said(picture: Path) -> None:
    picture.with_suffix(".pgw").write_text(WORLD)
    for text in ("", "nonsense"):
        picture.with_suffix(".prj").write_text(text)
        scene = open_scene(picture)
        assert scene.location is not None
        assert list(scene.location.corners((30, 20))) == CORNERS
        assert scene.pixel_size is None
        assert any("areas are in pixels" in notice for notice in scene.notices)


def test_without_the_library_the_place_stays(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture.with_suffix(".pgw").write_text(WORLD)
    picture.with_suffix(".prj").write_text(CRS.from_epsg(32633).to_wkt())
    monkeypatch.setattr(world_file, "find_spec", lambda _name: None)
    scene = open_scene(picture)
    assert scene.location is not None
    assert list(scene.location.corners((30, 20))) == CORNERS
    assert any("napari-gem[geo]" in notice for notice in scene.notices)


@pytest.mark.parametrize(
    "text",
    ["", "1 2 3", "a b c d e f", "0 0 0 0 1 1", "nan 0 0 1 0 0", "1e99 0 0 1 0 0"],
)
def test_damaged_numbers_are_left_out(picture: Path, text: str) -> None:
    picture.with_suffix(".pgw").write_text(text)
    assert open_scene(picture).location is None


@pytest.mark.contact("XML beside a picture")
def test_hostile_xml_beside_a_picture_is_left_out(picture: Path) -> None:
    picture.with_suffix(".pgw").write_text(WORLD)
    for text in ("<!DOCTYPE a [<!ENTITY b 'c'>]><a><SRS>&b;</SRS></a>", "<a", "x" * 9):
        picture.with_name("map.png.aux.xml").write_text(text)
        assert open_scene(picture).unit == ""


def test_a_batch_sees_that_a_picture_lies_elsewhere(picture: Path) -> None:
    hashes = {run(hash_steps(picture))}
    for text in (WORLD, WORLD.replace("500001", "700001")):
        picture.with_suffix(".pgw").write_text(text)
        hashes.add(run(hash_steps(picture)))
    picture.with_suffix(".prj").write_text("another system")
    hashes.add(run(hash_steps(picture)))
    assert len(hashes) == 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_world_file_is_about_the_picture_before_it_is_turned(
    tmp_path: Path, orientation: int
) -> None:
    pixels = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "map.png"
    Image.fromarray((pixels // 3).astype(np.uint8)).save(path, exif=exif)
    path.with_suffix(".pgw").write_text(WORLD)
    scene = open_scene(path)
    assert scene.location is not None
    turned = ImageOps.exif_transpose(_with_orientation(pixels, orientation))
    numbers = np.asarray(turned)
    assert scene.levels[0].shape == numbers.shape
    for row, column in ((0, 0), (0, 3), (5, 0), (7, 9)):
        down, right = divmod(int(numbers[row, column]), 20)
        expected = 4999999.0 - 2 * down, 500001.0 + 2 * right
        assert scene.location.at(row, column) == pytest.approx(expected)


def _with_orientation(pixels: np.ndarray, orientation: int) -> Image.Image:
    picture = Image.fromarray(pixels.astype(np.int32))
    picture.getexif()[0x0112] = orientation
    return picture
