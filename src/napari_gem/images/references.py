"""References to images in files, for other processes that see the same files."""

from __future__ import annotations

import hashlib
import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.files import open_scene
from napari_gem.images.number_arrays import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.arrays import LazyArray
    from napari_gem.images.scene import Scene
    from napari_gem.images.stack import FilePlane


@dataclass(frozen=True)
class ImageReference:
    """Where an image is that another process can open.

    Attributes
    ----------
    path, index, bands, nodata
        Parameters of `napari_gem.images.files.open_scene`; the path is absolute.
    level
        Number of the resolution.
    shape, dtype
        Shape and type of that level.
    piece
        Hash of a piece of it, by which another file of the same name is recognised.
    """

    path: str
    index: tuple[int, ...]
    level: int
    shape: tuple[int, ...]
    dtype: str
    piece: str
    bands: str = ""
    nodata: str = ""


PIECE = 64
"""Side, in pixels, of the piece in the middle of the image that is hashed."""


LARGEST_CHUNK = 16 << 20
"""Arrays with larger chunks, in bytes, are better copied than read tile by tile."""


def make_reference(
    pixels: LazyArray,
    path: Path | str,
    index: Sequence[int] = (),
    level: int = 0,
    *,
    bands: str = "",
    nodata: str = "",
) -> ImageReference:
    """Make a reference to an image that `open_scene` opened with these parameters."""
    place = str(Path(path).absolute())
    return ImageReference(place, tuple(index), level, *_look(pixels), bands, nodata)


def reference_to_plane(plane: FilePlane) -> ImageReference | None:
    """Make a reference to a plane of a file; None if it cannot be opened now.

    Raises
    ------
    GemError
        If the file was changed since it was opened.
    """
    plane.check_unchanged()
    try:
        scene = open_scene(
            plane.path, plane.index, bands=plane.bands, nodata=plane.nodata
        )
        pixels = scene.levels[plane.level]
    except (GemError, IndexError):
        return None
    return make_reference(
        pixels,
        plane.path,
        plane.index,
        plane.level,
        bands=plane.bands,
        nodata=plane.nodata,
    )


def reference_to_array(pixels: Any) -> ImageReference | None:
    """Make a reference to an array that is the whole content of a file or folder.

    Parameters
    ----------
    pixels
        (height, width) or (height, width, 3 or 4): a zarr array on disk, a dask array
        that only reads one, or an ``.npy`` file that is mapped into memory. The pixels
        in the file are compared with these in the corners and the middle.

    Returns
    -------
    ImageReference | None
        None for other arrays, and if the file may hold other pixels.
    """
    shape = tuple(getattr(pixels, "shape", ()))
    plain = len(shape) == 2 or (len(shape) == 3 and shape[-1] in (3, 4))
    kind = getattr(getattr(pixels, "dtype", None), "kind", "")
    place = _place(pixels) if plain and kind in set(NUMBERS) else None
    if place is None:
        return None
    reference = make_reference(pixels, place)
    opened = open_reference(reference)
    if opened is None or not all(_same(pixels, opened, at) for at in _corners(shape)):
        return None
    return reference


def open_reference(reference: ImageReference) -> LazyArray | None:
    """Open the image; None if this process does not see it, or if it is another one."""
    scene = open_referenced_scene(reference)
    return None if scene is None else scene.levels[0]


def open_referenced_scene(reference: ImageReference) -> Scene | None:
    """Open the image at its resolution alone; None as `open_reference`."""
    try:
        scene = open_scene(
            reference.path,
            reference.index,
            bands=reference.bands,
            nodata=reference.nodata,
        ).at(reference.level)
        looks = reference.shape, reference.dtype, reference.piece
        return scene if _look(scene.levels[0]) == looks else None
    except Exception:  # noqa: BLE001 (whatever it is, the pixels are asked for instead)
        return None


def _look(pixels: LazyArray) -> tuple[tuple[int, ...], str, str]:
    shape = tuple(int(n) for n in pixels.shape)
    middle = tuple(
        slice(max(0, n // 2 - PIECE // 2), n // 2 + PIECE // 2) for n in shape[:2]
    )
    piece = np.ascontiguousarray(pixels[middle])
    digest = hashlib.blake2b(piece.data, digest_size=16).hexdigest()
    return shape, np.dtype(pixels.dtype).str, digest


def _place(pixels: Any) -> Path | None:
    if isinstance(pixels, np.memmap):
        # a view has another array as base; a copy on write may differ from the file
        base: Any = pixels.base
        whole = isinstance(base, mmap.mmap) and pixels.mode in ("r", "r+")
        name = pixels.filename
        return Path(name) if whole and name and str(name).endswith(".npy") else None
    import zarr

    array = pixels if isinstance(pixels, zarr.Array) else _original(pixels)
    if not isinstance(array, zarr.Array):
        return None
    if math.prod(array.chunks) * array.dtype.itemsize > LARGEST_CHUNK:
        return None
    for store in (getattr(array.store, "root", ""), getattr(array.store, "path", "")):
        if store and Path(store).is_absolute() and Path(store).is_dir():
            return Path(store) / str(array.path)
    return None


def _original(pixels: Any) -> Any:
    """Return what a dask array reads; None if it computes anything."""
    name = str(getattr(pixels, "name", ""))
    layers = getattr(getattr(pixels, "dask", None), "layers", {})
    origin = f"original-{name}"
    if not name.startswith("from-zarr-") or set(layers) != {name, origin}:
        return None
    return dict(layers[origin]).get(origin)


def _corners(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    rows, columns = ((slice(0, PIECE), slice(max(0, n - PIECE), n)) for n in shape[:2])
    return [(row, column) for row in rows for column in columns]


def _same(one: LazyArray, other: LazyArray, at: tuple[slice, slice]) -> bool:
    first, second = np.asarray(one[at]), np.asarray(other[at])
    # by their bytes: NaN is not equal to itself
    return first.shape == second.shape and first.tobytes() == second.tobytes()
