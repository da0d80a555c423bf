from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.images.rendering import (
    adapt,
    channel_colors,
    check_image,
    dark_notice,
    has_foreign_limits,
    render,
    stretch,
    with_percentiles,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.appearance import ContrastRule

DTYPES = [np.uint8, np.uint16, np.int32, np.float32, np.float64, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(7, 5), (1, 9), (9, 1), (1, 1), (6, 4, 3), (6, 4, 4)]
)
def test_any_type_and_shape_becomes_rgb(dtype: type, shape: tuple[int, ...]) -> None:
    pixels = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    image = render(pixels, stretch(pixels))
    assert image.shape == (*shape[:2], 3)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1


@given(
    arrays(
        np.float32,
        (4, 5),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_no_value_escapes_zero_to_one(pixels: np.ndarray) -> None:
    image = render(pixels, stretch(pixels))
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1


def test_nan_is_black_and_infinity_white() -> None:
    pixels = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    image = render(pixels, Appearance(limits=(0, 1)))
    assert image[0, :, 0].tolist() == [0, 1, 0, 0.5]


def test_uint16_is_stretched_and_8_bit_rgb_is_not() -> None:
    faint = np.random.default_rng(0).integers(1000, 1100, (50, 50)).astype(np.uint16)
    assert render(faint, stretch(faint)).std() > 0.2
    photo = np.full((4, 4, 3), 51, np.uint8)
    assert np.allclose(render(photo, stretch(photo)), 0.2)


def test_percentiles_ignore_outliers_and_can_be_chosen() -> None:
    pixels = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    pixels[0, 0] = 1e6
    assert stretch(pixels, (0.5, 99.5)).limits[1] < 1.1
    assert stretch(pixels, (0, 100)).limits[1] == 1e6


def test_a_large_offset_keeps_its_detail() -> None:
    pixels = 1e9 + np.arange(16, dtype=np.float64).reshape(4, 4)
    image = render(pixels, stretch(pixels, (0, 100)))
    assert len(np.unique(image)) == 16


def test_constant_image_is_finite() -> None:
    pixels = np.full((3, 3), 7, np.uint16)
    assert np.isfinite(render(pixels, stretch(pixels))).all()


def test_gamma_and_lut_follow_the_viewer() -> None:
    pixels = np.array([[0.0, 0.25, 1.0]], np.float32)
    appearance = Appearance(gamma=0.5, lut=((0, 0, 0), (0, 1, 0)))
    image = render(pixels, appearance)
    assert np.allclose(image[0], [[0, 0, 0], [0, 0.5, 0], [0, 1, 0]])


def test_transparent_pixels_are_black() -> None:
    pixels = np.full((2, 2, 4), 255, np.uint8)
    pixels[0, 0, 3] = 0
    image = render(pixels, stretch(pixels))
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[1, 1].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((2, 3, 4, 5)), "shape"),
        (np.zeros((0, 4)), "no pixels"),
        (np.zeros((4, 4), complex), "complex"),
        (np.zeros((4, 4, 2)), "shape"),
    ],
)
def test_what_is_no_image_is_refused(pixels: np.ndarray, said: str) -> None:
    with pytest.raises(GemError, match=said):
        check_image(pixels)


@pytest.mark.parametrize("limits", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf)])
def test_useless_contrast_limits_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(GemError, match="contrast limits"):
        render(np.zeros((2, 2)), Appearance(limits=limits))


def test_percentiles_out_of_order_are_refused() -> None:
    with pytest.raises(GemError, match="percentiles"):
        stretch(np.zeros((2, 2)), (99, 1))


# --- channels


def test_channels_are_added_each_with_its_own_contrast() -> None:
    pixels = np.zeros((1, 4, 2), np.uint16)
    pixels[0, :, 0] = (0, 10, 0, 10)
    pixels[0, :, 1] = (0, 0, 4000, 4000)
    red, grey = ((0, 0, 0), (1, 0, 0)), None
    appearance = Appearance(
        channels=(
            Appearance(limits=(0, 10), lut=red),
            Appearance(limits=(0, 8000), lut=grey),
        )
    )
    image = render(pixels, appearance)
    assert image.dtype == np.float32
    expected = [[0, 0, 0], [1, 0, 0], [0.5, 0.5, 0.5], [1, 0.5, 0.5]]
    assert np.allclose(image[0], expected)


def test_inverted_channels_take_the_minimum() -> None:
    pixels = np.zeros((1, 3, 2))
    pixels[0, 1, 0] = pixels[0, 2, 1] = 1
    cyan, yellow = ((1, 1, 1), (0, 1, 1)), ((1, 1, 1), (1, 1, 0))
    appearance = Appearance(
        channels=(Appearance(lut=cyan), Appearance(lut=yellow)), blending="minimum"
    )
    image = render(pixels, appearance)
    assert np.allclose(image[0], [[1, 1, 1], [0, 1, 1], [1, 1, 0]])


@given(st.integers(1, 7), st.sampled_from(DTYPES), st.sampled_from(["add", "min"]))
def test_any_number_of_channels_becomes_rgb(
    count: int, dtype: type, layout: str
) -> None:
    pixels = (np.random.default_rng(count).random((5, 4, count)) * 200).astype(dtype)
    shown = stretch(pixels, channels=())
    assert len(shown.channels) == count
    if layout == "min":
        shown = Appearance(channels=shown.channels, blending="minimum")
    assert check_image(pixels, shown) is False
    image = render(pixels, shown)
    assert image.shape == (5, 4, 3)
    assert 0 <= image.min() <= image.max() <= 1


def test_channels_are_stretched_each_by_itself() -> None:
    ramp = np.linspace(0, 1, 100).reshape(10, 10)
    pixels = np.stack([ramp, 1000 * ramp], axis=-1)
    dim, bright = stretch(pixels, (0, 100), channels=()).channels
    assert dim.limits == (0, 1)
    assert bright.limits == (0, 1000)
    assert dim.lut == ((0, 0, 0), (1, 0, 1))
    own = stretch(pixels, channels=((0.5, 0, 0), (1, 1, 1)))
    assert own.channels[0].lut == ((0, 0, 0), (0.5, 0, 0))
    assert own.channels[1].lut is None


def test_default_colors_add_up_to_white() -> None:
    for count in (1, 2, 3):
        assert np.allclose(np.sum(channel_colors(count), axis=0), 1)
    assert len(channel_colors(8)) == 8


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3), (2, 4, 4, 2)])
def test_pixels_without_the_channels_are_refused(shape: tuple[int, ...]) -> None:
    two = Appearance(channels=(Appearance(), Appearance()))
    with pytest.raises(GemError, match=r"shape \(height, width, 2\)"):
        render(np.zeros(shape), two)


def test_a_color_for_each_channel_is_needed() -> None:
    with pytest.raises(GemError, match="There are 2 colours"):
        stretch(np.zeros((4, 4, 3)), channels=channel_colors(2))
    with pytest.raises(GemError, match="a colour for each channel"):
        stretch(np.zeros((4, 4)), channels=())


def test_nan_is_black_whatever_the_colours() -> None:
    pixels = np.array([[0.0, np.nan, 1.0, -np.inf]], np.float32)
    inverted = Appearance(lut=((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    assert render(pixels, inverted)[0, :, 0].tolist() == [1, 0, 0, 1]


def test_percentiles_are_those_of_the_image_that_gets_the_appearance() -> None:
    pixels = np.random.default_rng(0).integers(0, 900, (40, 50)).astype(np.uint16)
    rule = replace(stretch(pixels, (2, 98)), gamma=0.5)
    bright = pixels * 16 + 100
    own = adapt(rule, bright)
    assert own.limits == stretch(bright, (2, 98)).limits != rule.limits
    assert (own.gamma, own.percentiles) == (0.5, (2, 98))
    assert np.allclose(render(bright, own), render(pixels, rule), atol=1e-3)
    assert adapt(rule, pixels) == rule
    stack = np.stack([pixels, bright], -1)
    channels = stretch(stack, channels=())
    swapped = adapt(channels, stack[..., ::-1])
    assert swapped.channels[0].limits == channels.channels[1].limits
    assert swapped.channels[0].lut == channels.channels[0].lut


@pytest.mark.parametrize("contrast", ["", "fixed", "shown"])
def test_limits_that_are_numbers_stay(contrast: ContrastRule) -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30)
    rule = Appearance(limits=(3.0, 80.0), contrast=contrast)
    assert adapt(rule, pixels).limits == (3.0, 80.0)
    assert has_foreign_limits(rule, pixels) is (contrast != "fixed")
    measured = with_percentiles(Appearance(channels=(rule, rule)), (0, 100))
    stack = np.stack([pixels, pixels], -1)
    assert not has_foreign_limits(measured, stack)
    assert adapt(measured, stack).channels[1].limits == (0.0, 599.0)


def test_limits_of_eight_bits_suit_all_images() -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    assert not has_foreign_limits(Appearance(rgb=True, limits=(0, 255)), pixels)
    assert has_foreign_limits(Appearance(rgb=True, limits=(9, 255)), pixels)


def test_the_rule_of_contrast_does_not_change_what_is_encoded() -> None:
    one, other = Appearance(), Appearance(contrast="fixed", percentiles=(1, 2))
    assert (one, repr(one)) == (other, repr(other))


def _colored(top: int) -> NDArray[np.uint8]:
    ramp = np.linspace(0, top, 64 * 64).reshape(64, 64)
    return np.stack([ramp, ramp / 2, ramp / 4], -1).astype(np.uint8)


def test_a_dark_rgb_png_is_stretched_for_all_colours_together(tmp_path: Path) -> None:
    Image.fromarray(_colored(60)).save(tmp_path / "dark.png")
    pixels = np.asarray(Image.open(tmp_path / "dark.png"))
    look = stretch(pixels)
    low, high = look.limits
    assert 0 <= low < 2
    assert 50 < high <= 60
    assert look.contrast == "percentiles"
    assert "dark for the model" in dark_notice(look, pixels)[0]
    assert not dark_notice(stretch(pixels, brighten=False), pixels)
    shown = render(pixels, look)
    assert shown.max() == 1
    middle = shown[32, 32]
    assert middle[0] == pytest.approx(2 * middle[1], rel=0.1)
    assert stretch(pixels, brighten=False).limits == (0, 255)


def test_a_bright_rgb_image_and_recipes_of_before_are_as_they_are() -> None:
    assert stretch(_colored(200)).limits == (0, 255)
    before = Appearance(rgb=True, limits=(0, 255), contrast="percentiles")
    assert adapt(before, _colored(60)).limits == (0, 255)
    assert adapt(stretch(_colored(60)), _colored(200)).limits == (0, 255)
