from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_gem.core.parameters import GemParameters
from napari_gem.evaluation import score
from napari_gem.evaluation.controls import Control
from napari_gem.evaluation.datasets import Points
from napari_gem.evaluation.metrics import IGNORED, OTHER
from napari_gem.evaluation.protocols import find_protocol
from napari_gem.evaluation.question import Question
from napari_gem.evaluation.score import (
    ImageScores,
    Method,
    Prediction,
    point_values,
    points_right,
    predict,
    predict_by_cosines,
)
from training.scenes import draw_scene

if TYPE_CHECKING:
    from napari_gem.models.model import Model

RANDOM = np.random.default_rng(3)
NUMBERS = (1, 2, OTHER)
SHAPE = (37, 50)


@pytest.fixture
def scored() -> ImageScores:
    words = (("a",), ("b",), ("c",))
    question = Question(words, NUMBERS, background=0, rest=("d",))
    scores = RANDOM.uniform(-0.2, 0.2, (3, 5, 6)).astype(np.float32)
    return ImageScores(scores, (37 / 5, 50 / 6), SHAPE, question)


def _find(scored: ImageScores, model: Model, name: str, **changes: float) -> Prediction:
    protocol = find_protocol(name, **changes)
    method = Method(name, protocol, Control(), GemParameters())
    truth = np.zeros(SHAPE, np.int16)
    truth[:5] = IGNORED
    return predict(scored, truth, model, method, "a")


@pytest.mark.parametrize("name", ["paper", "sliding"])
def test_strips_change_nothing(
    name: str, scored: ImageScores, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _find(scored, model, name)
    monkeypatch.setattr(score, "STRIP", 700)
    strips = _find(scored, model, name)
    np.testing.assert_array_equal(whole.predicted, strips.predicted)
    np.testing.assert_array_equal(whole.places, strips.places)
    np.testing.assert_allclose(whole.values, strips.values, atol=1e-6)
    np.testing.assert_allclose(whole.probabilities, strips.probabilities, atol=1e-6)


def test_only_pixels_that_count_are_sampled(
    scored: ImageScores, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = _find(scored, model, "sliding")
    assert len(every.places) == 32 * 50 and every.places.min() == 5 * 50
    monkeypatch.setattr(score, "SAMPLED", 100)
    few, again = (_find(scored, model, "sliding") for _ in range(2))
    assert len(few.places) == 100 and few.places.min() >= 5 * 50
    np.testing.assert_array_equal(few.places, again.places)


def test_probabilities_sum_to_one_and_labels_are_the_largest(
    scored: ImageScores, model: Model
) -> None:
    predicted = _find(scored, model, "sliding", threshold=0)
    np.testing.assert_allclose(predicted.probabilities.sum(axis=0), 1, atol=1e-5)
    best = np.array(NUMBERS)[predicted.probabilities.argmax(axis=0)]
    np.testing.assert_array_equal(predicted.predicted.ravel()[predicted.places], best)
    assert predicted.values is not None and set(np.unique(predicted.predicted)) <= set(
        NUMBERS
    )


def test_heat_maps_reach_from_nought_to_one(scored: ImageScores, model: Model) -> None:
    predicted = _find(scored, model, "paper", threshold=0)
    assert predicted.values.min() >= 0 and predicted.values.max() <= 1
    assert predicted.values.max(axis=1) == pytest.approx(1, abs=0.1)


def test_heat_maps_are_made_as_in_the_released_code(model: Model) -> None:
    protocol = replace(find_protocol("paper"), size=96)
    method = Method("paper", protocol, Control(), model.card.encode.gem)
    question = Question((("water",), ("forest",)), (0, 1), None, ("d",))
    pixels = draw_scene("validation", 0, domain="aerial").image[:96, :96]
    picture = pixels.astype(np.float32) / 255
    truth = np.zeros((96, 96), np.int16)
    predicted = predict_by_cosines(model, picture, truth, question, method, "a")
    # the steps of gem_wrapper.py: features, cosine, bilinear, minimum to maximum
    image = torch.from_numpy(picture.transpose(2, 0, 1))[None]
    with torch.inference_mode():
        patches = model.backbone.encode_patches(image, method.gem).patches[0]
        sentences = ["a photo of a water.", "a photo of a forest."]
        texts = model.backbone.encode_texts(sentences)
    unit = torch.nn.functional.normalize
    cosines = (unit(patches, dim=-1) @ unit(texts, dim=-1).T).movedim(-1, 0)[None]
    maps = torch.nn.functional.interpolate(cosines, (96, 96), mode="bilinear")[0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    expected = ((maps - low) / (high - low)).reshape(2, -1).numpy()
    np.testing.assert_allclose(predicted.values, expected, atol=5e-3)  # stored in half


def test_unsure_pixels_are_background(scored: ImageScores, model: Model) -> None:
    predicted = _find(scored, model, "paper", threshold=0.9)
    best = predicted.probabilities.max(axis=0)
    background = predicted.predicted.ravel()[predicted.places] == 0
    assert 0 < background.mean() < 1
    np.testing.assert_array_equal(background, best < 0.9)


def test_points_read_the_heat_map_where_they_are(scored: ImageScores) -> None:
    points = Points(
        rows=np.array([0.0, 1.0, 0.5]),
        columns=np.array([0.0, 1.0, 0.25]),
        numbers=np.array([1, 1, 2]),
        positive=np.array([True, False, True]),
    )
    maps = score.upsample(scored.scores, scored.patch, 50, slice(0, 37))
    low, high = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))
    values = point_values(scored, points)
    (first, at, positive), (second, other, _), _ = values
    assert (first, second) == NUMBERS[:2]
    expected = (maps[0, [0, -1], [0, -1]] - low[0]) / (high[0] - low[0])
    np.testing.assert_allclose(at, expected, atol=1e-5)
    assert positive.tolist() == [True, False]
    assert other == pytest.approx((maps[1, 18, 12] - low[1]) / (high[1] - low[1]))
    expected_right = [at[0] > 0.5, at[1] <= 0.5, other[0] > 0.5]
    assert points_right(points, values).tolist() == expected_right
