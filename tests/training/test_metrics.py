import numpy as np
import pytest

from training.metrics import class_iou, ranking

TRUTH = np.array([[True, True], [False, False]])


@pytest.mark.parametrize(
    ("scores", "auroc", "precision"),
    [
        ([[0.9, 0.8], [0.2, 0.1]], 1.0, 1.0),
        ([[0.5, 0.5], [0.5, 0.5]], 0.5, 0.5),
        ([[0.1, 0.2], [0.8, 0.9]], 0.0, (1 / 3 + 2 / 4) / 2),
    ],
)
def test_ranking_of_known_cases(scores, auroc, precision):
    assert ranking(np.array(scores), TRUTH) == pytest.approx((auroc, precision))


def test_iou_of_a_known_case():
    truth = np.array([[1, 1, 2], [0, 0, 2]])
    predicted = np.array([[1, 2, 2], [0, 1, 2]])
    assert class_iou(predicted, truth, [1, 2]) == pytest.approx([1 / 3, 2 / 3])
