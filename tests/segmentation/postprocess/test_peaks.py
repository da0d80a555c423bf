from __future__ import annotations

import numpy as np

from napari_gem.segmentation.postprocess.peaks import peaks


def bumps() -> np.ndarray:
    rows, columns = np.mgrid[:40, :40]
    shown = np.zeros((40, 40))
    for row, column, height in (
        (10, 10, 0.9),
        (10, 16, 0.6),
        (0, 39, 0.8),
        (30, 30, 0.3),
    ):
        near = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 4)
        shown = np.maximum(shown, height * near)
    return shown.astype(np.float32)


def test_peaks_come_most_probable_first_also_at_the_rim() -> None:
    points = peaks(bumps(), distance=3, threshold=0.5)
    assert points.places.tolist() == [[10, 10], [0, 39], [10, 16]]
    assert np.allclose(points.probabilities, [0.9, 0.8, 0.6])


def test_distance_threshold_and_number() -> None:
    assert len(peaks(bumps(), 8, 0.5).places) == 2
    assert len(peaks(bumps(), 3, 0.2).places) == 4
    assert peaks(bumps(), 3, 0.5, most=1).places.tolist() == [[10, 10]]
    exact = np.zeros((5, 5), np.float32)
    exact[2, 2] = 0.5
    assert len(peaks(exact, 1, 0.5).places) == 1


def test_no_peaks() -> None:
    points = peaks(np.zeros((9, 9), np.float32), threshold=0.0)
    assert points.places.shape == (0, 2)
    assert points.probabilities.shape == (0,)
