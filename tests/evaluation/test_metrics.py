"""Counted image by image against scikit-learn on all pixels at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    jaccard_score,
    roc_auc_score,
)

from napari_gem.evaluation.metrics import (
    BOUNDARY,
    IGNORED,
    OTHER,
    BoundaryTally,
    CalibrationTally,
    LabelTally,
    PointTally,
    RankingTally,
    mean,
)
from training.exact import class_iou, ranking

CLASSES = 5
RANDOM = np.random.default_rng(0)


@pytest.fixture
def images() -> list[tuple[np.ndarray, np.ndarray]]:
    """Blobs of classes with ignored pixels, and predictions that are right by half."""
    rows = []
    for height, width in ((40, 60), (33, 70), (51, 51)):
        noise = RANDOM.normal(size=(CLASSES, height, width))
        truth = ndimage.gaussian_filter(noise, (0, 5, 5)).argmax(axis=0)
        guess = RANDOM.integers(0, CLASSES, truth.shape)
        predicted = np.where(RANDOM.random(truth.shape) < 0.5, truth, guess)
        predicted[:3] = OTHER
        truth[:, :4] = IGNORED
        rows.append((predicted, truth))
    return rows


def _flat(images: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    predicted, truth = (
        np.concatenate([pair[i].ravel() for pair in images]) for i in (0, 1)
    )
    return predicted[truth != IGNORED], truth[truth != IGNORED]


def test_label_figures_are_those_of_scikit_learn(images) -> None:
    tally = LabelTally(CLASSES)
    for predicted, truth in images:
        tally.add(predicted, truth)
    predicted, truth = _flat(images)
    numbers = list(range(CLASSES))
    expected = jaccard_score(truth, predicted, labels=numbers, average=None)
    np.testing.assert_allclose(tally.iou(), expected)
    shares = np.bincount(truth, minlength=CLASSES) / truth.size
    assert tally.weighted_iou() == pytest.approx((shares * expected).sum())
    assert tally.accuracy() == pytest.approx(accuracy_score(truth, predicted))
    np.testing.assert_allclose(class_iou(predicted, truth, numbers), expected)


def test_a_class_that_is_nowhere_has_no_iou_and_one_wrongly_found_has_zero() -> None:
    tally = LabelTally(3)
    tally.add(np.array([[0, 0, 1]]), np.array([[0, 0, 0]]))
    np.testing.assert_equal(tally.iou(), [2 / 3, 0, np.nan])
    assert mean(tally.iou()) == pytest.approx(1 / 3)
    assert np.isnan(mean(np.array([np.nan])))


def test_boundary_iou_of_the_plain_definition(images) -> None:
    tally = BoundaryTally(CLASSES)
    overlap, either = np.zeros(CLASSES), np.zeros(CLASSES)
    for predicted, truth in images:
        tally.add(predicted, truth)
        width = max(1, round(BOUNDARY * np.hypot(*truth.shape)))
        for number in range(CLASSES):
            masks = [truth == number, (predicted == number) & (truth != IGNORED)]
            true, actual = (
                mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), width)
                for mask in masks
            )
            overlap[number] += (true & actual).sum()
            either[number] += (true | actual).sum()
    np.testing.assert_allclose(tally.iou(), overlap / either)


def test_boundary_of_a_right_mask_is_right_and_of_a_wide_one_is_not() -> None:
    truth = np.zeros((100, 100), int)
    truth[30:70, 30:70] = 1
    wide = np.zeros((100, 100), int)
    wide[25:75, 25:75] = 1
    right, wrong = BoundaryTally(2), BoundaryTally(2)
    right.add(truth, truth)
    wrong.add(wide, truth)
    assert right.iou()[1] == 1
    assert wrong.iou()[1] < 0.1 < class_iou(wide, truth, [1])[0]


@pytest.mark.parametrize("sharpness", [0.5, 5.0, 30.0])
def test_counted_ranking_is_nearly_that_of_scikit_learn(sharpness: float) -> None:
    tally = RankingTally(2)
    values, truths = [], []
    for _ in range(3):
        truth = RANDOM.random(4000) < 0.2
        logits = sharpness * (RANDOM.normal(size=4000) + truth)
        value = (1 / (1 + np.exp(-logits))).astype(np.float32)
        tally.add(1, value, truth)
        values.append(value)
        truths.append(truth)
    every, wanted = np.concatenate(values), np.concatenate(truths)
    auroc, precision = tally.figures()
    exact = ranking(every, wanted)
    assert np.isnan([auroc[0], precision[0]]).all()
    assert exact.auroc == pytest.approx(roc_auc_score(wanted, every))
    assert exact.precision == pytest.approx(average_precision_score(wanted, every))
    if sharpness < 10:
        assert auroc[1] == pytest.approx(exact.auroc, abs=1e-3)
        assert precision[1] == pytest.approx(exact.precision, abs=2e-3)


@pytest.mark.parametrize(
    ("scores", "auroc", "precision"),
    [
        ([[0.9, 0.8], [0.2, 0.1]], 1.0, 1.0),
        ([[0.5, 0.5], [0.5, 0.5]], 0.5, 0.5),
        ([[0.1, 0.2], [0.8, 0.9]], 0.0, (1 / 3 + 2 / 4) / 2),
    ],
)
def test_ranking_of_known_cases(scores, auroc, precision) -> None:
    truth = np.array([[True, True], [False, False]])
    actual = ranking(np.array(scores), truth)
    assert (actual.auroc, actual.precision) == pytest.approx((auroc, precision))
    tally = RankingTally(1)
    tally.add(0, np.array(scores).ravel(), truth.ravel())
    assert [part[0] for part in tally.figures()] == pytest.approx([auroc, precision])


def test_values_of_nought_and_one_are_counted() -> None:
    tally = RankingTally(1)
    tally.add(0, np.array([0, 0, 1, 1], np.float32), np.array([0, 0, 1, 1], bool))
    assert tally.figures()[0][0] == 1


def test_calibration_error_of_honest_and_of_boastful_probabilities() -> None:
    honest, boastful = CalibrationTally(), CalibrationTally()
    assert np.isnan(honest.error())
    confidence = RANDOM.random(200_000).astype(np.float32)
    right = RANDOM.random(200_000) < confidence
    honest.add(confidence[:1000], right[:1000])
    honest.add(confidence[1000:], right[1000:])
    boastful.add(np.full(1000, 0.95), np.arange(1000) < 450)
    assert honest.error() < 0.01
    assert boastful.error() == pytest.approx(0.5)


def test_points_by_class() -> None:
    tally = PointTally(2)
    actual = np.array([True, True, False, False])
    truth = np.array([True, False, True, False])
    tally.add(1, actual, truth)
    tally.add(1, truth, truth)
    np.testing.assert_equal(tally.iou(), [np.nan, 3 / 5])
