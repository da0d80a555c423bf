"""The part that was segmented goes to GeoJSON and comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyogrio
import pytest
import shapely

from napari_gem.core.region import Region
from napari_gem.images.region_file import read_region
from napari_gem.results.save import save
from tests.results.writers.conftest import MICROSCOPE, PLACES, scene

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.core.location import Location
    from napari_gem.core.results import Segmentation

TRIANGLE = ((1.5, 2.5), (9.5, 2.5), (5.5, 11.5))
REGIONS = {
    "rectangle": Region((2, 9), (3, 12)),
    "polygon": Region((1, 11), (2, 13), TRIANGLE),
    "whole": None,
}


@pytest.mark.parametrize("place", [*PLACES.values(), MICROSCOPE, None])
@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_the_region_comes_back(
    result: Segmentation, place: Location | None, region: Region | None, tmp_path: Path
) -> None:
    image = scene(place)
    done = replace(result, recipe=replace(result.recipe, region=region))
    save(done, image, tmp_path, write="region")
    path = tmp_path / "region.geojson"
    read = read_region(path, image).region
    rows, columns = ((0, n) for n in image.levels[0].shape[:2])
    expected = region or Region(rows, columns)
    if expected.polygon:
        expected = Region((2, 10), (3, 12))  # no more than its corners need
        assert np.allclose(read.polygon, TRIANGLE, atol=1e-3)
    assert (read.rows, read.columns) == (expected.rows, expected.columns)
    about, _, shapes, _ = pyogrio.raw.read(path)
    assert shapely.is_valid(shapely.from_wkb(shapes)).all()
    if place is not None and place.crs.startswith("EPSG:"):
        assert about["crs"] == place.crs
