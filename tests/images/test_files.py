from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.images.files import read_image

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 60_000, (12, 9)).astype(np.uint16)
RGB = RNG.integers(0, 255, (12, 9, 3)).astype(np.uint8)
STACK = RNG.integers(0, 60_000, (5, 12, 9)).astype(np.uint16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.bool_])
def test_tiff_of_any_type(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(dtype))
    image = read_image(tmp_path / "a.tif")
    assert (image.pixels == GREY.astype(dtype)).all()
    assert image.pixel_size is None


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


@pytest.mark.parametrize("bands", [2, 5])
def test_band_of_an_interleaved_tiff(tmp_path: Path, bands: int) -> None:
    data = RNG.integers(0, 60_000, (12, 9, bands)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig"
    )
    for band in range(bands):
        image = read_image(tmp_path / "a.tif", [band])
        assert (image.pixels == data[..., band]).all()


@pytest.mark.parametrize("width", [3, 4])
def test_narrow_stack_is_not_rgb(tmp_path: Path, width: int) -> None:
    data = STACK[..., :width]
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="minisblack", metadata={"axes": "ZYX"}
    )
    assert (read_image(tmp_path / "a.tif", [3]).pixels == data[3]).all()
    with pytest.raises(GemError, match="from 0 to 4"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("kind", "channels"), [("unspecified", 3), ("assocalpha", 4), ("unassalpha", 4)]
)
def test_fourth_sample_is_alpha_only_if_it_says_so(
    tmp_path: Path, kind: str, channels: int
) -> None:
    opacity = np.where(RGB[..., :1] > 99, 255, RGB[..., :1] % 3).astype(np.uint8)
    data = np.concatenate([RGB, opacity], -1)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extrasamples=[kind])
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.shape == (12, 9, channels)
    assert (pixels == data[..., :channels]).all()


def test_compressed_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "lzw.tif", GREY, compression="lzw")
    assert (read_image(tmp_path / "lzw.tif").pixels == GREY).all()
    smooth = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    tifffile.imwrite(
        tmp_path / "jpeg.tif", smooth, photometric="rgb", compression="jpeg"
    )
    pixels = read_image(tmp_path / "jpeg.tif").pixels
    assert pixels.shape == smooth.shape
    assert np.abs(pixels.astype(int) - smooth).max() < 5


def test_palette_tiff_becomes_rgb(tmp_path: Path) -> None:
    colors = RNG.integers(0, 255, (3, 256)).astype(np.uint16)
    data = RGB[..., 0]
    for name, scale in (("16.tif", 257), ("8.tif", 1)):
        tifffile.imwrite(
            tmp_path / name, data, photometric="palette", colormap=colors * scale
        )
        assert (read_image(tmp_path / name).pixels == colors.T[data]).all()


def test_cmyk_tiff_becomes_rgb(tmp_path: Path) -> None:
    inks = np.zeros((3, 4, 4), np.uint8)
    inks[0, :, 1] = 255  # magenta
    inks[1, :, 3] = 255  # black
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.shape == (3, 4, 3)
    assert pixels[:, 0].tolist() == [[255, 0, 255], [0, 0, 0], [255, 255, 255]]


def test_white_is_zero_is_inverted(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16, np.bool_, np.int8, np.float32):
        data = np.array([[0, 1], [1, 0]], dtype)
        # without metadata, as from a scanner
        tifffile.imwrite(
            tmp_path / "a.tif", data, photometric="miniswhite", metadata=None
        )
        pixels = read_image(tmp_path / "a.tif").pixels
        assert pixels.dtype == dtype
        assert (pixels[data == 0] > pixels[data == 1]).all()
        if dtype == np.uint8:
            assert pixels.max() == 255


def test_pixel_size_of_ome_imagej_and_plain(tmp_path: Path) -> None:
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, **units}
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
    images = [read_image(tmp_path / name) for name in ("a.ome.tif", "b.tif", "c.tif")]
    assert [image.pixel_size for image in images] == [
        (0.5, 0.25),
        (0.5, 0.25),
        (0.1, 0.1),
    ]
    assert [image.unit for image in images] == ["nm", "um", "mm"]


def test_widths_in_another_unit_than_heights_are_converted(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, metadata={"axes": "YX", **sizes})
    image = read_image(tmp_path / "a.ome.tif")
    assert image.pixel_size == pytest.approx((0.25, 0.25))
    assert image.unit == "µm"


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
    with pytest.raises(
        GemError, match="no TIFF, PNG, JPEG, JPEG 2000, VRT, ENVI or npy file"
    ):
        read_image(tmp_path / "a.bmp")


def test_the_kind_of_a_file_is_told_by_what_lies_in_it(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", format="TIFF")
    Image.fromarray(RGB).save(tmp_path / "b.svs", format="PNG")
    np.save(tmp_path / "c.npy", RGB)
    (tmp_path / "c.npy").rename(tmp_path / "-c d.tif")
    for name in ("a.png", "b.svs", "-c d.tif"):
        assert (read_image(tmp_path / name).pixels == RGB).all()


@pytest.mark.contact("damaged files")
@pytest.mark.parametrize("kind", ["EPS", "BMP", "PDF", "GIF"])
def test_what_lies_in_a_file_is_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """EPS is a program, which Ghostscript would run."""
    Image.fromarray(RGB).save(tmp_path / "a.png", format=kind)
    monkeypatch.setenv("PATH", str(tmp_path))  # its programs leave a mark
    for name in ("gs", "gswin64c"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho run > {tmp_path / 'mark'}\n")
        program.chmod(0o755)
    with pytest.raises(GemError, match=r"'a\.png' cannot be read"):
        read_image(tmp_path / "a.png")
    assert not (tmp_path / "mark").exists()
