from __future__ import annotations

import numpy as np
import pytest

from napari_gem.scoring.prototypes import LEAST, LIKELY, prototypes

CHANNELS = 8


def sample(
    count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw patches of two kinds, and words that are right about them on the whole."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, count)
    middles = rng.normal(size=(2, CHANNELS))
    vectors = middles[kinds] + 0.3 * rng.normal(size=(count, CHANNELS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    right = np.stack([kinds == 0, kinds == 1, np.zeros(count, bool)])
    scores = 0.1 * right + 0.06 * rng.normal(size=right.shape) + 0.2
    scores[2] -= 0.5
    logits = np.exp(20 * scores)
    return kinds, vectors.astype("f4"), scores.astype("f4"), logits / logits.sum(0)


def test_the_image_corrects_its_words() -> None:
    kinds, vectors, scores, probabilities = sample(400)
    actual = prototypes(probabilities.astype("f4"), scores, vectors)
    assert set(actual) == {0, 1}
    new = np.stack([vectors @ vector + shift for vector, shift in actual.values()])
    assert (scores[:2].argmax(axis=0) == kinds).mean() < 0.92
    assert (new.argmax(axis=0) == kinds).mean() > 0.99


def test_the_scores_have_the_mean_and_spread_of_those_of_words_that_win() -> None:
    _, vectors, scores, probabilities = sample(300)
    for vector, shift in prototypes(
        probabilities.astype("f4"), scores, vectors
    ).values():
        along = vectors @ vector + shift
        np.testing.assert_allclose(along.mean(), scores[:2].mean(), atol=1e-5)
        np.testing.assert_allclose(along.std(), scores[:2].std(), rtol=1e-4)


def test_many_words_that_are_nowhere_change_nothing() -> None:
    _, vectors, scores, probabilities = sample(300)
    nowhere = np.random.default_rng(1).normal(-0.6, 0.05, (200, 300)).astype("f4")
    among = np.concatenate([scores[:2], nowhere, scores[2:]])
    likely = np.concatenate([probabilities[:2], nowhere * 0, probabilities[2:]])
    alone = prototypes(probabilities.astype("f4"), scores, vectors)
    for number, (vector, shift) in prototypes(
        likely.astype("f4"), among, vectors
    ).items():
        np.testing.assert_allclose(vector, alone[number][0], rtol=1e-5)
        assert shift == pytest.approx(alone[number][1])


def test_a_class_that_wins_by_a_hair_looks_for_no_more() -> None:
    _, vectors, scores, _ = sample(100)
    probabilities = np.tile([[0.8], [0.1], [0.1]], 100).astype("f4")
    probabilities[:, :50] = [[0.3], [LIKELY - 0.05], [0.25]]
    assert set(prototypes(probabilities, scores, vectors)) == {0}
    probabilities[:, 0] = [0.2, LIKELY + 0.05, 0.25]
    assert set(prototypes(probabilities, scores, vectors)) == {0, 1}


def test_a_chance_find_makes_no_class() -> None:
    _, vectors, scores, _ = sample(100)
    probabilities = np.tile([[0.9], [0.1], [0.0]], 100).astype("f4")
    probabilities[:, : LEAST - 1] = [[0.1], [0.9], [0.0]]
    assert set(prototypes(probabilities, scores, vectors)) == {0}
    probabilities[:, LEAST - 1] = 0.1, 0.9, 0.0
    assert set(prototypes(probabilities, scores, vectors)) == {0, 1}


def test_where_nothing_differs_there_is_nothing_to_find() -> None:
    _, vectors, scores, probabilities = sample(50)
    same = np.tile(vectors[:1], (50, 1))
    assert prototypes(probabilities.astype("f4"), scores, same) == {}
    flat = np.full_like(scores, -1)
    assert prototypes(probabilities.astype("f4"), flat, vectors) == {}


def test_the_background_keeps_to_its_words() -> None:
    _, vectors, scores, _ = sample(100)
    probabilities = np.tile([[0.0], [0.1], [0.9]], 100).astype("f4")
    assert prototypes(probabilities, scores, vectors) == {}


def test_of_classes_that_say_the_same_none_wins() -> None:
    _, vectors, scores, probabilities = sample(100)
    scores, probabilities = scores[[0, 0, 2]], probabilities[[0, 0, 2]]
    assert prototypes(probabilities.astype("f4"), scores, vectors) == {}
