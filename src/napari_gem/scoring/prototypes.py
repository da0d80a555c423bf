"""What a class looks like in this image, by the patches that its words are surest of.

Words say what a class looks like in any image. The patches where its words win most
clearly show what it looks like in this one, with its light and its stain. The likeness
of the other patches to these is a second score, as in one round of k-means that begins
with the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.arrays import unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

SURE = 0.7
"""A patch is sure if its probability is at least this part of the class's largest."""

LEAST = 4
"""A class needs this many sure patches; fewer may be there by chance."""

LIKELY = 0.5
"""A sure patch must reach this probability: more than all other classes together. Of
many classes that are nowhere some win patches by little, and each would find more."""

FLAT = 1e-6
"""A score with a smaller spread counts as the same everywhere."""


def prototypes(
    probabilities: NDArray[np.float32],
    scores: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> dict[int, tuple[NDArray[np.float32], float]]:
    """Find a direction in feature space for each class.

    The scores along it get the mean and spread that the scores of words have for the
    classes that win patches; classes that are nowhere do not change these. The
    background has no direction: it is of many kinds, which its words describe better.

    Parameters
    ----------
    probabilities
        (classes + 1, patches), 0 to 1, of a sample of the image, the background last.
    scores
        (classes + 1, patches): scores of words. A row that is the same everywhere, such
        as that of a background without words, is not used.
    vectors
        (patches, channels): the features.

    Returns
    -------
    dict
        Class to (channels,) and a number: the score of a patch is its feature along the
        vector, plus the number. A class that wins too few patches, or none clearly, is
        not in it.
    """
    worded = [row for row, score in enumerate(scores) if np.ptp(score) > FLAT]
    if not worded:
        return {}
    middle = vectors.mean(axis=0)
    best = probabilities.max(axis=0)
    # where several classes have the largest probability none of them wins
    won = (probabilities == best) & ((probabilities == best).sum(axis=0) == 1)
    winners = [row for row in worded if np.count_nonzero(won[row]) >= LEAST] or worded
    mean, spread = float(scores[winners].mean()), float(scores[winners].std())
    directions = {}
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
            directions[number] = direction * np.float32(factor), shift
    return directions
