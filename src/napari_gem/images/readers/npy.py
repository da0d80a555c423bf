"""Reads ``.npy`` files, mapped into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.images.readers.content import Content, guess_axes

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = (b"\x93NUMPY",)


def read_npy(path: Path) -> Content:
    """Read the one array; its last axis is of colours if it has three or four."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    return Content((mapped,), guess_axes(mapped))
