from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_gem.core.parameters import LabelParameters
from napari_gem.segmentation.postprocess.small import remove_small, remove_small_steps


def test_small_regions_of_each_class_go() -> None:
    labels = np.array(
        [[1, 1, 0, 2], [1, 0, 2, 2], [0, 1, 0, 0], [3, 3, 3, 1]], np.uint8
    )
    remove_small(labels, LabelParameters(3))
    assert labels.tolist() == [[1, 1, 0, 2], [1, 0, 2, 2], [0, 0, 0, 0], [3, 3, 3, 0]]


def test_a_region_of_exactly_the_size_stays() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 0]], np.uint8)
    remove_small(labels, LabelParameters(2))
    assert labels.sum() == 2
    remove_small(labels, LabelParameters(10), step=2)
    assert labels.sum() == 0


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 9), st.integers(0, 12))
def test_bands_lose_what_the_whole_loses(
    height: int, width: int, band: int, size: int
) -> None:
    rng = np.random.default_rng(height * width)
    labels = rng.choice([0, 1, 1, 7], (height, width)).astype(np.uint8)
    whole = labels.copy()
    remove_small(whole, LabelParameters(size))
    rows = [slice(at, min(at + band, height)) for at in range(0, height, band)]
    steps = list(remove_small_steps(labels, rows, size))
    assert (labels == whole).all()
    assert steps == (list(range(1, 2 * len(rows) + 1)) if size > 1 else [])
