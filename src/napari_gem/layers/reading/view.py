"""Several channels as one image: layers shown together, or an axis of channels."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.images.rendering import channel_colors, channel_lut, stretch
from napari_gem.layers.reading.source import (
    LayerImage,
    check_layer,
    geometry_of,
    level_shapes,
    read_appearance,
    read_layer,
    slice_axes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Color = tuple[float, float, float]
    Limits = tuple[float, float]

TOLERANCE = 1e-6
"""Layers lie in the same place if they differ by less than this part of their size."""


def read_layers(
    layers: Sequence[Any],
    dims: Any,
    *,
    channel_axis: int | None = None,
    channels: Sequence[int] = (),
    colors: Sequence[Color] = (),
    limits: Sequence[Limits] = (),
    position: Mapping[int, int] | None = None,
    wanted: float | None = None,
    largest: int | None = None,
) -> LayerImage:
    """Say what is shown of one or several image layers, or of an axis of channels.

    Parameters
    ----------
    layers
        One image layer, or several single-channel ones of the same shape in the same
        place, which become one image with their colormaps, contrast and opacity. They
        are added; if all have blending ``minimum``, the minimum is taken.
    dims
        The viewer's ``dims``, as in `read_layer`.
    channel_axis
        Axis of a single layer that holds channels; None if none does.
    channels
        Which channels of that axis are shown; empty for all.
    colors
        Colour of each of them; empty takes `channel_colors`.
    limits
        Contrast limits of each of them; empty takes those of the layer.
    position, wanted, largest
        As for `read_layer`.

    Returns
    -------
    LayerImage
        The image; its pixels are read by its `LayerImage.read`.

    Raises
    ------
    GemError
        As `read_layer`, or if the layers or channels are no channels of one image.
    """
    _check_choice(layers, channel_axis)
    read = partial(read_layer, dims=dims, wanted=wanted, largest=largest)
    if channel_axis is not None:
        chosen = _channels(layers[0], dims, channel_axis, channels)
        image = _read_channels(layers[0], read, channel_axis, chosen, position or {})
    else:
        images = [read(layer, position=position) for layer in layers]
        if len(images) == 1:
            return images[0]
        chosen = ()
        image = replace(
            images[0],
            planes=tuple(plane for one in images for plane in one.planes),
            source="+".join(sorted(one.source for one in images)),
        )
    appearance = read_view_appearance(
        layers, channel_axis=channel_axis, channels=chosen, colors=colors, limits=limits
    )
    return replace(image, appearance=appearance)


def read_view_appearance(
    layers: Sequence[Any],
    *,
    channel_axis: int | None = None,
    channels: Sequence[int] = (),
    colors: Sequence[Color] = (),
    limits: Sequence[Limits] = (),
) -> Appearance:
    """Say how layers or channels that are shown together look.

    Nothing is read of the data. Parameters and errors are those of `read_layers`; it
    is the appearance of its image.
    """
    _check_choice(layers, channel_axis)
    first = read_appearance(layers[0])
    if channel_axis is not None:
        chosen = channels or range(level_shapes(layers[0], channel_axis + 1)[0][-1])
        colors, limits = _each(layers[0], len(chosen), colors, limits)
        shown = [
            replace(first, limits=limit, lut=channel_lut(color))
            for color, limit in zip(colors, limits, strict=True)
        ]
        return shown[0] if len(shown) == 1 else Appearance(channels=tuple(shown))
    if len(layers) == 1:
        return first
    if all(str(layer.blending) == "minimum" for layer in layers):
        # which takes no account of opacity
        shown = [read_appearance(layer) for layer in layers]
        return Appearance(channels=tuple(shown), blending="minimum")
    return Appearance(channels=tuple(_dimmed(layer) for layer in layers))


def difference(layer: Any, other: Any) -> str:
    """Name what keeps two image layers from being channels of one image.

    Returns
    -------
    str
        ``colours``, ``shape``, ``units``, ``scale`` ... of the second; empty if
        nothing does.
    """
    if layer.rgb or other.rgb:
        return "colours"
    axes = len(layer.scale)
    if len(other.scale) != axes or level_shapes(layer, axes) != level_shapes(
        other, axes
    ):
        return "shape"
    if tuple(layer.units) != tuple(other.units):
        return "units"
    shape = level_shapes(layer, axes)[0]
    corners = [np.zeros(axes), *np.diag(shape)]
    first, second = (
        np.array([each.data_to_world(corner) for corner in corners])
        for each in (layer, other)
    )
    size = max(np.abs(first - first[0]).max(), 1e-9)
    if np.abs(first - second).max() <= TOLERANCE * size:
        return ""
    for name in ("scale", "translate", "rotate", "shear", "affine"):
        ours = np.asarray(getattr(layer, name))
        if not np.allclose(ours, getattr(other, name), TOLERANCE, TOLERANCE):
            return name
    return "place"


def channel_limits(
    pixels: NDArray[Any], percentiles: tuple[float, float] = (0.5, 99.5)
) -> tuple[Limits, ...]:
    """Stretch each channel by itself.

    Parameters
    ----------
    pixels
        (height, width, channels), or (height, width) for one channel; a part of the
        pixels does.
    percentiles
        Those shown as black and as white.

    Returns
    -------
    tuple
        Contrast limits of each channel.
    """
    stack = pixels if pixels.ndim == 3 else pixels[..., None]
    shown = stretch(stack, percentiles, channels=())
    return tuple(channel.limits for channel in shown.channels)


def _check_choice(layers: Sequence[Any], channel_axis: int | None) -> None:
    if not layers:
        raise GemError(
            "There is no image layer. Open an image, or a sample: File > Open Sample > "
            "GEM."
        )
    for layer in layers:
        check_layer(layer)
    if channel_axis is not None and len(layers) > 1:
        raise GemError(
            f"There are {len(layers)} layers and an axis of channels. Choose one "
            "layer, or switch the axis of channels off."
        )
    for other in layers[1:]:
        differs = difference(layers[0], other)
        if differs == "colours":
            raise GemError(
                f"'{layers[0].name}' or '{other.name}' is an RGB image; only "
                "single-channel layers can be shown together. Choose one of them."
            )
        if differs:
            raise GemError(
                f"'{other.name}' differs from '{layers[0].name}' in its {differs}; "
                "layers shown together have the same shape and place. Leave it out, or "
                "give it the same transform."
            )


def _channels(
    layer: Any, dims: Any, axis: int, channels: Sequence[int]
) -> tuple[int, ...]:
    if layer.rgb:
        raise GemError(
            f"'{layer.name}' is an RGB image, which has its channels already. Switch "
            "the axis of channels off."
        )
    lengths = slice_axes(layer, dims)
    if axis not in lengths:
        raise GemError(
            f"Axis {axis} of '{layer.name}' cannot hold channels while it is on the "
            "screen. Choose another, or change the order of the axes (button at the "
            "lower left)."
        )
    chosen = tuple(channels) or tuple(range(lengths[axis]))
    if not set(chosen) <= set(range(lengths[axis])) or len(set(chosen)) < len(chosen):
        raise GemError(
            f"The channels {list(chosen)} are chosen, but '{layer.name}' has channels "
            f"0 to {lengths[axis] - 1} along axis {axis}. Choose among these."
        )
    return chosen


def _read_channels(
    layer: Any,
    read: Callable[..., LayerImage],
    axis: int,
    channels: Sequence[int],
    position: Mapping[int, int],
) -> LayerImage:
    images = [read(layer, position={**position, axis: n}) for n in channels]
    first = images[0]
    others = {a: number for a, number in first.position.items() if a != axis}
    factors = list(first.factors)
    factors[axis] = first.whole[axis]
    planes = []
    for number, image in zip(channels, images, strict=True):
        (plane,) = image.planes
        index = list(plane.index)
        index[axis] = number  # a thick slice does not mix channels
        planes.append(replace(plane, index=tuple(index)))
    return replace(
        first,
        planes=tuple(planes),
        geometry=geometry_of(layer, first.geometry.displayed, factors, others),
        source=f"{first.source}/{axis}",
        factors=tuple(factors),
        position=others,
    )


def _each(
    layer: Any, count: int, colors: Sequence[Color], limits: Sequence[Limits]
) -> tuple[Sequence[Color], Sequence[Limits]]:
    """Colours and limits of each channel, those that are not given too."""
    low, high = layer.contrast_limits
    colors = colors or channel_colors(count)
    limits = limits or ((float(low), float(high)),) * count
    if len(colors) != count or len(limits) != count:
        raise GemError(
            f"There are {len(colors)} colours and {len(limits)} contrast limits for "
            f"{count} channels. Give one of each for each channel."
        )
    return colors, limits


def _dimmed(layer: Any) -> Appearance:
    """Appearance of a layer that is added to others: its opacity dims its colours."""
    shown = read_appearance(layer)
    opacity = float(layer.opacity)
    if opacity == 1:
        return shown
    colors = shown.lut or ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    dimmed = np.asarray(colors, np.float64) * opacity
    return replace(
        shown, lut=tuple((float(r), float(g), float(b)) for r, g, b in dimmed)
    )
