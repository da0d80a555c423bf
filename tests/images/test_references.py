"""Where the pixels of arrays lie; real files and folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_gem.core.errors import GemError
from napari_gem.images import references
from napari_gem.images.references import (
    open_reference,
    reference_to_array,
    reference_to_plane,
)
from napari_gem.images.stack import Stack, StackView

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.random.default_rng(0).integers(0, 255, (90, 70, 3)).astype(np.uint8)


def stored(folder: Path, pixels: np.ndarray = PIXELS) -> zarr.Array:
    group = zarr.open_group(folder / "group.zarr", mode="a")
    return group.create_array("0", data=pixels, chunks=(32, 32, *pixels.shape[2:]))


def mapped(folder: Path, mode: Any = "r", name: str = "pixels.npy") -> np.ndarray:
    np.save(folder / "pixels.npy", PIXELS)
    (folder / "pixels.npy").rename(folder / name)
    return np.load(folder / name, mmap_mode=mode)


@pytest.mark.parametrize(
    "make",
    [
        stored,
        lambda at: stored(at, PIXELS[..., 0].astype(np.float32)),
        lambda at: da.from_zarr(stored(at)),
        lambda at: stored(at) and da.from_zarr(str(at / "group.zarr/0")),
        mapped,
    ],
    ids=["zarr", "grey", "dask of an array", "dask of a path", "npy"],
)
def test_what_is_all_of_a_file_is_found_there(make: Any, tmp_path: Path) -> None:
    pixels = make(tmp_path)
    reference = reference_to_array(pixels)
    assert reference is not None
    opened = open_reference(reference)
    assert opened is not None
    assert opened.dtype == pixels.dtype
    assert np.array_equal(opened[:, :], np.asarray(pixels))


@pytest.mark.parametrize(
    "make",
    [
        lambda _: PIXELS,
        lambda _: da.from_array(PIXELS),
        lambda _: zarr.array(PIXELS),
        lambda at: da.from_zarr(stored(at)) + 0,
        lambda at: da.from_zarr(stored(at))[::-1][::-1],
        lambda at: da.from_zarr(stored(at))[:40],
        lambda at: stored(at, np.stack([PIXELS[..., 0]] * 5)),
        lambda at: mapped(at)[::-1],
        lambda at: mapped(at)[:40],
        lambda at: mapped(at, "c"),
        lambda at: mapped(at, name="pixels.raw"),
        lambda _: None,
    ],
    ids=[
        "numpy",
        "dask of numpy",
        "zarr in memory",
        "computed",
        "turned twice",
        "sliced",
        "stack",
        "turned",
        "part",
        "copy on write",
        "another name",
        "nothing",
    ],
)
def test_what_may_differ_is_copied(make: Any, tmp_path: Path) -> None:
    assert reference_to_array(make(tmp_path)) is None


def test_what_was_written_over_is_copied(tmp_path: Path) -> None:
    pixels = mapped(tmp_path)
    (tmp_path / "pixels.npy").unlink()  # the open one stays what it was
    other = PIXELS.copy()
    other[-1, 0, 0] += 1
    np.save(tmp_path / "pixels.npy", other)
    assert reference_to_array(pixels) is None


def test_chunks_that_are_slow_to_read_in_parts_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "LARGEST_CHUNK", 32 * 32 * 3 - 1)
    assert reference_to_array(stored(tmp_path)) is None


def test_a_file_that_was_changed_since_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((12, 10), 7, np.uint8))
    stack = Stack(path)
    plane = StackView(stack).file_plane
    assert reference_to_plane(plane) is not None
    tifffile.imwrite(path, np.full((30, 32), 9, np.uint8))
    with pytest.raises(GemError, match="was changed since it was opened"):
        reference_to_plane(plane)
