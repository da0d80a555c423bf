"""Parts of an image, on napari's own layers and viewer model without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from skimage.draw import polygon2mask

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.core.region import Region
from napari_gem.layers.reading import source

RNG = np.random.default_rng(5)


def scene(data=None, **kwargs):
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((40, 60)) if data is None else data, **kwargs)
    return viewer, layer, layers.read_layer(layer, viewer.dims)


def rectangle(top, left, bottom, right):
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)


def region_of(viewer, layer, shapes):
    image = layers.read_layer(layer, viewer.dims)
    return layers.shapes_region(shapes, layer, image, viewer.dims)


# --- visible


def test_visible_are_the_pixels_that_the_canvas_touches():
    viewer, layer, image = scene()
    see = lambda *corners: layers.visible_region(layer, image, viewer.dims, corners)  # noqa: E731
    assert see((-100, -100), (100, 100)) == Region((0, 40), (0, 60))
    # pixel 3 covers 2.5 to 3.5
    assert see((2.5, 9.5), (7.5, 19.5)) == Region((3, 8), (10, 20))
    assert see((2.4, 9.6), (7.6, 19.4)) == Region((2, 9), (10, 20))
    assert see((10.1, 10.1), (10.2, 10.2)) == Region((10, 11), (10, 11))
    with pytest.raises(GemError, match="Nothing of 'Image' is visible"):
        see((40, 0), (80, 60))
    with pytest.raises(GemError, match="Nothing of"):
        see((0, 60), (40, 90))


def test_visible_in_a_scaled_turned_stack():
    viewer, layer, _ = scene(RNG.random((5, 40, 60)), scale=(3, 2, 0.5))
    viewer.dims.set_current_step(0, 4)
    viewer.dims.order = (0, 2, 1)  # columns run down
    image = layers.read_layer(layer, viewer.dims)
    corners = (4.75, 19), (9.75, 39)
    region = layers.visible_region(layer, image, viewer.dims, corners)
    assert image.shape == (60, 40)
    assert region == Region((10, 20), (10, 20))


def test_visible_of_a_coarser_level(monkeypatch):
    monkeypatch.setattr(source, "LARGEST_LEVEL", 20 * 25)
    levels = [RNG.random((80 // 2**i, 100 // 2**i)) for i in range(3)]
    viewer, layer, image = scene(levels, multiscale=True)
    assert image.shape == (20, 25)
    # the coarse pixel 1 covers 4 to 7, 3.5 to 7.5
    corners = (3.5, 7.5), (11.5, 19.5)
    region = layers.visible_region(layer, image, viewer.dims, corners)
    assert region == Region((1, 3), (2, 5))


def test_visible_where_viewer_and_layer_have_other_units():
    viewer, layer, _ = scene(scale=(0.001, 0.001), units=("mm", "mm"))
    viewer.add_image(np.zeros((40, 60)), units=("um", "um"))
    image = layers.read_layer(layer, viewer.dims)
    per_pixel = 0.001 / source.unit_factors(layer, viewer.dims)[0]
    corners = np.array([(4.5, 5.5), (9.5, 8.5)]) * per_pixel
    region = layers.visible_region(layer, image, viewer.dims, corners)
    assert region == Region((5, 10), (6, 9))


# --- shapes


def test_a_rectangle_holds_the_pixels_whose_middle_it_holds():
    viewer, layer, _ = scene()
    shapes = viewer.add_shapes([rectangle(4.6, 9.4, 12.5, 20)])
    assert region_of(viewer, layer, shapes) == Region((5, 13), (10, 21))


def test_a_region_is_clipped_to_the_image():
    viewer, layer, _ = scene()
    shapes = viewer.add_shapes([rectangle(-10, 50, 5, 100)])
    assert region_of(viewer, layer, shapes) == Region((0, 6), (50, 60))


def test_a_triangle_and_an_ellipse_are_polygons():
    viewer, layer, _ = scene()
    shapes = viewer.add_shapes([[(0, 0), (0, 30), (30, 0)]], shape_type="polygon")
    region = region_of(viewer, layer, shapes)
    assert region == Region((0, 31), (0, 31), ((0, 0), (0, 30), (30, 0)))
    shapes = viewer.add_shapes([rectangle(10, 10, 30, 50)], shape_type="ellipse")
    region = region_of(viewer, layer, shapes)
    assert (region.rows, region.columns) == ((10, 31), (10, 51))
    area = polygon2mask((40, 60), region.polygon).sum()
    assert area == pytest.approx(np.pi * 10 * 20, rel=0.02)


def test_the_selected_shape_is_taken():
    viewer, layer, _ = scene()
    shapes = viewer.add_shapes([rectangle(0, 0, 5, 5), rectangle(10, 10, 20, 20)])
    shapes.selected_data = {1}
    assert region_of(viewer, layer, shapes).rows == (10, 21)
    for selected in (set(), {0, 1}):
        shapes.selected_data = selected
        with pytest.raises(GemError, match="Select only the one"):
            region_of(viewer, layer, shapes)


def test_what_is_no_region_is_refused():
    viewer, layer, _ = scene()
    with pytest.raises(GemError, match="no shape"):
        region_of(viewer, layer, viewer.add_shapes())
    with pytest.raises(GemError, match="is a line, which has no inside"):
        region_of(
            viewer, layer, viewer.add_shapes([[(0, 0), (5, 5)]], shape_type="line")
        )
    for outside in (rectangle(50, 0, 60, 9), rectangle(3.1, 3.1, 3.2, 3.2)):
        with pytest.raises(GemError, match="holds no pixel of 'Image'"):
            region_of(viewer, layer, viewer.add_shapes([outside]))
    sliver = [[(3.1, 3.1), (3.2, 3.4), (3.3, 3.1)]]
    with pytest.raises(GemError, match="holds no pixel"):
        region_of(viewer, layer, viewer.add_shapes(sliver, shape_type="polygon"))


def test_a_flat_shape_marks_every_slice_of_a_stack():
    viewer, layer, _ = scene(RNG.random((5, 40, 60)), scale=(3, 2, 2))
    shapes = viewer.add_shapes([rectangle(2, 4, 8, 10)])
    viewer.dims.set_current_step(0, 3)
    assert region_of(viewer, layer, shapes) == Region((1, 5), (2, 6))


factor = st.floats(0.1, 10)
shift = st.floats(-50, 50)
angle = st.floats(0, 360)


@st.composite
def transforms(draw):
    affine = np.eye(3)
    affine[:2, :2] = [[draw(factor), 0.2], [-0.1, draw(factor)]]
    affine[:2, 2] = draw(shift), draw(shift)
    return {
        "scale": (draw(factor), draw(factor)),
        "translate": (draw(shift), draw(shift)),
        "rotate": draw(angle),
        "affine": affine,
    }


quiet = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)


@quiet
@given(transforms(), transforms())
def test_a_shape_marks_the_pixels_under_it(of_image, of_shapes):
    viewer, layer, image = scene(**of_image)
    shapes = viewer.add_shapes(ndim=2, **of_shapes)
    marked = np.array([(4.2, 7.7), (11.3, 30.4), (25.1, 12.9)])
    corners = [shapes.world_to_data(layer.data_to_world(corner)) for corner in marked]
    shapes.add([corners], shape_type="polygon")
    region = layers.shapes_region(shapes, layer, image, viewer.dims)
    assert (region.rows, region.columns) == ((4, 26), (8, 31))
    # shapes are kept in single precision, far from the origin as well
    assert np.allclose(region.polygon, marked, atol=1e-2)


@quiet
@given(transforms())
def test_a_rectangle_of_the_same_transform_stays_one(of_both):
    viewer, layer, image = scene(**of_both)
    shapes = viewer.add_shapes([rectangle(4.5, 6.5, 9.5, 29.5)], **of_both)
    region = layers.shapes_region(shapes, layer, image, viewer.dims)
    assert region == Region((5, 10), (7, 30))


@quiet
@given(transforms(), st.floats(0, 39), st.floats(0, 59), factor, factor)
def test_the_pixel_in_the_middle_of_the_view_is_visible(
    placed, row, column, high, wide
):
    viewer, layer, image = scene(**placed)
    down, right = layer.data_to_world((row, column))
    corners = (down - high, right - wide), (down + high, right + wide)
    region = layers.visible_region(layer, image, viewer.dims, corners)
    assert region.rows[0] <= np.round(row) < region.rows[1]
    assert region.columns[0] <= np.round(column) < region.columns[1]
    # and no pixel of it is farther away than the view is large
    ends = [
        layer.world_to_data((down + i * high, right + j * wide))
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    low, top = np.min(ends, axis=0), np.max(ends, axis=0)
    assert region.rows[0] >= max(0, np.floor(low[0] + 0.5) - 1)
    assert region.columns[1] <= min(60, np.ceil(top[1] + 0.5) + 1)


# --- size of a patch


def test_a_patch_has_its_size_on_the_screen():
    viewer, layer, _ = scene(RNG.random((3, 40, 60)), scale=(9, 2, 0.5))
    viewer.dims.order = (0, 2, 1)
    image = layers.read_layer(layer, viewer.dims)
    assert layers.patch_in_view(layer, image, viewer.dims, 16) == (8, 32)
    viewer, layer, image = scene(scale=(2, 2), rotate=90)
    size = layers.patch_in_view(layer, image, viewer.dims, 16)
    assert size == pytest.approx((32, 32))
    viewer, layer, image = scene(rotate=30)
    size = layers.patch_in_view(layer, image, viewer.dims, 16)
    assert size == pytest.approx((16, 16))
