"""The embedded model on the held-out scenes: it must not get worse unnoticed.

The floors are just under the values of the model card.
"""

import pytest

from napari_gem.models import load_model
from training.evaluate import evaluate, methods
from training.make_test_scenes import load_scenes

FLOORS = {"auroc": 0.85, "precision": 0.62, "iou": 0.53, "iou_present": 0.57}


@pytest.fixture(scope="module")
def results():
    model = load_model("embedded", device="cpu", precision="float32")
    compared = methods(model.card.encode)
    scenes = load_scenes()
    return {
        name: evaluate(model, scenes, compared[name])
        for name in ("plain patch tokens", "GEM, own parameters")
    }


def test_gem_keeps_its_measured_quality(results):
    means = dict(zip(FLOORS, results["GEM, own parameters"].means(), strict=True))
    assert all(means[name] >= floor for name, floor in FLOORS.items()), means


def test_gem_finds_three_times_what_plain_tokens_find(results):
    plain, gem = (result.means()[2] for result in results.values())
    assert gem >= 3 * plain
