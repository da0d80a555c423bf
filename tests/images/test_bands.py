from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from rasterio.transform import Affine
from yaozarrs import v05
from yaozarrs.write.v05 import write_image

from napari_gem.core.errors import GemError
from napari_gem.images.files import open_scene
from napari_gem.images.readers import tiff as tiff_reader
from napari_gem.images.rendering import stretch

RNG = np.random.default_rng(0)
CUBE = RNG.integers(0, 60_000, (40, 32, 12)).astype(np.uint16)
NAMES = ["coastal", "Blue", "Green", "Red", "", "", "", "NIR", "", "", "", ""]
SCENE = (
    Path(__file__).parents[3] / "shared/data/real/geo/m_4709963_se_14_1_20140720.tif"
)


def geotiff(path: Path, pixels: np.ndarray, names: list[str], **options: Any) -> Path:
    size = {"width": pixels.shape[1], "height": pixels.shape[0]}
    size |= {"count": pixels.shape[2], "dtype": pixels.dtype}
    place = {"crs": "EPSG:32633", "transform": Affine(1, 0, 5, 0, -1, 9)}
    with rasterio.open(path, "w", driver="GTiff", **size, **place, **options) as file:
        file.write(np.moveaxis(pixels, -1, 0))
        for number, name in enumerate(names, 1):
            if name:
                file.set_band_description(number, name)
    return path


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_bands_by_number_name_and_preset(
    tmp_path: Path, interleave: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
    path = geotiff(tmp_path / "a.tif", CUBE, NAMES, interleave=interleave)
    for text, bands in (
        ("4,3,2", [3, 2, 1]),
        ("red, GREEN,blue", [3, 2, 1]),
        ("true-color", [3, 2, 1]),
        ("colour-infrared", [7, 3, 2]),
        ("nir,12", [7, 11]),
    ):
        scene = open_scene(path, bands=text)
        level = scene.levels[0]
        assert (np.asarray(level[:, :]) == CUBE[..., bands]).all()
        assert (np.asarray(level[3:9, 5:20]) == CUBE[3:9, 5:20][..., bands]).all()
        assert [band.name for band in scene.bands] == [NAMES[at] for at in bands]
        seen = stretch(level, channels=())
        expected = [stretch(CUBE[..., at]).limits for at in bands]
        assert [one.limits for one in seen.channels] == expected
    assert (open_scene(path, bands="8").pixels == CUBE[..., 7]).all()
    assert (open_scene(path, [4]).pixels == CUBE[..., 4]).all()
    for text in ("13", "0", "swir", "1,1", ",", "4,3,x"):
        with pytest.raises(GemError, match=r"bands are|give each once"):
            open_scene(path, bands=text)
    with pytest.raises(GemError, match=r"bands 1 coastal, 2 Blue, .*with --bands"):
        open_scene(path)


def test_an_alpha_of_many_values_is_a_band(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 255, (40, 32, 4)).astype(np.uint8)
    path = geotiff(tmp_path / "a.tif", pixels, [], photometric="RGB", alpha="YES")
    scene = open_scene(path)
    assert (scene.pixels == pixels[..., :3]).all()
    assert "it is taken for a band" in scene.notices[0]
    assert not scene.valid
    infrared = open_scene(path, bands="color-infrared")
    assert (infrared.pixels == pixels[..., [3, 0, 1]]).all()
    assert "taken for near infrared" in infrared.notices[0]
    pixels[..., 3] = np.where(pixels[..., 3] > 50, 255, pixels[..., 3])
    path = geotiff(tmp_path / "b.tif", pixels, [], photometric="RGB", alpha="YES")
    scene = open_scene(path)
    assert (scene.pixels == pixels).all()
    assert scene.notices == ()
    scene = open_scene(path, bands="3,2,1")
    opaque = pixels[..., 3] > 0
    assert (np.asarray(scene.valid[0][:, :]) == opaque).all()


def stained(path: Path, names: list[str], colors: list[str]) -> np.ndarray:
    """Write three channels of eight bits as OME-Zarr."""
    pixels = RNG.integers(0, 255, (3, 24, 20)).astype(np.uint8)
    axes = [v05.ChannelAxis(name="c"), v05.SpaceAxis(name="y"), v05.SpaceAxis(name="x")]
    scale = v05.ScaleTransformation(scale=[1, 1, 1])
    level = v05.Dataset(path="0", coordinateTransformations=[scale])
    window = {"start": 0, "end": 255, "min": 0, "max": 255}
    channels = [
        v05.OmeroChannel(label=name or None, color=color, window=window, active=True)
        for name, color in zip(names, colors, strict=True)
    ]
    image = v05.Image(
        multiscales=[v05.Multiscale(name="a", axes=axes, datasets=[level])],
        omero=v05.Omero(channels=channels),
    )
    write_image(path, image, pixels)
    return np.moveaxis(pixels, 0, -1)


def test_fluorescence_of_eight_bits_is_no_picture(tmp_path: Path) -> None:
    colors = ["0000FF", "00FF00", "FF00FF"]
    pixels = stained(tmp_path / "a.zarr", ["DAPI", "GFP", "Cy5"], colors)
    with pytest.raises(GemError, match="the bands 1 DAPI, 2 GFP, 3 Cy5 with --bands"):
        open_scene(tmp_path / "a.zarr")
    scene = open_scene(tmp_path / "a.zarr", bands="gfp,DAPI")
    assert (scene.pixels == pixels[..., [1, 0]]).all()
    assert [band.color for band in scene.bands] == [(0, 1, 0), (0, 0, 1)]
    assert (open_scene(tmp_path / "a.zarr", [2]).pixels == pixels[..., 2]).all()
    # stains in the colours of a picture
    stained(tmp_path / "b.zarr", ["DAPI", "GFP", "Cy5"], ["FF0000", "00FF00", "0000FF"])
    with pytest.raises(GemError, match="--bands"):
        open_scene(tmp_path / "b.zarr")
    names = ["Channel 0", "Channel 1", "Channel 2"]
    pixels = stained(tmp_path / "c.zarr", names, ["FF0000", "00FF00", "0000FF"])
    scene = open_scene(tmp_path / "c.zarr")
    assert (scene.pixels == pixels).all()
    assert scene.notices == ()


def test_channels_of_ome_tiff_and_of_plain_arrays(tmp_path: Path) -> None:
    stack = np.moveaxis(CUBE[..., :3], -1, 0)
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "Cy5"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=metadata)
    scene = open_scene(tmp_path / "a.ome.tif", bands="Cy5,DAPI")
    assert (scene.pixels == CUBE[..., [2, 0]]).all()
    zarr.save_array(str(tmp_path / "a.zarr"), np.moveaxis(CUBE, -1, 0))
    scene = open_scene(tmp_path / "a.zarr", bands="4,3,2")
    assert (scene.pixels == CUBE[..., [3, 2, 1]]).all()
    np.save(tmp_path / "grey.npy", CUBE[..., 0])
    with pytest.raises(GemError, match="no bands to choose"):
        open_scene(tmp_path / "grey.npy", bands="1")


@pytest.mark.skipif(
    not SCENE.is_file(), reason="the real scene is not on this computer"
)
def test_lakes_of_a_real_aerial_scene_are_not_black() -> None:
    scene = open_scene(SCENE)
    assert "taken for a band" in scene.notices[0]
    stored = tifffile.imread(SCENE).astype(float)
    green, infrared = stored[..., 1], stored[..., 3]
    water = (green - infrared) / (green + infrared + 1) > 0.3
    assert water.mean() > 0.01
    assert scene.pixels.shape == (723, 934, 3)
    assert scene.pixels[water].mean() > 30
    assert np.asarray(scene.valid[0][:, :])[water].all()


def test_bands_have_the_colours_that_are_named(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif", CUBE, NAMES)
    scene = open_scene(path, bands="red=magenta, 3 = #ff8000,NIR")
    assert [band.color for band in scene.bands] == [
        (1, 0, 1),
        (1, 128 / 255, 0),
        None,
    ]
    assert [band.name for band in scene.bands] == ["Red", "Green", "NIR"]
    with pytest.raises(GemError, match="no colour 'pink'; give one of red, green"):
        open_scene(path, bands="1=pink,2=")
