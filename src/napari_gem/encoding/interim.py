"""A coarse look at the rows of a large image that are encoded so far."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.region import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.core.results import Features

SIDE = 256
"""Patches along the longer side at most."""

FIRST, MORE = 1.0, 3.0
"""Seconds until the first look, and from one to the next at least."""


class Watch:
    """Keeps every few row and column of patches: an `encoding.Watch`."""

    def __init__(self) -> None:
        self._features: Features | None = None
        self._next = 0.0

    def begin(self, shape: tuple[int, int, int], features: Features, /) -> None:
        """Begin an image."""
        self._step = max(1, -(-max(shape[:2]) // SIDE))
        rows, columns = (-(-n // self._step) for n in shape[:2])
        self._array = np.zeros((rows, columns, shape[2]), np.float16)
        self._embedding = features.image_embedding
        self._done = self._shown = 0
        self._next = time.monotonic() + FIRST
        self._features = features

    def take(
        self, rows: slice, features: NDArray[np.float32], embedding: NDArray[np.float32]
    ) -> None:
        """Take rows of features."""
        step, middle = self._step, self._step // 2
        wanted = [n for n in range(rows.start, rows.stop) if n % step == middle]
        columns = features[:, middle::step]
        for number in wanted:
            row = columns[number - rows.start]
            self._array[number // step, : len(row)] = row
        self._embedding, self._done = embedding, rows.stop

    def look(self) -> Features | None:
        """Give coarse features of the rows so far; None if it is not time for that."""
        features, now = self._features, time.monotonic()
        if features is None or now < self._next or self._done == self._shown:
            return None
        self._next, self._shown = now + MORE, self._done
        height, width = features.image_shape
        bottom = min(height, max(1, int(self._done * features.patch)))
        return replace(
            features,
            array=self._array,
            image_embedding=self._embedding,
            patch=features.patch * self._step,
            region=_upper(features.region, bottom, width),
            tile_embeddings=None,
            picture=None,
        )


def _upper(region: Region | None, bottom: int, width: int) -> Region:
    """Cut off what lies below a row."""
    if region is None:
        return Region((0, bottom), (0, width))
    rows = region.rows[0], max(region.rows[0] + 1, min(region.rows[1], bottom))
    return replace(region, rows=rows)
