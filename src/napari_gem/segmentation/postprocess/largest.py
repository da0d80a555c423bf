"""Each pixel gets the label of the most probable class that reaches its threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


if TYPE_CHECKING:
    from collections.abc import Sequence


def label_type(largest_id: int) -> type[np.uint8] | type[np.uint16]:
    """Return the smallest type that holds labels up to this id."""
    return np.uint8 if largest_id < 256 else np.uint16


def largest(
    probabilities: NDArray[np.float32],
    ids: Sequence[int],
    thresholds: Sequence[float],
) -> NDArray[np.unsignedinteger[Any]]:
    """Label each pixel by the most probable class that reaches its threshold.

    A class reaches its threshold t where ``p / (p + background's p) >= t``. With 0.5
    for every class a pixel gets the most probable of all classes and background.

    Parameters
    ----------
    probabilities
        (classes + 1, height, width), the background last.
    ids
        Label of each class, 1 or more.
    thresholds
        One for each class, 0 to 1.

    Returns
    -------
    NDArray[np.unsignedinteger[Any]]
        (height, width), 0 where no class reaches its threshold.
    """
    best = np.full(probabilities.shape[1:], -1, np.float32)
    labels = np.zeros(best.shape, label_type(max(ids)))
    background = probabilities[-1]
    for probability, label, threshold in zip(
        probabilities[:-1], ids, thresholds, strict=True
    ):
        if threshold < 1:
            won = probability >= background * np.float32(threshold / (1 - threshold))
        else:
            won = background == 0
        won &= probability > best
        np.copyto(best, probability, where=won)
        labels[won] = label
    return labels
