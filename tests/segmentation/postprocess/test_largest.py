from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gem.segmentation.postprocess.largest import label_type, largest

MAPS = np.array([[[0.6, 0.1, 0.2]], [[0.3, 0.8, 0.2]], [[0.1, 0.1, 0.6]]], np.float32)


def test_background_is_zero_and_classes_have_their_ids() -> None:
    labels = largest(MAPS, (3, 7), (0.5, 0.5))
    assert labels.tolist() == [[3, 7, 0]]
    assert labels.dtype == np.uint8


def test_a_threshold_shrinks_and_grows_its_class() -> None:
    assert largest(MAPS, (1, 2), (0.9, 0.5)).tolist() == [[2, 2, 0]]
    assert largest(MAPS, (1, 2), (0.5, 0.95)).tolist() == [[1, 1, 0]]
    assert largest(MAPS, (1, 2), (0.5, 0.2)).tolist() == [[1, 2, 2]]
    assert largest(MAPS, (1, 2), (1.0, 1.0)).tolist() == [[0, 0, 0]]
    assert largest(MAPS, (1, 2), (0.0, 0.0)).all()


@given(arrays(np.float32, (4, 3, 5), elements=st.floats(0, 1, width=32)))
def test_one_half_means_the_most_probable(maps: np.ndarray) -> None:
    winner = maps.argmax(axis=0)
    expected = np.where(winner == 3, 0, winner + 1)
    assert np.array_equal(largest(maps, (1, 2, 3), (0.5,) * 3), expected)


@pytest.mark.parametrize(("count", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_every_id_has_room(count: int, dtype: type) -> None:
    assert label_type(count) is dtype
    maps = np.zeros((2, 1, 1), np.float32)
    maps[0] = 1
    assert largest(maps, (count,), (0.5,)).tolist() == [[count]]
