"""Results of many slices as layers of the whole stack."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.layers.levels.on_disk import on_disk
from napari_gem.layers.reading.source import geometry_of
from napari_gem.layers.writing.layer_data import LayerData
from napari_gem.layers.writing.results import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_gem.layers.reading.source import LayerImage
    from napari_gem.results.temporary import ResultFolder

LARGEST_MAPS = 2 << 30
"""Bytes that the maps of a stack may take in all; else they are kept on disk."""

LARGEST_LABELS = 1 << 30
"""Bytes that labels may take; else they are kept on disk."""


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
    new_folder: Callable[[], ResultFolder],
    largest_maps: int = LARGEST_MAPS,
) -> list[LayerData]:
    """Make layer data of a whole stack, still empty, after the results of a slice.

    Parameters
    ----------
    stack
        From `stack_image`.
    results
        From `napari_gem.layers.result_layers`.
    new_folder
        Makes a folder for an array that does not fit the memory.
    largest_maps
        Bytes; maps that take more in all are kept on disk, in half precision.
    """
    results = list(results)
    shape = stack_shape(stack)
    count, displayed = int(np.prod(shape)), stack.geometry.displayed
    size = sum(result.data.itemsize for result in results[:-1]) * count

    def blank(result: LayerData) -> Any:
        is_map = result.kind == "image"
        dtype = result.data.dtype
        if size <= largest_maps if is_map else count <= LARGEST_LABELS:
            return np.zeros(shape, dtype)  # takes no memory before it is written
        # classes may come that need more; the array cannot change its type
        dtype = np.float16 if is_map else np.uint16
        return on_disk(shape, dtype, new_folder(), displayed)

    return [
        LayerData(
            blank(result),
            {
                **result.kwargs,
                **stack.geometry.transform,
                "name": _name(result),
            },
            result.kind,
            replace(result.entry, plane=tuple(stack.plane), fingerprint=""),
        )
        for result in results
    ]


def _name(result: LayerData) -> str:
    return f"{short_name(result.entry.class_name or 'labels')} · GEM stack"
