"""How clearly a word separates an image, without knowing the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def separation(probability: NDArray[np.float32]) -> float:
    """Tell how clearly the probabilities of a word fall into two heaps.

    Otsu's threshold cuts them where the two sides differ most. The result is the share
    of the variance that lies between the sides, times the distance of their means: two
    heaps that lie close together are not clear, nor is one that is spread evenly.

    Returns
    -------
    float
        0 for values that are all the same, 1 for nothing but 0 and 1.
    """
    ordered = np.sort(np.asarray(probability, np.float64).ravel())
    total = ordered.var() if len(ordered) > 1 else 0.0
    if total <= 0:
        return 0.0
    count = np.arange(1, len(ordered))
    below = np.cumsum(ordered)[:-1]
    rest = len(ordered) - count
    gap = (ordered.sum() - below) / rest - below / count
    between = count * rest * gap**2
    best = between.argmax()
    return float(between[best] / len(ordered) ** 2 / total * gap[best])


def agreement(
    scores: NDArray[np.float32],
    positive: NDArray[np.float32],
    negative: NDArray[np.float32],
) -> float:
    """Tell how well the scores of a word agree with examples.

    Parameters
    ----------
    scores
        Of all patches.
    positive, negative
        At the examples that show the class, and at those that do not.

    Returns
    -------
    float
        Share of the patches that score lower than the positive examples, in the mean;
        without any, share of those that score higher than the negative ones. 0 to 1;
        without examples 1.
    """
    ordered = np.sort(scores.ravel())

    def rank(values: NDArray[np.float32]) -> float:
        both = [np.searchsorted(ordered, values, side) for side in ("left", "right")]
        return float(np.mean(both)) / len(ordered)

    if len(positive):
        return rank(positive)
    return 1 - rank(negative) if len(negative) else 1.0
