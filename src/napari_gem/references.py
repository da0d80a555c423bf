"""Images by their place, for processes that see the same files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.types import LazyArray

PIECE = 64
"""Side of the piece in the image's middle that tells two images apart."""


@dataclass(frozen=True)
class ImageReference:
    """An image that is read in parts, by its place.

    Attributes
    ----------
    path, index
        As of `napari_gem.sources.open_source`; the path is absolute.
    level
        Number of the resolution.
    shape, dtype
        Of that level.
    piece
        Hash of a piece of it: another file of the same name is not taken for it.
    """

    path: str
    index: tuple[int, ...]
    level: int
    shape: tuple[int, ...]
    dtype: str
    piece: str


def refer(
    pixels: LazyArray, path: Path | str, index: Sequence[int] = (), level: int = 0
) -> ImageReference:
    """Make a reference to what `open_source` reads from a path."""
    return ImageReference(
        str(Path(path).absolute()), tuple(index), level, *_look(pixels)
    )


def refer_zarr(pixels: Any) -> ImageReference | None:
    """Make a reference to a zarr array in a folder; None for all else."""
    import zarr

    if not isinstance(pixels, zarr.Array):
        return None
    root = getattr(pixels.store, "root", None)
    plain = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4))
    if not isinstance(root, Path) or not plain:
        return None
    return refer(pixels, root / pixels.path)


def find(reference: ImageReference) -> LazyArray | None:
    """Open the image, if it is here; None if it is not, or is another one."""
    try:
        source = open_source(reference.path, reference.index)
        if source is None:
            return None
        pixels = source.levels[reference.level]
        looks = reference.shape, reference.dtype, reference.piece
        return pixels if _look(pixels) == looks else None
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
