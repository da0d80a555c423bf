"""Probabilities drawn to the edges of the image: pixel-adaptive refinement.

After PAMR (arXiv 2005.08104): in each round a pixel takes the mean of its neighbours'
probabilities, weighted by how alike their colours are. No training, and no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_gem.types import Features

    Strip = tuple[slice, NDArray[np.float32]]

DISTANCES = (1, 2, 4)
"""Pixels from a pixel to its eight neighbours, of each ring."""

SHARPNESS = 10.0
"""A neighbour that differs by the local deviation weighs exp(-this) of an equal one."""

SMALLEST_DEVIATION = 1e-6
"""Where the image is flat all neighbours weigh alike."""


def refine(
    probabilities: NDArray[np.float32], picture: NDArray[np.float32], rounds: int
) -> NDArray[np.float32]:
    """Mix each pixel's probabilities with those of neighbours of its colour.

    Beyond the image's border its outermost pixels are repeated.

    Parameters
    ----------
    probabilities
        (classes, height, width); what sums to 1 at each pixel still does.
    picture
        (height, width, channels), 0 to 1.
    rounds
        Each reaches as far as the largest of `DISTANCES`.
    """
    weights = _weights(np.moveaxis(picture, -1, 0))
    moved = np.empty_like(probabilities)
    for _ in range(rounds):
        padded = _pad(probabilities)
        probabilities = np.zeros_like(probabilities)
        for weight, offset in zip(weights, _OFFSETS, strict=True):
            np.multiply(_shifted(padded, offset), weight, out=moved)
            probabilities += moved
    return probabilities


def refine_strips(
    strips: Iterable[Strip], features: Features, rounds: int, step: int = 1
) -> Iterator[Strip]:
    """Refine an image that comes in strips; the result is that of the whole.

    Parameters
    ----------
    strips
        Rows, and their (classes, those rows, width), first to last without a gap.
    features
        The encoded image, with its picture.
    rounds
        As of `refine`; 0 gives the strips as they are.
    step
        Image pixels per pixel of the strips along each axis.

    Yields
    ------
    tuple
        Rows and probabilities as before, in other portions.

    Raises
    ------
    GemError
        If the features do not know their picture.
    """
    if rounds == 0:
        yield from strips
        return
    picture = features.picture
    if picture is None:
        raise GemError(
            "Refinement came for an encoded image without its picture; encode the "
            "image again, or a smaller part of it, or set refinement to 0."
        )
    height = -(-features.image_shape[0] // step)
    reach = rounds * max(DISTANCES)
    done = top = 0
    held: NDArray[np.float32] | None = None
    for rows, strip in strips:
        held = strip if held is None else np.concatenate([held, strip], axis=1)
        ready = height if rows.stop == height else rows.stop - reach
        if ready <= done:
            continue
        seen = np.asarray(picture[top * step : rows.stop * step])[::step, ::step]
        shown = seen.astype(np.float32) / np.float32(255)
        refined = refine(held, shown, rounds)
        yield slice(done, ready), refined[:, done - top : ready - top]
        done = ready
        kept = max(top, done - reach)
        held, top = held[:, kept - top :], kept


_OFFSETS = [
    (down * distance, right * distance)
    for distance in DISTANCES
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if down or right
]


def _weights(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh the neighbours of each pixel: (neighbours, height, width), sum 1."""
    padded = _pad(colours)
    total, squares = np.zeros_like(colours), np.zeros_like(colours)
    for offset in _OFFSETS:
        away = _shifted(padded, offset) - colours  # small numbers, exact squares
        total += away
        squares += away * away
    count = len(_OFFSETS)
    variance = np.maximum(squares / count - (total / count) ** 2, 0)
    share = SHARPNESS / (len(colours) * (np.sqrt(variance) + SMALLEST_DEVIATION))
    weights = np.empty((count, *colours.shape[1:]), np.float32)
    for weight, offset in zip(weights, _OFFSETS, strict=True):
        away = np.abs(_shifted(padded, offset) - colours)
        np.sum(away * -share, axis=0, out=weight)
    weights -= weights.max(axis=0)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=0)
    return weights


def _pad(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    reach = max(DISTANCES)
    return np.pad(maps, ((0, 0), (reach, reach), (reach, reach)), mode="edge")


def _shifted(
    padded: NDArray[np.float32], offset: tuple[int, int]
) -> NDArray[np.float32]:
    reach = max(DISTANCES)
    height, width = (length - 2 * reach for length in padded.shape[1:])
    top, left = reach + offset[0], reach + offset[1]
    return padded[:, top : top + height, left : left + width]
