"""Cosines of features and words to scores and probabilities."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_gem.core.arrays import bands
from napari_gem.scoring.cache import ScoreCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.parameters import Synonyms

TRUNCATED = 4.0
"""A Gaussian ends this many standard deviations from its middle."""


def group_scores(
    features: LazyArray,
    groups: Sequence[NDArray[np.float32]],
    cache: ScoreCache | None = None,
    synonyms: Synonyms = "max",
    neutral: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Score each group of words by the cosines of its words with the features.

    Parameters
    ----------
    features
        (rows, columns, channels), unit length.
    groups
        Text embeddings of each group, (words, channels), unit length. A group without
        words scores -1 everywhere.
    cache
        Earlier scores of these features; new ones are added.
    synonyms
        Whether a group's score is the ``max`` or the ``mean`` over its words.
    neutral
        (channels,): the product with a word, its level, is taken from its cosines; None
        for cosines as they are.

    Returns
    -------
    NDArray[np.float32]
        (groups, rows, columns), from -1 to 1 but for levels.
    """
    cache = ScoreCache() if cache is None else cache
    score = _best if synonyms == "max" else _mean
    way = synonyms.encode() + (b"" if neutral is None else neutral.tobytes())
    return np.stack(
        [
            cache.get(way + g.tobytes(), partial(score, features, g, neutral))
            for g in groups
        ]
    )


def _mean(
    features: LazyArray,
    words: NDArray[np.float32],
    neutral: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    if len(words) == 0:
        return _best(features, words, neutral)
    # the mean embedding is not of unit length, so its cosine is the mean of the cosines
    return _best(features, words.mean(axis=0, keepdims=True), neutral)


def _best(
    features: LazyArray,
    words: NDArray[np.float32],
    neutral: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    best = np.full(tuple(features.shape[:2]), -1, np.float32)
    if len(words) == 0:
        return best
    levels = None if neutral is None else words @ neutral
    for band in bands(features):
        for row, vectors in enumerate(np.asarray(features[band]), band.start):
            scores = vectors.astype(np.float32) @ words.T
            if levels is not None:
                scores -= levels
            np.max(scores, axis=-1, out=best[row])
    return best


def image_offsets(
    groups: Sequence[NDArray[np.float32]],
    image_embedding: NDArray[np.float32],
    weight: float,
) -> NDArray[np.float32]:
    """Weigh the cosine of each group's best word with the whole image: (groups,).

    A group without words gets 0.
    """
    best = [(group @ image_embedding).max() if len(group) else 0.0 for group in groups]
    return np.float32(weight) * np.array(best, np.float32)


def smooth(scores: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """Smooth (maps, rows, columns) by a Gaussian of this deviation in patches."""
    if deviation <= 0:
        return scores
    result: NDArray[np.float32] = ndimage.gaussian_filter(
        scores, (0, deviation, deviation), mode="nearest", truncate=TRUNCATED
    )
    return result


def smoothing_reach(deviation: float) -> int:
    """Count the patches on each side that `smooth` looks at."""
    return int(TRUNCATED * deviation + 0.5) if deviation > 0 else 0


def image_cosines(
    words: NDArray[np.float32], image_embeddings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosine of each word with the image embedding that it fits best."""
    best: NDArray[np.float32] = (words @ image_embeddings.T).max(axis=1)
    return best


def near_duplicates(
    background: NDArray[np.float32], prompts: NDArray[np.float32], near: float
) -> NDArray[np.bool_]:
    """Find background words whose cosine with a word of a prompt reaches ``near``."""
    same: NDArray[np.bool_] = (background @ prompts.T).max(axis=1) >= near
    return same


def in_image(
    background: NDArray[np.float32],
    image_embeddings: NDArray[np.float32],
    present: float,
    likeliest: int = 0,
) -> NDArray[np.bool_]:
    """Find background words that may be in the image, at least the likeliest.

    Words of other kinds of images would take pixels from the classes by chance. Where
    it is not known from which cosine on a word is present (-1), so many of the
    ``likeliest`` are found; 0 finds all.
    """
    cosines = image_cosines(background, image_embeddings)
    limit = present
    if present <= -1 and 0 < likeliest < len(cosines):
        limit = np.partition(cosines, -likeliest)[-likeliest]
    likely: NDArray[np.bool_] = cosines >= min(limit, cosines.max())
    return likely


def likelier_than_all(
    background: NDArray[np.float32],
    prompts: NDArray[np.float32],
    image_embeddings: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Find background words that are likelier in the image than every prompt."""
    limit = image_cosines(prompts, image_embeddings).max()
    likelier: NDArray[np.bool_] = image_cosines(background, image_embeddings) > limit
    return likelier


def softmax(logits: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Turn scores into probabilities along the first axis, in place.

    Parameters
    ----------
    logits
        (classes + 1, ...): scores.
    scale
        Inverse temperature.
    """
    logits *= np.float32(scale)
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def min_max(
    maps: NDArray[np.float32],
    limits: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Stretch each map from its minimum to its maximum, as the paper's pictures do.

    This is only to look at: every map reaches 1 somewhere, also that of a word for
    something that is not in the image. A constant map becomes 0.

    Parameters
    ----------
    maps
        (maps, rows, columns).
    limits
        Minimum and maximum of each map, (maps,) both, where these are only some rows
        of it.
    """
    low, high = limits or (maps.min(axis=(1, 2)), maps.max(axis=(1, 2)))
    low, extent = low[:, None, None], (high - low)[:, None, None]
    zero = np.zeros_like(maps)
    result: NDArray[np.float32] = np.divide(
        maps - low, extent, out=zero, where=extent > 0
    )
    return result
