"""The embedded model on the held-out scenes: it must not get worse unnoticed.

The floors are just under the values of the model card.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import napari_gem
from napari_gem.models import load_model
from training.evaluate import Result, evaluate, methods, tables
from training.make_test_scenes import load_scenes

OWN = "GEM, own parameters"
PLAIN = "plain patch tokens"
FLOORS = {
    "map_auroc": 0.945,
    "map_precision": 0.74,
    "iou_labels": 0.555,
    "auroc": 0.85,
    "precision": 0.62,
    "iou": 0.54,
    "iou_present": 0.575,
}
CARD = Path(napari_gem.__file__).parent / "embedded" / "model_card.md"
# five methods on sixty scenes take minutes on a busy machine, and the first test pays
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    model = load_model("embedded", device="cpu", precision="float32")
    scenes = load_scenes()
    compared = methods(model.card.encode).items()
    found = {name: evaluate(model, scenes, how) for name, how in compared}
    sys.stdout.write(tables(found))
    return found


def test_gem_keeps_its_measured_quality(results: dict[str, Result]) -> None:
    means = results[OWN].means()
    assert all(means[name] >= floor for name, floor in FLOORS.items()), means


def test_gem_finds_three_times_what_plain_tokens_find(
    results: dict[str, Result],
) -> None:
    plain, gem = results[PLAIN].means(), results[OWN].means()
    assert gem["iou"] >= 3 * plain["iou"]
    assert gem["iou_labels"] >= 3 * plain["iou_labels"]


def test_the_model_card_tells_what_is_measured(results: dict[str, Result]) -> None:
    rows = {
        cells[1].strip(): [float(cell) for cell in cells[2:-1]]
        for cells in (line.split("|") for line in CARD.read_text().splitlines())
        if len(cells) > 2 and cells[1].strip() in results
    }
    assert rows.keys() == results.keys()
    for name, values in rows.items():
        measured = list(results[name].means().values())
        assert values == pytest.approx(measured, abs=0.01), name
