from __future__ import annotations

import numpy as np
import pytest

from napari_gem.core.errors import GemError
from napari_gem.segmentation.postprocess.instances import instances


def discs(*places: tuple[int, int], radius: int = 10, side: int = 60) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    shown = np.zeros((side, side), np.uint8)
    for row, column in places:
        shown[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = 1
    return shown


def test_regions_of_each_class_are_measured() -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[0:2, 0:3] = 5
    labels[2:4, 0:3] = 2  # touches the first, another class
    labels[5, 7] = 5
    maps = np.zeros((2, 6, 8), np.float32)
    maps[0, 0:2, 0:3] = 0.75
    maps[0, 5, 7] = 0.25
    maps[1] = 0.5
    numbers = instances(labels, maps, (5, 2))
    assert numbers.labels.dtype == np.int32
    assert numbers.labels.max() == 3
    assert ((numbers.labels > 0) == (labels > 0)).all()
    order = [
        numbers.labels[0, 0] - 1,
        numbers.labels[2, 0] - 1,
        numbers.labels[5, 7] - 1,
    ]
    assert numbers.ids[order].tolist() == [5, 2, 5]
    assert numbers.areas[order].tolist() == [6, 6, 1]
    assert numbers.probabilities[order].tolist() == [0.75, 0.5, 0.25]
    assert numbers.centroids[order].tolist() == [[0.5, 1], [2.5, 1], [5, 7]]
    assert numbers.boxes[order].tolist() == [[0, 0, 2, 3], [2, 0, 4, 3], [5, 7, 6, 8]]


def test_diagonal_neighbours_are_two() -> None:
    assert len(instances(np.eye(3, dtype=np.uint8), [], ()).ids) == 3


def test_watershed_parts_what_touches_and_leaves_what_does_not() -> None:
    labels = discs((20, 15), (20, 33))
    labels[45:55, 5:50] = 2  # a bar of another class
    labels[45:55, 52:55] = 1
    whole = instances(labels, [], ())
    cut = instances(labels, [], (), "watershed", seed_distance=8)
    assert len(whole.ids) == 3
    left, right = cut.labels[20, 10], cut.labels[20, 38]
    assert left != right
    for number in (left, right):
        assert abs(int((cut.labels == number).sum()) - 317) < 60
    assert ((cut.labels > 0) == (labels > 0)).all()
    for number, label in enumerate(cut.ids, start=1):
        assert set(labels[cut.labels == number]) == {label}


def test_watershed_keeps_every_pixel_of_any_labels() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (70, 50)).astype(np.uint8)
    cut = instances(labels, [], (), "watershed")
    assert ((cut.labels > 0) == (labels > 0)).all()
    assert cut.areas.sum() == (labels > 0).sum()


@pytest.mark.parametrize("method", ["components", "watershed"])
def test_small_ones_are_left_out_and_the_others_numbered_on(method: str) -> None:
    labels = np.zeros((5, 9), np.uint8)
    labels[0, 0] = labels[2, :4] = labels[4, 5:] = 1
    numbers = instances(labels, [], (), method, minimum_size=2)
    assert np.unique(numbers.labels).tolist() == [0, 1, 2]
    assert numbers.labels[0, 0] == 0
    assert numbers.areas.tolist() == [4, 4]


def test_nothing_there() -> None:
    numbers = instances(
        np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4), np.float32), (1,)
    )
    assert numbers.labels.max() == 0
    assert numbers.boxes.shape == (0, 4)
    assert numbers.centroids.shape == (0, 2)


def test_a_class_without_map_has_no_probability() -> None:
    assert np.isnan(instances(np.ones((2, 2), np.uint8), [], ()).probabilities).all()


def test_bad_input_is_told() -> None:
    labels = np.ones((4, 4), np.uint8)
    with pytest.raises(GemError, match="components, watershed"):
        instances(labels, [], (), "cut")
    with pytest.raises(GemError, match="Run again"):
        instances(labels, [np.ones((2, 2), np.float32)], (1,))
    with pytest.raises(GemError, match="each needs one"):
        instances(labels, [], (1,))
