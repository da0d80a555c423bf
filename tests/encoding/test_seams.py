"""What tiles do to a result, with the embedded model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gem import encode, load_model
from napari_gem.encoding.tiles import plan_tiles
from tests.bench_tiles import agreement


@pytest.fixture(scope="module")
def model():
    return load_model("embedded")


def test_labels_of_tiles_agree_with_those_of_one_tile(model) -> None:
    """Bench measured 0.97; by chance it would be 0.5."""
    whole, seams, _ = agreement("aerial", 112, 16, 4, model)
    assert whole > 0.92
    assert seams > 0.92


@pytest.mark.parametrize("kind", ["constant", "smooth"])
def test_no_grid_is_seen_on_a_calm_image(model, kind: str) -> None:
    side = 112
    down, right = np.mgrid[:side, :side] / side
    shown = np.full((side, side), 0.4)
    if kind == "smooth":
        shown = 0.2 + 0.6 * (down + right) / 2
    pixels = np.dstack([255 * shown] * 3).astype(np.uint8)
    parameters = replace(model.card.encode, tile=16, overlap=4)
    features = encode(pixels, model, parameters=parameters).array.astype(np.float32)
    inner = features[2:-2]  # the border of the image is seen in one tile too
    steps = np.linalg.norm(np.diff(inner, axis=1), axis=-1).mean(axis=0)
    start = plan_tiles(28, 28, 16, 4).right[1]
    begins_and_ends = steps[[start - 1, start + 3]]
    # twice the median, were tiles cut off and not blended
    assert begins_and_ends.max() <= max(0.012, 1.5 * np.median(steps))
