"""Layers to pixels and back, on napari's own layers and viewer model without Qt."""

from __future__ import annotations

from types import SimpleNamespace

import dask.array
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points

from napari_gem import layers
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe
from napari_gem.layers.reading import source
from tests.layers.scene import show_results

RNG = np.random.default_rng(7)


def recipe_of(*names: str, appearance: Appearance | None = None) -> Recipe:
    return Recipe(
        version="0",
        model="embedded",
        revision="abc",
        prompts=tuple(Prompt(tuple(name.split(","))) for name in names),
        encode=EncodeParameters(),
        score=ScoreParameters(),
        appearance=appearance or Appearance(),
        device="cpu",
        precision="float32",
    )


def results_of(image, *names):
    height, width = image.shape
    number = np.arange(height * width).reshape(height, width)
    labels = (number % (len(names) + 1)).astype(np.uint8)
    maps = np.stack([(labels == i + 1) * np.float32(0.9) for i in range(len(names))])
    return layers.result_layers(maps, labels, recipe_of(*names), image)


# --- pixels


CASES = {
    "grey": (RNG.random((5, 7)), {}),
    "bool": (RNG.random((5, 7)) > 0.5, {}),
    "uint16": (RNG.integers(0, 60000, (5, 7), np.uint16), {}),
    "rgb": (RNG.integers(0, 255, (5, 7, 3), np.uint8), {"rgb": True}),
    "rgba": (RNG.random((5, 7, 4)), {"rgb": True}),
    "one pixel": (np.ones((1, 1)), {}),
    "row": (RNG.random((1, 9)), {}),
    "three columns": (RNG.random((5, 3)), {"rgb": False}),
}


@pytest.mark.parametrize("name", CASES)
def test_plane_of_a_2d_layer(name):
    data, kwargs = CASES[name]
    viewer = ViewerModel()
    layer = viewer.add_image(data, **kwargs)
    image = layers.read_layer(layer, viewer.dims)
    assert np.array_equal(image.read(), data)
    assert image.shape == data.shape[:2]
    assert image.appearance.rgb == layer.rgb
    assert image.title == ""


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1)])
@pytest.mark.parametrize("rgb", [False, True])
def test_plane_of_a_stack_is_the_one_shown(order, rgb):
    data = RNG.random((4, 5, 6, 3) if rgb else (4, 5, 6))
    viewer = ViewerModel()
    layer = viewer.add_image(data, rgb=rgb, scale=(2, 3, 0.5), translate=(10, 20, 30))
    viewer.dims.order = order
    viewer.dims.set_current_step(order[0], 2)
    image = layers.read_layer(layer, viewer.dims)
    expected = np.take(data, 2, axis=order[0])
    if order[1] > order[2]:
        expected = np.swapaxes(expected, 0, 1)
    assert np.array_equal(image.read(), expected)
    assert image.shape == expected.shape[:2]
    assert image.title == "slice 2"


def test_plane_of_a_layer_with_fewer_axes_than_the_viewer():
    viewer = ViewerModel()
    viewer.add_image(RNG.random((3, 8, 4, 5)))
    data = RNG.random((8, 4, 5))
    layer = viewer.add_image(data)
    viewer.dims.current_step = (2, 6, 0, 0)
    assert np.array_equal(layers.read_layer(layer, viewer.dims).read(), data[6])
    flat = viewer.add_image(data[0])
    viewer.dims.ndisplay = 3
    assert np.array_equal(layers.read_layer(flat, viewer.dims).read(), data[0])


@pytest.mark.parametrize("mode", ["mean", "max", "min", "sum", "none"])
def test_thick_slices_are_projected_as_shown(mode):
    data = RNG.random((9, 4, 5))
    viewer = ViewerModel()
    layer = viewer.add_image(data, projection_mode=mode, scale=(0.5, 1, 1))
    viewer.dims.set_point(0, 2.0)
    viewer.dims.margin_left = (0.5, 0, 0)
    viewer.dims.margin_right = (1.0, 0, 0)
    shown = layers.read_layer(layer, viewer.dims).read()
    for i, j in ((0, 0), (3, 4), (2, 1)):
        assert shown[i, j] == pytest.approx(layer.get_value((2.0, i, j), world=True))
    if mode == "max":
        assert np.array_equal(shown, data[3:7].max(axis=0))


def test_lazy_data_are_read_late():
    read = []

    def block(block_info=None):
        read.append(block_info)
        return np.full((1, 6, 7), 3.0)

    data = dask.array.map_blocks(
        block, chunks=((1,) * 5, (6,), (7,)), dtype=float, meta=np.empty((0, 0, 0))
    )
    viewer = ViewerModel()
    layer = viewer.add_image(data, contrast_limits=(0, 5))
    read.clear()
    image = layers.read_layer(layer, viewer.dims)
    assert not read
    assert np.array_equal(image.read(), np.full((6, 7), 3.0))
    assert len(read) == 1


def test_units_of_the_viewer_differ_from_those_of_the_layer():
    viewer = ViewerModel()
    data = RNG.random((8, 4, 5))
    layer = viewer.add_image(data, scale=(0.001, 1, 1), units=("mm", "um", "um"))
    viewer.add_image(data, units=("um", "um", "um"))
    viewer.dims.set_point(0, 3.0)
    image = layers.read_layer(layer, viewer.dims)
    assert image.position == {0: 3}


def test_multiscale_takes_the_finest_level_within_the_limit(monkeypatch):
    monkeypatch.setattr(source, "LARGEST_LEVEL", 20 * 25)
    levels = [RNG.random((80 // 2**i, 100 // 2**i)) for i in range(4)]
    viewer = ViewerModel()
    layer = viewer.add_image(levels, multiscale=True, scale=(2, 3))
    image = layers.read_layer(layer, viewer.dims)
    assert np.array_equal(image.read(), levels[2])
    assert "20 x 25" in image.notice
    labels = Layer.create(*results_of(image, "a")[-1].as_tuple())
    # edges of the pixels at the corners, in the world
    assert labels.extent.world[0] - np.array((8, 12)) / 2 == pytest.approx(
        layer.extent.world[0] - np.array((2, 3)) / 2
    )
    assert labels.extent.world[1] + np.array((8, 12)) / 2 == pytest.approx(
        layer.extent.world[1] + np.array((2, 3)) / 2
    )


def test_multiscale_that_fits_is_taken_whole():
    levels = [RNG.random((3, 40, 50)), RNG.random((3, 20, 25))]
    viewer = ViewerModel()
    layer = viewer.add_image(levels, multiscale=True)
    viewer.dims.set_current_step(0, 2)
    image = layers.read_layer(layer, viewer.dims)
    assert np.array_equal(image.read(), levels[0][2])
    assert image.notice == ""


# --- refusals


def stand_in(name, data):
    """An image layer that napari refuses to make."""
    return SimpleNamespace(
        name=name,
        data=data,
        dtype=data.dtype,
        rgb=False,
        multiscale=False,
        contrast_limits=(0, 1),
        scale=np.ones(data.ndim),
    )


def test_refusals_say_what_came_and_what_to_do():
    viewer = ViewerModel()
    volume = viewer.add_image(RNG.random((3, 4, 5)))
    cases = [
        (Labels(np.zeros((4, 4), int), name="cells"), "'cells' is a Labels layer"),
        (Points(np.zeros((1, 2)), name="spots"), "'spots' is a Points layer"),
        (
            stand_in("waves", np.ones((4, 4), complex)),
            "'waves' holds values of type complex128",
        ),
        (stand_in("none", np.zeros((0, 4))), "'none' has no pixels"),
    ]
    for layer, expected in cases:
        with pytest.raises(GemError, match=expected):
            layers.read_layer(layer, viewer.dims)
    viewer.dims.ndisplay = 3
    with pytest.raises(GemError, match="Switch to 2D"):
        layers.read_layer(volume, viewer.dims)


def test_a_slice_outside_the_layer_is_refused():
    viewer = ViewerModel()
    viewer.add_image(RNG.random((9, 4, 5)))
    short = viewer.add_image(RNG.random((3, 4, 5)), name="short")
    viewer.dims.set_current_step(0, 8)
    with pytest.raises(GemError, match="'short' has nothing at the slice"):
        layers.read_layer(short, viewer.dims)


# --- appearance


def test_appearance_is_that_of_the_layer():
    layer = Image(RNG.random((4, 5)), contrast_limits=(0.2, 0.7), gamma=0.5)
    assert layers.read_appearance(layer) == Appearance(
        rgb=False, limits=(0.2, 0.7), gamma=0.5, lut=None
    )
    layer.colormap = "viridis"
    lut = np.array(layers.read_appearance(layer).lut)
    assert lut.shape == (source.LUT_SIZE, 3)
    assert np.allclose(lut, layer.colormap.map(np.linspace(0, 1, 256))[:, :3])
    layer.colormap = "gray_r"
    assert layers.read_appearance(layer).lut[0] == (1.0, 1.0, 1.0)
    rgb = Image(RNG.integers(0, 4096, (4, 5, 3), np.uint16), rgb=True)
    rgb.contrast_limits = (10, 4000)
    shown = layers.read_appearance(rgb)
    assert (shown.rgb, shown.limits, shown.lut) == (True, (10.0, 4000.0), None)


# --- geometry


finite = st.floats(-50, 50)
factor = st.floats(0.05, 20)


@st.composite
def placed_layers(draw):
    """An image of 2 to 4 axes under any transform, and the slice that is shown."""
    ndim = draw(st.integers(2, 4))
    shape = tuple(draw(st.integers(1, 6)) for _ in range(ndim))
    along = [draw(factor) for _ in range(ndim)]
    shift = [draw(finite) for _ in range(ndim)]
    rotate, shear, affine = np.eye(ndim), np.eye(ndim), np.eye(ndim + 1)
    angle = np.radians(draw(st.floats(0, 360)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # axes on and off the screen are not mixed: the viewer cannot show that truly
    rotate[-2:, -2:] = turn
    shear[-2, -1] = draw(st.floats(-2, 2))
    affine[-3:-1, -3:-1] = [[draw(factor), 0.3], [-0.2, draw(factor)]]
    affine[:-1, -1] = [draw(finite) for _ in range(ndim)]
    layer = Image(
        RNG.random(shape),
        rgb=False,
        scale=along,
        translate=shift,
        rotate=rotate,
        shear=shear,
        affine=affine,
        units=["um"] * ndim,
        axis_labels=[f"axis {i}" for i in range(ndim)],
    )
    flip = draw(st.booleans())
    order = (*range(ndim - 2), ndim - 1, ndim - 2) if flip else tuple(range(ndim))
    position = tuple(draw(st.integers(0, n - 1)) for n in shape[:-2])
    return layer, order, position


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(placed_layers())
def test_results_lie_exactly_on_the_image(placed):
    layer, order, position = placed
    viewer = ViewerModel()
    viewer.add_layer(layer)
    viewer.dims.order = order
    world = layer.data_to_world((*position, 0, 0))
    for axis in range(len(position)):
        viewer.dims.set_point(axis, world[axis])
    image = layers.read_layer(layer, viewer.dims)
    assert tuple(image.position.values()) == position
    results = [Layer.create(*data.as_tuple()) for data in results_of(image, "a", "b")]
    height, width = layer.data.shape[-2:]
    for result in results:
        assert result.data.shape == (*(1 for _ in position), height, width)
        assert result.units == layer.units
        assert result.axis_labels == layer.axis_labels
        for row in (-0.5, height - 0.5):
            for column in (-0.5, width - 0.5):
                ours = result.data_to_world((*(0 for _ in position), row, column))
                theirs = layer.data_to_world((*position, row, column))
                assert np.allclose(ours, theirs, atol=1e-6)
    shown = image.read()
    assert shown.shape == image.shape
    down, right = order[-2:]
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            where = [*position, 0, 0]
            where[down], where[right] = i, j
            assert shown[i, j] == layer.data[tuple(where)]
            index = [0] * len(where)
            index[down], index[right] = i, j
            expected = (i * image.shape[1] + j) % 3
            assert results[-1].data[tuple(index)] == expected


def test_results_are_seen_on_their_slice_only():
    viewer = ViewerModel()
    layer = viewer.add_image(
        RNG.random((6, 8, 9)), scale=(3, 0.5, 0.5), translate=(7, -2, 4)
    )
    viewer.dims.set_current_step(0, 4)
    image = layers.read_layer(layer, viewer.dims)
    show_results(viewer, image, results_of(image, "a"))
    labels = viewer.layers[-1]
    assert isinstance(labels, Labels)
    world = layer.data_to_world((4, 0, 1))
    assert labels.get_value(world, world=True) == 1
    viewer.dims.set_current_step(0, 3)
    assert labels.get_value(layer.data_to_world((3, 0, 1)), world=True) is None


def test_results_follow_an_image_that_was_moved_during_the_run():
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((6, 8, 9)))
    viewer.dims.set_current_step(0, 2)
    image = layers.read_layer(layer, viewer.dims)
    results = results_of(image, "a")
    layer.scale, layer.translate = (2, 2, 2), (1, 1, 1)
    viewer.dims.set_current_step(0, 5)
    moved = layers.move_results(layer, image, results)
    labels = Layer.create(*moved[-1].as_tuple())
    assert np.allclose(labels.data_to_world((0, 3, 4)), layer.data_to_world((2, 3, 4)))
    layer.data = RNG.random((6, 4, 9))
    with pytest.raises(GemError, match="were replaced during the run"):
        layers.move_results(layer, image, results)
