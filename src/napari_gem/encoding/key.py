"""One key for each encoding: whether two are the same is decided here alone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_gem.images.tile_reading import Window, hash_steps

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.parameters import EncodeParameters
    from napari_gem.core.progress import Progress
    from napari_gem.core.region import Region
    from napari_gem.core.results import Encoding
    from napari_gem.models.model import Model

LAYOUT = 2
"""Version of what is kept on disk; entries of others are not found, and grow old."""


def key_steps(
    model: Model,
    pixels: LazyArray,
    appearance: Appearance,
    parameters: EncodeParameters,
    box: tuple[slice, slice] | None = None,
) -> Generator[Progress, None, str]:
    """Hash the pixels and all else that decides the features of an image.

    With a box of rows and columns only the pixels in it are read, which decide the
    features of the tiles in it. An image has another key then than as a whole.
    """
    model_fields: tuple[object, ...]
    model_fields = model.card.id, model.revision, model.device, model.precision
    if box is not None:
        model_fields = (*model_fields, pixels.shape, box)
        pixels = Window(pixels, box)
    digest = yield from hash_steps(pixels)
    return _digest(LAYOUT, digest, appearance, model_fields, parameters)


def encoding_name(digest: str, encoding: Encoding) -> str:
    """Name features that were encoded like this, of pixels with this hash."""
    model_fields = (
        encoding.model,
        encoding.revision,
        encoding.device,
        encoding.precision,
    )
    parts = LAYOUT, digest, encoding.appearance, model_fields, encoding.parameters
    return region_key(_digest(*parts), encoding.region)


def region_key(key: str, region: Region | None) -> str:
    """Name the features of a region, or of the whole, of an image with this key."""
    return _digest(key, region)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
