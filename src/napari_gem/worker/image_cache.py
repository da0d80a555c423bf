"""Encoded images in the memory of the worker process."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.progress import Progress
from napari_gem.core.region import Region
from napari_gem.scoring.cache import ScoreCache

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_gem.core.results import Features

    Encoding = Generator[Progress, None, tuple[Features, bool]]


@dataclass(eq=False)
class Part:
    """Features of an image or of a region of it, with what was computed from them."""

    features: Features
    scores: ScoreCache


@dataclass(eq=False)
class EncodedImage:
    """An encoded image: the tiles of it that are done, and what was made of them."""

    partial: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = field(
        default_factory=dict
    )
    parts: dict[Region | None, Part] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, and the disk that pixels take which are still open."""
        arrays = [array for pair in self.partial.values() for array in pair]
        size = sum(array.nbytes for array in arrays)
        for part in self.parts.values():
            array, picture = part.features.array, part.features.picture
            size += part.scores.nbytes
            size += array.nbytes if isinstance(array, np.ndarray) else 0
            size += 0 if picture is None else prod(picture.shape)
        return size

    def add(self, region: Region | None, part: Part) -> None:
        """Keep the features of a region, or of the whole image."""
        # of one region at a time: the next is made of the tiles that are done
        self.parts = {r: p for r, p in self.parts.items() if r is None}
        self.parts[region] = part
        if region is None:
            self.partial.clear()


class ImageCache:
    """Encoded images by what decides their features; the least used go first.

    Parameters
    ----------
    limit
        Bytes to keep; the last image is kept whatever its size.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: dict[str, EncodedImage] = {}

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, key: str) -> bool:
        return key in self._images

    def get(self, key: str) -> EncodedImage:
        """Give the image of this key, an empty one if it is new."""
        self._images[key] = self._images.pop(key, EncodedImage())
        return self._images[key]

    def trim(self) -> None:
        """Forget the images used longest ago until the limit holds."""
        size = sum(image.nbytes for image in self._images.values())
        while size > self._limit and len(self._images) > 1:
            size -= self._images.pop(next(iter(self._images))).nbytes

    def clear(self) -> None:
        """Forget all images."""
        self._images.clear()
