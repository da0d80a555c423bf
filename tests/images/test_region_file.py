"""Regions in GeoJSON files, of QuPath's kind and of GDAL's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from napari_gem.core.errors import GemError
from napari_gem.core.location import Location
from napari_gem.core.region import Region, inside
from napari_gem.images import region_file
from napari_gem.images.region_file import read_region
from napari_gem.images.scene import Scene

PLAIN = Scene((np.zeros((100, 80), np.uint8),))
PLACE = Location((5e6 - 1, 500_001), (-2, 0), (0, 2), "m", "EPSG:32633")
"""The corner of the first pixel is at 500 000 and 5 000 000."""
MAP = Scene(PLAIN.levels, (PLACE,))
SQUARE = [[20, 10], [60, 10], [60, 30], [20, 30], [20, 10]]
"""Columns 20 to 60, rows 10 to 30, as x and y of corners of pixels."""
ON_MAP = [[500_000 + 2 * x, 5e6 - 2 * y] for x, y in SQUARE]
EXPECTED = Region((10, 30), (20, 60))


def polygon(ring: Any, **more: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {}}
    return {"type": "FeatureCollection", "features": [feature], **more}


def named(system: str) -> dict[str, Any]:
    return {"crs": {"type": "name", "properties": {"name": system}}}


def save(folder: Path, content: Any) -> Path:
    path = folder / "region.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def check(read: region_file.FileRegion) -> None:
    """The region holds exactly the pixels of the square."""
    assert (read.region.rows, read.region.columns) == (EXPECTED.rows, EXPECTED.columns)
    _, mask = inside(read.region, 1, (100, 80))
    assert mask is not None
    assert mask.all()


def test_pixels_as_qupath_writes_them(tmp_path: Path) -> None:
    for scene in (PLAIN, MAP):
        path = save(tmp_path, polygon(SQUARE))
        read = read_region(path, scene)
        check(read)
        assert "pixels" in read.notice


@pytest.mark.parametrize(
    "system", ["EPSG:32633", "urn:ogc:def:crs:EPSG::32633", "EPSG:3857", "EPSG:4326"]
)
def test_places_in_a_named_system(tmp_path: Path, system: str) -> None:
    target = system.replace("urn:ogc:def:crs:EPSG::", "EPSG:")
    xs, ys = transform("EPSG:32633", target, *np.transpose(ON_MAP).tolist())
    ring = np.transpose([xs, ys]).tolist()
    read = read_region(save(tmp_path, polygon(ring, **named(system))), MAP)
    corners = np.array(read.region.polygon)
    expected = np.array(SQUARE[:-1])[:, ::-1] - 0.5
    assert np.allclose(corners, expected, atol=0.01)
    assert "EPSG" in read.notice


def test_longitudes_and_latitudes_as_the_standard_has_them(tmp_path: Path) -> None:
    xs, ys = transform("EPSG:32633", "OGC:CRS84", *np.transpose(ON_MAP).tolist())
    ring = np.transpose([xs, ys]).tolist()
    for more in ({}, named("urn:ogc:def:crs:OGC:1.3:CRS84")):
        read = read_region(save(tmp_path, polygon(ring, **more)), MAP)
        assert np.allclose(
            read.region.polygon, np.array(SQUARE[:-1])[:, ::-1] - 0.5, atol=0.01
        )


def test_a_list_of_features_is_read(tmp_path: Path) -> None:
    check(read_region(save(tmp_path, polygon(SQUARE)["features"]), PLAIN))


def test_it_ends_with_the_image(tmp_path: Path) -> None:
    ring = [[-10, -10], [40, -10], [40, 200], [-10, 200]]
    read = read_region(save(tmp_path, polygon(ring)), PLAIN)
    assert (read.region.rows, read.region.columns) == ((0, 100), (0, 40))


def test_a_polygon_keeps_its_place_on_coarser_levels() -> None:
    scene = Scene((np.zeros((100, 80)), np.zeros((50, 40)), np.zeros((25, 20))))
    region = Region((8, 40), (16, 64), ((7.5, 15.5), (7.5, 63.5), (39.5, 15.5)))
    for level in (0, 1, 2):
        factor = 2**level
        placed = scene.scale_region(region, level)
        assert placed.rows == (8 / factor, 40 / factor)
        expected = (np.array(region.polygon) + 0.5) / factor - 0.5
        assert np.allclose(placed.polygon, expected)


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5), st.floats(0.1, 3.0))
def test_pixels_of_places_and_places_of_pixels(
    row: float, column: float, angle: float
) -> None:
    turned = Location(
        (5, -3),
        (-2 * np.cos(angle), np.sin(angle)),
        (np.sin(angle), 3 * np.cos(angle) + 5),
    )
    for place in (PLACE, turned):
        found = place.pixel_of(*place.at(row, column))
        assert found == pytest.approx((row, column), rel=1e-6, abs=1e-4)


TWO = polygon(SQUARE)
TWO["features"] = TWO["features"] * 2
BAD = {
    "no JSON": ("{", "no GeoJSON file"),
    "digits without end": (polygon([[int("9" * 400), 0]] * 4), "no corners that"),
    "a list of numbers": ([1, 2], "holds no polygon"),
    "a point": ({"type": "Point", "coordinates": [1, 2]}, "holds no polygon"),
    "two polygons": (TWO, "holds 2 polygons"),
    "two corners": (polygon(SQUARE[:2]), "no corners that can be used"),
    "corners of text": (polygon([["a", "b"]] * 4), "no corners that can be used"),
    "corners of nothing": (polygon([[]] * 4), "no corners that can be used"),
    "far away": (polygon([[900, 900], [990, 900], [990, 990]]), "does not lie in"),
    "far too far": (polygon([[1e99, 0], [0, 1e99], [0, 0]]), "no corners that can"),
    "on the ground": (polygon(SQUARE, **named("EPSG:32633")), "Give a region in pi"),
}


@pytest.mark.contact("regions of other programs")
@pytest.mark.parametrize(("content", "why"), BAD.values(), ids=BAD)
def test_what_is_no_region_is_a_sentence(
    tmp_path: Path, content: Any, why: str
) -> None:
    with pytest.raises(GemError, match=why):
        read_region(save(tmp_path, content), PLAIN)


def test_unknown_systems_and_a_missing_library_are_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, polygon(ON_MAP, **named("EPSG:999999")))
    with pytest.raises(GemError, match="is not known"):
        read_region(path, MAP)
    far = save(tmp_path, polygon([[10, 10], [11, 10], [11, 11]], **named("EPSG:4326")))
    with pytest.raises(GemError, match="does not lie"):
        read_region(far, MAP)
    monkeypatch.setattr(region_file, "find_spec", lambda _name: None)
    with pytest.raises(GemError, match="needs rasterio"):
        read_region(path, MAP)
    with pytest.raises(GemError, match="cannot be read"):
        read_region(tmp_path / "none.geojson", MAP)
