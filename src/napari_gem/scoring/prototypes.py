"""What a class looks like in this image, by the patches that its words are surest of.

Words say what a class looks like anywhere. The patches where its words win most clearly
tell what it looks like here, in this light and with this stain; how near the others are
to these is a score of its own, as in one round of k-means that begins with the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.arrays import unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

SURE = 0.7
"""Part of the largest probability of a class from which on a patch is sure."""

LEAST = 4
"""Patches that must be sure, so that a class is not made of a chance find."""

LIKELY = 0.5
"""Probability that one of them must reach: more than all else together. Of many classes
that are nowhere, some win patches by a hair, and each would look for more."""

FLAT = 1e-6
"""Deviation below which a score counts as the same everywhere."""


def prototypes(
    probabilities: NDArray[np.float32],
    scores: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> dict[int, tuple[NDArray[np.float32], float]]:
    """Find a direction for each class, with the mean and spread of scores of words.

    They are those of classes that win patches; classes that are nowhere, however many
    are asked for, do not move them.

    The background has none: it is of many kinds, which its words tell better.

    Parameters
    ----------
    probabilities
        (classes + 1, patches), 0 to 1, of a sample of the image, the background last.
    scores
        (classes + 1, patches): those of words. Rows that are the same everywhere, such
        as a background without words, count for nothing.
    vectors
        (patches, channels): the features.

    Returns
    -------
    dict
        Class to (channels,) and a number: the score of a patch is its feature along the
        vector, plus the number. Classes that win too few patches, or none clearly, have
        none.
    """
    worded = [row for row, score in enumerate(scores) if np.ptp(score) > FLAT]
    if not worded:
        return {}
    middle = vectors.mean(axis=0)
    best = probabilities.max(axis=0)
    # of classes that say the same none wins
    won = (probabilities == best) & ((probabilities == best).sum(axis=0) == 1)
    winners = [row for row in worded if np.count_nonzero(won[row]) >= LEAST] or worded
    mean, spread = float(scores[winners].mean()), float(scores[winners].std())
    found = {}
    for number in winners:
        p = probabilities[number]
        sure = won[number] & (p >= SURE * p.max())
        if number == len(scores) - 1 or np.count_nonzero(sure) < LEAST:
            continue
        if p.max() < LIKELY:
            continue
        direction = unit_vectors(p[sure] @ unit_vectors(vectors[sure] - middle))
        along = vectors @ direction
        if along.std() > FLAT:
            factor = spread / float(along.std())
            shift = mean - factor * float(along.mean())
            found[number] = direction * np.float32(factor), shift
    return found
