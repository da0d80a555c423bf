"""Lazy planes read what arrays in memory would give."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gem.core.region import Region, expand, inside
from napari_gem.layers import Geometry
from napari_gem.layers.levels.lazy import Coarse, Joined, LazyPlane, Stored

RNG = np.random.default_rng(3)


def geometry(axes, displayed):
    return Geometry({"scale": np.ones(axes)}, displayed)


def keys(length):
    numbers = st.integers(-length, length - 1)
    cuts = st.none() | st.integers(-length - 2, length + 2)
    steps = st.none() | st.sampled_from([1, 2, 3, -1])
    return (
        numbers
        | st.builds(slice, cuts, cuts, steps)
        | st.lists(numbers, min_size=1, max_size=4).map(np.array)
    )


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_lazy_plane_is_sliced_like_an_array(data):
    axes = data.draw(st.integers(2, 4))
    displayed = tuple(data.draw(st.permutations(range(axes)))[:2])
    values = RNG.integers(0, 9, (7, 11)).astype(np.uint8)
    lazy = LazyPlane(Coarse(values, 1, values.shape), geometry(axes, displayed))
    array = geometry(axes, displayed).place(values)
    assert (lazy.shape, lazy.ndim, lazy.size) == (array.shape, axes, 77)
    assert np.array_equal(np.asarray(lazy), array)
    assert len(lazy) == len(array)
    count = data.draw(st.integers(0, axes))
    key = [data.draw(keys(length)) for length in array.shape[:count]]
    # napari asks for one array of numbers at most, or for one along each axis
    arrays = [i for i, part in enumerate(key) if isinstance(part, np.ndarray)]
    for i in arrays[1:]:
        key[i] = slice(None)
    assert np.array_equal(lazy[tuple(key)], array[tuple(key)])
    assert np.array_equal(lazy[..., 0], array[..., 0])


def test_a_place_outside_is_refused():
    lazy = LazyPlane(Coarse(np.zeros((3, 4)), 1, (3, 4)), geometry(2, (0, 1)))
    with pytest.raises(IndexError, match="outside of an axis of length 3"):
        lazy[3, 0]


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_coarse_plane_is_the_expanded_preview(step):
    shape = 13, 22
    values = RNG.random([-(-length // step) for length in shape])
    lazy = LazyPlane(Coarse(values, step, shape), geometry(2, (0, 1)))
    assert np.array_equal(np.asarray(lazy), expand(values, step, shape))


def test_a_stored_plane_reads_what_is_asked(tmp_path):
    values = RNG.random((2, 9, 8)).astype(np.float16)
    zarr.save_array(str(tmp_path / "a"), values)
    array = zarr.open_array(str(tmp_path / "a"), mode="r")
    lazy = LazyPlane(Stored(array, 1, np.dtype(np.float32), None), geometry(2, (1, 0)))
    assert lazy.dtype == np.float32
    assert np.array_equal(lazy[2:5, ::3], values[1].T[2:5, ::3])


@pytest.mark.parametrize("polygon", [(), ((2.0, 3.0), (14.0, 4.0), (9.0, 17.0))])
def test_a_region_is_joined_with_what_was_there(polygon):
    shape = 16, 20
    region = Region((2, 15), (3, 18), polygon)
    new, old = (
        Coarse(np.full(shape, value, kind), 1, shape)
        for value, kind in ((1, np.uint8), (300, np.uint16))
    )
    lazy = LazyPlane(Joined(new, old, region, 1, shape), geometry(2, (0, 1)))
    box, mask = inside(region, 1, shape)
    wanted = np.full(shape, 300, np.uint16)
    wanted[box] = 1 if mask is None else np.where(mask, 1, 300)
    assert np.array_equal(np.asarray(lazy), wanted)
    assert np.array_equal(lazy[3:11:2, 1:19:3], wanted[3:11:2, 1:19:3])
    assert np.array_equal(lazy[0:2], wanted[0:2])
    coarser = Coarse(np.ones((4, 5)), 1, (4, 5)), Coarse(np.zeros((4, 5)), 1, (4, 5))
    quarter = np.asarray(
        LazyPlane(Joined(*coarser, region, 4, shape), geometry(2, (0, 1)))
    )
    assert np.array_equal(quarter == 1, wanted[2::4, 2::4] == 1)
