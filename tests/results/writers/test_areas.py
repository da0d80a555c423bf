from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely

from napari_gem.core.errors import GemError
from napari_gem.core.location import Location
from napari_gem.results.writers.areas import pixel_areas
from napari_gem.results.writers.maps import result_maps
from napari_gem.results.writers.polygons import lonlat_space
from napari_gem.results.writers.regions import Regions
from tests.results.writers.conftest import (
    MICROSCOPE,
    PLACES,
    blobs,
    scene,
    segmentation,
)

GEODESIC = pyproj.Geod(ellps="WGS84")


@pytest.mark.parametrize("place", PLACES)
def test_areas_on_the_ground_are_geodesic(place: str) -> None:
    location, labels = PLACES[place], blobs(1)
    maps = result_maps(segmentation(labels), scene(location))
    regions = Regions(maps)
    move = lonlat_space(location).move
    assert regions.unit == "m²"
    checked = 0
    for band in regions.bands():
        for region in band.regions:
            on_earth = shapely.transform(region.outline, move)
            area, _ = GEODESIC.geometry_area_perimeter(on_earth)
            assert abs(area) == pytest.approx(region.area, rel=1e-3)
            checked += 1
    assert checked > 20
    # where a map is not true, that tells
    det = location.down[0] * location.right[1] - location.down[1] * location.right[0]
    ratio = Regions(maps)._areas.of_rows(slice(0, 1))[0, 0] / abs(det)
    assert (0.99 < ratio < 1.01) == (place in ("UTM", "turned"))


def test_a_whole_earth_has_its_area() -> None:
    location = Location((89.5, -179.5), (-1.0, 0), (0, 1.0), "degree", "EPSG:4326")
    areas = pixel_areas(location, (180, 360)).of_rows(slice(0, 180))
    assert areas.sum() == pytest.approx(510_065_621_724_000, rel=2e-3)


def test_pixels_of_a_microscope_are_all_alike() -> None:
    areas = pixel_areas(MICROSCOPE, (4, 4))
    assert (areas.unit, areas.of_rows(slice(0, 2))) == ("µm²", 0.125)
    assert pixel_areas(None, (4, 4)).unit == "pixels"
    assert pixel_areas(Location(), (4, 4)).of_rows(slice(0, 2)) == 1


def test_an_unknown_system_is_said() -> None:
    with pytest.raises(GemError, match="coordinate system of the image is not"):
        pixel_areas(Location(unit="m", crs="EPSG:999999"), (4, 4))
    assert np.isfinite(pixel_areas(PLACES["UTM"], (1, 1)).nodes).all()
