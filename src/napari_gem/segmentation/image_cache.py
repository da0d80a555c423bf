"""Encoded images in memory, with what was computed from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.encoding.key import region_key
from napari_gem.scoring.cache import ScoreCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.region import Region
    from napari_gem.core.results import Features
    from napari_gem.encoding.encode import Partial


@dataclass(frozen=True, eq=False)
class Encoded:
    """Features of an image or of a region of it, with the scores made from them.

    Attributes
    ----------
    image_shape
        (height, width) of the image, before it was squashed if it was.
    name
        By which `ImageCache.find` finds it; empty if it is not kept.
    is_new
        Whether it was encoded now, and not found.
    """

    features: Features
    scores: ScoreCache = field(default_factory=ScoreCache)
    image_shape: tuple[int, int] = (0, 0)
    name: str = ""
    is_new: bool = True


@dataclass(eq=False)
class EncodedImage:
    """An image that is encoded, or being encoded: its finished tiles and regions."""

    partial: Partial = field(default_factory=dict)
    regions: dict[Region | None, Encoded] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, and the disk that pixels take which are still open."""
        arrays = [array for pair in self.partial.values() for array in pair]
        size = sum(array.nbytes for array in arrays)
        for encoded in self.regions.values():
            array, picture = encoded.features.array, encoded.features.picture
            size += encoded.scores.nbytes
            size += array.nbytes if isinstance(array, np.ndarray) else 0
            size += 0 if picture is None else prod(picture.shape)
        return size

    def add(self, region: Region | None, encoded: Encoded) -> None:
        """Keep the features of a region, or of the whole image."""
        # of one region at a time: the next is made of the tiles that are done
        self.regions = {r: e for r, e in self.regions.items() if r is None}
        self.regions[region] = encoded
        if region is None:
            self.partial.clear()


class ImageCache:
    """Encoded images by their key; those used longest ago go first.

    Parameters
    ----------
    limit
        Bytes to keep; the last image is kept whatever its size.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: dict[str, EncodedImage] = {}
        self._names: dict[str, tuple[str, Region | None]] = {}

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, key: str) -> bool:
        return key in self._images

    def get(self, key: str) -> EncodedImage:
        """Give the image of this key, an empty one if it is new."""
        self._images[key] = self._images.pop(key, EncodedImage())
        return self._images[key]

    def has_whole(self, shape: Sequence[int]) -> bool:
        """Tell whether an image of this (height, width, ...) is encoded as a whole."""
        wholes = [image.regions.get(None) for image in self._images.values()]
        kept = {each.features.image_shape for each in wholes if each is not None}
        return tuple(shape[:2]) in kept

    def name(self, key: str, region: Region | None) -> str:
        """Give a region its name; others lose theirs, but not the whole image."""
        self._names = {
            name: at
            for name, at in self._names.items()
            if at in ((key, None),) or at[0] != key
        }
        name = region_key(key, region)
        self._names[name] = key, region
        return name

    def find(self, name: str) -> Encoded | None:
        """Find what has this name; None if it is not there any more."""
        key, region = self._names.get(name, ("", None))
        return self.get(key).regions.get(region) if key in self else None

    def forget_names(self) -> None:
        """Let no image be found by its name."""
        self._names.clear()

    def trim(self) -> None:
        """Forget the images used longest ago until the limit holds."""
        size = sum(image.nbytes for image in self._images.values())
        while size > self._limit and len(self._images) > 1:
            size -= self._images.pop(next(iter(self._images))).nbytes

    def clear(self) -> None:
        """Forget all images."""
        self._images.clear()
