from __future__ import annotations

import numpy as np
import pytest

from training.simulate_words import PATCHES, draw, figures, lines, mean_figures


def test_figures_are_those_of_a_loop() -> None:
    scores, right = draw(10, 0.05, np.random.default_rng(0))
    assert scores.shape == (11, PATCHES)
    assert set(right.tolist()) == {0, 1, 2, 10}  # three prompts and the background
    found = [max(range(11), key=lambda n: scores[n, patch]) for patch in range(PATCHES)]
    recall, ious = [], []
    for n in (0, 1, 2, 10):
        pairs = [(a == n, b == n) for a, b in zip(found, right, strict=True)]
        both = sum(a and b for a, b in pairs)
        ious.append(both / sum(a or b for a, b in pairs))
        recall.append(both / sum(b for _, b in pairs))
    expected = np.mean(recall[:-1]), np.mean(ious)
    assert figures(scores, right) == pytest.approx(expected)


def test_levels_of_words_cost_recall_and_calibration_brings_it_back() -> None:
    without, rest, levels = (mean_figures(1, level) for level in (0.0, 0.005, 0.02))
    assert without[0] > rest[0] > levels[0] + 0.1
    assert mean_figures(1, 0.02).tolist() == levels.tolist()  # the seeds are fixed
    assert len(list(lines())) == 13
