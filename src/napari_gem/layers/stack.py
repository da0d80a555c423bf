"""Results of many slices as layers of the whole stack."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.layers.results import KEY, LayerData, short_name
from napari_gem.layers.source import geometry_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_gem.layers.source import LayerImage

LARGEST_MAPS = 2 << 30
"""Bytes that the maps of a stack may take in all; else only labels are made."""


def stack_image(layer: Any, image: LayerImage) -> LayerImage:
    """Tell the stack from its slices.

    Parameters
    ----------
    layer
        The image layer.
    image
        One of its slices.

    Returns
    -------
    LayerImage
        With the stack's place and ``plane``; not to be read.
    """
    origin = dict.fromkeys(image.position, 0)
    place = geometry_of(layer, image.geometry.displayed, image.factors, origin)
    return replace(image, position={}, geometry=place)


def stack_shape(image: LayerImage) -> tuple[int, ...]:
    """Shape of the labels of a stack; an axis of channels has length 1."""
    pairs = zip(image.whole, image.factors, strict=True)
    shape = [max(1, round(whole / factor)) for whole, factor in pairs]
    for axis, length in zip(image.geometry.displayed, image.shape, strict=True):
        shape[axis] = length
    return tuple(shape)


def slice_index(image: LayerImage) -> tuple[slice, ...]:
    """Where a slice lies in its stack."""
    index = [slice(None)] * len(image.factors)
    for axis, number in image.position.items():
        index[axis] = slice(number, number + 1)
    return tuple(index)


def stack_layers(
    stack: LayerImage,
    results: Iterable[LayerData],
    largest_maps: int = LARGEST_MAPS,
) -> list[LayerData]:
    """Make layer data of a whole stack, still empty, after the results of a slice.

    Parameters
    ----------
    stack
        From `stack_image`.
    results
        From `napari_gem.layers.result_layers`.
    largest_maps
        Bytes; maps that take more in all are left out.
    """
    results = list(results)
    shape = stack_shape(stack)
    size = sum(result.data.itemsize for result in results[:-1]) * int(np.prod(shape))
    kept = results if size <= largest_maps else results[-1:]
    return [
        LayerData(
            np.zeros(shape, result.data.dtype),  # takes no memory before it is written
            {
                **result.kwargs,
                **stack.geometry.transform,
                "name": f"{_title(result)} · GEM stack",
                "metadata": {KEY: _entry(result, stack)},
            },
            result.kind,
        )
        for result in kept
    ]


def _entry(result: LayerData, stack: LayerImage) -> dict[str, Any]:
    entry = {**result.kwargs["metadata"][KEY], "plane": list(stack.plane)}
    return {**entry, "fingerprint": ""} if result.kind == "labels" else entry


def _title(result: LayerData) -> str:
    return short_name(str(result.kwargs["metadata"][KEY].get("class", "labels")))
