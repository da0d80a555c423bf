"""Tiles that know of each other: what was tried does what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gem.models.find import load_model
from napari_gem.models.model import Model
from training.context import CONTEXT
from training.evaluate import encode_scene
from training.scenes import Scene, draw_scene

SIDE = 96


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("embedded", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return draw_scene("validation", 0, domain="fluorescence", size=SIDE)


@pytest.mark.parametrize("name", CONTEXT)
def test_a_tile_is_told_of_the_others(name: str, model: Model, scene: Scene) -> None:
    parameters = model.card.encode
    features = CONTEXT[name].features(model, scene, parameters).array.astype(np.float32)
    length = np.linalg.norm(features, axis=-1)
    np.testing.assert_allclose(length, 1, atol=2e-3)
    plain = encode_scene(model, scene, parameters).array.astype(np.float32)
    assert features.shape == plain.shape
    assert 0.9 < (features * plain).sum(axis=-1).mean() < 0.9999


@pytest.mark.parametrize(
    "name", ["self-self attention shared by tiles", "all attention shared by tiles"]
)
def test_one_tile_has_nobody_to_share_with(
    name: str, model: Model, scene: Scene
) -> None:
    parameters = model.card.encode
    one = replace(scene, image=scene.image[:64, :64])
    features = CONTEXT[name].features(model, one, parameters).array
    plain = encode_scene(model, one, parameters).array
    np.testing.assert_allclose(features, plain, atol=2e-3)
