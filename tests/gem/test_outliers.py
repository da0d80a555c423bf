from __future__ import annotations

import numpy as np
import torch

from napari_gem.gem.outliers import repair


def slow(tokens: np.ndarray, grid: tuple[int, int], limit: float) -> np.ndarray:
    """Look at each patch, and at those around it."""
    rows, columns = grid
    mended = tokens.copy()
    for image, new in zip(tokens, mended, strict=True):
        others = len(image) - rows * columns
        length = np.linalg.norm(image[others:], axis=1).reshape(grid)
        # of an even number torch's median is the smaller one in the middle
        usual = length <= limit * np.sort(length, axis=None)[(length.size - 1) // 2]
        for row in range(rows):
            for column in range(columns):
                around = [
                    image[others + r * columns + c]
                    for r in range(max(0, row - 1), min(rows, row + 2))
                    for c in range(max(0, column - 1), min(columns, column + 2))
                    if usual[r, c]
                ]
                if not usual[row, column] and around:
                    new[others + row * columns + column] = np.mean(around, axis=0)
    return mended


def test_outliers_are_the_mean_of_those_around() -> None:
    rng = np.random.default_rng(1)
    tokens = rng.normal(size=(2, 2 + 20, 6))
    tokens[0, 0] *= 50  # no patch
    for patch in (0, 7, 8, 19):
        tokens[0, 2 + patch] *= 20
    tokens[1, 2 + 5] *= 20
    mended = repair(torch.tensor(tokens, dtype=torch.float32), (4, 5), 5.0).numpy()
    np.testing.assert_allclose(mended, slow(tokens, (4, 5), 5.0), rtol=1e-4, atol=1e-5)
    assert np.abs(mended[0, 2 + 7]).max() < np.abs(tokens[0, 2 + 7]).max() / 4


def test_one_among_outliers_stays() -> None:
    tokens = torch.ones(1, 12, 2)
    tokens[0, :5] = 100.0  # a column, and the start of the next ones
    mended = repair(tokens, (12, 1), 3.0)
    assert bool((mended[0, :4] == 100).all())
    assert bool((mended[0, 4] == 1).all())


def test_without_outliers_nothing_is_touched() -> None:
    tokens = torch.rand(2, 10, 4) + 1
    assert repair(tokens, (3, 3), 5.0) is tokens
