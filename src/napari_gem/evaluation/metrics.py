"""Figures of merit of labels and maps, counted image by image in constant memory.

Truth and prediction hold class numbers from 0. `IGNORED` pixels of the truth count
nowhere. `OTHER` in a prediction is no class of the data set, so it is always wrong.
The ``state`` of a tally is the arrays that it counts in. They only grow by addition, so
that partial results can be kept and added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Figures = NDArray[np.float64]

IGNORED = -1
OTHER = -2

BINS = 4096
"""Bins of the maps' values in a `RankingTally`."""

LOGIT_LIMIT = 16.0
"""Values nearer to 0 or 1 than the logistic function of this fall into the end bins."""

CONFIDENCES = 15
"""Bins of the calibration error."""

BOUNDARY = 0.02
"""Width of the boundary as part of the image's diagonal (arXiv 2103.16562)."""


class LabelTally:
    """Pixels by true and by predicted class."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self.counts: Counts = np.zeros((classes, classes + 1), np.int64)
        self.state = {"labels": self.counts}

    def add(self, predicted: NDArray[Any], truth: NDArray[Any]) -> None:
        """Count the class numbers of one image."""
        known = truth != IGNORED
        columns = predicted[known].astype(np.int64)
        columns[columns == OTHER] = self._classes
        pairs = truth[known].astype(np.int64) * (self._classes + 1) + columns
        size = self._classes * (self._classes + 1)
        self.counts += np.bincount(pairs, minlength=size).reshape(self.counts.shape)

    def iou(self) -> Figures:
        """IoU of each class; NaN if no pixel has it in truth and prediction.

        As mmsegmentation's ``IoUMetric``.
        """
        right = np.diagonal(self.counts)
        predicted = self.counts.sum(axis=0)[: self._classes]
        return _ratio(right, self.counts.sum(axis=1) + predicted - right)

    def weighted_iou(self) -> float:
        """IoU weighted by the classes' share of the true pixels (arXiv 1411.4038)."""
        true = self.counts.sum(axis=1)
        shares = _ratio(true, np.full_like(true, true.sum()))
        return float(np.nansum(shares * np.nan_to_num(self.iou())))

    def accuracy(self) -> float:
        """Share of the pixels with the right class."""
        total = np.array([self.counts.sum()])
        return float(_ratio(np.array([np.trace(self.counts)]), total)[0])


class BoundaryTally:
    """Boundary IoU: the IoU of the strips along the edges (arXiv 2103.16562)."""

    def __init__(self, classes: int) -> None:
        self.overlap: Counts = np.zeros(classes, np.int64)
        self.either: Counts = np.zeros(classes, np.int64)
        self.state = {"boundary_both": self.overlap, "boundary_either": self.either}

    def add(self, predicted: NDArray[Any], truth: NDArray[Any]) -> None:
        """Count the class numbers of one image, (height, width)."""
        width = max(1, round(BOUNDARY * float(np.hypot(*truth.shape))))
        known = truth != IGNORED
        present = np.union1d(np.unique(truth), np.unique(predicted[known]))
        for number in present[present >= 0].astype(int):
            true = _edge(truth == number, width) & known
            edge = _edge((predicted == number) & known, width)
            self.overlap[number] += np.count_nonzero(true & edge)
            self.either[number] += np.count_nonzero(true | edge)

    def iou(self) -> Figures:
        """Boundary IoU of each class; NaN as in `LabelTally.iou`."""
        return _ratio(self.overlap, self.either)


class RankingTally:
    """How well each class's map ranks its pixels before all others.

    Values are counted in `BINS` bins, evenly spaced in ``log(p / (1 - p))`` so that
    values near 0 and 1 stay apart; values of one bin count as equal. For values that
    fill more than a few bins AUROC and average precision are right to about 0.001.
    """

    def __init__(self, classes: int) -> None:
        self.hits: Counts = np.zeros((classes, BINS), np.int64)
        self.others: Counts = np.zeros((classes, BINS), np.int64)
        self.state = {"ranking_hits": self.hits, "ranking_others": self.others}

    def add(self, number: int, values: NDArray[Any], truth: NDArray[np.bool_]) -> None:
        """Count pixels of one class: values of its map, 0 to 1, and where it is."""
        with np.errstate(divide="ignore"):
            logits = np.log(values / (1 - values), dtype=np.float64)
        place = (logits / LOGIT_LIMIT + 1) * (BINS / 2)
        bins = np.clip(place, 0, BINS - 1).astype(np.int64)
        self.hits[number] += np.bincount(bins[truth], minlength=BINS)
        self.others[number] += np.bincount(bins[~truth], minlength=BINS)

    def figures(self) -> tuple[Figures, Figures]:
        """AUROC and average precision of each class; NaN where they mean nothing."""
        pairs = [
            rank_counts(hits[::-1], others[::-1])
            for hits, others in zip(self.hits, self.others, strict=True)
        ]
        figures = np.array(pairs).reshape(-1, 2)
        return figures[:, 0], figures[:, 1]


class CalibrationTally:
    """Whether a probability of 0.8 is right in 8 of 10 cases (arXiv 1706.04599)."""

    def __init__(self) -> None:
        self.counts: Counts = np.zeros((CONFIDENCES, 2), np.int64)
        self.sums: Figures = np.zeros(CONFIDENCES)
        self.state: dict[str, NDArray[Any]] = {
            "calibration_counts": self.counts,
            "calibration_sums": self.sums,
        }

    def add(self, confidence: NDArray[Any], right: NDArray[np.bool_]) -> None:
        """Count pixels: the probability of the predicted class; whether it is right."""
        bins = np.ceil(confidence.astype(np.float64) * CONFIDENCES).astype(np.int64) - 1
        bins = np.clip(bins, 0, CONFIDENCES - 1)
        self.counts[:, 0] += np.bincount(bins, minlength=CONFIDENCES)
        self.counts[:, 1] += np.bincount(bins[right], minlength=CONFIDENCES)
        self.sums += np.bincount(bins, confidence, minlength=CONFIDENCES)

    def error(self) -> float:
        """Return the expected calibration error, 0 to 1; NaN if nothing was counted."""
        total = self.counts[:, 0].sum()
        if not total:
            return float("nan")
        return float(np.abs(self.sums - self.counts[:, 1]).sum() / total)


class PointTally:
    """Points by class: rightly found, wrongly found, missed (arXiv 2210.14142)."""

    def __init__(self, classes: int) -> None:
        self.counts: Counts = np.zeros((classes, 3), np.int64)
        self.state = {"points": self.counts}

    def add(
        self, number: int, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]
    ) -> None:
        """Count the points of one class in one image."""
        self.counts[number] += [
            np.count_nonzero(predicted & truth),
            np.count_nonzero(predicted & ~truth),
            np.count_nonzero(~predicted & truth),
        ]

    def iou(self) -> Figures:
        """IoU of each class over its points; NaN without points that count."""
        return _ratio(self.counts[:, 0], self.counts.sum(axis=1))


def mean(values: NDArray[np.floating[Any]]) -> float:
    """Mean of the classes that have a figure; NaN if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _edge(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Find the pixels of a mask that are at most this far inside of its edge."""
    if not mask.any():
        return mask
    # what lies outside of the image is not the class: its border is an edge too
    depth = ndimage.distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1]
    edge: NDArray[np.bool_] = mask & (depth <= width)
    return edge


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Figures:
    unknown = np.full(np.shape(whole), np.nan)
    result: Figures = np.divide(part, whole, out=unknown, where=whole > 0)
    return result


def rank_counts(hits: NDArray[Any], others: NDArray[Any]) -> tuple[float, float]:
    """AUROC and average precision from counts of equal values, the largest first.

    Both are NaN where nothing, or everything, is a hit.
    """
    if not hits.sum() or not others.sum():
        return float("nan"), float("nan")
    right, wrong = np.cumsum(hits), np.cumsum(others)
    pairs = (others * (right - hits / 2)).sum()
    precision = (hits * _ratio(right, right + wrong))[hits > 0].sum() / right[-1]
    return float(pairs / (float(right[-1]) * float(wrong[-1]))), float(precision)
