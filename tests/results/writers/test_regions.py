from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from napari_gem.results.writers import regions as module
from napari_gem.results.writers.maps import result_maps
from napari_gem.results.writers.regions import LabelRegion, Regions, grouped
from tests.results.writers.conftest import MICROSCOPE, blobs, scene, segmentation

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def regions_of(labels, **how) -> list[LabelRegion]:
    maps = result_maps(segmentation(labels), scene(None, labels.shape))
    return [region for band in Regions(maps, **how).bands() for region in band.regions]


def drawn(regions: list[LabelRegion], shape: tuple[int, int]):
    pairs = [(region.outline, region.about.label) for region in regions]
    empty = np.zeros(shape, np.uint8)
    return rasterize(pairs, out_shape=shape, dtype=np.uint8) if pairs else empty


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0, 1, 2.5]), shapes, st.integers(1, 9))
def test_outlines_are_valid_and_give_the_labels_back(seed, width, shape, rows) -> None:
    labels = blobs(seed, width, shape)
    listed = []
    with pytest.MonkeyPatch.context() as patch:
        for pixels in (module.BAND_PIXELS, rows * shape[1]):
            patch.setattr(module, "BAND_PIXELS", pixels)
            regions = regions_of(labels)
            assert (drawn(regions, shape) == labels).all()
            for region in regions:
                outline, (top, left, bottom, right) = region.outline, region.box
                assert outline.is_valid
                assert outline.geom_type == "Polygon"
                assert outline.area == region.pixels == region.area
                assert outline.bounds == (left, top, right, bottom)
            listed.append(sorted(map(_facts, regions)))
    # however many bands there are
    assert listed[0] == listed[1]


def _facts(region: LabelRegion):
    outline = shapely.normalize(region.outline).wkt
    middle = tuple(np.round(region.middle, 6))
    return region.box, outline, round(region.probability, 6), middle, region.about


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.sampled_from([1, 3]), st.sampled_from([3, 500]))
def test_simpler_outlines_neither_overlap_nor_part(seed, tolerance, rows) -> None:
    labels = blobs(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BAND_PIXELS", rows * labels.shape[1])
        exact, simple = regions_of(labels), regions_of(labels, simplify=tolerance)
    outlines = [region.outline for region in simple]
    assert all(outline.is_valid for outline in outlines)
    assert [region.pixels for region in simple] == [region.pixels for region in exact]
    whole = shapely.union_all(outlines)
    assert whole.area == pytest.approx(sum(outline.area for outline in outlines))
    corners = [
        shapely.get_num_coordinates([region.outline for region in regions]).sum()
        for regions in (simple, exact)
    ]
    assert corners[0] < corners[1]
    away = shapely.hausdorff_distance(
        shapely.union_all([one.outline for one in exact]), whole
    )
    assert away < 4 * tolerance


def test_sums_are_those_of_the_pixels() -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[1:3, 2:6] = 7
    labels[4, 0] = labels[5, 1] = 2  # they touch at a corner only
    result = segmentation(labels)
    maps = result_maps(result, scene(MICROSCOPE, labels.shape))
    regions = Regions(maps)
    (band,) = regions.bands()
    assert regions.unit == "µm²"
    water, *woods = sorted(band.regions, key=lambda region: region.box)
    assert [one.about.label for one in woods] == [2, 2]
    assert (water.pixels, water.area, water.box) == (8, 1.0, (1, 2, 3, 6))
    assert water.middle == (1.5, 3.5)
    own = result.probabilities[0, 1:3, 2:6].mean()
    assert water.probability == pytest.approx(own)
    both = grouped(band.regions)
    assert [one.about.name for one in both] == [woods[0].about.name, "water"]
    assert both[0].pixels == 2
    assert both[0].middle == (4.5, 0.5)
    assert both[0].box == (4, 0, 6, 2)
    assert shapely.get_num_geometries(both[0].outline) == 2


def test_without_outlines_all_else_is_the_same() -> None:
    labels = blobs(3)
    bare, outlined = regions_of(labels, outlined=False), regions_of(labels)
    assert all(region.outline is None for region in bare)
    assert [one.pixels for one in bare] == [one.pixels for one in outlined]
    assert not regions_of(np.zeros((5, 5), np.uint8))
