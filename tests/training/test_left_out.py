"""What was left out can still be run, and does what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gem.models.find import load_model
from napari_gem.models.model import Model
from training.ablation import Scenes
from training.evaluate import encode_scene
from training.left_out import EXTRAS, INSTEAD
from training.measure_examples import clicks, encode_words, measure, measure_negative
from training.measure_ingredients import only_there, parts
from training.scenes import INDEX, Scene, draw_scene
from training.shifted import ask_all

SIDE = 32


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("embedded", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return draw_scene("validation", 0, domain="fluorescence", size=SIDE)


@pytest.mark.parametrize("name", EXTRAS)
def test_other_features_are_features(name: str, model: Model, scene: Scene) -> None:
    parameters = model.card.encode
    plain = encode_scene(model, scene, parameters)
    features = EXTRAS[name].features(model, scene, parameters)
    assert features.array.shape[-1] == plain.array.shape[-1]
    length = np.linalg.norm(features.array.astype(np.float32), axis=-1)
    np.testing.assert_allclose(length, 1, atol=2e-3)
    same = features.array.shape == plain.array.shape and np.array_equal(
        features.array, plain.array
    )
    assert same == (name == "")


@pytest.mark.parametrize("name", INSTEAD)
def test_other_ways_to_pixels_follow_the_edge(name: str) -> None:
    """Maps change at column 13 and the image at column 16."""
    image = np.zeros((SIDE, SIDE, 3), np.float32)
    image[:, 16:] = 1
    share = np.clip((np.arange(SIDE) - 13) / 32 + 0.5, 0.05, 0.95)
    share = np.tile(share, (SIDE, 1)).astype(np.float32)
    maps = np.stack([share, 1 - share])
    finish = INSTEAD[name].finish
    assert finish is not None
    finished = finish(image, maps)
    assert finished.shape == maps.shape and finished.dtype == np.float32
    np.testing.assert_allclose(finished.sum(axis=0), 1, atol=1e-4)
    right = image[..., 0] > 0.5
    assert ((finished[0] > 0.5) != right).sum() < ((maps[0] > 0.5) != right).sum()


def test_every_part_begins_with_its_base(model: Model) -> None:
    several = parts(model)
    shipped = several["shipped"]["as shipped"]
    assert shipped.score == model.card.score
    for settings in several.values():
        base, *others = settings.values()
        assert all(setting != base for setting in others)
    assert several["pixels"]["refinement 10"] == shipped


def test_only_what_is_there_is_asked_for(scene: Scene) -> None:
    asked = ask_all(replace(scene, labels=np.full((4, 4), INDEX["cell"])), scene.domain)
    (question,) = only_there(Scenes((asked,), ("a",))).asked
    assert list(question.words) == [INDEX["cell"]]


def test_examples_are_measured_as_users_get_them(model: Model, scene: Scene) -> None:
    encoded = encode_words(model, scene)
    for figures in (
        measure([encoded], clicks(1), every=False, seeds=1),
        measure([encoded], clicks(2), every=True, words=False, seeds=1),
        measure_negative([encoded], 1, 1, seeds=1),
    ):
        assert all(0 <= value <= 1 for value in figures.classes().values())
