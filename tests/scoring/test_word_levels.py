from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_gem.core.parameters import ScoreParameters
from napari_gem.core.progress import run
from napari_gem.models.find import load_model
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.cosines import group_scores
from napari_gem.scoring.text import embed_words
from napari_gem.scoring.word_levels import neutral_pictures, neutral_steps
from napari_gem.segmentation.pipeline import encode, segment
from tests.scoring.test_cosines import vectors
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from napari_gem.models.model import Model

SCORE = ScoreParameters(background=("grass", "sky"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.mark.parametrize("synonyms", ["max", "mean"])
def test_the_level_of_each_word_is_taken_off_before_synonyms_join(
    synonyms: str,
) -> None:
    features, words = vectors(3, 4, 8), vectors(2, 8, seed=1)
    neutral, cache = 0.4 * vectors(8, seed=2), ScoreCache()
    neutral = neutral.astype(np.float32)
    plain = group_scores(features, [words], cache, synonyms)
    actual = group_scores(features, [words], cache, synonyms, neutral)[0]
    for row in range(3):
        for column in range(4):
            scores = [
                sum(
                    float(w) * (float(f) - float(n))
                    for w, f, n in zip(
                        word, features[row, column], neutral, strict=True
                    )
                )
                for word in words
            ]
            expected = max(scores) if synonyms == "max" else sum(scores) / 2
            assert actual[row, column] == pytest.approx(expected, abs=1e-5)
    assert (plain == group_scores(features, [words], cache, synonyms)).all()


def test_levels_are_the_mean_cosines_with_pictures_that_show_nothing(
    model: Model,
) -> None:
    features = encode(neutral_pictures(40)[5], model)
    model.neutral.clear()
    assert len(list(neutral_steps(model, features))) > 1
    neutral = run(neutral_steps(model, features))
    assert list(neutral_steps(model, features)) == []  # it was kept
    word = embed_words(model.backbone, ["cat"], SCORE.templates, model.texts)[0]
    side = round(model.card.encode.tile * features.patch)
    cosines = []
    for picture in neutral_pictures(side):
        grid = encode(picture, model).array.astype(np.float32)
        cosines.append(
            np.mean([float(vector @ word) for vector in grid.reshape(-1, len(word))])
        )
    assert float(word @ neutral) == pytest.approx(float(np.mean(cosines)), abs=2e-3)


def test_a_weight_of_levels_changes_logits_by_them_and_none_changes_nothing(
    model: Model,
) -> None:
    features = encode(neutral_pictures(40)[6], model)
    model.neutral.clear()
    prompts = parse_prompts(["cat", "dog"])
    plain = segment(features, prompts, model, parameters=SCORE)
    assert not model.neutral  # nobody asked for it
    some = replace(SCORE, level_weight=0.5)
    levelled = segment(features, prompts, model, parameters=some)
    words = embed_words(model.backbone, ["cat", "dog"], SCORE.templates, model.texts)
    cat, dog = words @ model.neutral[features.parameters]
    change = [np.log(one.probabilities) for one in (plain, levelled)]
    moved = change[1] - change[0]
    expected = -0.5 * SCORE.scale * (cat - dog)
    np.testing.assert_allclose(moved[0] - moved[1], expected, atol=1e-3)


def test_neutral_pictures_are_always_the_same() -> None:
    first, second = neutral_pictures(16), neutral_pictures(16)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert all(one.shape == (16, 16, 3) and one.dtype == np.uint8 for one in first)
