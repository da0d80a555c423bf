"""Reads TIFF, PNG and JPEG files, with their pixel size and georeference."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.read_errors import reading
from napari_gem.images.tiff_reading import open_tiff, read_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffPage

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")

PICTURES = ("PNG", "JPEG")
"""Formats that Pillow may find in a file, whatever its name. For some other formats
Pillow runs programs, such as Ghostscript for EPS."""

GEO_TAGS = {33550: "d", 33922: "d", 34264: "d", 34735: "H", 34736: "d", 34737: "s"}
"""GeoTIFF 1.1 (OGC 19-008r4, section 7): code to tifffile's type letter."""

RESOLUTION_UNITS = {2: 25.4, 3: 10.0}
"""TIFF 6.0 ResolutionUnit (inch, centimetre) in millimetres."""

MINISWHITE, RGB, PALETTE, SEPARATED, YCBCR = 0, 2, 3, 5, 6
"""TIFF 6.0 PhotometricInterpretation."""

SMALLEST = 1e-9
"""Smallest side of a pixel, in the unit of the file; the largest is 1 / this."""

ALPHA = (1, 2)
"""TIFF 6.0 ExtraSamples: associated and unassociated alpha."""


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image as read from a file.

    Attributes
    ----------
    pixels
        (height, width), or (height, width, 3 or 4) for RGB and RGBA.
    pixel_size
        (height, width) of a pixel in ``unit``; None if the file does not say.
    unit
        Name of the unit: ``µm``, ``mm`` ...
    geo_tags
        (code, type, value) of the GeoTIFF tags, to be written to results as they are.
    """

    pixels: NDArray[Any]
    pixel_size: tuple[float, float] | None = None
    unit: str = ""
    geo_tags: tuple[tuple[int, str, Any], ...] = ()


def read_image(path: Path | str, index: Sequence[int] = ()) -> ImageFile:
    """Read one image plane.

    Parameters
    ----------
    path
        TIFF, PNG or JPEG file.
    index
        Positions along leading axes (slices, channels, times) of a TIFF with more
        than one plane.

    Raises
    ------
    GemError
        If the file is missing, of another kind, damaged, or holds more planes than
        ``index`` chooses from.
    """
    path = Path(path)
    if not path.is_file():
        raise GemError(f"There is no file '{path}'.")
    if path.suffix.lower() not in SUFFIXES:
        raise GemError(
            f"'{path.name}' came; expected a file that ends in {', '.join(SUFFIXES)}."
        )
    is_tiff = path.suffix.lower() in (".tif", ".tiff")
    try:
        with reading(path.name, "it may be damaged or cut short"):
            image, rgb = _read_tiff(path, index) if is_tiff else _read_picture(path)
    except MemoryError as error:
        raise GemError(f"'{path.name}' is too large for the memory.") from error
    return replace(image, pixels=_plane(image.pixels, rgb, tuple(index), path.name))


def _plane(
    pixels: NDArray[Any], rgb: bool, index: tuple[int, ...], name: str
) -> NDArray[Any]:
    leading = pixels.shape[: pixels.ndim - 2 - rgb]
    inside = len(index) == len(leading) and all(
        0 <= i < n for i, n in zip(index, leading, strict=True)
    )
    if inside:
        plane: NDArray[Any] = pixels[index]
        return plane
    if not leading:
        raise GemError(f"'{name}' holds a single plane; leave --index out.")
    asked = ",".join(map(str, index)) or "nothing"
    last = ",".join(str(n - 1) for n in leading)
    first = ",".join("0" for _ in leading)
    raise GemError(
        f"'{name}' holds planes of shape {leading}; {asked} was chosen. Choose one "
        f"with --index, from {first} to {last}."
    )


def _read_picture(path: Path) -> tuple[ImageFile, bool]:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        # too large pictures are refused; a warning before that helps nobody
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            opened = Image.open(path, formats=PICTURES)
        except Image.DecompressionBombError as error:
            raise GemError(
                f"'{path.name}' has too many pixels for a picture that is read at once "
                "(or says so, and is damaged). Save it as TIFF or zarr."
            ) from error
    with opened:
        opened.load()
        picture = ImageOps.exif_transpose(opened)
        if picture.mode == "P":
            picture = picture.convert(
                "RGBA" if "transparency" in picture.info else "RGB"
            )
        elif picture.mode in ("LA", "La"):
            picture = picture.convert("RGBA")
        elif picture.mode in ("CMYK", "YCbCr", "HSV", "LAB"):
            picture = picture.convert("RGB")
        pixels = np.asarray(picture)
    return ImageFile(pixels), pixels.ndim == 3


def _read_tiff(path: Path, index: Sequence[int]) -> tuple[ImageFile, bool]:
    with open_tiff(path) as tiff:
        pixels, axes = read_series(tiff, path, index), tiff.series[0].axes
        if pixels.ndim != len(axes):
            raise GemError(f"'{path.name}' has axes that do not fit its shape.")
        page = tiff.pages.first
        inks = "S" in axes and is_cmyk(page)
        rgb = inks or ("S" in axes and is_color(page))
        for name in "YXS" if rgb else "YX":
            if name in axes:
                pixels = np.moveaxis(pixels, axes.index(name), -1)
                axes = axes.replace(name, "") + name
        if inks:
            pixels = _print(pixels)
        elif rgb and not any(kind in ALPHA for kind in page.extrasamples):
            pixels = pixels[..., :3]
        if page.photometric == PALETTE and page.colormap is not None:
            pixels, rgb = _paint(pixels, page.colormap), True
        # tifffile tags boolean arrays so by default, with True still meant as white
        mask = pixels.dtype == np.bool_ and (tiff.is_shaped or tiff.is_ome)
        if page.photometric == MINISWHITE and not mask:
            pixels = _invert(pixels, page.bitspersample)
        pixel_size, unit = pixel_size_of(tiff, page)
        geo = _geo_tags(page)
    return ImageFile(pixels, pixel_size, unit, geo), rgb


def _geo_tags(page: TiffPage) -> tuple[tuple[int, str, Any], ...]:
    """Read the georeference; nothing of it if a part does not fit GeoTIFF."""
    tags = []
    for code, letter in GEO_TAGS.items():
        if code not in page.tags:
            continue
        value = page.tags[code].value
        if letter == "s":
            fits = isinstance(value, str)
            if fits and not value.isascii():  # against TIFF 6.0, but it occurs
                value = value.encode()
        else:
            value = value if isinstance(value, tuple) else (value,)
            fits = all(_fits(one, letter) for one in value)
        if not fits:
            return ()
        tags.append((code, letter, value))
    return tuple(tags)


def _fits(value: object, letter: str) -> bool:
    if letter == "H":
        return isinstance(value, int) and 0 <= value < 1 << 16
    return isinstance(value, int | float)


def is_color(page: TiffPage) -> bool:
    """Tell whether the samples of a page are red, green, blue and perhaps alpha."""
    # tifffile decodes the YCbCr of JPEG to RGB
    return page.photometric in (RGB, YCBCR) and page.samplesperpixel in (3, 4)


def is_cmyk(page: TiffPage) -> bool:
    """Tell whether the samples of a page are cyan, magenta, yellow and black."""
    four = page.photometric == SEPARATED and page.samplesperpixel == 4
    return bool(four and page.dtype == np.uint8)


def _print(inks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (..., 4) parts of ink to red, green and blue."""
    from PIL import Image

    rows = np.ascontiguousarray(inks).reshape(-1, inks.shape[-2], 4)
    size = rows.shape[1], rows.shape[0]
    shown = Image.frombytes("CMYK", size, rows.tobytes()).convert("RGB")
    return np.asarray(shown).reshape(*inks.shape[:-1], 3)


def _paint(pixels: NDArray[Any], colormap: NDArray[Any]) -> NDArray[np.uint8]:
    # TIFF 6.0 asks for 16 bits; some writers put 8 there
    wide = colormap.max() > 255
    colors = (colormap >> 8 if wide else colormap).astype(np.uint8)
    painted: NDArray[np.uint8] = colors.T[pixels.astype(np.uint16)]
    return painted


def _invert(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    if pixels.dtype.kind in "bu":
        inverted: NDArray[Any] = pixels ^ pixels.dtype.type(2**bits - 1)
        return inverted
    # 1 - x overflows at the smallest signed integer
    return -1 - pixels


def usable_size(height: object, width: object) -> tuple[float, float] | None:
    """Check the size of a pixel from a file; None if no pixel has that size."""
    if not (isinstance(height, int | float) and isinstance(width, int | float)):
        return None
    usable = all(SMALLEST <= size <= 1 / SMALLEST for size in (height, width))
    return (float(height), float(width)) if usable else None


def pixel_size_of(
    tiff: TiffFile, page: TiffPage
) -> tuple[tuple[float, float] | None, str]:
    """Read the (height, width) of a pixel and its unit; None and empty if unknown."""
    if tiff.is_ome and tiff.ome_metadata:
        from tifffile import xml2dict

        images = xml2dict(tiff.ome_metadata)["OME"]["Image"]
        first = images[0] if isinstance(images, list) else images
        pixels = first["Pixels"]
        size = usable_size(pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeX"))
        return size, str(pixels.get("PhysicalSizeXUnit", "µm")) if size else ""
    tags = page.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None, ""
    per_x, per_y = (
        value[0] / value[1] if value[1] else 0.0
        for value in (tags["XResolution"].value, tags["YResolution"].value)
    )
    if not usable_size(per_y, per_x):
        return None, ""
    imagej = (tiff.imagej_metadata or {}).get("unit")
    if imagej and imagej not in ("pixel", "inch"):
        # ImageJ writes µm as an escape or as 'micron'
        unit = str(imagej).replace("\\u00B5", "µ").replace("micron", "µm")
        return (1 / per_y, 1 / per_x), unit
    kind = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1
    if kind in RESOLUTION_UNITS and (per_x, per_y) != (1.0, 1.0):
        millimetres = RESOLUTION_UNITS[kind]
        return (millimetres / per_y, millimetres / per_x), "mm"
    return None, ""
