"""Figures of merit of score maps against class masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score


def ranking(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Measure how well scores rank the pixels of a class before all others.

    Parameters
    ----------
    scores : numpy.ndarray
        Any shape; larger means more likely.
    truth : numpy.ndarray
        Same shape, bool; some pixels true and some false.

    Returns
    -------
    tuple of float
        Area under the ROC curve, and average precision; each 0 to 1.
    """
    flat, wanted = scores.ravel(), truth.ravel()
    return (
        float(roc_auc_score(wanted, flat)),
        float(average_precision_score(wanted, flat)),
    )


def class_iou(
    predicted: np.ndarray, truth: np.ndarray, numbers: Sequence[int]
) -> list[float]:
    """Intersection over union of each class.

    Parameters
    ----------
    predicted, truth : numpy.ndarray
        Class numbers, of the same shape.
    numbers : sequence of int
        The classes to measure; each occurs somewhere.

    Returns
    -------
    list of float
        One value a class, 0 to 1.
    """
    values = jaccard_score(
        truth.ravel(), predicted.ravel(), labels=list(numbers), average=None
    )
    return [float(value) for value in values]
