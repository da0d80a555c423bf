from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from napari_gem.core.arrays import unit_vectors
from napari_gem.core.errors import GemError
from napari_gem.encoding.blending import blend
from napari_gem.encoding.tiles import plan_tiles
from napari_gem.scoring.upsampling import sample, upsample

grids = st.integers(1, 40)
sides = st.integers(1, 14).flatmap(
    lambda tile: st.tuples(st.just(tile), st.integers(0, tile - 1))
)


@given(grids, grids, sides)
def test_tiles_cover_the_grid_and_stay_on_it(
    rows: int, columns: int, side: tuple[int, int]
) -> None:
    tile, overlap = side
    covered = np.zeros((rows, columns), int)
    for part in plan_tiles(rows, columns, tile, overlap):
        assert part.row >= 0
        assert part.row + part.rows <= rows
        assert part.column + part.columns <= columns
        assert part.rows == min(tile, rows)
        assert part.columns == min(tile, columns)
        covered[part.where] += 1
    assert covered.min() >= 1


@given(st.integers(1, 200), sides)
def test_neighbours_share_the_overlap(length: int, side: tuple[int, int]) -> None:
    tile, overlap = side
    parts = plan_tiles(length, 1, tile, overlap)
    for first, second in itertools.pairwise(parts):
        assert first.row < second.row
        assert first.row + first.rows - second.row >= overlap


@given(grids, grids, sides)
def test_blending_tiles_of_one_field_returns_the_field(
    rows: int, columns: int, side: tuple[int, int]
) -> None:
    tile, overlap = side
    field = unit_vectors(np.random.default_rng(0).normal(size=(rows, columns, 3)))
    parts = plan_tiles(rows, columns, tile, overlap)
    joined = blend(
        (rows, columns), overlap, ((part, field[part.where] * 5) for part in parts)
    )
    assert np.allclose(joined, field, atol=1e-5)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1.0, 4.0, 16.0, 7.5]))
def test_upsampling_is_linear_between_centres(
    rows: int, columns: int, patch: float
) -> None:
    i, j = np.mgrid[:rows, :columns]
    field = (2 * i + 3 * j).astype(np.float32)[None]
    height, width = int(rows * patch), int(columns * patch)
    actual = upsample(field, patch, width, slice(0, height))[0]
    y = np.clip((np.arange(height) + 0.5) / patch - 0.5, 0, rows - 1)
    x = np.clip((np.arange(width) + 0.5) / patch - 0.5, 0, columns - 1)
    assert np.allclose(actual, 2 * y[:, None] + 3 * x, atol=1e-4)


def test_strips_equal_the_whole() -> None:
    field = np.random.default_rng(0).random((2, 5, 6)).astype(np.float32)
    whole = upsample(field, 8, 45, slice(0, 39))
    strips = [upsample(field, 8, 45, slice(a, min(a + 7, 39))) for a in range(0, 39, 7)]
    assert (np.concatenate(strips, axis=1) == whole).all()


@pytest.mark.parametrize("side", [(0, 0), (4, 4), (4, -1)])
def test_impossible_tiles_are_refused(side: tuple[int, int]) -> None:
    with pytest.raises(GemError, match="tile"):
        plan_tiles(10, 10, *side)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 5), st.integers(1, 5))
def test_patches_of_unlike_sides_are_interpolated_as_torch_does(
    rows: int, columns: int, down: int, across: int
) -> None:
    maps = np.random.default_rng(rows).normal(size=(2, rows, columns))
    maps = maps.astype(np.float32)
    shape = rows * down, columns * across
    actual = upsample(maps, (down, across), shape[1], slice(0, shape[0]))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], size=shape, mode="bilinear"
    )
    assert np.allclose(actual, expected[0].numpy(), atol=1e-5)


def test_sampled_at_any_places() -> None:
    random = np.random.default_rng(0)
    maps = random.normal(size=(3, 5, 7)).astype(np.float32)
    rows, columns = random.uniform(-3, 9, (2, 20, 30)).astype(np.float32)
    actual = sample(maps, rows, columns)
    for one, expected in zip(actual, maps, strict=True):
        values = map_coordinates(expected, (rows, columns), order=1, mode="nearest")
        np.testing.assert_allclose(one, values, atol=1e-5)
    single = sample(maps[:, :1, :1], rows, columns)
    np.testing.assert_allclose(single, np.broadcast_to(maps[:, :1, :1], single.shape))
