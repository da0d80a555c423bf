from __future__ import annotations

import numpy as np
import torch

from napari_gem.gem.neighbours import neighbour_bias


def test_is_a_gaussian_of_the_distance_on_the_grid() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    bias = neighbour_bias((3, 4), 2, height=1.5, width=2.0, like=like).numpy()
    places = [(row, column) for row in range(3) for column in range(4)]
    expected = np.zeros((14, 14))
    for i, (row, column) in enumerate(places):
        for j, (r, c) in enumerate(places):
            squared = (row - r) ** 2 + (column - c) ** 2
            expected[2 + i, 2 + j] = 1.5 * np.exp(-squared / 8)
    np.testing.assert_allclose(bias, expected, rtol=1e-6)
