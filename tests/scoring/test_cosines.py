from __future__ import annotations

import numpy as np

from napari_gem.core.arrays import unit_vectors
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.cosines import (
    group_scores,
    image_offsets,
    in_image,
    likelier_than_all,
    min_max,
    near_duplicates,
)


def vectors(*shape: int, seed: int = 0) -> np.ndarray:
    return unit_vectors(np.random.default_rng(seed).normal(size=shape))


def test_a_class_scores_as_its_best_synonym() -> None:
    features = vectors(4, 5, 8)
    first, second = vectors(2, 8, seed=1), vectors(3, 8, seed=2)
    scores = group_scores(features, [first, second])
    assert scores.shape == (2, 4, 5)
    expected = np.einsum("ijc,wc->ijw", features, second).max(axis=-1)
    assert np.allclose(scores[1], expected, atol=1e-6)


def test_or_as_the_mean_of_its_synonyms() -> None:
    features = vectors(4, 5, 8)
    words, none = vectors(3, 8, seed=2), np.empty((0, 8), np.float32)
    cache = ScoreCache()
    group_scores(features, [words], cache)  # not to be taken for the mean
    scores = group_scores(features, [words, none], cache, "mean")
    expected = np.einsum("ijc,wc->ijw", features, words).mean(axis=-1)
    assert np.allclose(scores[0], expected, atol=1e-6)
    assert (scores[1] == -1).all()


def test_what_the_whole_image_adds() -> None:
    image, words = vectors(8), vectors(3, 8, seed=1)
    none = np.empty((0, 8), np.float32)
    actual = image_offsets([words, words[:1], none], image, -0.3)
    cosines = [float(word @ image) for word in words]
    expected = [-0.3 * max(cosines), -0.3 * cosines[0], 0]
    assert np.allclose(actual, expected, atol=1e-6)


def test_words_that_may_be_in_a_part_of_the_image_stay() -> None:
    embeddings, words = vectors(4, 8), vectors(3, 8, seed=1)
    best = (words @ embeddings.T).max(axis=1)
    limit = float(np.median(best))
    assert (in_image(words, embeddings, limit) == (best >= limit)).all()


def test_half_precision_features_score_the_same() -> None:
    features, words = vectors(4, 5, 64), [vectors(2, 64, seed=1)]
    half = group_scores(features.astype(np.float16), words)
    assert np.allclose(half, group_scores(features, words), atol=2e-3)


def test_near_background_words_are_found() -> None:
    prompts = vectors(2, 16)
    background = np.concatenate([prompts[:1], vectors(3, 16, seed=5)])
    actual = near_duplicates(background, prompts, 0.95)
    assert actual.tolist() == [True, False, False, False]


def test_words_of_other_images_are_left_out_but_the_likeliest_stays() -> None:
    background, image = vectors(5, 16), vectors(16, seed=3)
    cosines = background @ image
    assert (in_image(background, image[None], 0.1) == (cosines >= 0.1)).all()
    assert in_image(background, image[None], -1).all()
    likeliest = in_image(background, image[None], 2)
    assert (likeliest == (cosines == cosines.max())).all()


def test_the_likeliest_background_words_stay_where_no_limit_is_known() -> None:
    background, images = vectors(9, 16), vectors(3, 16, seed=3)
    best = (background @ images.T).max(axis=1)
    for count in (1, 4, 8):
        kept = in_image(background, images, -1, count)
        assert kept.sum() == count
        assert best[kept].min() > best[~kept].max()
    for count in (0, 9, 50):
        assert in_image(background, images, -1, count).all()
    known = in_image(background, images, 0.1, 1)  # the limit counts
    assert (known == in_image(background, images, 0.1)).all()


def test_words_that_are_likelier_than_every_prompt_are_found() -> None:
    background, images = vectors(9, 16), vectors(3, 16, seed=3)
    prompts = vectors(2, 16, seed=4)
    limit = max(float(word @ image) for word in prompts for image in images)
    expected = [max(float(w @ i) for i in images) > limit for w in background]
    assert 0 < sum(expected) < 9
    assert likelier_than_all(background, prompts, images).tolist() == expected


def test_min_max_of_a_constant_map_is_zero() -> None:
    maps = np.stack([np.full((3, 3), 0.2), np.arange(9.0).reshape(3, 3)])
    shown = min_max(maps.astype(np.float32))
    assert (shown[0] == 0).all()
    assert (shown[1].min(), shown[1].max()) == (0, 1)
