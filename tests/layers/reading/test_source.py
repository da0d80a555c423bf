"""Several channels as one image, on napari's own layers and viewer model."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import xarray
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_gem import layers
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.images.rendering import channel_colors, render
from napari_gem.layers.reading import source
from napari_gem.worker.arrays import save_array
from tests.layers.test_layers import results_of

RNG = np.random.default_rng(11)


@pytest.fixture
def pair():
    """Two channels of one image, as a reader of microscopy files gives them."""
    viewer = ViewerModel()
    green = viewer.add_image(
        RNG.random((6, 8)), name="green", colormap="green", scale=(2, 3)
    )
    red = viewer.add_image(
        RNG.integers(0, 4000, (6, 8)).astype(np.uint16),
        name="red",
        colormap="red",
        scale=(2, 3),
        blending="additive",
    )
    return viewer, green, red


# --- several layers


def test_layers_are_added_as_the_viewer_shows_them(pair):
    viewer, green, red = pair
    red.contrast_limits = (100, 3000)
    green.gamma = 0.5
    image = layers.read_layers([green, red], viewer.dims)
    pixels = image.read()
    assert pixels.shape == (6, 8, 2)
    rgb = render(pixels, image.appearance)
    reds = np.clip((red.data - 100.0) / 2900, 0, 1)
    assert np.allclose(rgb[..., 0], reds, atol=1e-5)
    low, high = green.contrast_limits
    greens = np.clip((green.data - low) / (high - low), 0, 1) ** 0.5
    assert np.allclose(rgb[..., 1], greens, atol=1e-5)
    assert np.allclose(rgb[..., 2], 0)


def test_opacity_dims_what_is_added(pair):
    viewer, green, red = pair
    red.opacity = 0.25
    shown = layers.read_layers([green, red], viewer.dims).appearance
    assert np.allclose(shown.channels[1].lut[-1], (0.25, 0, 0))
    assert np.allclose(shown.channels[0].lut[-1], (0, 1, 0))


def test_inverted_layers_take_the_minimum(pair):
    viewer, green, red = pair
    for layer in (green, red):
        layer.colormap, layer.blending = "I Blue", "minimum"
    image = layers.read_layers([green, red], viewer.dims)
    assert image.appearance.blending == "minimum"
    rgb = render(image.read(), image.appearance)
    alone = [
        render(one.read(), one.appearance)
        for one in (layers.read_layer(layer, viewer.dims) for layer in (green, red))
    ]
    assert np.allclose(rgb, np.minimum(*alone))
    red.blending = "additive"
    mixed = layers.read_view_appearance([green, red])
    assert mixed.blending == "additive"


def test_one_layer_is_read_as_before(pair):
    viewer, green, _ = pair
    image = layers.read_layers([green], viewer.dims)
    assert image.read().shape == (6, 8)
    assert image.appearance == layers.read_appearance(green)
    assert image.source == layers.read_layer(green, viewer.dims).source


def test_the_source_names_the_combination(pair):
    viewer, green, red = pair
    composite = layers.read_layers([green, red], viewer.dims).source
    assert layers.read_layers([red, green], viewer.dims).source == composite
    red.name, green.contrast_limits = "other", (0, 0.5)
    assert layers.read_layers([green, red], viewer.dims).source == composite
    alone = {layers.read_layer(layer, viewer.dims).source for layer in (green, red)}
    assert composite not in alone


def test_the_appearance_is_known_without_reading(pair):
    viewer, green, red = pair
    shown = layers.read_layers([green, red], viewer.dims).appearance
    assert layers.read_view_appearance([green, red]) == shown
    red.contrast_limits = (0, 10)
    assert layers.read_view_appearance([green, red]) != shown


def test_layers_that_differ_are_refused_by_name(pair):
    viewer, green, _ = pair
    data = RNG.random((6, 8))
    cases = [
        (Image(data[:5], name="cut", scale=(2, 3)), "'cut' differs .* its shape"),
        (Image(data, name="fine", scale=(2, 2)), "'fine' differs .* its scale"),
        (
            Image(data, name="moved", scale=(2, 3), translate=(0, 0.1)),
            "'moved' differs .* its translate",
        ),
        (
            Image(data, name="turned", scale=(2, 3), rotate=1),
            "'turned' differs .* its rotate",
        ),
        (
            Image(data, name="nm", scale=(2, 3), units=("nm", "nm")),
            "'nm' differs .* its units",
        ),
        (Image(RNG.random((6, 8, 3)), name="photo", rgb=True), "is an RGB image"),
        (Labels(np.zeros((6, 8), int), name="cells"), "'cells' is a Labels layer"),
    ]
    for other, said in cases:
        with pytest.raises(GemError, match=said):
            layers.read_layers([green, other], viewer.dims)
    with pytest.raises(GemError, match="no image layer"):
        layers.read_layers([], viewer.dims)


def test_places_that_agree_but_for_rounding_are_the_same(pair):
    viewer, green, _ = pair
    affine = np.diag([2 + 1e-8, 3, 1])
    other = viewer.add_image(RNG.random((6, 8)), affine=affine, scale=(1, 1))
    assert layers.difference(green, other) == ""
    assert layers.read_layers([green, other], viewer.dims).shape == (6, 8)


# --- an axis of channels


def test_channels_of_an_axis_become_one_image():
    data = RNG.random((4, 3, 6, 8))
    viewer = ViewerModel()
    layer = viewer.add_image(data, scale=(1, 5, 2, 2), contrast_limits=(0, 1))
    viewer.dims.set_current_step(0, 2)
    image = layers.read_layers([layer], viewer.dims, channel_axis=1, channels=(2, 0))
    assert np.array_equal(image.read(), np.moveaxis(data[2, [2, 0]], 0, -1))
    assert image.position == {0: 2}
    luts = [channel.lut[-1] for channel in image.appearance.channels]
    assert luts == list(channel_colors(2))
    every = layers.read_layers([layer], viewer.dims, channel_axis=1)
    assert len(every.planes) == 3
    assert every.source == image.source
    other = layers.read_layers([layer], viewer.dims, channel_axis=0)
    assert other.source != image.source


def test_colors_and_limits_of_channels_can_be_chosen():
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((2, 6, 8)), contrast_limits=(0, 1), gamma=0.5)
    chosen = {
        "channel_axis": 0,
        "channels": (0, 1),
        "colors": ((1.0, 0.5, 0.0), (1.0, 1.0, 1.0)),
        "limits": ((0.0, 0.5), (0.2, 1.0)),
    }
    shown = layers.read_layers([layer], viewer.dims, **chosen).appearance
    assert shown.channels == (
        Appearance(limits=(0, 0.5), gamma=0.5, lut=((0, 0, 0), (1, 0.5, 0))),
        Appearance(limits=(0.2, 1), gamma=0.5),
    )
    assert layers.read_view_appearance([layer], **chosen) == shown
    one = layers.read_layers([layer], viewer.dims, channel_axis=0, channels=(1,))
    assert one.appearance == Appearance(limits=(0, 1), gamma=0.5)
    assert np.array_equal(one.read(), layer.data[1])
    with pytest.raises(GemError, match="1 colours"):
        layers.read_layers(
            [layer], viewer.dims, channel_axis=0, colors=((1.0, 0.0, 0.0),)
        )


def test_each_channel_can_have_its_own_limits():
    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    limits = layers.channel_limits(np.stack([ramp, 90 * ramp], -1), (0, 100))
    assert limits == ((0, 1), (0, 90))
    assert layers.channel_limits(ramp, (0, 100)) == ((0, 1),)


@pytest.mark.parametrize("step", [0, 1, 4])
def test_results_of_channels_show_with_every_channel(step):
    viewer = ViewerModel()
    layer = viewer.add_image(
        RNG.random((3, 5, 6, 8)), scale=(4, 3, 2, 2), translate=(9, 7, 1, 1)
    )
    viewer.dims.set_current_step(0, 1)
    image = layers.read_layers([layer], viewer.dims, channel_axis=1)
    results = [Layer.create(*data.as_tuple()) for data in results_of(image, "a")]
    for corner in ((0, 0), (5, 7)):
        ours = results[-1].data_to_world((0, 0, *corner))
        theirs = layer.data_to_world((1, 2, *corner))
        assert np.allclose(ours, theirs)
    added = viewer.add_layer(results[-1])
    viewer.dims.set_point(1, layer.data_to_world((1, step, 0, 0))[1])
    value = added.get_value(layer.data_to_world((1, step, 5, 7)), world=True)
    assert value == added.data[0, 0, 5, 7]
    moved = layers.move_results(layer, image, results_of(image, "a"))
    assert np.allclose(moved[0].kwargs["translate"], added.translate)


def test_what_is_no_axis_of_channels_is_refused(pair):
    viewer, green, red = pair
    stack = viewer.add_image(RNG.random((3, 6, 8)), name="stack")
    photo = viewer.add_image(RNG.random((2, 6, 8, 3)), rgb=True, name="photo")
    cases = [
        ([stack], 2, (), "Axis 2 of 'stack' cannot hold channels"),
        ([stack], 0, (0, 3), "has channels 0 to 2"),
        ([stack], 0, (1, 1), "has channels 0 to 2"),
        ([photo], 0, (), "'photo' is an RGB image"),
        ([green, red], 0, (), "2 layers and an axis of channels"),
    ]
    for chosen, axis, channels, said in cases:
        with pytest.raises(GemError, match=said):
            layers.read_layers(
                chosen, viewer.dims, channel_axis=axis, channels=channels
            )


# --- slices, lazily


def test_another_slice_than_the_shown_one_can_be_read():
    data = RNG.random((4, 5, 6, 8))
    viewer = ViewerModel()
    layer = viewer.add_image(data, scale=(2, 1, 1, 1))
    viewer.dims.current_step = (1, 2, 0, 0)
    assert layers.slice_axes(layer, viewer.dims) == {0: 4, 1: 5}
    assert layers.slice_axes(layer, viewer.dims, channel_axis=1) == {0: 4}
    image = layers.read_layers([layer], viewer.dims, position={0: 3})
    assert image.position == {0: 3, 1: 2}
    assert np.array_equal(image.read(), data[3, 2])
    again = layers.read_layers([layer], viewer.dims, position=image.position)
    assert np.array_equal(again.read(), data[3, 2])
    with pytest.raises(GemError, match="nothing at the slice 4"):
        layers.read_layers([layer], viewer.dims, position={0: 4})


def test_a_slice_can_be_read_where_the_viewer_shows_none():
    viewer = ViewerModel()
    viewer.add_image(RNG.random((9, 6, 8)))
    short = viewer.add_image(RNG.random((3, 6, 8)))
    viewer.dims.set_current_step(0, 8)
    image = layers.read_layers([short], viewer.dims, position={0: 2})
    assert np.array_equal(image.read(), short.data[2])


def test_thick_slices_elsewhere_are_as_thick():
    data = RNG.random((9, 4, 5))
    viewer = ViewerModel()
    layer = viewer.add_image(data, projection_mode="max")
    viewer.dims.set_current_step(0, 2)
    viewer.dims.margin_left = viewer.dims.margin_right = (1, 0, 0)
    image = layers.read_layers([layer], viewer.dims, position={0: 6})
    assert np.array_equal(image.read(), data[5:8].max(axis=0))


def test_nothing_is_read_before_it_is_asked_for():
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"][0])
        return np.full((1, 6, 7), 3.0)

    def stack():
        return dask.array.map_blocks(
            block, chunks=((1,) * 5, (6,), (7,)), dtype=float, meta=np.empty((0, 0, 0))
        )

    viewer = ViewerModel()
    added = [viewer.add_image(stack(), contrast_limits=(0, 5)) for _ in range(2)]
    read.clear()
    images = [
        layers.read_layers(added, viewer.dims),
        layers.read_layers(added[:1], viewer.dims, channel_axis=0, channels=(1, 3)),
    ]
    assert not read
    assert images[1].read().shape == (6, 7, 2)
    assert read == [1, 3]


def test_a_subsample_and_a_coarse_level_can_be_read():
    levels = [RNG.random((3, 80 // 2**i, 100 // 2**i)) for i in range(3)]
    viewer = ViewerModel()
    layer = viewer.add_image(levels, multiscale=True)
    viewer.dims.order = (0, 2, 1)
    small = layers.read_layers([layer], viewer.dims, largest=600)
    assert np.array_equal(small.read(), levels[2][1].T)
    whole = layers.read_layers([layer], viewer.dims)
    assert np.array_equal(whole.read(7), levels[0][1].T[::7, ::7])


def test_patches_have_a_size_in_units_of_the_layer():
    viewer = ViewerModel()
    layer = viewer.add_image(RNG.random((3, 6, 8)), scale=(9, 0.5, 0.25))
    viewer.dims.order = (0, 2, 1)
    image = layers.read_layer(layer, viewer.dims)
    assert image.patch_extent(16) == (4, 8)


def test_thick_slices_do_not_mix_channels():
    data = RNG.random((4, 6, 8))
    viewer = ViewerModel()
    layer = viewer.add_image(data)
    viewer.dims.margin_left = viewer.dims.margin_right = (1, 0, 0)
    image = layers.read_layers([layer], viewer.dims, channel_axis=0, channels=(1, 2))
    assert np.array_equal(image.read(), np.moveaxis(data[1:3], 0, -1))


@given(
    point=st.floats(-0.4, 7.4),
    left=st.floats(0, 2),
    right=st.floats(0, 2),
    mode=st.sampled_from(["none", "mean", "sum", "max", "min"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_slices_are_what_napari_shows(point, left, right, mode):
    viewer = ViewerModel()
    data = np.random.default_rng(0).random((8, 4, 5)).astype(np.float32)
    layer = viewer.add_image(data, projection_mode=mode)
    viewer.dims.set_point(0, point)
    viewer.dims.margin_left = (left, 0, 0)
    viewer.dims.margin_right = (right, 0, 0)
    shown = np.asarray(layer._slice.image.raw)
    assert np.allclose(layers.read_layer(layer, viewer.dims).read(), shown)


def test_the_level_that_the_user_locked_is_taken():
    levels = [RNG.random((80 // 2**i, 100 // 2**i)) for i in range(3)]
    viewer = ViewerModel()
    layer = viewer.add_image(levels, multiscale=True, scale=(2, 2))
    layer.locked_data_level = 1
    image = layers.read_layer(layer, viewer.dims)
    assert image.shape == (40, 50)
    assert np.array_equal(image.geometry.transform["scale"], (4, 4))
    assert image.notice == ""  # who chose it knows
    small = layers.read_layer(layer, viewer.dims, largest=20 * 25)
    assert small.shape == (20, 25)
    layer.locked_data_level = None
    assert layers.read_layer(layer, viewer.dims).shape == (80, 100)


@pytest.mark.parametrize(
    ("wanted", "height"),
    [(0.3, 81), (1.0, 81), (2.0, 40), (3.9, 40), (4.0, 20), (99, 10)],
)
def test_the_coarsest_level_that_shows_the_detail_is_taken(monkeypatch, wanted, height):
    levels = [RNG.random((3, 81 // 2**i, 101 // 2**i)) for i in range(4)]
    viewer = ViewerModel()
    layer = viewer.add_image(levels, multiscale=True, scale=(1, 2, 2))
    image = layers.read_layer(layer, viewer.dims, wanted=wanted)
    assert image.shape[0] == height
    assert image.factor == pytest.approx(81 / height, rel=0.02)
    assert image.coarsest == pytest.approx(8, rel=0.05)
    assert layers.slice_axes(layer, viewer.dims, wanted=wanted) == {0: 3}
    (channels,) = (
        layers.read_layers([layer], viewer.dims, channel_axis=0, wanted=wanted),
    )
    assert channels.shape == image.shape
    # where the size decides if nothing is wanted, the wish goes first
    monkeypatch.setattr(source, "LARGEST_LEVEL", 20 * 25)
    assert layers.read_layer(layer, viewer.dims).shape == (20, 25)
    assert layers.read_layer(layer, viewer.dims, wanted=wanted).shape[0] == height
    layer.locked_data_level = 1
    assert layers.read_layer(layer, viewer.dims, wanted=wanted).shape == (40, 50)


def test_slices_are_those_of_the_level_that_is_taken():
    levels = [RNG.random((8 // 2**i, 64 // 2**i, 64 // 2**i)) for i in range(3)]
    viewer = ViewerModel()
    layer = viewer.add_image(levels, multiscale=True)
    viewer.dims.set_current_step(0, 6)
    for wanted, count, shown in ((None, 8, 6), (2.0, 4, 3), (4.0, 2, 2)):
        assert layers.slice_axes(layer, viewer.dims, wanted=wanted) == {0: count}
        image = layers.read_layer(layer, viewer.dims, wanted=wanted)
        assert image.position == {0: min(shown, count - 1)}


@pytest.mark.parametrize("displayed", [(1, 2), (2, 0)])
def test_rows_are_read_of_whatever_holds_them(displayed, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 9, (6, 40, 30)).astype(np.uint16)
    stored = zarr.create_array(
        store=str(tmp_path / "a.zarr"),
        shape=pixels.shape,
        chunks=(2, 16, 16),
        dtype="u2",
    )
    stored[:] = pixels
    lazy = dask.array.from_array(pixels, chunks=(3, (10, 30), 7))
    held = {
        "numpy": pixels,
        "dask": lazy,
        "xarray": xarray.DataArray(lazy, dims=("z", "y", "x")),
        "zarr": stored,
    }
    for name, data in held.items():
        viewer = ViewerModel()
        layer = viewer.add_image(data)
        rest = ({0, 1, 2} - set(displayed)).pop()
        viewer.dims.order = (rest, *displayed)
        viewer.dims.set_current_step(rest, 3)
        image = layers.read_layer(layer, viewer.dims)
        rows = image.rows()
        wanted = np.asarray(image.read())
        assert (rows.shape, rows.dtype) == (wanted.shape, np.uint16), name
        assert np.array_equal(rows[2:5], wanted[2:5]), name
        save_array(tmp_path / f"{name}.npy", rows)
        assert np.array_equal(np.load(tmp_path / f"{name}.npy"), wanted), name
    assert rows.chunk == (2 if displayed[0] == 0 else 16)  # of zarr, the last


def test_rows_tell_what_they_are_all_of():
    viewer = ViewerModel()
    pixels = np.zeros((6, 40, 30))
    stack, plane = viewer.add_image(pixels), viewer.add_image(pixels[0])
    colors = viewer.add_image(np.zeros((40, 30, 3)), rgb=True)
    levels = viewer.add_image([pixels[0], pixels[0, ::2, ::2]], multiscale=True)

    def whole(layer, **more):
        return layers.read_layer(layer, viewer.dims, **more).rows().whole

    assert whole(plane) is plane.data
    assert whole(colors) is colors.data
    assert whole(stack) is None
    assert whole(levels) is levels.data[0]
    assert whole(levels, largest=300) is levels.data[1]
    joined = layers.read_layers([plane, plane], viewer.dims)
    assert joined.rows().whole is None
    viewer.dims.order = (0, 2, 1)
    assert whole(plane) is None
    assert whole(colors) is None
