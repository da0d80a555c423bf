"""Reads PNG and JPEG files with Pillow, turned as the camera was held."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.readers.content import Content

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

PICTURES = ("PNG", "JPEG")
"""Formats that Pillow may find in a file, whatever its name. For some other formats
Pillow runs programs, such as Ghostscript for EPS."""


ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held: 1 to 8, where 1 is upright."""


def orientation_of(path: Path) -> int:
    """Tell how a picture is turned when it is read; 1 for not at all."""
    from PIL import Image

    with Image.open(path, formats=PICTURES) as opened:
        turned = opened.getexif().get(ORIENTATION, 1)
    return turned if turned in range(1, 9) else 1


def read_picture(path: Path) -> Content:
    """Read the picture, which has a single plane.

    Raises
    ------
    GemError
        If it is too large to be read at once.
    """
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
    colors = pixels.shape[2] if pixels.ndim == 3 else 0
    return Content((pixels,), "yxs" if colors else "yx", colors or None)
