from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_gem.core.appearance import Appearance
from napari_gem.core.progress import run
from napari_gem.images.rendering import render
from napari_gem.images.tile_reading import (
    as_pixels,
    hash_steps,
    read_ahead,
    read_tile,
    zoomed_length,
)

GREY, RGB = Appearance(limits=(0.0, 255.0)), Appearance(rgb=True, limits=(0.0, 255.0))


def whole(pixels: np.ndarray, appearance: Appearance, zoom: float, patch: int):
    """Show, enlarge and pad the image at once, by torch and numpy."""
    image = render(pixels, appearance)
    if zoom != 1:
        repeats = [int(np.ceil(1 / (size * zoom))) for size in image.shape[:2]]
        image = np.repeat(np.repeat(image, repeats[0], 0), repeats[1], 1)
        enlarged = torch.nn.functional.interpolate(
            torch.from_numpy(image).movedim(-1, 0)[None],
            scale_factor=zoom,
            mode="bicubic",
            antialias=zoom < 1,
        )
        image = enlarged[0].movedim(0, -1).clamp(0, 1).numpy()
    for axis in (0, 1):
        size = image.shape[axis]
        missing = -size % patch
        if missing:
            padding = [(0, missing) if axis == i else (0, 0) for i in range(3)]
            image = np.pad(image, padding, "reflect" if missing < size else "edge")
    return image


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([1.0, 2.0, 0.5, 8 / 3, 16 / 10.7]) | st.floats(0.02, 4),
    st.sampled_from([1, 7, 8]),
    st.booleans(),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_a_tile_is_a_part_of_the_whole(
    height: int, width: int, zoom: float, patch: int, rgb: bool, data: st.DataObject
) -> None:
    # torch's antialiasing gives each row of a single column the first row's value
    assume(zoom >= 1 or zoomed_length(width, zoom) > 1)
    shape = (height, width, 3) if rgb else (height, width)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    expected = whole(pixels, RGB if rgb else GREY, zoom, patch)
    assert zoomed_length(height, zoom) <= len(expected)
    index = []
    for length in expected.shape[:2]:
        start = data.draw(st.integers(0, length - 1))
        index.append(slice(start, data.draw(st.integers(start + 1, length))))
    tile = read_tile(pixels, RGB if rgb else GREY, zoom, patch, tuple(index))
    assert tile.dtype == np.float32
    assert np.abs(tile - expected[tuple(index)]).max() < 1e-5


def test_a_tile_is_read_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (70, 50)).astype(np.uint8)
    where = slice(0, 16), slice(0, 12)
    expected = read_tile(pixels, GREY, 0.25, 8, where)
    monkeypatch.setattr("napari_gem.images.tile_reading.BAND", 200)
    assert np.allclose(read_tile(pixels, GREY, 0.25, 8, where), expected, atol=1e-6)


class Counted:
    """An array that counts the pixels that are read of it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.read = array, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: object) -> np.ndarray:
        part = self.array[index]
        self.read += part.size
        return part


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_only_the_pixels_of_a_tile_are_read(zoom: float) -> None:
    source = Counted(np.zeros((500, 500), np.uint8))
    read_tile(source, GREY, zoom, 8, (slice(64, 128), slice(80, 144)))
    assert source.read <= (64 / zoom + 9 * max(1, 1 / zoom)) ** 2


def test_pixels_have_one_hash_whatever_holds_them() -> None:
    import dask.array as da
    import zarr

    pixels = np.random.default_rng(0).integers(0, 255, (90, 40, 3)).astype(np.uint8)
    lazy = [
        da.from_array(pixels, chunks=(16, 16, 3)),
        zarr.array(pixels, chunks=(16, 16, 3)),
        pixels[::-1][::-1],
    ]
    hashes = {run(hash_steps(source)) for source in [pixels, *lazy]}
    assert len(hashes) == 1
    assert run(hash_steps(pixels[:-1])) not in hashes
    assert as_pixels(lazy[1]) is lazy[1]
    assert as_pixels([[1, 2], [3, 4]]).shape == (2, 2)


def test_reading_goes_ahead_in_order_and_tells_errors() -> None:
    assert list(read_ahead(lambda i: i * i, range(5))) == [0, 1, 4, 9, 16]
    ahead = read_ahead(lambda i: 1 / (2 - i), range(5))
    assert next(ahead) == 0.5
    with pytest.raises(ZeroDivisionError):
        list(ahead)


def test_what_is_being_read_is_not_waited_for() -> None:
    """A generator that was left may be closed where waiting would lock all up."""
    gate, order = threading.Event(), []

    def read(number: int) -> bool:
        if number:
            gate.wait(60)
            order.append("read")
        return False

    ahead = read_ahead(read, range(9))
    assert next(ahead) is False
    ahead.close()
    order.append("closed")
    gate.set()
    assert order[0] == "closed"
