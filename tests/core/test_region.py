from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_gem.core.region import Region, inside, inside_rows


@st.composite
def regions(draw: st.DrawFn) -> tuple[Region, tuple[int, int]]:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rows = sorted(draw(st.lists(st.integers(0, height), min_size=2, max_size=2)))
    columns = sorted(draw(st.lists(st.integers(0, width), min_size=2, max_size=2)))
    (top, end), (left, right) = rows, columns
    end, right = max(end, top + 1), max(right, left + 1)
    polygon = ()
    if draw(st.booleans()):
        polygon = ((top, left), (end - 1.0, (left + right) / 2), (top, right - 1.0))
    shape = max(height, end), max(width, right)
    return Region((top, end), (left, right), polygon), shape


@given(regions(), st.integers(1, 5), st.integers(1, 9))
def test_strips_join_to_the_whole(
    case: tuple[Region, tuple[int, int]], step: int, strip: int
) -> None:
    region, shape = case
    height, width = (-(-length // step) for length in shape)
    whole = inside_rows(region, step, slice(0, height), width)
    parts = [
        inside_rows(region, step, slice(at, min(at + strip, height)), width)
        for at in range(0, height, strip)
    ]
    assert whole is not None
    assert (np.concatenate(parts) == whole).all()
    (rows, columns), mask = inside(region, step, shape)
    expected = np.zeros(shape, bool)
    expected[rows, columns] = True if mask is None else mask
    fine = whole.repeat(step, 0).repeat(step, 1)[: shape[0], : shape[1]]
    assert (fine == expected).all()


def test_no_region_is_all() -> None:
    assert inside_rows(None, 1, slice(0, 3), 4) is None
