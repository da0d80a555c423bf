from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gem.segmentation.postprocess.uncertainty import uncertainty


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ((1.0, 0.0), 0.0),  # certain
        ((0.0, 0.0), 0.0),  # certainly background
        ((0.5, 0.5), 1.0),
        ((0.5, 0.0), 1.0),  # class against background
        ((0.7, 0.2), 0.5),
        ((0.1, 0.6), 0.7),  # background is second
    ],
)
def test_margin_of_the_best_two(probabilities, expected) -> None:
    maps = np.array(probabilities, np.float32)[:, None, None]
    actual = uncertainty(maps)
    assert actual.dtype == np.float32
    assert actual.shape == (1, 1)
    assert actual[0, 0] == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_agrees_with_sorting_and_stays_in_range(values) -> None:
    shares = np.array([*values, 0.1]) / (sum(values) + 0.1)
    actual = float(uncertainty(shares[:-1].astype(np.float32)[:, None, None])[0, 0])
    best, second = np.sort(shares)[::-1][:2]
    assert actual == pytest.approx(1 - (best - second), abs=1e-5)
    assert 0 <= actual <= 1 + 1e-6
