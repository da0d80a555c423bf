"""What the embedded model finds on a few real pictures, by words only.

`docs/on-real-pictures.md` has the figures of all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_gem.models.model import Model
from training.real_pictures import load, measure_kind

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REAL.is_dir(),
        reason=f"The real pictures are not in {REAL}: see docs/on-real-pictures.md",
    ),
]


@pytest.fixture(scope="module")
def model() -> Model:
    return load("embedded")


def test_fluorescent_nuclei_by_their_word(model: Model) -> None:
    kind = "fluorescence-stretched"
    answer = measure_kind(model, REAL, kind, limit=2, absent=False).answers["nuclei"]
    assert answer.iou is not None
    assert answer.auroc is not None
    assert answer.iou >= 0.65
    assert answer.auroc >= 0.95


def test_stained_nuclei_by_their_word(model: Model) -> None:
    figures = measure_kind(model, REAL, "stained", limit=3, absent=False)
    answer = figures.answers["nuclei"]
    assert answer.best_iou is not None
    assert answer.auroc is not None
    assert answer.best_iou >= 0.7
    assert answer.auroc >= 0.94


def test_trees_by_their_word(model: Model) -> None:
    figures = measure_kind(model, REAL, "trees", limit=2, absent=False)
    answer = figures.answers["trees"]
    assert answer.points_inside is not None
    assert answer.area is not None
    assert answer.points_inside >= 0.8
    assert answer.area <= 0.5
