"""What GDAL and QGIS read of a raster: where it lies, what its bands and values mean.

GeoTIFF holds colours, descriptions of bands and the value for no data; names of values
stand in a file beside it that ends with ``.aux.xml`` (GDAL's Persistent Auxiliary
Metadata), as a list of names and as a table with colours, which QGIS shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent, tostring
from xml.sax.saxutils import escape

import numpy as np

from napari_gem.core.location import GEO_KEYS, PIXEL_SCALE, TIEPOINTS, TRANSFORMATION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.location import GeoTags, Location
    from napari_gem.images.scene import Scene
    from napari_gem.results.classes import ResultClass

METADATA, NODATA = 42112, 42113
"""TIFF tags of GDAL: items as XML, and the value for no data as text."""

BACKGROUND = "background"

MOST_NAMES = 256
"""Labels up to this have a name in the plain list, which counts from 0."""

# GeoTIFF 1.1 (OGC 19-008r4): keys, and their values for the two kinds of systems
_MODEL, _RASTER, _GEODETIC, _PROJECTED = 1024, 1025, 2048, 3072
_IS_PROJECTED, _IS_GEOGRAPHIC, _IS_AREA = 1, 2, 1

# GDALRATFieldUsage and GDALRATFieldType
_COLUMNS = (
    ("Value", 0, 5),
    ("Class", 2, 2),
    ("Red", 0, 6),
    ("Green", 0, 7),
    ("Blue", 0, 8),
    ("Alpha", 0, 9),
)


def geo_tags_of(scene: Scene) -> GeoTags:
    """Give the tags of the image's file, or make them of its location.

    Empty for what does not lie on the ground.
    """
    location = scene.location
    if scene.geo_tags or location is None or not location.crs.startswith("EPSG:"):
        return scene.geo_tags
    number = int(location.crs.removeprefix("EPSG:"))
    geographic = location.unit == "degree"
    model = _IS_GEOGRAPHIC if geographic else _IS_PROJECTED
    system = _GEODETIC if geographic else _PROJECTED
    entries = ((_MODEL, 0, 1, model), (_RASTER, 0, 1, _IS_AREA), (system, 0, 1, number))
    keys = (1, 1, 0, len(entries), *(n for entry in entries for n in entry))
    return (*_place_tags(location), (GEO_KEYS, "H", keys))


def _place_tags(location: Location) -> GeoTags:
    y, x = location.at(-0.5, -0.5)
    (down, across), (up, right) = location.down, location.right
    if location.is_straight and down < 0 < right:
        return (
            (PIXEL_SCALE, "d", (right, -down, 0.0)),
            (TIEPOINTS, "d", (0.0, 0.0, 0.0, x, y, 0.0)),
        )
    lines = (right, across, 0.0, x, up, down, 0.0, y, *(0.0,) * 7, 1.0)
    return ((TRANSFORMATION, "d", lines),)


def described_bands(names: Sequence[str]) -> str:
    """Say what each band shows, as GDAL reads it from the tag `METADATA`."""
    root = Element("GDALMetadata")
    for band, name in enumerate(names):
        item = SubElement(
            root, "Item", name="DESCRIPTION", sample=str(band), role="description"
        )
        item.text = escape(name)  # GDAL escapes it twice
    return tostring(root, encoding="unicode")


def palette(classes: Sequence[ResultClass]) -> NDArray[np.uint16]:
    """Make a (3, 256) colour map for TIFF: black, and the colours of the classes."""
    colors = np.zeros((3, 256), np.uint16)
    for each in classes:
        colors[:, each.label] = np.asarray(each.rgb) * 257
    return colors


def write_names(path: Path, classes: Sequence[ResultClass]) -> None:
    """Write the file beside a raster that says what its values mean."""
    root = Element("PAMDataset")
    band = SubElement(root, "PAMRasterBand", band="1")
    names = {0: BACKGROUND, **{each.label: each.name for each in classes}}
    if max(names) < MOST_NAMES:
        listed = SubElement(band, "CategoryNames")
        for value in range(max(names) + 1):
            SubElement(listed, "Category").text = names.get(value, "")
    table = SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_COLUMNS):
        field = SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", name), ("Type", kind), ("Usage", usage)):
            SubElement(field, tag).text = str(text)
    rows: list[tuple[Any, ...]] = [(0, BACKGROUND, 0, 0, 0, 0)]
    rows += [(each.label, each.name, *each.rgb, 255) for each in classes]
    for index, values in enumerate(rows):
        row = SubElement(table, "Row", index=str(index))
        for value in values:
            SubElement(row, "F").text = str(value)
    indent(root)
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=False)
