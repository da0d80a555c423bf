"""Regions in GeoJSON files, in pixels as QuPath writes them or on the ground.

RFC 7946 has longitudes and latitudes; GDAL and QGIS name another system in ``crs``, as
the format of 2008 had it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.bounds import MOST_CORNERS
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_error
from napari_gem.core.json_records import parse_json, read_text
from napari_gem.core.location import LARGEST
from napari_gem.core.region import Region

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.images.scene import Scene

LONGITUDES = "OGC:CRS84"
"""The system of RFC 7946: longitude, then latitude, in degrees."""


ROUNDED = 1e-3
"""Pixels that a border may be off by rounding."""


@dataclass(frozen=True)
class FileRegion:
    """A region that a file names.

    Attributes
    ----------
    region
        In pixels of the image.
    notice
        A sentence about how its numbers were understood.
    """

    region: Region
    notice: str


def read_region(path: Path, scene: Scene) -> FileRegion:
    """Read the one polygon of a GeoJSON file.

    Parameters
    ----------
    path
        The file.
    scene
        The image: its shape, and where it lies.

    Returns
    -------
    FileRegion
        In pixels of the scene's finest level, within the image.

    Raises
    ------
    GemError
        If the file is damaged or holds no or several polygons, if its polygon does not
        lie in the image, or if rasterio is needed and missing.
    """
    try:
        content = parse_json(read_text(path))
    except OSError as error:
        why = error.strerror or str(error)
        raise GemError(f"The region '{path}' cannot be read ({why}).") from error
    except ValueError as error:
        raise GemError(
            f"'{path.name}' is no GeoJSON file: {shown_error(error)}."
        ) from error
    ring = _ring(content, path.name)
    system = _system(content)
    shape = scene.levels[0].shape
    if not scene.location or not scene.location.crs:
        if system:
            raise GemError(
                f"'{path.name}' names places on the ground ({system}), and the image "
                "does not say where it lies. Give a region in pixels."
            )
        return _cut(_of_pixels(ring), shape, path.name, PIXELS)
    if not system and not _could_be_degrees(ring):
        return _cut(_of_pixels(ring), shape, path.name, PIXELS)
    return _on_ground(ring, system, scene, path.name)


PIXELS = "The region of '{name}' is taken for pixels: column, then row."
GROUND = "The region of '{name}' is taken for places in {system}."
ASSUMED = (
    "The region of '{name}' is taken for longitudes and latitudes, as GeoJSON has them."
)


def _on_ground(
    ring: NDArray[np.float64], system: str, scene: Scene, name: str
) -> FileRegion:
    """Turn places on the ground to pixels; without a system also pixels are tried."""
    location, shape = scene.location, scene.levels[0].shape
    assert location is not None  # noqa: S101 (asked before)
    xs, ys = _transformed(ring, system or LONGITUDES, location.crs, name)
    corners = np.array([location.pixel_of(y, x) for y, x in zip(ys, xs, strict=True)])
    said = GROUND.format(name="{name}", system=system) if system else ASSUMED
    try:
        return _cut(corners, shape, name, said)
    except GemError:
        if system:
            raise
        return _cut(_of_pixels(ring), shape, name, PIXELS)


def _transformed(
    ring: NDArray[np.float64], source: str, target: str, name: str
) -> tuple[list[float], list[float]]:
    if find_spec("rasterio") is None:
        raise GemError(
            f"The region of '{name}' names places on the ground, which needs rasterio. "
            "Install it: pip install 'napari-gem[geo]'."
        )
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    try:
        xs, ys = transform(source, target, ring[:, 0].tolist(), ring[:, 1].tolist())
    except CRSError as error:
        raise GemError(
            f"The coordinate system of '{name}' is not known ({source[:80]}). Save the "
            "region in longitudes and latitudes."
        ) from error
    if not all(map(math.isfinite, (*xs, *ys))):
        raise GemError(f"The region of '{name}' does not lie near the image.")
    return xs, ys


def _cut(
    corners: NDArray[np.float64], shape: tuple[int, ...], name: str, said: str
) -> FileRegion:
    """Make a region of (row, column) corners, whose rectangle ends with the image."""
    ends = []
    for axis in (0, 1):
        least, most = corners[:, axis].min() + 0.5, corners[:, axis].max() + 0.5
        first = max(0, math.floor(least + ROUNDED))
        end = min(int(shape[axis]), math.ceil(most - ROUNDED))
        if first >= end:
            raise GemError(
                f"The region of '{name}' does not lie in the image of {shape[0]} x "
                f"{shape[1]} pixels. Look at its coordinate system."
            )
        ends.append((first, end))
    polygon = tuple((float(row), float(column)) for row, column in corners)
    return FileRegion(Region(ends[0], ends[1], polygon), said.format(name=name))


def _of_pixels(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn (column, row) of corners of pixels to (row, column) of their middles."""
    return ring[:, ::-1] - 0.5


def _could_be_degrees(ring: NDArray[np.float64]) -> bool:
    return bool((np.abs(ring) <= (180, 90)).all())


def _system(content: Any) -> str:
    """Read which coordinate system a file names; empty if it names no system."""
    named = content.get("crs") if isinstance(content, dict) else None
    properties = named.get("properties") if isinstance(named, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str):
        return ""
    # urn:ogc:def:crs:EPSG::26914
    authority, _, number = name.removeprefix("urn:ogc:def:crs:").partition(":")
    return f"{authority}:{number.rpartition(':')[2]}"[:80]


def _ring(content: object, name: str) -> NDArray[np.float64]:
    """Find the outline of the one polygon: (corners, 2) of x and y."""
    rings = list(_outlines(content))
    if len(rings) != 1:
        count = f"{len(rings)} polygons" if rings else "no polygon"
        raise GemError(
            f"'{name}' holds {count}, and a region is one. Save one polygon."
        )
    try:
        ring = np.array([pair[:2] for pair in rings[0]], np.float64)
        usable = ring.ndim == 2 and ring.shape[1] == 2 and len(ring) >= 3
    except (TypeError, ValueError, IndexError, OverflowError):
        usable = False
    if not usable or len(ring) > MOST_CORNERS or not (np.abs(ring) < LARGEST).all():
        raise GemError(f"The polygon of '{name}' has no corners that can be used.")
    return ring[:-1] if len(ring) > 3 and (ring[0] == ring[-1]).all() else ring


def _outlines(content: object) -> Iterator[Any]:
    """List the outer rings of all polygons; holes are left out."""
    if isinstance(content, list):
        for one in content:
            yield from _outlines(one)
    if not isinstance(content, dict):
        return
    kind, coordinates = content.get("type"), content.get("coordinates")
    if kind == "FeatureCollection":
        yield from _outlines(content.get("features"))
    elif kind == "Feature":
        yield from _outlines(content.get("geometry"))
    elif kind == "Polygon" and isinstance(coordinates, list) and coordinates:
        yield coordinates[0]
    elif kind == "MultiPolygon" and isinstance(coordinates, list):
        yield from (one[0] for one in coordinates if isinstance(one, list) and one)
