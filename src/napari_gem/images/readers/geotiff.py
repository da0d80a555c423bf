"""The georeference in the tags of a TIFF file: location, unit and CRS."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from napari_gem.core.location import (
    GEO_KEYS,
    PIXEL_IS_POINT,
    PIXEL_SCALE,
    RASTER_TYPE,
    RPC,
    TIEPOINTS,
    TRANSFORMATION,
    Location,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tifffile import TiffPage

    from napari_gem.core.location import GeoTags

GEO_TAGS = {
    PIXEL_SCALE: "d",
    TIEPOINTS: "d",
    TRANSFORMATION: "d",
    GEO_KEYS: "H",
    34736: "d",
    34737: "s",
    RPC: "d",
}
"""Code to tifffile's type letter."""

MODEL_TYPE, GEOGRAPHIC, PROJECTED, LINEAR_UNIT = 1024, 2048, 3072, 3076
"""GeoTIFF keys."""

OWN, DEGREES = 32767, 2
"""Value of a key for what has no number of EPSG; model of longitudes and latitudes."""

LINEAR_UNITS = {9001: "m", 9002: "ft", 9003: "us-ft", 9036: "km", 9096: "yd"}
"""EPSG numbers of units of length."""

METRES = (
    range(32601, 32661),  # UTM on WGS 84, north and south
    range(32701, 32761),
    range(26901, 26924),  # UTM on NAD83
    range(26701, 26723),  # UTM on NAD27
    range(25828, 25839),  # UTM on ETRS89
    range(3857, 3858),  # web maps
    range(3034, 3036),  # Europe
    range(5070, 5071),  # the United States
    range(2056, 2057),  # Switzerland
    range(2154, 2155),  # France
    range(27700, 27701),  # Great Britain
)
"""EPSG numbers of systems in metres; files often leave their unit out."""

CONTROL_POINTS = (
    "The image lies on the ground by control points alone, which have no pixel size. "
    "They are written to the results."
)
UNKNOWN_CRS = (
    "The coordinate system of the image has no EPSG number. Its tags are written to "
    "labels.tif; for other files install napari-gem[geo]."
)


def read_geo_tags(page: TiffPage) -> GeoTags:
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


def read_location(tags: GeoTags, path: Path) -> tuple[Location | None, tuple[str, ...]]:
    """Say where the pixels of a GeoTIFF lie, and what cannot be said."""
    values = {code: value for code, _, value in tags}
    lines = _affine(values)
    if lines is None:
        points = len(values.get(TIEPOINTS, ())) >= 12
        return None, (CONTROL_POINTS,) if points else ()
    keys = values.get(GEO_KEYS, ())
    numbers = dict(zip(keys[4::4], keys[7::4], strict=False))
    # corners are integers, unless the middles of pixels are
    middle = 0.0 if numbers.get(RASTER_TYPE) == PIXEL_IS_POINT else 0.5
    (right_x, down_x, x), (right_y, down_y, y) = lines
    location = Location(
        origin=(y + middle * (right_y + down_y), x + middle * (right_x + down_x)),
        down=(down_y, down_x),
        right=(right_y, right_x),
    )
    crs, unit = _system(numbers, path)
    known = bool(crs) or not numbers
    named = Location(location.origin, location.down, location.right, unit, crs)
    return named, () if known else (UNKNOWN_CRS,)


def _affine(
    values: Mapping[int, Sequence[float]],
) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    """Read (of a column, of a row, start) for x and for y, as GDAL's geotransform."""
    matrix = values.get(TRANSFORMATION, ())
    if len(matrix) == 16:
        lines = (matrix[0], matrix[1], matrix[3]), (matrix[4], matrix[5], matrix[7])
    else:
        scale, point = values.get(PIXEL_SCALE, ()), values.get(TIEPOINTS, ())
        if len(scale) < 2 or len(point) < 6:
            return None
        (column, row, _, x, y), (width, height) = point[:5], scale[:2]
        lines = (
            (width, 0.0, x - column * width),
            (0.0, -height, y + row * height),
        )
    (a, b, _), (d, e, _) = lines
    flat = abs(a * e - b * d)
    usable = all(abs(n) < 1e300 for line in lines for n in line) and flat > 0
    return lines if usable else None


def _system(numbers: Mapping[int, int], path: Path) -> tuple[str, str]:
    """Name the CRS and its unit by the values of GeoTIFF keys."""
    projected, geographic = numbers.get(PROJECTED, OWN), numbers.get(GEOGRAPHIC, OWN)
    unit = LINEAR_UNITS.get(numbers.get(LINEAR_UNIT, 0), "")
    if numbers.get(MODEL_TYPE) == DEGREES:
        crs = f"EPSG:{geographic}" if 0 < geographic < OWN else ""
        return crs or _asked_of_rasterio(path)[0], "degree"
    if 0 < projected < OWN:
        if not unit and any(projected in numbers for numbers in METRES):
            unit = "m"
        return f"EPSG:{projected}", unit or _asked_of_rasterio(path)[1]
    return _asked_of_rasterio(path)[0], unit


def _asked_of_rasterio(path: Path) -> tuple[str, str]:
    """Ask rasterio for the WKT and the unit, if it is installed."""
    if find_spec("rasterio") is None:
        return "", ""
    import rasterio

    # no other files, which may lie beside it
    alone = rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
    with alone, rasterio.open(path, driver="GTiff") as opened:
        crs: Any = opened.crs
    if crs is None:
        return "", ""
    lengths = {1.0: "m", 0.3048: "ft"}
    known = crs.is_projected and lengths.get(crs.linear_units_factor[1])
    survey = crs.is_projected and abs(crs.linear_units_factor[1] - 1200 / 3937) < 1e-9
    return str(crs.to_wkt()), ("us-ft" if survey else known) or ""
