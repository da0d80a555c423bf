"""The part of an image that a result is about, as GeoJSON.

`napari_gem.images.region_file` reads it back, for the same image or another one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.atomic import write_whole
from napari_gem.core.progress import Progress
from napari_gem.results.writers.polygons import map_space, named_system, pixel_space
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.results.writers.maps import ResultMaps

NAME = "region.geojson"


def _region_steps(
    maps: ResultMaps, folder: Path, _outlines: OutlineParameters
) -> Iterator[Progress]:
    """Write the outline of the region, or of the whole image."""
    yield Progress("Writing the region")
    region, location = maps.recipe.region, maps.scene.location
    height, width = maps.shape
    rows, columns = (
        ((0, height), (0, width)) if region is None else (region.rows, region.columns)
    )
    corners = [(column, row) for row in rows for column in columns]
    ring = np.array([corners[n] for n in (0, 1, 3, 2)], np.float64)
    if region is not None and region.polygon:
        ring = np.array(region.polygon)[:, ::-1] + 0.5  # from middles to corners
    space = pixel_space(maps)
    more: dict[str, Any] = {}
    if location is not None and location.crs.startswith("EPSG:"):
        space, more = map_space(location), named_system(location.crs)
    moved = space.move(ring)
    points = [*moved.tolist(), moved[0].tolist()]
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [points]},
    }
    content = {"type": "FeatureCollection", **more, "features": [feature]}
    write_whole(folder / NAME, json.dumps(content))


REGION = Writer(
    "the part of the image that was segmented, as GeoJSON", (NAME,), _region_steps
)
