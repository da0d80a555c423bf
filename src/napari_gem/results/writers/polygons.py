"""Polygons of regions: GeoPackage, GeoJSON for maps and on the web, for QuPath.

On the ground they lie in the coordinate system of the image, else in its pixels: x is
the column, y the row, and whole numbers are corners of pixels, as QuPath has it.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.results.writers.areas import PIXELS as NO_UNIT
from napari_gem.results.writers.areas import pixel_areas
from napari_gem.results.writers.regions import LabelRegion, Regions, grouped
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from napari_gem.core.location import Location
    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.results.writers.maps import ResultMaps
    from napari_gem.results.writers.writer import WriteSteps

    Points = NDArray[np.float64]
    GroundSteps = Callable[
        [ResultMaps, Path, OutlineParameters, Location], Iterator[Progress]
    ]

PACKAGE, JSON = "polygons.gpkg", "polygons.geojson"
LONLAT, PIXELS = "polygons-lonlat.geojson", "polygons-pixels.geojson"

LAYER = "classes"
"""Of the GeoPackage."""

DIGITS = 4
"""Digits of a coordinate below the size of a pixel."""

METRES_OF_DEGREE = 111_000.0

DATE = "2000-01-01T00:00:00.000Z"
"""In a GeoPackage, so that the same result gives the same file."""


FARTHEST, EDGES = 84.0, 33
"""Degrees of latitude up to which there are polygons in degrees, as far as UTM goes,
and how many places along a side are asked for theirs."""


class Space(NamedTuple):
    """Where polygons lie.

    Attributes
    ----------
    crs
        Their coordinate system; empty for pixels.
    move
        Turns (x, y) in pixels into coordinates.
    digits
        Decimals that count.
    is_round
        Whether x are longitudes, which go from -180 to 180.
    """

    crs: str
    move: Callable[[Points], Points]
    digits: int
    is_round: bool = False


def pixel_space(maps: ResultMaps) -> Space:
    """Count in pixels of the finest level of the image, as viewers of slides do."""
    factor = maps.recipe.factor
    return Space("", lambda points: points * factor, DIGITS if factor % 1 else 0)


def map_space(location: Location) -> Space:
    """Count in the coordinate system of the image."""

    def move(points: Points) -> Points:
        columns, rows = points.T - 0.5
        y, x = location.at(rows, columns)
        return np.stack([x, y], axis=1)

    return Space(location.crs, move, _digits(min(location.pixel_size)))


def lonlat_space(location: Location) -> Space:
    """Count in degrees of longitude and latitude, as RFC 7946 asks for."""
    from rasterio.warp import transform

    def move(points: Points) -> Points:
        moved = on_map.move(points)
        lon, lat = np.array(transform(on_map.crs, "EPSG:4326", *moved.T))
        # what goes on beyond 180 degrees is cut there later
        near = moved[:, 0] if in_degrees else lon[:1]
        lon += 360 * np.round((near - lon) / 360)
        return np.stack([lon, lat], axis=1)

    on_map = map_space(location)
    in_degrees = location.unit == "degree"
    size = min(location.pixel_size)
    digits = _digits(size if in_degrees else size / METRES_OF_DEGREE)
    return Space("EPSG:4326", move, digits, is_round=True)


def _digits(size: float) -> int:
    return max(0, DIGITS - math.floor(math.log10(size)))


def read_regions(
    maps: ResultMaps, outlines: OutlineParameters
) -> Iterator[tuple[list[LabelRegion], str, Progress]]:
    """Yield regions with outlines as they are asked for, and the unit of areas."""
    regions = Regions(maps, simplify=outlines.simplify)
    height, kept = maps.shape[0], []
    for band in regions.bands():
        large = [one for one in band.regions if one.area >= outlines.minimum_area]
        if outlines.per_class:
            kept += large
            large = grouped(kept) if band.rows == height else []
        yield large, regions.unit, Progress("Writing polygons", band.rows, height)


def _or_in_pixels(on_ground: GroundSteps) -> WriteSteps:
    """Write GeoJSON in pixels of what does not lie on the ground."""

    def steps(
        maps: ResultMaps, folder: Path, outlines: OutlineParameters
    ) -> Iterator[Progress]:
        location = maps.scene.location
        if location is None or not location.crs:
            return _pixel_steps(maps, folder, outlines, JSON)
        return on_ground(maps, folder, outlines, location)

    return steps


def _package_steps(
    maps: ResultMaps, folder: Path, outlines: OutlineParameters, location: Location
) -> Iterator[Progress]:
    """Write a GeoPackage."""
    import shapely

    space = map_space(location)
    is_new = True
    with _same_date():
        for regions, unit, progress in read_regions(maps, outlines):
            if regions or is_new:
                shapes = [_moved(region.outline, space) for region in regions]
                wkb = shapely.to_wkb(np.array(shapes, object))
                _append(folder / PACKAGE, wkb, _columns(regions, unit), space, is_new)
                is_new = False
            yield progress


def _columns(regions: list[LabelRegion], unit: str) -> dict[str, NDArray[Any]]:
    """Say of each region what the table of a GeoPackage has."""
    rows = [_properties(region, unit) for region in regions]
    kinds = {"class": object, "label": np.int32, "area": float, "unit": object}
    kinds |= {"pixels": np.int64, "probability": float}
    return {
        name: np.array([row[name] for row in rows], kind)
        for name, kind in kinds.items()
    }


def _append(
    path: Path,
    shapes: NDArray[Any],
    columns: dict[str, NDArray[Any]],
    space: Space,
    is_new: bool,
) -> None:
    from pyogrio import raw

    raw.write(
        path,
        shapes,
        list(columns.values()),
        list(columns),
        layer=LAYER,
        driver="GPKG",
        geometry_type="MultiPolygon",
        promote_to_multi=True,
        crs=space.crs,
        append=not is_new,
    )


@contextmanager
def _same_date() -> Iterator[None]:
    """Have GDAL write the same date whenever it runs."""
    from pyogrio import get_gdal_config_option, set_gdal_config_options

    name = "OGR_CURRENT_DATE"
    before = get_gdal_config_option(name)
    set_gdal_config_options({name: DATE})
    try:
        yield
    finally:
        set_gdal_config_options({name: before})


def _json_steps(
    maps: ResultMaps, folder: Path, outlines: OutlineParameters, location: Location
) -> Iterator[Progress]:
    """Write GeoJSON in the coordinate system of the image."""
    named = named_system(location.crs)
    steps = read_regions(maps, outlines)
    yield from _features(folder / JSON, steps, map_space(location), _properties, named)


def _check_named(location: Location, shape: tuple[int, int]) -> None:
    if not location.crs.startswith("EPSG:"):
        raise GemError(
            "GeoJSON names a coordinate system by its EPSG number, which that of the "
            "image does not have. Write polygons (a GeoPackage) or lonlat."
        )
    pixel_areas(location, shape)


def _check_lonlat(location: Location, shape: tuple[int, int]) -> None:
    """Refuse images near a pole, where a polygon may hold all longitudes."""
    pixel_areas(location, shape)
    ends = [np.linspace(0, length, EDGES) for length in shape[::-1]]
    places = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 2)
    if np.abs(lonlat_space(location).move(places)[:, 1]).max() > FARTHEST:
        raise GemError(
            "The image lies near a pole, where longitudes run together, so there is no "
            "'lonlat' of it. Write polygons, which keep its coordinate system."
        )


def named_system(crs: str) -> dict[str, Any]:
    """Name a system with an EPSG number, as GDAL and QGIS read it in GeoJSON."""
    name = f"urn:ogc:def:crs:EPSG::{crs.partition(':')[2]}"
    return {"crs": {"type": "name", "properties": {"name": name}}}


def _lonlat_steps(
    maps: ResultMaps, folder: Path, outlines: OutlineParameters
) -> Iterator[Progress]:
    """Write GeoJSON as RFC 7946 has it."""
    location = maps.scene.location
    assert location is not None  # noqa: S101 (checked before)
    steps = read_regions(maps, outlines)
    space = lonlat_space(location)
    yield from _features(folder / LONLAT, steps, space, _properties, {})


def _pixel_steps(
    maps: ResultMaps, folder: Path, outlines: OutlineParameters, name: str = PIXELS
) -> Iterator[Progress]:
    """Write GeoJSON in pixels, as QuPath reads and writes it."""
    # pixels are those of the finest level, as the coordinates count them
    times = maps.recipe.factor**2

    def properties(region: LabelRegion, unit: str) -> dict[str, Any]:
        about, said = region.about, _properties(region, unit)
        area = _rounded(region.area * times) if unit == NO_UNIT else said["area"]
        return {
            "objectType": "annotation",
            "classification": {"name": about.name, "color": about.rgb},
            "measurements": {
                f"Area ({unit})": area,
                "Probability": said["probability"],
            },
            **said,
        }

    steps = read_regions(maps, outlines)
    yield from _features(folder / name, steps, pixel_space(maps), properties, {})


def _properties(region: LabelRegion, unit: str) -> dict[str, Any]:
    return {
        "class": region.about.name,
        "label": region.about.label,
        "area": _rounded(region.area),
        "unit": unit,
        "pixels": region.pixels,
        "probability": round(region.probability, 6),
    }


def _rounded(value: float) -> float | None:
    """Leave ten digits; None for what is no number, which JSON has not."""
    return float(f"{value:.10g}") if math.isfinite(value) else None


def _features(
    path: Path,
    steps: Iterable[tuple[list[LabelRegion], str, Progress]],
    space: Space,
    properties: Callable[[LabelRegion, str], dict[str, Any]],
    more: dict[str, Any],
) -> Iterator[Progress]:
    """Write a collection of features, one a line, as they come."""
    head = json.dumps({"type": "FeatureCollection", **more})
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{head[:-1]}, "features": [')
        between = "\n"
        for regions, unit, progress in steps:
            for region in regions:
                shape = _moved(region.outline, space)
                facts = f"{region.about} {region.box} {region.middle}"
                content = {
                    "type": "Feature",
                    "id": str(uuid5(NAMESPACE_URL, facts)),
                    "geometry": _geometry(shape, space.digits),
                    "properties": properties(region, unit),
                }
                file.write(between + json.dumps(content, ensure_ascii=False))
                between = ",\n"
            yield progress
        file.write("\n]}\n")


def _moved(outline: BaseGeometry | None, space: Space) -> BaseGeometry:
    """Bring an outline to its place; outer rings run against the clock there."""
    import shapely

    moved: BaseGeometry = shapely.transform(outline, space.move)
    return shapely.orient_polygons(_cut(moved) if space.is_round else moved)


def _cut(shape: BaseGeometry) -> BaseGeometry:
    """Cut a shape at 180 degrees, and turn what lies beyond to the other side."""
    import shapely

    left, _, right, _ = shape.bounds
    if left >= -180 and right <= 180:
        return shape
    parts: list[Any] = []
    for turn in range(math.floor((left + 180) / 360), math.ceil((right + 180) / 360)):
        window = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        shift = np.array([360 * turn, 0])
        inside = shapely.get_parts(shapely.intersection(shape, window))
        parts += [
            shapely.transform(part, lambda points, shift=shift: points - shift)
            for part in inside
            if part.geom_type == "Polygon"
        ]
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)


def _geometry(shape: BaseGeometry, digits: int) -> dict[str, Any]:
    """Say a polygon, or several, as GeoJSON."""
    several = shape.geom_type == "MultiPolygon"
    parts = [
        [
            np.round(np.asarray(ring.coords), digits).tolist()
            for ring in (part.exterior, *part.interiors)
        ]
        for part in (shape.geoms if several else [shape])
    ]
    kind = "MultiPolygon" if several else "Polygon"
    return {"type": kind, "coordinates": parts if several else parts[0]}


_NEEDS = ("rasterio", "shapely")

POLYGONS = Writer(
    "polygons as GeoPackage, or GeoJSON in pixels",
    (PACKAGE, JSON),
    _or_in_pixels(_package_steps),
    (*_NEEDS, "pyogrio"),
    check_place=pixel_areas,
)
GEOJSON = Writer(
    "polygons as GeoJSON",
    (JSON,),
    _or_in_pixels(_json_steps),
    _NEEDS,
    check_place=_check_named,
)
LONLAT_GEOJSON = Writer(
    "polygons as GeoJSON in degrees (RFC 7946)",
    (LONLAT,),
    _lonlat_steps,
    _NEEDS,
    only_on_ground=True,
    check_place=_check_lonlat,
)
QUPATH = Writer(
    "polygons for QuPath, in pixels",
    (PIXELS,),
    _pixel_steps,
    _NEEDS,
    check_place=pixel_areas,
)
