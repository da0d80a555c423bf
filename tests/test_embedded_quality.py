"""The embedded model on the held-out scenes: it must not get worse unnoticed.

The floors are just under the values of the model card.
"""

import pytest

from napari_gem.models import load_model
from training.evaluate import evaluate, methods
from training.make_test_scenes import load_scenes

FLOORS = {
    "map_auroc": 0.945,
    "map_precision": 0.74,
    "iou_labels": 0.555,
    "auroc": 0.85,
    "precision": 0.62,
    "iou": 0.54,
    "iou_present": 0.575,
}


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
    means = results["GEM, own parameters"].means()
    assert all(means[name] >= floor for name, floor in FLOORS.items()), means


def test_gem_finds_three_times_what_plain_tokens_find(results):
    plain, gem = (result.means()["iou"] for result in results.values())
    assert gem >= 3 * plain
