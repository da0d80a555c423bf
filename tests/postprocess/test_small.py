from __future__ import annotations

import numpy as np

from napari_gem.postprocess.small import remove_small


def test_small_regions_of_each_class_go() -> None:
    labels = np.array(
        [[1, 1, 0, 2], [1, 0, 2, 2], [0, 1, 0, 0], [3, 3, 3, 1]], np.uint8
    )
    remove_small(labels, 3)
    assert labels.tolist() == [[1, 1, 0, 2], [1, 0, 2, 2], [0, 0, 0, 0], [3, 3, 3, 0]]


def test_a_region_of_exactly_the_size_stays() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 0]], np.uint8)
    remove_small(labels, 2)
    assert labels.sum() == 2
    remove_small(labels, 2.5)
    assert labels.sum() == 0
