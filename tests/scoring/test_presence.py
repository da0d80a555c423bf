from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gem.scoring.cosines import softmax
from napari_gem.scoring.presence import MOST_SHARE, is_absent, shortfalls
from napari_gem.segmentation.postprocess.largest import largest
from tests.scoring.test_cosines import vectors


def test_what_classes_lack_to_be_in_the_image() -> None:
    image, words = vectors(8), vectors(3, 8, seed=1)
    none = np.empty((0, 8), np.float32)
    best = max(float(word @ image) for word in words)
    for limit in (best - 0.1, best + 0.1):
        actual = shortfalls([words, none], none, image[None], limit)
        assert np.allclose(actual, [max(0, limit - best), 0], atol=1e-6)
    others = vectors(5, 8, seed=2)
    middle = float(np.median(others @ image))
    assert shortfalls([words], others, image[None], -1)[0] == np.float32(
        max(0, middle - best)
    )
    assert not shortfalls([words], none, image[None], -1).any()


def test_the_limit_lies_above_the_mean_of_the_background_words() -> None:
    embeddings, words = vectors(4, 8), vectors(6, 8, seed=1)
    others = vectors(5, 8, seed=2)
    cosines = [max(float(word @ one) for one in embeddings) for word in others]
    mean = sum(cosines) / len(cosines)
    spread = (sum((cosine - mean) ** 2 for cosine in cosines) / len(cosines)) ** 0.5
    for factor in (-1.0, 0.0, 0.5, 3.0):
        actual = shortfalls(list(words[:, None]), others, embeddings, -1, factor)
        for lacking, word in zip(actual, words, strict=True):
            best = max(float(word @ one) for one in embeddings)
            assert np.isclose(lacking, max(0, mean + factor * spread - best), atol=1e-6)
    known = shortfalls([words], others, embeddings, 0.9, 3.0)
    assert (known == shortfalls([words], others, embeddings, 0.9)).all()


def test_a_word_is_in_an_image_if_it_is_in_a_part_of_it() -> None:
    embeddings, words = vectors(4, 8), vectors(3, 8, seed=1)
    none = np.empty((0, 8), np.float32)
    best = (words @ embeddings.T).max(axis=1)
    actual = shortfalls([words[:1], words[1:]], none, embeddings, 0.9)
    expected = [0.9 - best[0], 0.9 - best[1:].max()]
    assert np.allclose(actual, expected, atol=1e-6)


@given(
    arrays(np.float32, (4, 6, 6), elements=st.floats(-1, 1, width=32)),
    st.floats(1, 100),
    st.lists(st.floats(0, 0.5), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_a_class_that_wins_area_at_high_probability_is_never_called_absent(
    scores: np.ndarray, scale: float, thresholds: list[float], lacking: list[bool]
) -> None:
    maps = softmax(scores.copy(), scale)
    labels = largest(maps.copy(), (1, 2, 3), thresholds)
    for number, lacks in enumerate(lacking):
        sure = np.mean([p > 0.5 for row in maps[number] for p in row])
        absent = is_absent(lacks, float((labels == number + 1).mean()))
        assert not (absent and sure >= MOST_SHARE)
        assert lacks or not absent
