"""Names and colours of bands and channels in the metadata of a TIFF file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_gem.images.readers.bands import RGB
from napari_gem.images.scene import Band

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

GDAL_METADATA = 42112
"""Tag: XML with the descriptions of bands."""


def tiff_bands(tiff: TiffFile, page: TiffPage, *, rgb: bool) -> tuple[Band, ...]:
    """Say what the file says of its bands; empty if it says nothing."""
    if tiff.is_ome and tiff.ome_metadata:
        return () if rgb else _bands_of_ome(tiff.ome_metadata)
    described = _described(page)
    # not their colours: any band may be shown as any
    bands = [Band(band.name) for band in RGB] if rgb else []
    for number, name in described.items():
        bands += [Band()] * (number + 1 - len(bands))
        bands[number] = Band(name, bands[number].color)
    return tuple(bands)


def _bands_of_ome(metadata: str) -> tuple[Band, ...]:
    from tifffile import xml2dict

    images = xml2dict(metadata)["OME"]["Image"]
    first = images[0] if isinstance(images, list) else images
    channels = first["Pixels"].get("Channel", [])
    listed = channels if isinstance(channels, list) else [channels]
    return tuple(
        Band(str(one.get("Name", "")), _color(one.get("Color")))
        for one in listed
        if isinstance(one, dict)
    )


def _color(value: object) -> tuple[float, float, float] | None:
    """Read a colour of OME: red, green, blue, alpha in 32 bits with a sign."""
    if not isinstance(value, int):
        return None
    bits = value % (1 << 32)
    red, green, blue = ((bits >> shift & 255) / 255 for shift in (24, 16, 8))
    return red, green, blue


def _described(page: TiffPage) -> dict[int, str]:
    """Read GDAL's descriptions of bands by their number from 0."""
    if GDAL_METADATA not in page.tags:
        return {}
    from tifffile import xml2dict

    try:
        content: Any = xml2dict(str(page.tags[GDAL_METADATA].value))
        items = content["GDALMetadata"]["Item"]
        names = {}
        for item in items if isinstance(items, list) else [items]:
            if item.get("role") == "description" and 0 <= item["sample"] < MOST_BANDS:
                names[int(item["sample"])] = str(item["value"])
    except Exception:  # noqa: BLE001 (names are a help, and this is foreign XML)
        return {}
    return names


MOST_BANDS = 10_000
"""No image has more."""
