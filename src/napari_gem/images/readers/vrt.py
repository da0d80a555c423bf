"""Checks VRT files, which name other rasters, before GDAL sees any of one.

GDAL finds elements and attributes whatever the case of their letters, runs functions
that a VRT names, and opens whatever file, archive or address is a source. So what is
not known to be plain is refused, and GDAL gets the checked text, with full paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_gem.core.errors import GemError
from napari_gem.images.readers import jpeg_2000, picture, tiff

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = 16 << 20
"""Bytes of a VRT file."""

SOURCES = (*tiff.MAGIC, *picture.MAGIC, *jpeg_2000.MAGIC)
"""How the files begin that a VRT may name."""

NESTED = (b"<vrtdataset", b"<gdal")
"""What GDAL takes for a file of files wherever it stands in the beginning of one."""

BEGINNING = 1 << 16
"""Bytes that are looked at for it."""

ELEMENTS = {
    *("VRTDataset", "SRS", "GeoTransform", "Metadata", "MDI", "GCPList", "GCP"),
    *("VRTRasterBand", "MaskBand", "Description", "NoDataValue", "HideNoDataValue"),
    *("ColorInterp", "ColorTable", "Entry", "CategoryNames", "Category", "UnitType"),
    *("Offset", "Scale", "SimpleSource", "ComplexSource", "SourceFilename"),
    *("SourceBand", "SourceProperties", "SrcRect", "DstRect", "NODATA", "ScaleOffset"),
    *("ScaleRatio", "UseMaskBand", "OverviewList", "Histograms", "BlockXSize"),
    "BlockYSize",
}
ATTRIBUTES = {
    *("rasterXSize", "rasterYSize", "dataAxisToSRSAxisMapping", "coordinateEpoch"),
    *("domain", "key", "Projection", "Id", "Info", "Pixel", "Line", "X", "Y", "Z"),
    *("dataType", "band", "blockXSize", "blockYSize", "c1", "c2", "c3", "c4"),
    *("relativeToVRT", "shared", "RasterXSize", "RasterYSize", "DataType"),
    *("BlockXSize", "BlockYSize", "xOff", "yOff", "xSize", "ySize", "resampling"),
}
"""What a VRT of rasters beside one another consists of: it computes nothing."""


def check_vrt(path: Path) -> tuple[str, Sequence[Path]]:
    """Check a VRT file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    text, sources
        The same VRT with full paths, and the rasters that it names.

    Raises
    ------
    GemError
        If it computes its pixels, or if a source is no TIFF, JPEG 2000, PNG or JPEG
        file in its folder or below.
    """
    with path.open("rb") as opened:
        text = opened.read(LARGEST + 1)
    if len(text) > LARGEST or b"<!" in text:
        raise GemError(f"'{path.name}' is no VRT file as GDAL writes them.")
    root = ElementTree.fromstring(text)  # noqa: S314 (no entities: see above)
    for element in root.iter():
        if element.tag not in ELEMENTS or set(element.keys()) - ATTRIBUTES:
            raise GemError(
                f"'{path.name}' is a VRT that computes its pixels, or has other parts "
                "than rasters beside one another. Save it as GeoTIFF, with "
                "gdal_translate, and open that."
            )
    sources = []
    for element in root.iter("SourceFilename"):
        source = _source(path, element)
        element.text = str(source)
        element.set("relativeToVRT", "0")
        sources.append(source)
    return ElementTree.tostring(root, encoding="unicode"), sources


def _source(path: Path, element: ElementTree.Element) -> Path:
    name = element.text or ""
    beside = element.get("relativeToVRT") == "1"
    named = path.parent / name if beside else Path(name)
    folder, found = path.parent.resolve(), named.resolve()
    if name.startswith("/vsi") or not found.is_relative_to(folder):
        raise GemError(
            f"'{path.name}' is a VRT of '{name}', which is not in its folder. Copy the "
            "rasters beside it, or save it as GeoTIFF with gdal_translate."
        )
    if not found.is_file():
        raise GemError(f"'{path.name}' is a VRT of '{name}', which is missing.")
    with found.open("rb") as opened:
        start = opened.read(BEGINNING)
    nested = any(mark in start.lower() for mark in NESTED)
    if nested or not start.startswith(SOURCES):
        raise GemError(
            f"'{path.name}' is a VRT of '{name}', which is no TIFF, JPEG 2000, PNG or "
            "JPEG file. Save it as GeoTIFF with gdal_translate."
        )
    return found
