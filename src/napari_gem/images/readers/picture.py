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
