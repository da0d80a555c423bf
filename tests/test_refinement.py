from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gem.models import load_model
from napari_gem.pipeline import encode, segment
from napari_gem.reading import Picture, held_picture
from napari_gem.refinement import DISTANCES, SHARPNESS, refine, refine_strips
from napari_gem.types import Appearance, EncodeParameters, Features, GemError

RGB = Appearance(rgb=True, limits=(0, 255))


def slow(maps: np.ndarray, picture: np.ndarray, rounds: int) -> np.ndarray:
    """Refine pixel by pixel, as the method is told."""
    _, height, width = maps.shape
    steps = [(d * i, d * j) for d in DISTANCES for i in (-1, 0, 1) for j in (-1, 0, 1)]
    steps = [step for step in steps if step != (0, 0)]
    colours = picture.astype(np.float64)
    for _ in range(rounds):
        new = np.empty_like(maps)
        for y in range(height):
            for x in range(width):
                at = [
                    (min(max(y + i, 0), height - 1), min(max(x + j, 0), width - 1))
                    for i, j in steps
                ]
                around = np.stack([colours[place] for place in at])
                share = np.abs(around - colours[y, x]) / (around.std(axis=0) + 1e-6)
                weight = np.exp(-SHARPNESS * share.mean(axis=1))
                weight /= weight.sum()
                values = np.stack([maps[:, i, j] for i, j in at])
                new[:, y, x] = weight @ values
        maps = new
    return maps


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


def drawn(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(height * 1000 + width)
    maps = random.dirichlet((1, 1, 1), (height, width)).astype(np.float32)
    return np.moveaxis(maps, -1, 0), random.integers(
        0, 256, (height, width, 3), np.uint8
    )


def test_is_what_the_method_tells() -> None:
    maps, picture = drawn(9, 11)
    shown = picture.astype(np.float32) / 255
    found = refine(maps, shown, 2)
    assert found == pytest.approx(slow(maps.astype(np.float64), shown, 2), abs=1e-4)
    assert found.sum(axis=0) == pytest.approx(1, abs=1e-4)


def test_a_blurred_edge_goes_to_the_edge_of_the_image() -> None:
    picture = np.zeros((16, 32, 3), np.float32)
    picture[:, 16:] = 1
    first = np.tile(np.linspace(1, 0, 32, dtype=np.float32) ** 2, (16, 1))
    found = refine(np.stack([first, 1 - first]), picture, 10)
    assert found[0, :, 15].min() - found[0, :, 16].max() > 0.1
    assert first[0, 15] - first[0, 16] < 0.05


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 12), st.integers(1, 20), st.integers(0, 3))
def test_strips_join_to_the_whole(
    height: int, width: int, step: int, rounds: int
) -> None:
    maps, picture = drawn(height, width)
    strips = [
        (slice(at, min(at + step, height)), maps[:, at : at + step])
        for at in range(0, height, step)
    ]
    parts = list(refine_strips(strips, features_of(picture, (height, width)), rounds))
    assert [part.start for part, _ in parts] == [
        0,
        *(part.stop for part, _ in parts[:-1]),
    ]
    whole = refine(maps, picture.astype(np.float32) / 255, rounds)
    assert np.concatenate([strip for _, strip in parts], axis=1) == pytest.approx(
        whole, abs=1e-5
    )


def test_features_without_a_picture_are_refused() -> None:
    maps, _ = drawn(4, 4)
    with pytest.raises(GemError, match="without its picture"):
        list(refine_strips([(slice(0, 4), maps)], features_of(None, (4, 4)), 1))


def test_a_picture_is_what_the_model_sees() -> None:
    _, pixels = drawn(7, 5)
    assert (held_picture(Picture(pixels, RGB)) == pixels).all()


def test_words_are_refined_when_it_is_asked_for() -> None:
    model = load_model("embedded", device="cpu", precision="float32")
    _, pixels = drawn(40, 48)
    features = encode(pixels, model, appearance=RGB)
    score = model.card.score
    plain = segment(features, ["nucleus", "spot"], model)
    off = replace(score, refinement=0)
    on = replace(score, refinement=2)
    same = segment(features, ["nucleus", "spot"], model, parameters=off)
    found = segment(features, ["nucleus", "spot"], model, parameters=on)
    assert (same.probabilities == plain.probabilities).all()
    assert not np.allclose(found.probabilities, plain.probabilities, atol=1e-3)
    assert found.recipe.score.refinement == 2
    with pytest.raises(GemError, match="whole number of rounds"):
        bad = replace(score, refinement=-1)
        segment(features, ["spot"], model, parameters=bad)
