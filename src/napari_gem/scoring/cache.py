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
    """Score maps of one encoded image; those used longest ago go first.

    Parameters
    ----------
    limit
        Bytes of maps to keep.

    Attributes
    ----------
    centred
        What scoring examples needs, made when there first are some.
    shifts
        Rounds of refinement, and (2, height, width) float16: where the scores of pixels
        are read; made when it is first asked for.
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
        """Forget all maps, and the copy of these features."""
        self._maps.clear()
        if self.centred:
            self.centred = replace(self.centred, array=features)

    def get(
        self, key: bytes, make: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Give the map of this key, made first if it is not there."""
        self._maps[key] = self._maps.pop(key) if key in self._maps else make()
        size = sum(kept.nbytes for kept in self._maps.values())
        while size > self._limit and len(self._maps) > 1:
            size -= self._maps.pop(next(iter(self._maps))).nbytes
        return self._maps[key]


@dataclass(frozen=True, eq=False)
class Centred:
    """What the prototype scores of an image need, whatever the examples are.

    `centre` makes it once for features and their region, to be kept with them.

    Attributes
    ----------
    mean
        (channels,) float32: the image's mean feature.
    whitening
        (channels, channels) float32: centred features times this have less of what
        varies most. Zero if all features are the same.
    places
        (patches,): where the sample lies on the flattened patch grid.
    sample
        (patches, channels) float32: centred and whitened.
    vectors
        (patches, channels) float32: the same as they came.
    array
        (rows, columns, channels): the features in single precision, which is three
        times as fast to score as half; as they came if that took more than
        `LARGEST_COPY` or did not fit the memory, or if they are not in memory.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    places: NDArray[np.intp]
    sample: NDArray[np.float32]
    vectors: NDArray[np.float32]
    array: LazyArray = field(repr=False)
