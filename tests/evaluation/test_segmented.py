from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_gem.evaluation.controls import Control
from napari_gem.evaluation.metrics import OTHER
from napari_gem.evaluation.protocols import find_protocol
from napari_gem.evaluation.question import Question
from napari_gem.evaluation.score import Method, predict_by_cosines
from napari_gem.evaluation.segmented import predict_as_segmented
from training.evaluate import plain_card
from training.scenes import draw_scene

if TYPE_CHECKING:
    from napari_gem.models.model import Model

REST = ("sky",)
CELLS, BACKGROUND = ("cell", "cells"), ("background",)
SCENE = draw_scene("validation", 1, domain="fluorescence")
PICTURE = SCENE.image[:64, :64].astype(np.float32) / 255
TRUTH = np.zeros((64, 64), np.int16)


def _method(model: Model, threshold: float = 0.0) -> Method:
    protocol = find_protocol("model", threshold=threshold)
    return Method("model", protocol, Control(), model.card.encode.gem)


@pytest.mark.parametrize("background", [0, None])
def test_background_is_a_class_or_nothing(model: Model, background: int | None) -> None:
    front = (("filament",), CELLS)
    words, numbers = front, (1, 2)
    if background is not None:
        words, numbers = (*front, BACKGROUND), (1, 2, background)
    question = Question(words, numbers, background, REST)
    predicted = predict_as_segmented(
        model, PICTURE, TRUTH, question, _method(model), "a"
    )
    assert predicted.question.numbers == numbers
    np.testing.assert_allclose(predicted.probabilities.sum(axis=0), 1, atol=1e-5)
    present = set(np.unique(predicted.predicted).tolist())
    assert present <= set(numbers)
    assert (0 in present) == (background is not None)


def test_without_a_background_it_is_the_largest_cosine(model: Model) -> None:
    question = Question((("filament",), CELLS), (0, 1), None, REST)
    model = replace(model, card=plain_card(model.card))
    ways = (predict_as_segmented, predict_by_cosines)
    a, b = (way(model, PICTURE, TRUTH, question, _method(model), "a") for way in ways)
    np.testing.assert_array_equal(a.predicted, b.predicted)
    np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)


def test_the_threshold_is_that_of_each_class(model: Model) -> None:
    question = Question((BACKGROUND, CELLS), (0, 1), 0, REST)
    predictions = [
        predict_as_segmented(model, PICTURE, TRUTH, question, method, "a")
        for method in (_method(model, 0.1), _method(model), _method(model, 0.95))
    ]
    shares = [(one.predicted == 1).mean() for one in predictions]
    assert shares[0] > shares[1] > shares[2]


def test_what_fits_the_rest_only_is_no_class(model: Model) -> None:
    question = Question((("ship",), REST), (1, OTHER), None, REST)
    predicted = predict_as_segmented(
        model, PICTURE, TRUTH, question, _method(model), "a"
    )
    assert set(np.unique(predicted.predicted)) <= {1, OTHER}
    assert predicted.question.numbers == (1, OTHER)
