"""Turns pixel values of any layer or file into the RGB image that a model sees."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.appearance import PERCENTILES, Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.validation import check_appearance, check_percentiles
from napari_gem.images.read_errors import read_part
from napari_gem.images.readers.planes import PlaneView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray

    Color = tuple[float, float, float]

SAMPLED = 4_000_000
"""Percentiles of larger images are computed from about this many pixels."""

STRIDED = 1 << 26
"""Of images with at most this many pixels every n-th row and column is read. Of larger
ones windows are read, so that few chunks of a file are decoded."""

DARK = 128
"""An 8-bit RGB image is dark for models if its `BRIGHTEST` percentile lies below."""

BRIGHTEST = 99.8

WINDOWS = 16
"""Windows along each axis."""

CHANNEL_COLORS: dict[int, tuple[Color, ...]] = {
    1: ((1.0, 1.0, 1.0),),
    2: ((1.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
}
MORE_COLORS: tuple[Color, ...] = (
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0),
    (0.0, 1.0, 1.0),
    (1.0, 0.0, 1.0),
    (1.0, 1.0, 0.0),
)


FOREIGN_LIMITS = (
    "The recipe's contrast limits are numbers that suited its own image. If this image "
    "was taken with another exposure, let percentiles of it be taken (--percentiles, "
    "or `with_percentiles`)."
)


DARK_IMAGE = (
    "This image is dark for the model, so it is stretched to the contrast limits that "
    "the recipe holds. --limits 0 255 takes it as it is."
)


def channel_colors(count: int) -> tuple[Color, ...]:
    """Choose colours for channels that are shown together.

    Grey for one channel, magenta and green for two, red, green, blue for three, then
    cyan, magenta, yellow; more begin again.
    """
    colors = CHANNEL_COLORS.get(count)
    return colors or tuple(MORE_COLORS[i % len(MORE_COLORS)] for i in range(count))


def channel_lut(color: Color) -> tuple[Color, ...] | None:
    """Shade a channel from black to a colour, as `Appearance.lut`."""
    return None if tuple(color) == (1.0, 1.0, 1.0) else ((0.0, 0.0, 0.0), color)


def check_image(pixels: LazyArray, appearance: Appearance | None = None) -> bool:
    """Refuse an array that is not one image plane.

    Parameters
    ----------
    pixels
        (height, width), or (height, width, 3 or 4) for RGB and RGBA, or with the
        channels of the appearance as last axis.
    appearance
        How the pixels are to be shown; only its ``channels`` matter.

    Returns
    -------
    bool
        True for RGB and RGBA.

    Raises
    ------
    GemError
        If the array has other axes, no pixels, or values that are no numbers.
    """
    channels = len(appearance.channels) if appearance is not None else 0
    rgb = not channels and pixels.ndim == 3 and pixels.shape[-1] in (3, 4)
    if channels and (pixels.ndim != 3 or pixels.shape[-1] != channels):
        raise GemError(
            f"The image has the shape {pixels.shape}, but {channels} channels are to "
            f"be shown. Give one plane of the shape (height, width, {channels})."
        )
    if not rgb and not channels and pixels.ndim != 2:
        raise GemError(
            f"The image has the shape {pixels.shape}, which is not that of one plane. "
            "Give one plane: (height, width), or (height, width, 3 or 4) for colours."
        )
    if 0 in pixels.shape:
        raise GemError(f"The image has no pixels: its shape is {pixels.shape}.")
    if pixels.dtype.kind not in "buif":
        raise GemError(
            f"The pixels are of type {pixels.dtype}, which cannot be shown. Give whole "
            "numbers, floats or booleans: of a complex image the real part or the "
            "magnitude."
        )
    return rgb


def stretch(
    pixels: LazyArray,
    percentiles: tuple[float, float] = PERCENTILES,
    *,
    channels: Sequence[Color] | None = None,
    valid: LazyArray | None = None,
    brighten: bool = True,
) -> Appearance:
    """Choose an appearance for an image that no viewer shows.

    8-bit RGB images are taken as they are, 8-bit values 0 to 255, unless they are
    dark: their percentile `BRIGHTEST` is less than `DARK`. All others are stretched
    between two percentiles of their finite values, the same for all colours of an
    RGB image and on its own for each of several channels; NaN and infinity are left
    out of the count.

    Parameters
    ----------
    pixels
        (height, width) or (height, width, 3 or 4); with ``channels`` (height, width,
        number of channels). Of large images only a sample is read.
    percentiles
        Those shown as black and as white, 0 to 100.
    channels
        Colour of each channel, to show all of them in one picture; an empty sequence
        takes `channel_colors`. None: the image is no stack of channels.
    valid
        (height, width) bool: where there is data, which alone is counted; None for
        everywhere.
    brighten
        Whether dark 8-bit RGB images are stretched, too.

    Raises
    ------
    GemError
        If the percentiles are not in order, or as `check_image`.
    """
    check_percentiles(percentiles)
    if channels is not None:
        return _stretch_channels(pixels, percentiles, channels, valid)
    rgb = check_image(pixels)
    whole = rgb and pixels.dtype == np.uint8 and not brighten
    limits = (
        (0.0, 255.0)
        if whole
        else _measure_limits(pixels, percentiles, rgb=rgb, valid=valid)
    )
    return Appearance(
        rgb=rgb, limits=limits, contrast="percentiles", percentiles=percentiles
    )


def adapt(
    appearance: Appearance, pixels: LazyArray, valid: LazyArray | None = None
) -> Appearance:
    """Give an appearance to another image, by the rule that its contrast follows.

    Limits that are percentiles become those of the image, on their own for each
    channel; all others stay.

    Parameters
    ----------
    appearance
        Of any image.
    pixels, valid
        As for `stretch`: the image that gets it, and where it holds data.

    Raises
    ------
    GemError
        As `check_image`, or if only one of them has colours.
    """
    rgb = check_image(pixels, appearance)
    if appearance.channels:
        channels = (
            adapt(channel, _channel(pixels, number), valid)
            for number, channel in enumerate(appearance.channels)
        )
        return replace(appearance, channels=tuple(channels))
    _check_kind(appearance, pixels, rgb=rgb)
    if appearance.contrast != "percentiles":
        return appearance
    if rgb and pixels.dtype == np.uint8 and appearance.limits == (0.0, 255.0):
        return appearance  # as it is: recipes of before know no dark images
    limits = _measure_limits(pixels, appearance.percentiles, rgb=rgb, valid=valid)
    return replace(appearance, limits=limits)


def with_percentiles(
    appearance: Appearance, percentiles: tuple[float, float]
) -> Appearance:
    """Let percentiles be the rule of an appearance and of all its channels."""
    channels = (with_percentiles(one, percentiles) for one in appearance.channels)
    return replace(
        appearance,
        contrast="percentiles",
        percentiles=percentiles,
        channels=tuple(channels),
    )


def has_foreign_limits(appearance: Appearance, pixels: LazyArray) -> bool:
    """Tell whether the limits are numbers that suited another image, not chosen ones.

    Those of the whole range of 8 bits, or of a mask, suit all images.
    """
    channels = appearance.channels or (appearance,)
    whole = {"u1": (0.0, 255.0), "b1": (0.0, 1.0)}.get(pixels.dtype.str[1:])
    return any(
        channel.contrast in ("", "shown") and channel.limits != whole
        for channel in channels
    )


def dark_notice(appearance: Appearance, pixels: LazyArray) -> tuple[str, ...]:
    """Say that an 8-bit RGB image is dark and was stretched, if it was."""
    measured = appearance.rgb and appearance.contrast == "percentiles"
    if not measured or pixels.dtype != np.uint8 or appearance.limits == (0.0, 255.0):
        return ()
    return (DARK_IMAGE,)


def _measure_limits(
    pixels: LazyArray,
    percentiles: tuple[float, float],
    *,
    rgb: bool,
    valid: LazyArray | None,
) -> tuple[float, float]:
    """Choose contrast limits as `stretch` does."""
    if pixels.dtype == np.bool_:
        return 0.0, 1.0
    sample = sample_of(pixels)
    values = sample[..., :3] if rgb else sample
    if valid is not None:
        values = values[sample_of(valid)]
    values = values[np.isfinite(values)].astype(np.float64)
    small = rgb and pixels.dtype == np.uint8
    if small and not (values.size and np.percentile(values, BRIGHTEST) < DARK):
        return 0.0, 255.0
    if values.size == 0:
        return 0.0, 1.0
    black, white = (float(v) for v in np.percentile(values, percentiles))
    if small and black == white:
        return 0.0, 255.0  # one colour all over stays that colour
    if black == white:
        black, white = float(values.min()), float(values.max())
    if black == white:
        # a step that a float of this size can still show
        white = black + max(1.0, abs(black) * 1e-6)
    return black, white


def sample_of(pixels: LazyArray) -> NDArray[Any]:
    """Read pixels from all over an image, the same ones whatever holds it."""
    height, width = pixels.shape[:2]
    if height * width <= STRIDED:
        step = int(np.ceil(np.sqrt(height * width / SAMPLED)))
        return read_part(pixels, (slice(None, None, step), slice(None, None, step)))
    side = int(np.sqrt(SAMPLED)) // WINDOWS
    windows = [
        read_part(pixels, (down, right))
        for down in _spread(height, side)
        for right in _spread(width, side)
    ]
    return np.concatenate([w.reshape(-1, *w.shape[2:]) for w in windows])


def _spread(length: int, side: int) -> list[slice]:
    count = min(WINDOWS, length // side) or 1
    starts = np.linspace(0, max(0, length - side), count).astype(int)
    return [slice(int(at), int(at) + side) for at in starts]


def _stretch_channels(
    pixels: LazyArray,
    percentiles: tuple[float, float],
    colors: Sequence[Color],
    valid: LazyArray | None = None,
) -> Appearance:
    count = pixels.shape[-1] if pixels.ndim == 3 else 0
    colors = colors or channel_colors(count)
    if not count or len(colors) != count:
        raise GemError(
            f"There are {len(colors)} colours for an image of the shape "
            f"{pixels.shape}. Give an image of the shape (height, width, channels) and "
            "a colour for each channel."
        )
    shown = (
        stretch(_channel(pixels, i), percentiles, valid=valid) for i in range(count)
    )
    return Appearance(
        channels=tuple(
            replace(one, lut=channel_lut(color))
            for one, color in zip(shown, colors, strict=True)
        )
    )


def _channel(pixels: LazyArray, number: int) -> LazyArray:
    if isinstance(pixels, np.ndarray):
        channel: NDArray[Any] = pixels[..., number]
        return channel
    return PlaneView(pixels, "yxs", {}, 0, picked=(number,))


def render(pixels: NDArray[Any], appearance: Appearance) -> NDArray[np.float32]:
    """Turn pixel values into RGB as a viewer with this appearance shows them.

    Parameters
    ----------
    pixels
        (height, width), or (height, width, 3 or 4) if ``appearance.rgb``, or (height,
        width, channels) if the appearance has channels. NaN is black whatever the
        colours; minus infinity is as the lower limit, infinity as the upper one; alpha
        is laid on black.
    appearance
        Contrast limits, gamma and colours, of each channel if there are several.

    Returns
    -------
    NDArray[np.float32]
        (height, width, 3), 0 to 1.

    Raises
    ------
    GemError
        As `check_image`, or if the array does not fit the appearance.
    """
    rgb = check_image(pixels, appearance)
    if appearance.channels:
        return _join_channels(pixels, appearance)
    _check_kind(appearance, pixels, rgb=rgb)
    check_appearance(appearance)
    low, high = appearance.limits
    channels = pixels[..., :3] if appearance.rgb else pixels
    # 32-bit integers and float64 need the range subtracted before precision is lost
    wide = channels.astype(np.float64) if channels.dtype.itemsize > 2 else channels
    with np.errstate(over="ignore", invalid="ignore"):
        shown = ((wide - np.float64(low)) / (high - low)).astype(np.float32)
    unknown = np.isnan(shown)
    shown = np.clip(np.nan_to_num(shown, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    if appearance.gamma != 1.0:
        shown **= np.float32(appearance.gamma)
    if appearance.rgb:
        return shown * _alpha(pixels) if pixels.shape[-1] == 4 else shown
    if appearance.lut is None:
        return np.repeat(shown[..., None], 3, axis=-1)
    lut = np.asarray(appearance.lut, np.float32)
    where = np.linspace(0, 1, len(lut), dtype=np.float32)
    colored = np.stack(
        [np.interp(shown, where, lut[:, c]).astype(np.float32) for c in range(3)], -1
    )
    colored[unknown] = 0  # viewers leave it see-through, on a black canvas
    return colored


def _check_kind(appearance: Appearance, pixels: LazyArray, *, rgb: bool) -> None:
    if rgb != appearance.rgb:
        kind = "an RGB" if appearance.rgb else "a single-channel"
        raise GemError(
            f"The appearance is that of {kind} image, but the image has the shape "
            f"{pixels.shape}. Choose the image for which the appearance was made."
        )


def _join_channels(pixels: NDArray[Any], appearance: Appearance) -> NDArray[np.float32]:
    minimum = appearance.blending == "minimum"
    join = np.minimum if minimum else np.add
    joined = np.full((*pixels.shape[:2], 3), float(minimum), np.float32)
    for number, channel in enumerate(appearance.channels):
        join(joined, render(pixels[..., number], channel), out=joined)
    return np.clip(joined, 0, 1, out=joined)


def _alpha(pixels: NDArray[Any]) -> NDArray[np.float32]:
    alpha = pixels[..., 3:].astype(np.float32)
    if pixels.dtype.kind in "ui":
        alpha /= np.iinfo(pixels.dtype).max
    return np.clip(np.nan_to_num(alpha), 0, 1)


def squash(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Resize a rendered image to a square, bicubic.

    This is done in 8 bit by Pillow, as torchvision resizes images from files.

    Parameters
    ----------
    image
        (height, width, 3), 0 to 1.
    size
        Side of the square.

    Returns
    -------
    NDArray[np.float32]
        (size, size, 3), 0 to 1.
    """
    from PIL import Image

    picture = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    squashed = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(squashed, np.float32) / np.float32(255)
