from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_gem.images.levels import ROUNDED, coarsest_that_shows, factor_of


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.integers(1, 8),
    st.floats(0.01, 500),
)
def test_the_coarsest_level_that_shows_a_detail(
    height: int, width: int, count: int, wanted: float
) -> None:
    shapes = [(max(1, height >> i), max(1, width >> i)) for i in range(count)]
    level = coarsest_that_shows(wanted, shapes)
    factors = [factor_of(shapes[0], shape) for shape in shapes]
    assert level == 0 or factors[level] <= wanted * ROUNDED
    assert all(factor > wanted * ROUNDED for factor in factors[level + 1 :])


def test_levels_of_odd_lengths_count_as_halves() -> None:
    shapes = [(1001, 999), (500, 499), (250, 249), (125, 124)]
    assert [coarsest_that_shows(w, shapes) for w in (1, 2, 4, 8)] == [0, 1, 2, 3]
