"""The size of a pixel as OME-XML, ImageJ, slide scanners or TIFF's own tags say it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_gem.core.location import Location, location_of
from napari_gem.core.units import in_unit

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

    Size = tuple[float, float]

RESOLUTION_UNITS = {2: 25.4, 3: 10.0}
"""TIFF 6.0 ResolutionUnit (inch, centimetre) in millimetres."""

SMALLEST = 1e-9
"""Smallest side of a pixel, in the unit of the file; the largest is 1 / this."""

MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9.]+)")
"""Micrometres a pixel in the description of Aperio's slides."""


def usable_size(height: object, width: object) -> Size | None:
    """Check the size of a pixel from a file; None if no pixel has that size."""
    if not (isinstance(height, int | float) and isinstance(width, int | float)):
        return None
    usable = all(SMALLEST <= size <= 1 / SMALLEST for size in (height, width))
    return (float(height), float(width)) if usable else None


def joined_size(
    height: object, width: object, units: tuple[str, str]
) -> tuple[Size | None, str]:
    """Bring height and width to the unit of the height; None and empty if unusable."""
    size = usable_size(height, width)
    if size is None:
        return None, ""
    unit, other = units
    wide = in_unit(size[1], other, unit)
    size = None if wide is None else usable_size(size[0], wide)
    return size, unit if size else ""


def location_by_size(tiff: TiffFile, page: TiffPage) -> Location | None:
    """Say how large pixels are; None if the file does not."""
    if tiff.is_ome and tiff.ome_metadata:
        size, unit = _size_of_ome(tiff.ome_metadata)
    elif tiff.is_svs and (match := MPP.search(page.description)):
        side = float(match[1])
        size, unit = usable_size(side, side), "µm"
    else:
        size, unit = _size_of_tags(tiff, page)
    return location_of(size, unit) if unit else None


def _size_of_ome(metadata: str) -> tuple[Size | None, str]:
    from tifffile import xml2dict

    images = xml2dict(metadata)["OME"]["Image"]
    first = images[0] if isinstance(images, list) else images
    pixels = first["Pixels"]
    down, right = (str(pixels.get(f"PhysicalSize{n}Unit", "µm")) for n in "YX")
    return joined_size(
        pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeX"), (down, right)
    )


def _size_of_tags(tiff: TiffFile, page: TiffPage) -> tuple[Size | None, str]:
    tags = page.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None, ""
    per_x, per_y = (
        value[0] / value[1] if value[1] else 0.0
        for value in (tags["XResolution"].value, tags["YResolution"].value)
    )
    if not usable_size(per_y, per_x):
        return None, ""
    stated = tiff.imagej_metadata or {}
    unit = stated.get("unit")
    if unit and unit not in ("pixel", "inch"):
        units = _plain(stated.get("yunit", unit)), _plain(unit)
        return joined_size(1 / per_y, 1 / per_x, units)
    kind = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1
    if kind in RESOLUTION_UNITS and (per_x, per_y) != (1.0, 1.0):
        millimetres = RESOLUTION_UNITS[kind]
        return (millimetres / per_y, millimetres / per_x), "mm"
    return None, ""


def _plain(unit: object) -> str:
    """Spell a unit of ImageJ, which writes µm as an escape or as 'micron'."""
    return str(unit).replace("\\u00B5", "µ").replace("micron", "µm")
