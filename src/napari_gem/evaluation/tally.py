"""All figures of a data set, counted image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.evaluation.metrics import (
    BoundaryTally,
    CalibrationTally,
    LabelTally,
    PointTally,
    RankingTally,
    mean,
)
from napari_gem.evaluation.score import POINT_THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_gem.evaluation.metrics import Figures
    from napari_gem.evaluation.score import Maps, Prediction


@dataclass(frozen=True)
class Column:
    """A figure, as it is shown.

    Attributes
    ----------
    key, title
        In files, and for the reader.
    by_class
        Whether each class has it.
    """

    key: str
    title: str
    by_class: bool = True


COLUMNS = (
    Column("iou", "IoU"),
    Column("boundary_iou", "boundary IoU"),
    Column("auroc", "AUROC"),
    Column("precision", "AP"),
    Column("point_iou", "point IoU"),
    Column("absent_probability", "absent: max p"),
    Column("absent_share", "absent: share"),
    Column("weighted_iou", "fwIoU", by_class=False),
    Column("accuracy", "pixel accuracy", by_class=False),
    Column("calibration_error", "calibration error", by_class=False),
)


class Tally:
    """Counts and figures of a data set with so many classes."""

    def __init__(self, classes: int) -> None:
        self._labels = LabelTally(classes)
        self._boundary = BoundaryTally(classes)
        self._ranking = RankingTally(classes)
        self._calibration = CalibrationTally()
        self._points = PointTally(classes)
        # for each class, in images without it: images, sum of the largest
        # probabilities, pixels, pixels that got the class
        self._absent: Figures = np.zeros((classes, 4))

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """The arrays in which all is counted."""
        return {
            **self._labels.state,
            **self._boundary.state,
            **self._ranking.state,
            **self._calibration.state,
            **self._points.state,
            "absent": self._absent,
        }

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what was counted before."""
        for name, counts in self.state.items():
            counts[...] = state[name]

    def add_labels(self, prediction: Prediction, truth: NDArray[np.int16]) -> float:
        """Count an image with a mask.

        Returns
        -------
        float
            The mean IoU of this image alone; NaN if the question has no class of it.
        """
        self._add_absent(prediction, truth)
        question, places = prediction.question, prediction.places
        asked = {*question.numbers, question.background}
        if not asked & set(np.unique(truth).tolist()):
            return float("nan")
        alone = LabelTally(len(self._labels.counts))
        alone.add(prediction.predicted, truth)
        self._labels.counts += alone.counts
        self._boundary.add(prediction.predicted, truth)
        true = truth.ravel()[places]
        for group, number in enumerate(question.numbers):
            if number >= 0:
                self._ranking.add(number, prediction.values[group], true == number)
        predicted = prediction.predicted.ravel()[places]
        probabilities = prediction.probabilities
        numbers = np.array(question.numbers)[probabilities.argmax(axis=0)]
        # the background by threshold has no probability
        sure = predicted == numbers
        confidence = probabilities.max(axis=0)[sure]
        self._calibration.add(confidence, (predicted == true)[sure])
        return mean(alone.iou())

    def add_points(self, values: list[tuple[int, Maps, NDArray[np.bool_]]]) -> float:
        """Count an image with point labels.

        Returns
        -------
        float
            The mean IoU over the classes of this image alone.
        """
        alone = PointTally(len(self._points.counts))
        for number, at_points, positive in values:
            alone.add(number, at_points > POINT_THRESHOLD, positive)
            self._ranking.add(number, at_points, positive)
        self._points.counts += alone.counts
        return mean(alone.iou())

    def by_class(self) -> dict[str, Figures]:
        """Each class's figures by their key; NaN where a figure means nothing."""
        auroc, precision = self._ranking.figures()
        images, maxima, pixels, wrong = self._absent.T
        with np.errstate(invalid="ignore", divide="ignore"):
            probability, share = maxima / images, wrong / pixels
        return {
            "iou": self._labels.iou(),
            "boundary_iou": self._boundary.iou(),
            "auroc": auroc,
            "precision": precision,
            "point_iou": self._points.iou(),
            "absent_probability": probability,
            "absent_share": share,
        }

    def overall(self) -> dict[str, float]:
        """Mean over the classes that have a figure, and figures of all pixels."""
        means = {key: mean(values) for key, values in self.by_class().items()}
        counted = self._labels.counts.any()
        nothing = float("nan")
        return {
            **means,
            "weighted_iou": self._labels.weighted_iou() if counted else nothing,
            "accuracy": self._labels.accuracy(),
            "calibration_error": self._calibration.error(),
        }

    def _add_absent(self, prediction: Prediction, truth: NDArray[np.int16]) -> None:
        question = prediction.question
        present = {*np.unique(truth).tolist(), question.background}
        for group, number in enumerate(question.numbers):
            if number < 0 or number in present:
                continue
            wrong = np.count_nonzero(prediction.predicted == number)
            peak = float(prediction.probabilities[group].max())
            self._absent[number] += (1, peak, truth.size, wrong)
