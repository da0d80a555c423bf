"""Scores and features that are kept between changes of words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray


class ScoreCache:
    """Score maps of one encoded image; those used longest ago are dropped first.

    Parameters
    ----------
    limit
        Bytes of maps to keep.

    Attributes
    ----------
    centred
        What examples are scored with; None until there is an example.
    shifts
        Rounds towards the edges of the image, and (2, height, width) float16: where the
        scores of pixels are read; None until rounds are asked for.
    """

    def __init__(self, limit: int = 1 << 28) -> None:
        self._limit = limit
        self._maps: dict[bytes, NDArray[np.float32]] = {}
        self.centred: Centred | None = None
        self.shifts: tuple[int, NDArray[np.float16]] | None = None

    def __contains__(self, key: bytes) -> bool:
        return key in self._maps

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        size = sum(kept.nbytes for kept in self._maps.values())
        centred = self.centred.array if self.centred else None
        size += self.shifts[1].nbytes if self.shifts else 0
        return size + (centred.nbytes if isinstance(centred, np.ndarray) else 0)

    def shrink(self, features: LazyArray) -> None:
        """Forget all maps, and take these features in place of their copy."""
        self._maps.clear()
        if self.centred:
            self.centred = replace(self.centred, array=features)

    def get(
        self, key: bytes, make: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return the map of this key; make it first if it is not kept."""
        self._maps[key] = self._maps.pop(key) if key in self._maps else make()
        size = sum(kept.nbytes for kept in self._maps.values())
        while size > self._limit and len(self._maps) > 1:
            size -= self._maps.pop(next(iter(self._maps))).nbytes
        return self._maps[key]


@dataclass(frozen=True, eq=False)
class Centred:
    """What examples on an image are scored with, whatever the examples are.

    `napari_gem.scoring.examples.centre` makes it once for features and their region.

    Attributes
    ----------
    mean
        (channels,) float32: mean feature of the image.
    whitening
        (channels, channels) float32: centred features times this vary less along the
        directions in which they varied most. Zero if all features are the same.
    places
        (patches,): indices of a sample of patches on the flattened patch grid.
    sample
        (patches, channels) float32: features of the sample, centred and whitened.
    vectors
        (patches, channels) float32: features of the sample as they are.
    array
        (rows, columns, channels): all features. In single precision, which is three
        times as fast to score as half, unless that would take more than
        `LARGEST_COPY`, or they are on disk.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    places: NDArray[np.intp]
    sample: NDArray[np.float32]
    vectors: NDArray[np.float32]
    array: LazyArray = field(repr=False)
