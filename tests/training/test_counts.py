"""Figures of sums of scenes are those of the package's own tally."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gem.evaluation.question import Question
from napari_gem.evaluation.score import Prediction
from napari_gem.evaluation.tally import Tally
from training.counts import FIGURES, Counts, _compact, draw_scenes, figures, interval
from training.scenes import CLASSES

KEYS = ("iou", "boundary_iou", "auroc", "precision", "absent_probability")


def _scene(rng: np.random.Generator, several: tuple[Tally, ...]) -> Counts:
    truth = rng.integers(1, 5, (24, 24)).repeat(2, 0).astype(np.int16)
    numbers = (1, 2, 3, 4, 5, 0)
    logits = rng.normal(size=(len(numbers), truth.size))
    for place, number in enumerate(numbers):
        logits[place, truth.ravel() == number] += 1.5
    values = np.exp(logits) / np.exp(logits).sum(axis=0)
    predicted = np.array(numbers, np.int16)[values.argmax(axis=0)].reshape(truth.shape)
    question = Question((), numbers, 0, ())
    alone = Tally(len(CLASSES))
    for tally in (alone, *several):
        tally.add_labels(
            Prediction(predicted, np.arange(truth.size), values, values, question),
            truth,
        )
    return _compact(alone.state)


def test_figures_are_those_of_the_tally_without_the_background() -> None:
    rng = np.random.default_rng(0)
    whole, first = Tally(len(CLASSES)), Tally(len(CLASSES))
    counts = [_scene(rng, (whole, first)), _scene(rng, (whole,))]
    for tally, weights in ((whole, [[1, 1]]), (first, [[1, 0]])):
        by_name = dict(zip(FIGURES, figures(counts, np.array(weights))[0], strict=True))
        by_class = tally.by_class()
        expected = [100 * np.nanmean(by_class[key][1:]) for key in KEYS]
        several = [by_name[n] for n in FIGURES if n != "calibration error"]
        # the map's values share coarser bins here
        assert several == pytest.approx(expected, abs=0.5)
        assert by_name["calibration error"] == pytest.approx(
            100 * tally.overall()["calibration_error"], abs=1e-3
        )


def test_draws_stay_within_groups_and_intervals_hold_the_middle() -> None:
    groups = ["a", "b", "a", "b", "b"]
    weights = draw_scenes(groups, 200)
    first = np.array(groups) == "a"
    assert (weights[:, first].sum(axis=1) == 2).all()
    assert (weights[:, ~first].sum(axis=1) == 3).all()
    low, high = interval(weights @ np.arange(5.0)[:, None])
    assert low < 10 < high
