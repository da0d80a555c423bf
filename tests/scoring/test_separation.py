"""How clearly a word separates an image, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gem.scoring.separation import agreement, separation


def test_two_heaps_separate_and_one_does_not():
    rng = np.random.default_rng(0)
    low, high = np.clip(rng.normal((0.1, 0.9), 0.03, (500, 2)), 0, 1).T
    apart = separation(np.concatenate([low, high]).astype(np.float32))
    near = separation(np.concatenate([low, low + 0.1]).astype(np.float32))
    assert apart > 0.7
    assert near < 0.3
    # half at 0, half at 0.5: all variance between the sides, half a unit apart
    halves = np.repeat(np.float32([0, 0.5]), 7)
    assert separation(halves) == pytest.approx(0.5)
    # 0, 0, 1, 1, 2, 2 thirds: cut behind the first pair, 3/4 of the variance, 1/2
    thirds = np.repeat(np.float32([0, 1, 2]) / 3, 2)
    assert separation(thirds) == pytest.approx(0.75 * 0.5)
    assert separation(np.full(10, 0.4, np.float32)) == 0
    assert separation(np.zeros(0, np.float32)) == 0


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        ([], [], 1.0),
        ([0.9, 0.8], [], 0.9),
        ([0.9, 0.1], [0.95], 0.55),
        ([1.0], [], 1.0),
        ([], [1.0], 0.0),
        ([0.45], [], 0.5),
        ([], [0.25], 0.7),
    ],
)
def test_agreement_is_the_rank_of_examples_among_patches(positive, negative, expected):
    scores = np.arange(10, dtype=np.float32) / 10
    examples = (np.array(side, np.float32) for side in (positive, negative))
    assert agreement(scores, *examples) == pytest.approx(expected)
