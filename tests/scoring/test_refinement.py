from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.progress import run
from napari_gem.core.region import Region
from napari_gem.core.results import Features
from napari_gem.images.tile_reading import Picture, held_picture
from napari_gem.models.find import load_model
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.refinement import (
    DISTANCES,
    NO_PICTURE,
    SHARPNESS,
    SMALLEST_DEVIATION,
    shift_steps,
    shifts,
)
from napari_gem.segmentation.pipeline import encode, segment

RGB = Appearance(rgb=True, limits=(0, 255))


def slow(picture: np.ndarray, rounds: int) -> np.ndarray:
    """Follow the walk from each pixel, as the method is told."""
    height, width = picture.shape[:2]
    steps = [(d * i, d * j) for d in DISTANCES for i in (-1, 0, 1) for j in (-1, 0, 1)]
    steps = [step for step in steps if step != (0, 0)]
    colours = picture.reshape(height * width, -1).astype(np.float64)
    chances = np.zeros((height * width, height * width))
    for pixel in range(height * width):
        y, x = divmod(pixel, width)
        places = [
            min(max(y + i, 0), height - 1) * width + min(max(x + j, 0), width - 1)
            for i, j in steps
        ]
        around = colours[places]
        away = around - colours[pixel]
        share = np.abs(away) / (around.std(axis=0) + SMALLEST_DEVIATION)
        weight = np.exp(-SHARPNESS * share.mean(axis=1))
        for place, one in zip(places, weight / weight.sum(), strict=True):
            chances[pixel, place] += one
    at = np.stack(np.divmod(np.arange(height * width), width), axis=1)
    ends = np.linalg.matrix_power(chances, rounds) @ at
    return (ends - at).T.reshape(2, height, width)


def features_of(picture: np.ndarray | None, shape: tuple[int, int]) -> Features:
    return Features(
        array=np.zeros((1, 1, 2), np.float16),
        image_embedding=np.zeros(2, np.float32),
        image_shape=shape,
        patch=8,
        model="any",
        revision="",
        parameters=EncodeParameters(),
        appearance=RGB,
        picture=picture,
    )


def drawn(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height * 1000 + width)
    return random.integers(0, 256, (height, width, 3), np.uint8)


def all_rows(features: Features, rounds: int, portion: int, step: int = 1) -> list:
    actual = run(shift_steps(features, rounds, ScoreCache(), step))
    assert actual is not None
    height = -(-features.image_shape[0] // step)
    parts = [
        actual.rows(slice(at, min(at + portion, height)))
        for at in range(0, height, portion)
    ]
    assert max(np.abs(part).max() for part in parts) <= actual.reach
    actual.close()
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("shape", [(9, 11), (1, 7), (2, 2)])
def test_is_where_a_walk_among_like_colours_leads(shape: tuple[int, int]) -> None:
    picture = drawn(*shape)[..., :2].astype(np.float32) / 255
    picture[:, :2] = 0.5  # a flat part
    assert shifts(picture, 3) == pytest.approx(slow(picture, 3), abs=2e-4)


def test_it_leads_away_from_edges() -> None:
    picture = np.zeros((16, 32, 3), np.float32)
    picture[:, 16:] = 1
    down, right = shifts(picture, 5)
    assert np.abs(down[6:10, 10:22]).max() < 0.5
    assert (right[:, 15] < -2).all()
    assert (right[:, 16] > 2).all()


@settings(max_examples=15, deadline=None)
@given(
    *(st.integers(1, most) for most in (90, 30, 20, 3)),
    st.tuples(st.integers(1, 40), st.integers(1, 30)),
)
def test_strips_join_to_the_whole(
    height: int, width: int, portion: int, rounds: int, block: tuple[int, int]
) -> None:
    picture = drawn(height, width)
    whole = shifts(picture.astype(np.float32) / 255, rounds)
    features = features_of(picture, (height, width))
    kept = all_rows(features, rounds, portion)
    assert kept == pytest.approx(whole, abs=0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_gem.core.bounds.LARGEST_HELD", 0)
        patch.setattr("napari_gem.scoring.refinement.BAND", block[0])
        patch.setattr("napari_gem.scoring.refinement.BLOCK", block[1])
        assert (all_rows(features, rounds, portion) == kept).all()
    third = all_rows(features, rounds, portion, step=3)
    rows, columns = (np.minimum(np.arange(0, n, 3) + 1, n - 1) for n in (height, width))
    assert third == pytest.approx(kept[:, rows][:, :, columns] / 3, abs=1e-4)


def test_outside_of_the_region_nothing_is_read() -> None:
    picture = drawn(40, 30)
    region = Region((7, 31), (5, 22))
    features = replace(features_of(picture, (40, 30)), region=region)
    actual = all_rows(features, 5, portion=9)
    free = all_rows(features_of(picture, (40, 30)), 5, portion=9)
    at = (np.mgrid[:40, :30] + actual)[:, 7:31, 5:22]
    assert (at[0].min(), at[0].max()) >= (7, 0)
    assert at[0].max() <= 30
    assert (at[1].min(), at[1].max()) >= (5, 0)
    assert at[1].max() <= 21
    middle = np.s_[:, 22, 15]
    assert (actual[middle] == free[middle]).all()


def test_without_a_picture_a_notice_tells_so() -> None:
    model = load_model("embedded", device="cpu", precision="float32")
    features = replace(encode(drawn(20, 24), model, appearance=RGB), picture=None)
    on, off = (replace(model.card.score, refinement=rounds) for rounds in (3, 0))
    asked, plain = (
        segment(features, ["spot"], model, parameters=score) for score in (on, off)
    )
    assert (asked.probabilities == plain.probabilities).all()
    assert asked.notices == (*plain.notices, NO_PICTURE)


def test_an_image_is_walked_once() -> None:
    features, cache = features_of(drawn(20, 20), (20, 20)), ScoreCache()
    stages = [step.stage for step in shift_steps(features, 2, cache)]
    assert stages == ["Finding edges"]
    assert not list(shift_steps(features, 2, cache))
    assert cache.nbytes == 2 * 2 * 20 * 20
    assert list(shift_steps(features, 3, cache))


def test_a_picture_is_what_the_model_sees() -> None:
    pixels = drawn(7, 5)
    assert (held_picture(Picture(pixels, RGB)) == pixels).all()


def test_words_are_refined_when_it_is_asked_for() -> None:
    model = load_model("embedded", device="cpu", precision="float32")
    pixels = drawn(40, 48)
    features = encode(pixels, model, appearance=RGB)
    score = model.card.score
    off = replace(score, refinement=0)
    on = replace(score, refinement=2)
    plain = segment(features, ["nucleus", "spot"], model, parameters=off)
    result = segment(features, ["nucleus", "spot"], model, parameters=on)
    assert not np.allclose(result.probabilities, plain.probabilities, atol=1e-3)
    assert result.recipe.score.refinement == 2
    with pytest.raises(GemError, match="whole number from 0"):
        bad = replace(score, refinement=-1)
        segment(features, ["spot"], model, parameters=bad)
