"""Figures of all pixels at once, exact; the package counts image by image, in bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from napari_gem.evaluation.metrics import rank_counts


class Ranking(NamedTuple):
    """Area under the ROC curve, and average precision; each 0 to 1."""

    auroc: float
    precision: float


def ranking(scores: np.ndarray, truth: np.ndarray) -> Ranking:
    """Rank pixels: scores of any shape, and which of them are true."""
    values, places = np.unique(scores.ravel(), return_inverse=True)
    wanted = truth.ravel()
    hits = np.bincount(places[wanted], minlength=len(values))
    others = np.bincount(places[~wanted], minlength=len(values))
    return Ranking(*rank_counts(hits[::-1], others[::-1]))


def class_iou(
    predicted: np.ndarray, truth: np.ndarray, numbers: Sequence[int]
) -> list[float]:
    """Return the IoU of classes by number; NaN for one that no pixel has in either."""
    shares = []
    for number in numbers:
        one, other = predicted == number, truth == number
        either = np.count_nonzero(one | other)
        shares.append(np.count_nonzero(one & other) / either if either else np.nan)
    return shares
