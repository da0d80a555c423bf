"""Files that others wrote: pixels and their place, however much of a file is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import tifffile
import yaozarrs
from PIL import Image
from rasterio.enums import Resampling
from rasterio.transform import Affine
from yaozarrs import v05
from yaozarrs.write.v05 import write_image

from napari_gem.core import bounds
from napari_gem.images.files import open_scene
from napari_gem.images.readers import tiff as tiff_reader
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (96, 64, 3)).astype(np.uint8)
HALF = PIXELS.reshape(48, 2, 32, 2, 3).mean((1, 3)).astype(np.uint8)
WORDS = ("-p", "cat, kitten", "-p", "dog")


@dataclass(frozen=True)
class Case:
    """A file, and where its upper left and lower right corners are, as (y, x)."""

    write: Callable[[Path], Path]
    corners: tuple[tuple[float, float], tuple[float, float]]
    unit: str
    crs: str = ""
    levels: int = 2


def geotiff(
    transform: Affine, crs: str, *, point: bool = False
) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "geo.tif"
        options: dict[str, Any] = {"tiled": True, "blockxsize": 16, "blockysize": 16}
        with rasterio.open(
            path, "w", driver="GTiff", width=64, height=96, count=3, dtype="uint8",
            crs=crs, transform=transform, photometric="RGB", **options,
        ) as file:  # fmt: skip
            file.write(np.moveaxis(PIXELS, -1, 0))
            if point:
                file.update_tags(AREA_OR_POINT="Point")
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], Resampling.average)
        return path

    return write


def ome_zarr(
    *own: tuple[list[float], list[float]],
    unit: tuple[str, str] = ("micrometer", "micrometer"),
    shared: list[float] | None = None,
) -> Callable[[Path], Path]:
    """Write levels with their scale and translation, and a scale of all of them."""

    def write(folder: Path) -> Path:
        axes = [
            v05.ChannelAxis(name="c"),
            *(v05.SpaceAxis(name=n, unit=u) for n, u in zip("yx", unit, strict=True)),
        ]
        datasets = [
            v05.Dataset(
                path=str(level),
                coordinateTransformations=[
                    v05.ScaleTransformation(scale=[1, *scale]),
                    v05.TranslationTransformation(translation=[0, *shift]),
                ],
            )
            for level, (scale, shift) in enumerate(own)
        ]
        more = {}
        if shared:
            scale = v05.ScaleTransformation(scale=[1, *shared])
            more = {"coordinateTransformations": [scale]}
        image = v05.Image(
            multiscales=[
                v05.Multiscale(name="image", axes=axes, datasets=datasets, **more)
            ]
        )
        levels = [np.moveaxis(level, -1, 0) for level in (PIXELS, HALF)]
        return write_image(folder / "image.zarr", image, levels[: len(own)])

    return write


def ome_tiff(**sizes: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "a.ome.tif"
        with tifffile.TiffWriter(path, ome=True) as file:
            options: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16)}
            file.write(PIXELS, subifds=1, metadata={"axes": "YXS", **sizes}, **options)
            file.write(HALF, subfiletype=1, **options)
        return path

    return write


def aperio(folder: Path) -> Path:
    """Write levels as Aperio's scanners do."""
    path = folder / "slide.svs"
    description = (
        "Aperio Image Library v10.0\r\n64x96 (16x16) |AppMag = 20|MPP = 0.4990"
    )
    with tifffile.TiffWriter(path) as file:
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
        file.write(PIXELS, tile=(16, 16), description=description, **options)
        file.write(HALF[::2, ::2], **options)  # a thumbnail
        file.write(HALF, tile=(16, 16), description=description, **options)
    return path


def picture(folder: Path) -> Path:
    Image.fromarray(PIXELS).save(folder / "a.png")
    return folder / "a.png"


UTM = Affine(5, 0, 485900, 0, -5, 5209245)
TURNED = Affine(4, 3, 485900, 3, -4, 5209245)
CASES = {
    "GeoTIFF": Case(
        geotiff(UTM, "EPSG:26914"),
        ((5209245, 485900), (5209245 - 96 * 5, 485900 + 64 * 5)),
        "m",
        "EPSG:26914",
    ),
    "GeoTIFF of points": Case(
        geotiff(UTM, "EPSG:26914", point=True),
        ((5209245, 485900), (5209245 - 96 * 5, 485900 + 64 * 5)),
        "m",
        "EPSG:26914",
    ),
    "turned GeoTIFF": Case(
        geotiff(TURNED, "EPSG:32633"),
        ((5209245, 485900), (5209245 + 64 * 3 - 96 * 4, 485900 + 64 * 4 + 96 * 3)),
        "m",
        "EPSG:32633",
    ),
    "GeoTIFF of degrees": Case(
        geotiff(Affine(0.001, 0, 10, 0, -0.001, 50), "EPSG:4326"),
        ((50, 10), (50 - 0.096, 10.064)),
        "degree",
        "EPSG:4326",
    ),
    "GeoTIFF of feet": Case(
        geotiff(Affine(2, 0, 0, 0, -2, 0), "EPSG:2263"),
        ((0, 0), (-192, 128)),
        "us-ft",
        "EPSG:2263",
    ),
    "OME-Zarr": Case(
        ome_zarr(([0.5, 0.25], [10, 20]), ([1.0, 0.5], [10.25, 20.125])),
        ((9.75, 19.875), (57.75, 35.875)),
        "µm",
    ),
    "OME-Zarr with a scale of all": Case(
        ome_zarr(([1, 1], [0, 0]), ([2, 2], [0.5, 0.5]), shared=[0.5, 0.25]),
        ((-0.25, -0.125), (47.75, 15.875)),
        "µm",
    ),
    "OME-Zarr of two units": Case(
        ome_zarr(
            ([0.5, 250], [0, 0]),
            ([1.0, 500], [0.25, 125]),
            unit=("micrometer", "nanometer"),
        ),
        ((-0.25, -0.125), (47.75, 15.875)),
        "µm",
    ),
    "OME-Zarr of inches": Case(
        ome_zarr(([0.5, 0.25], [0, 0]), unit=("inch", "inch")),
        ((-0.25, -0.125), (47.75, 15.875)),
        "in",
        levels=1,
    ),
    "OME-TIFF": Case(
        ome_tiff(PhysicalSizeY=0.5, PhysicalSizeX=250, PhysicalSizeXUnit="nm"),
        ((-0.25, -0.125), (47.75, 15.875)),
        "µm",
    ),
    "slide": Case(aperio, ((-0.2495, -0.2495), (95.5 * 0.499, 63.5 * 0.499)), "µm"),
    "picture": Case(picture, ((-0.5, -0.5), (95.5, 63.5)), "", levels=1),
}


@pytest.fixture(params=CASES, name="case")
def _case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.mark.parametrize("large", [False, True])
def test_all_levels_lie_in_the_same_place(
    case: Case, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
    scene = open_scene(case.write(tmp_path))
    assert len(scene.levels) == case.levels
    assert scene.unit == case.unit
    assert (np.asarray(scene.levels[0][:, :]) == PIXELS).all()
    assert (np.asarray(scene.levels[0][10:20, 7:9]) == PIXELS[10:20, 7:9]).all()
    if not case.unit:
        assert scene.location is None
        return
    for level in range(case.levels):
        scaled = scene.at(level)
        assert scaled.location is not None
        assert scaled.location.crs == case.crs
        first, *_, last = scaled.location.corners(scaled.levels[0].shape)
        assert (first, last) == tuple(map(pytest.approx, case.corners))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["small", "in parts", "coarse"])
def test_labels_lie_where_the_image_lies(
    call: Call,
    case: Case,
    source: str,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if source == "coarse" and case.levels == 1:
        pytest.skip("has one level")
    path, out = case.write(tmp_path), tmp_path / "out"
    more = ("--level", 1) if source == "coarse" else ()
    assert call("segment", path, *WORDS, "-m", tiny, "-o", out, *more)[0] == 0
    _check_tiff(out / "labels.tif", case)
    again = tmp_path / "again"
    assert call("replay", out, path, "-m", tiny, "-o", again)[0] == 0
    _check_tiff(again / "labels.tif", case)
    small = tifffile.imread(out / "labels.tif")
    assert (tifffile.imread(again / "labels.tif") == small).all()
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["unit"] == case.unit
    if source == "in parts":
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
        monkeypatch.setattr(bounds, "LARGEST_TIFF", 1)
        asked = "segment", path, *WORDS, "-m", tiny, "-o", out, *more, "--overwrite"
        assert call(*asked)[0] == 0
        asked = "replay", out, path, "-m", tiny, "-o", again, "--overwrite"
        assert call(*asked)[0] == 0
        for folder in (out, again):
            _check_zarr(folder, case)
            labels = open_scene(folder / "labels.zarr").levels[0]
            assert (np.asarray(labels[:]) == small).all()
            written_recipe = json.loads((folder / "recipe.json").read_text())
            assert written_recipe["pixel_size"] == recipe["pixel_size"]
            assert written_recipe["unit"] == case.unit


@pytest.mark.slow
def test_a_batch_puts_all_of_them_where_they_lie(
    call: Call, tiny: Path, tmp_path: Path
) -> None:
    paths = {}
    for name, case in CASES.items():
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        paths[name] = case.write(folder)
    first, *_ = paths.values()
    one, out = tmp_path / "one", tmp_path / "out"
    assert call("segment", first, *WORDS, "-m", tiny, "-o", one)[0] == 0
    images = tmp_path / "images.txt"
    images.write_text("\n".join(map(str, paths.values())), encoding="utf-8")
    status, said, error = call("run", one, f"@{images}", "-m", tiny, "-o", out)
    assert status == 0, said + error
    names = json.loads((out / "batch.json").read_text(encoding="utf-8"))["images"]
    folders = {path: out / name for name, path in names.items()}
    for name, path in paths.items():
        folder = folders[str(path.resolve())]
        _check_tiff(folder / "labels.tif", CASES[name])
        again = tmp_path / "again" / name
        assert call("replay", one, path, "-m", tiny, "-o", again)[0] == 0
        expected = tifffile.imread(again / "labels.tif")
        assert (tifffile.imread(folder / "labels.tif") == expected).all()


@pytest.mark.slow
def test_bands_levels_and_planes_are_replayed(
    call: Call, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = CASES["GeoTIFF"].write(tmp_path)
    stack = tmp_path / "stack.tif"
    planes = np.moveaxis(PIXELS, -1, 0)
    metadata = {"axes": "ZYX"}
    tifffile.imwrite(stack, planes, photometric="minisblack", metadata=metadata)
    for image, more in (
        (path, ("--bands", "3,1")),
        (path, ("--bands", "blue,green,red", "--nodata", 7, "--level", 1)),
        (stack, ("--index", 2)),
    ):
        out, again = tmp_path / "out", tmp_path / "again"
        words = (*WORDS, "-m", tiny, *more)
        words += ("--overwrite",)
        assert call("segment", image, *words, "-o", out)[0] == 0
        asked = "replay", out, image, "-m", tiny, "-o", again, "--overwrite"
        assert call(*asked)[0] == 0
        labels = tifffile.imread(out / "labels.tif")
        assert labels.any()
        assert (tifffile.imread(again / "labels.tif") == labels).all()
        with monkeypatch.context() as patch:
            patch.setattr(bounds, "LARGEST_TIFF", 1)
            assert call("segment", image, *words, "-o", out)[0] == 0
            assert call(*asked)[0] == 0
        for folder in (out, again):
            opened_labels = open_scene(folder / "labels.zarr").levels[0]
            assert (np.asarray(opened_labels[:, :]) == labels).all()


def _check_tiff(path: Path, case: Case) -> None:
    (top, left), (bottom, right) = case.corners
    if case.crs:
        with rasterio.open(path) as labels:
            assert labels.crs.to_string() == case.crs
            x, y = labels.transform @ (0, 0)
            assert (y, x) == pytest.approx((top, left))
            x, y = labels.transform @ (labels.width, labels.height)
            assert (y, x) == pytest.approx((bottom, right))
        return
    scene = open_scene(path)
    assert scene.unit == case.unit
    if scene.pixel_size:
        height = scene.pixel_size[0] * scene.levels[0].shape[0]
        assert height == pytest.approx(bottom - top)


def _check_zarr(out: Path, case: Case) -> None:
    for name in ("labels.zarr", "probabilities.zarr"):
        yaozarrs.validate_zarr_store(str(out / name))
    scene = open_scene(out / "labels.zarr")
    assert scene.location is not None
    assert scene.location.crs == case.crs
    first, *_, last = scene.location.corners(scene.levels[0].shape)
    assert (first, last) == tuple(map(pytest.approx, case.corners))
