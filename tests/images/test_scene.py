from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.core.region import Region
from napari_gem.images.files import open_scene
from napari_gem.images.readers import tiff as tiff_reader
from napari_gem.images.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 255, (60, 44, 3)).astype(np.uint8)
GREY = RNG.integers(0, 9999, (60, 44)).astype(np.uint16)


def same(actual: Any, expected: np.ndarray) -> bool:
    """Whether all and parts of an image are as expected."""
    keys = [np.s_[:], np.s_[3:9, 7:20], np.s_[::3, ::5], np.s_[2:40]]
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    assert actual.ndim == expected.ndim
    return all((np.asarray(actual[key]) == expected[key]).all() for key in keys)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["rgb", "grey"])
def test_a_zarr_array(tmp_path: Path, version: int, pixels: np.ndarray) -> None:
    path = tmp_path / "a.zarr"
    zarr.save_array(str(path), pixels, zarr_format=version)
    scene = open_scene(path)
    assert same(scene.levels[0], pixels)
    assert scene.pixel_size is None


def test_an_npy_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RGB)
    assert same(open_scene(tmp_path / "a.npy").levels[0], RGB)
    stack = np.stack([GREY, GREY + 1])
    np.save(tmp_path / "s.npy", stack)
    assert same(open_scene(tmp_path / "s.npy", (1,)).levels[0], GREY + 1)
    with pytest.raises(GemError, match=r"planes of shape \(2,\).*--index, from 0 to 1"):
        open_scene(tmp_path / "s.npy")


def write_ngff(path: Path, data: np.ndarray, axes: str, version: str) -> None:
    """Write two levels as OME-NGFF."""
    group = zarr.create_group(str(path), zarr_format=2 if version == "0.4" else 3)
    sets = []
    for level in (0, 1):
        step = tuple(slice(None, None, 2**level if a in "yx" else 1) for a in axes)
        name = f"s{level}"
        array = group.create_array(name, shape=data[step].shape, dtype=data.dtype)
        array[:] = data[step]
        scale = [0.5 * 2**level if a in "yx" else 1.0 for a in axes]
        transforms = [{"type": "scale", "scale": scale}]
        sets.append({"path": name, "coordinateTransformations": transforms})
    named = [
        {"name": a, "type": "space", "unit": "micrometer"}
        if a in "zyx"
        else {"name": a, "type": "channel" if a == "c" else "time"}
        for a in axes
    ]
    scales = [{"axes": named, "datasets": sets, "version": version}]
    metadata = {"multiscales": scales}
    group.attrs.update(metadata if version == "0.4" else {"ome": metadata})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_ngff_with_levels(tmp_path: Path, version: str) -> None:
    data = np.moveaxis(RGB, -1, 0)[None, :, None]
    write_ngff(tmp_path / "rgb.zarr", data, "tczyx", version)
    scene = open_scene(tmp_path / "rgb.zarr", (0, 0))
    assert same(scene.levels[0], RGB)
    assert same(scene.levels[1], RGB[::2, ::2])
    assert same(open_scene(tmp_path / "rgb.zarr").levels[0], RGB)
    assert (scene.pixel_size, scene.unit) == ((0.5, 0.5), "µm")
    stack = np.stack([GREY, GREY // 2, GREY // 3])
    write_ngff(tmp_path / "grey.zarr", stack, "cyx", version)
    assert same(open_scene(tmp_path / "grey.zarr", (2,)).levels[0], GREY // 3)
    with pytest.raises(GemError, match="along c"):
        open_scene(tmp_path / "grey.zarr")


def test_a_zarr_group_without_metadata(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "g.zarr"))
    with pytest.raises(GemError, match="group without arrays"):
        open_scene(tmp_path / "g.zarr")
    for name, step in (("a", 2), ("b", 1)):
        group[name] = GREY[::step, ::step]
    assert [level.shape for level in open_scene(tmp_path / "g.zarr").levels] == [
        (60, 44),
        (30, 22),
    ]


@pytest.mark.parametrize("kind", ["rgb", "grey", "stack", "extra"])
def test_a_large_tiff_with_levels(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ome.tif"
    stack = np.stack([GREY, GREY + 1])
    data = {"rgb": RGB, "grey": GREY, "stack": stack, "extra": RGB}[kind]
    if kind == "extra":
        data = np.dstack([RGB, RGB[..., :1]])
    color = kind in ("rgb", "extra")
    options: dict[str, Any] = {
        "tile": (16, 16),
        "photometric": "rgb" if color else "minisblack",
    }
    if kind == "extra":
        options["extrasamples"] = ["unspecified"]
    axes = "YXS" if color else "ZYX" if kind == "stack" else "YX"
    metadata = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(data, subifds=1, metadata=metadata, **options)
        half = data[..., ::2, ::2, :] if color else data[..., ::2, ::2]
        tiff.write(half, subfiletype=1, **options)
    plane = RGB if color else GREY + 1 if kind == "stack" else GREY
    for large in (tiff_reader.LARGE, 100):
        monkeypatch.setattr(tiff_reader, "LARGE", large)
        scene = open_scene(path, (1,) if kind == "stack" else ())
        assert same(scene.levels[0], plane)
        assert same(scene.levels[1], plane[::2, ::2])
        assert (scene.pixel_size, scene.unit) == ((0.5, 0.25), "µm")
        assert scene.at(1).pixel_size == (1.0, 0.5)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "a.npy").write_bytes(b"nothing")
    (tmp_path / "a.txt").write_text("text")
    why = "holds no zarr image|cannot be read"
    for name in ("empty.zarr", "a.npy"):
        with pytest.raises(GemError, match=why):
            open_scene(tmp_path / name)
    with pytest.raises(GemError, match="npy file and no zarr"):
        open_scene(tmp_path / "a.txt")
    with pytest.raises(GemError, match="There is no file"):
        open_scene(tmp_path / "missing.png")


def test_the_level_is_chosen_by_the_detail() -> None:
    shapes = [(4000, 3000), (2000, 1500), (1000, 750), (250, 188)]
    source = Scene(tuple(np.zeros(shape, np.uint8) for shape in shapes))
    wanted = [None, 0.5, 1, 1.9, 2.1, 4.1, 15, 17]
    assert [source.choose(one) for one in wanted] == [0, 0, 0, 0, 1, 2, 2, 3]
    region = source.scale_region(Region((3, 4000), (100, 103)), 1)
    assert (region.rows, region.columns) == ((1, 2000), (50, 52))


@pytest.mark.parametrize("kind", ["CMYK", "P", "white", "planar", "LA", "YCbCr"])
def test_colors_are_the_same_in_parts_and_as_pillow_shows_them(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    expected = RGB
    if kind == "white":
        tifffile.imwrite(path, GREY, photometric="miniswhite", metadata=None)
        expected = 65535 - GREY
    elif kind == "planar":
        planes = np.moveaxis(RGB, -1, 0)
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    elif kind == "YCbCr":
        smooth = np.full((64, 48, 3), (200, 100, 50), np.uint8)
        tifffile.imwrite(path, smooth, photometric="ycbcr", compression="jpeg")
        expected = np.asarray(Image.open(path).convert("RGB"))
    else:
        picture = Image.fromarray(RGB).convert(kind)
        picture.save(path)
        expected = np.asarray(picture.convert("RGB"))
    scenes = []
    for large in (tiff_reader.LARGE, 1):
        monkeypatch.setattr(tiff_reader, "LARGE", large)
        scenes.append(open_scene(path, (0,) if kind == "LA" else ()).levels[0])
    assert same(scenes[0], np.asarray(scenes[1][:, :]))
    if kind == "LA":
        assert same(scenes[0], np.asarray(Image.fromarray(RGB).convert("L")))
    else:
        assert np.abs(np.asarray(scenes[0][:, :]).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("inside", ["", "image.zarr/"])
def test_a_zarr_folder_in_a_zip_file(tmp_path: Path, inside: str) -> None:
    write_ngff(tmp_path / "a", np.moveaxis(RGB, -1, 0), "cyx", "0.5")
    path = tmp_path / "a.zarr.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted((tmp_path / "a").rglob("*")):
            packed.write(file, inside + str(file.relative_to(tmp_path / "a")))
    scene = open_scene(path)
    assert same(scene.levels[0], RGB)
    assert same(scene.levels[1], RGB[::2, ::2])
    assert scene.pixel_size == (0.5, 0.5)


def test_zip_files_of_something_else_and_bombs(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.txt", "text")
    with pytest.raises(GemError, match="holds no zarr image"):
        open_scene(path)
    zarr.save_array(str(tmp_path / "a.zarr"), GREY)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(tmp_path / "a.zarr" / "zarr.json", "zarr.json")
        packed.writestr("c/0/0", b"\0" * (1 << 28))
    scene = open_scene(path)
    with pytest.raises(GemError, match="larger than the image says"):
        scene.levels[0][:, :]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(GemError, match="cannot be read"):
        open_scene(path)
