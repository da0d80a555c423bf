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
"""Standard deviations after which a Gaussian ends."""


def group_scores(
    features: LazyArray,
    groups: Sequence[NDArray[np.float32]],
    cache: ScoreCache | None = None,
    synonyms: Synonyms = "max",
) -> NDArray[np.float32]:
    """Score each group of words by its best one, or by their mean.

    Parameters
    ----------
    features
        (rows, columns, channels), unit length.
    groups
        Text embeddings of each class, (words, channels), unit length; a group
        without words gets -1 everywhere.
    cache
        Scores of these features made so far; new ones are added.
    synonyms
        ``max`` or ``mean`` over the words of a group.

    Returns
    -------
    NDArray[np.float32]
        (groups, rows, columns), cosines from -1 to 1.
    """
    cache = ScoreCache() if cache is None else cache
    make = _best if synonyms == "max" else _mean
    return np.stack(
        [
            cache.get(synonyms.encode() + g.tobytes(), partial(make, features, g))
            for g in groups
        ]
    )


def _mean(features: LazyArray, words: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(words) == 0:
        return _best(features, words)
    # not of unit length, so that the cosines are averaged
    return _best(features, words.mean(axis=0, keepdims=True))


def _best(features: LazyArray, words: NDArray[np.float32]) -> NDArray[np.float32]:
    best = np.full(tuple(features.shape[:2]), -1, np.float32)
    if len(words) == 0:
        return best
    for band in bands(features):
        for row, vectors in enumerate(np.asarray(features[band]), band.start):
            np.max(vectors.astype(np.float32) @ words.T, axis=-1, out=best[row])
    return best


def image_offsets(
    groups: Sequence[NDArray[np.float32]],
    image_embedding: NDArray[np.float32],
    weight: float,
) -> NDArray[np.float32]:
    """Tell what the whole image adds to the scores of each group.

    Parameters
    ----------
    groups
        Text embeddings of each class, (words, channels), unit length; a group without
        words gets 0.
    image_embedding
        (channels,), unit length.
    weight
        Factor on the cosine of a group's best word with it; may be below 0.

    Returns
    -------
    NDArray[np.float32]
        (groups,)
    """
    best = [(group @ image_embedding).max() if len(group) else 0.0 for group in groups]
    return np.float32(weight) * np.array(best, np.float32)


def smooth(scores: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """Lay a Gaussian over each map.

    Parameters
    ----------
    scores
        (maps, rows, columns).
    deviation
        Its standard deviation in patches; 0 changes nothing.
    """
    if deviation <= 0:
        return scores
    result: NDArray[np.float32] = ndimage.gaussian_filter(
        scores, (0, deviation, deviation), mode="nearest", truncate=TRUNCATED
    )
    return result


def smoothing_reach(deviation: float) -> int:
    """Count the patches on each side that `smooth` looks at."""
    return int(TRUNCATED * deviation + 0.5) if deviation > 0 else 0


def shortfalls(
    groups: Sequence[NDArray[np.float32]],
    background: NDArray[np.float32],
    views: NDArray[np.float32],
    present: float,
) -> NDArray[np.float32]:
    """Tell how much each class lacks to be in the image, by its best word.

    The word's cosine with the view that it fits best is held against the model's limit
    if that is known, else against those of the background words, most of which name
    what is not in the image either.

    Parameters
    ----------
    groups
        Text embeddings of each class, (words, channels), unit length.
    background
        (words, channels), unit length.
    views
        (views, channels), unit length: embeddings of the image, or of its parts.
    present
        Cosine from which on a word counts as in the image; -1 for not known.

    Returns
    -------
    NDArray[np.float32]
        (classes,): cosine under the limit, 0 for a class that is probably in the image.
        Classes without words lack nothing, and so do all if nothing is known.
    """
    found = np.zeros(len(groups), np.float32)
    limit = present
    if present <= -1:
        if len(background) == 0:
            return found
        limit = float(np.median(_best_view(background, views)))
    for number, group in enumerate(groups):
        if len(group):
            best = float(_best_view(group, views).max())
            found[number] = max(0.0, limit - best)
    return found


def _best_view(
    words: NDArray[np.float32], views: NDArray[np.float32]
) -> NDArray[np.float32]:
    best: NDArray[np.float32] = (words @ views.T).max(axis=1)
    return best


def near_duplicates(
    background: NDArray[np.float32], prompts: NDArray[np.float32], near: float
) -> NDArray[np.bool_]:
    """Find background words that mean one of the prompts.

    Parameters
    ----------
    background, prompts
        (words, channels), unit length.
    near
        Cosine from which on two words count as the same.

    Returns
    -------
    NDArray[np.bool_]
        (background words,)
    """
    found: NDArray[np.bool_] = (background @ prompts.T).max(axis=1) >= near
    return found


def in_image(
    background: NDArray[np.float32],
    views: NDArray[np.float32],
    present: float,
) -> NDArray[np.bool_]:
    """Find background words that may be in the image, at least the likeliest.

    Words of other kinds of images would take pixels from the classes by chance.

    Parameters
    ----------
    background
        (words, channels), unit length.
    views
        As of `shortfalls`.
    present
        Cosine from which on a word counts as in the image.

    Returns
    -------
    NDArray[np.bool_]
        (words,)
    """
    cosines = _best_view(background, views)
    found: NDArray[np.bool_] = cosines >= min(present, cosines.max())
    return found


def softmax(logits: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Turn scores to probabilities along the first axis, in place.

    Parameters
    ----------
    logits
        (classes + 1, rows, columns).
    scale
        Inverse temperature.
    """
    logits *= np.float32(scale)
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def min_max(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch each map from its minimum to its maximum, as the paper's pictures do.

    For looking at only: it finds something for every word, also for what is not in
    the image. A constant map becomes 0.

    Parameters
    ----------
    scores
        (maps, rows, columns).
    """
    low = scores.min(axis=(1, 2), keepdims=True)
    extent = scores.max(axis=(1, 2), keepdims=True) - low
    zero = np.zeros_like(scores)
    result: NDArray[np.float32] = np.divide(
        scores - low, extent, out=zero, where=extent > 0
    )
    return result
