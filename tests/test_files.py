from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem.files import read_image
from napari_gem.types import GemError

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 60_000, (12, 9)).astype(np.uint16)
RGB = RNG.integers(0, 255, (12, 9, 3)).astype(np.uint8)
STACK = RNG.integers(0, 60_000, (5, 12, 9)).astype(np.uint16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.bool_])
def test_tiff_of_any_type(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(dtype))
    found = read_image(tmp_path / "a.tif")
    assert (found.pixels == GREY.astype(dtype)).all()
    assert found.pixel_size is None


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb_tiff_has_its_channels_last(tmp_path: Path, planar: str) -> None:
    data = RGB if planar == "contig" else np.moveaxis(RGB, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar)
    assert (read_image(tmp_path / "a.tif").pixels == RGB).all()


@pytest.mark.parametrize("mode", ["L", "I;16", "1", "P", "RGB", "RGBA", "LA"])
def test_png_of_any_mode(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        Image.fromarray(GREY).save(tmp_path / "a.png")
    else:
        Image.fromarray(RGB).convert(mode).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png").pixels
    assert pixels.shape[:2] == (12, 9)
    if mode in ("P", "RGB"):
        assert pixels.shape[2:] == (3,)
    if mode == "I;16":
        assert (pixels == GREY).all()


def test_jpeg_is_turned_as_the_camera_was(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").pixels.shape == (9, 12, 3)


def test_plane_of_a_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, metadata={"axes": "ZYX"})
    assert (read_image(tmp_path / "a.tif", [3]).pixels == STACK[3]).all()
    for index in ([], [5], [0, 0], [-1]):
        with pytest.raises(GemError, match="--index, from 0 to 4"):
            read_image(tmp_path / "a.tif", index)


def test_channel_of_an_interleaved_stack_by_axes(tmp_path: Path) -> None:
    data = RNG.integers(0, 9, (4, 2, 12, 9)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata={"axes": "ZCYX"})
    assert (read_image(tmp_path / "a.ome.tif", [2, 1]).pixels == data[2, 1]).all()


def test_pixel_size_of_ome_imagej_and_plain(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, metadata={"axes": "YX", **sizes})
    tifffile.imwrite(
        tmp_path / "b.tif",
        GREY,
        imagej=True,
        resolution=(4, 2),
        metadata={"unit": "um"},
    )
    tifffile.imwrite(
        tmp_path / "c.tif", GREY, resolution=(100, 100), resolutionunit="CENTIMETER"
    )
    found = [read_image(tmp_path / name) for name in ("a.ome.tif", "b.tif", "c.tif")]
    assert [image.pixel_size for image in found] == [
        (0.5, 0.25),
        (0.5, 0.25),
        (0.1, 0.1),
    ]
    assert [image.unit for image in found] == ["nm", "um", "mm"]


def test_bad_files_get_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.repeat(RGB, 50, 0)).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    tifffile.imwrite(tmp_path / "whole.tif", np.repeat(GREY, 50, 0), compression="zlib")
    data = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 2])
    for name in ("empty.tif", "text.png", "cut.png", "cut.tif"):
        with pytest.raises(GemError, match=f"'{name}' cannot be read"):
            read_image(tmp_path / name)
    with pytest.raises(GemError, match="There is no file"):
        read_image(tmp_path / "none.tif")
    (tmp_path / "a.bmp").touch()
    with pytest.raises(GemError, match="ends in"):
        read_image(tmp_path / "a.bmp")
