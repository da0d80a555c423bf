from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from rasterio.features import rasterize
from rasterio.warp import transform_bounds

from napari_gem.core.errors import GemError
from napari_gem.core.location import Location
from napari_gem.core.parameters import OutlineParameters
from napari_gem.results.save import check_kinds, save
from napari_gem.results.writers import polygons, writer
from tests.results.writers.conftest import MICROSCOPE, PLACES, scene

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.core.results import Segmentation


def read(path: Path):
    """Shapes and columns of a file, by GDAL."""
    about, _, shapes, columns = pyogrio.raw.read(path)
    names = about["fields"].tolist()
    return shapely.from_wkb(shapes), dict(zip(names, columns, strict=True)), about


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["polygons.gpkg", "polygons.geojson"])
def test_polygons_on_a_map_are_the_labels(
    result: Segmentation, place: str, name: str, tmp_path: Path
) -> None:
    save(result, scene(PLACES[place]), tmp_path, write="labels,polygons,geojson")
    shapes, columns, about = read(tmp_path / name)
    assert shapely.is_valid(shapes).all()
    with rasterio.open(tmp_path / "labels.tif") as labels:
        assert about["crs"] == PLACES[place].crs == labels.crs.to_string()
        pairs = zip(shapes, columns["label"].tolist(), strict=True)
        back = rasterize(
            pairs, out_shape=labels.shape, transform=labels.transform, dtype=np.uint8
        )
        assert (back == labels.read(1)).all()
    names = dict(zip(columns["label"].tolist(), columns["class"], strict=True))
    assert names == {7: "water", 2: "wälder <dense> & 'old'"}
    assert set(columns["unit"]) == {"m²"}
    assert columns["pixels"].sum() == (result.labels > 0).sum()
    assert ((columns["probability"] > 0) & (columns["probability"] < 1)).all()


def test_a_large_result_is_appended_band_by_band(
    result: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = "polygons,geojson,qupath,coco,table"
    image = scene(PLACES["UTM"])
    save(result, image, tmp_path / "whole", write=kinds)
    bands = "napari_gem.results.writers.regions.BAND_PIXELS"
    monkeypatch.setattr(bands, 9 * image.levels[0].shape[1])
    save(result, image, tmp_path / "bands", write=kinds)
    for name in ("polygons.gpkg", "polygons.geojson", "polygons-pixels.geojson"):
        found = []
        for folder in ("whole", "bands"):
            shapes, columns, _ = read(tmp_path / folder / name)
            areas = columns["area"].round(3)
            where = shapely.to_wkt(shapely.normalize(shapes))
            found.append(sorted(zip(where, areas, strict=True)))
        assert found[0] == found[1]
    for name in ("coco.json", "regions.csv"):
        counts = [
            len((tmp_path / folder / name).read_text().splitlines())
            for folder in ("whole", "bands")
        ]
        assert counts[0] == counts[1]


@pytest.mark.parametrize("place", PLACES)
def test_rfc_7946_has_degrees_and_turns_left(
    result: Segmentation, place: str, tmp_path: Path
) -> None:
    location = PLACES[place]
    save(result, scene(location), tmp_path, write=["lonlat", "polygons"])
    content = json.loads((tmp_path / "polygons-lonlat.geojson").read_text("utf-8"))
    assert "crs" not in content
    shapes, _, about = read(tmp_path / "polygons-lonlat.geojson")
    assert about["crs"] == "EPSG:4326"
    for shape in shapes:
        assert shape.exterior.is_ccw
        assert not any(ring.is_ccw for ring in shape.interiors)
    mapped, _, _ = read(tmp_path / "polygons.gpkg")
    bounds = shapely.total_bounds(mapped)
    expected = transform_bounds(location.crs, "EPSG:4326", *bounds)
    if location.is_straight:
        assert shapely.total_bounds(shapes) == pytest.approx(expected, abs=2e-3)


ACROSS = {
    "degrees": Location((61.0, 179.95), (-1e-3, 0), (0, 2e-3), "degree", "EPSG:4326"),
    "0 to 360": Location((61.0, 190.0), (-1e-3, 0), (0, 2e-3), "degree", "EPSG:4326"),
    "UTM": Location((6.9e6, 334000.0), (-200.0, 0), (0, 200.0), "m", "EPSG:32601"),
}


@pytest.mark.parametrize("place", ACROSS)
def test_what_crosses_180_degrees_is_cut_there(
    result: Segmentation, place: str, tmp_path: Path
) -> None:
    save(result, scene(ACROSS[place]), tmp_path, write="lonlat")
    shapes, columns, _ = read(tmp_path / "polygons-lonlat.geojson")
    assert shapely.is_valid(shapes).all()
    left, _, right, _ = shapely.total_bounds(shapes)
    assert -180 <= left < right <= 180
    if place != "0 to 360":
        assert left < -179
        assert right > 179
        parts = shapes[shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON]
        assert len(parts)
    geodesic = pyproj.Geod(ellps="WGS84")
    for shape, area in zip(shapes, columns["area"], strict=True):
        assert abs(geodesic.geometry_area_perimeter(shape)[0]) == pytest.approx(
            area, rel=2e-3
        )


def test_polygons_for_qupath_are_in_pixels_of_the_finest_level(
    result: Segmentation, tmp_path: Path
) -> None:
    result = replace(result, recipe=replace(result.recipe, factor=4.0))
    save(result, scene(MICROSCOPE), tmp_path, write="polygons,qupath")
    text = (tmp_path / "polygons-pixels.geojson").read_text("utf-8")
    assert text == (tmp_path / "polygons.geojson").read_text("utf-8")
    content = json.loads(text)
    pairs = []
    for feature in content["features"]:
        about = feature["properties"]
        assert about["objectType"] == "annotation"
        kind = about["classification"]
        assert kind["name"] == about["class"]
        assert all(0 <= part <= 255 for part in kind["color"])
        assert about["measurements"]["Area (µm²)"] == about["pixels"] * 0.125
        pairs.append((feature["geometry"], about["label"]))
    ids = [feature["id"] for feature in content["features"]]
    assert len({*ids}) == len(ids)
    height, width = result.labels.shape
    drawn = rasterize(pairs, out_shape=(4 * height, 4 * width), dtype=np.uint8)
    assert (drawn[::4, ::4] == result.labels).all()
    assert (drawn[3::4, 3::4] == result.labels).all()


def test_qupath_counts_areas_in_pixels_of_the_finest_level(
    result: Segmentation, tmp_path: Path
) -> None:
    result = replace(result, recipe=replace(result.recipe, factor=4.0))
    save(result, scene(None), tmp_path, write="qupath")
    content = json.loads((tmp_path / "polygons-pixels.geojson").read_text("utf-8"))
    for feature in content["features"]:
        about = feature["properties"]
        assert about["measurements"]["Area (pixels)"] == about["pixels"] * 16
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.area == about["pixels"] * 16


def test_classes_simpler_outlines_and_small_regions(
    result: Segmentation, tmp_path: Path
) -> None:
    image = scene(PLACES["UTM"])
    for name, outlines in {
        "all": OutlineParameters(),
        "large": OutlineParameters(minimum_area=20_000),
        "simple": OutlineParameters(simplify=2),
        "classes": OutlineParameters(per_class=True),
    }.items():
        how = {"write": "polygons,geojson,coco", "outlines": outlines}
        save(result, image, tmp_path / name, **how)
    shapes, columns, _ = read(tmp_path / "all/polygons.gpkg")
    large, kept, _ = read(tmp_path / "large/polygons.gpkg")
    assert len(large) == (columns["area"] >= 20_000).sum() < len(shapes)
    assert kept["area"].min() >= 20_000
    simple, _, _ = read(tmp_path / "simple/polygons.gpkg")
    counts = [shapely.get_num_coordinates(each).sum() for each in (simple, shapes)]
    assert counts[0] < 0.7 * counts[1]
    merged, by_class, _ = read(tmp_path / "classes/polygons.geojson")
    assert by_class["label"].tolist() == [2, 7]
    assert shapely.is_valid(merged).all()
    assert by_class["area"].sum() == pytest.approx(columns["area"].sum())


def test_the_same_result_gives_the_same_bytes(
    result: Segmentation, tmp_path: Path
) -> None:
    kinds = "labels,probabilities,polygons,geojson,qupath,coco,yolo,table,overlay"
    for place in (PLACES["UTM"], MICROSCOPE):
        found = []
        for name in ("one", "two"):
            save(result, scene(place), tmp_path / name, write=kinds, overwrite=True)
            files = sorted(path for path in tmp_path.rglob(f"{name}/**/*"))
            found.append([file.read_bytes() for file in files if file.is_file()])
        assert len(found[0]) > 8
        assert found[0] == found[1]


def test_a_result_without_regions_gives_empty_files(
    result: Segmentation, tmp_path: Path
) -> None:
    empty = replace(result, labels=np.zeros_like(result.labels))
    kinds = "labels,polygons,geojson,lonlat,qupath,coco,yolo,table"
    save(empty, scene(PLACES["UTM"]), tmp_path, write=kinds)
    for name in ("polygons.gpkg", "polygons.geojson", "polygons-lonlat.geojson"):
        assert len(read(tmp_path / name)[0]) == 0
    assert json.loads((tmp_path / "coco.json").read_text())["annotations"] == []


def test_what_cannot_be_written_is_said_before_anything_is(
    result: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GemError, match="does not say where it lies on the ground"):
        save(result, scene(MICROSCOPE), tmp_path / "out", write="labels,lonlat")
    monkeypatch.setattr(writer, "find_spec", lambda name: None)
    sentence = r"To write 'polygons', rasterio and shapely and pyogrio must be"
    with pytest.raises(GemError, match=sentence):
        save(result, scene(MICROSCOPE), tmp_path / "out", write="polygons")
    check_kinds("table", scene(MICROSCOPE))
    with pytest.raises(GemError, match=r"pip install \"napari-gem\[vectors\]\""):
        check_kinds("table", scene(PLACES["UTM"]))
    assert not (tmp_path / "out").exists()


def test_geojson_needs_an_epsg_number(result: Segmentation, tmp_path: Path) -> None:
    wkt = rasterio.crs.CRS.from_epsg(32632).to_wkt().replace("WGS 84 / UTM", "Own")
    image = scene(replace(PLACES["UTM"], crs=wkt))
    with pytest.raises(GemError, match="by its EPSG number"):
        save(result, image, tmp_path / "out", write="geojson")
    save(result, image, tmp_path / "out", write="polygons,lonlat")
    assert len(read(tmp_path / "out/polygons.gpkg")[0])
    assert polygons.LAYER in pyogrio.list_layers(tmp_path / "out/polygons.gpkg")[:, 0]


def test_degrees_near_a_pole_are_refused_before_a_run() -> None:
    north = Location((-2e5, -2e5), (-5e3, 0), (0, 5e3), "m", "EPSG:3413")
    with pytest.raises(GemError, match="near a pole"):
        check_kinds("labels,lonlat", scene(north))
    check_kinds("polygons,geojson", scene(north))
    outside = Location((0.0, 0.0), (-9e6, 0), (0, 9e6), "m", "EPSG:32632")
    for kind in ("polygons", "coco", "table"):
        with pytest.raises(GemError, match="Areas cannot be measured"):
            check_kinds(kind, scene(outside))
