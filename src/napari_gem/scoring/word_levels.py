"""What words score on pictures that show nothing: their own levels.

A word's level is the mean of its cosines with the patches of neutral pictures. It is
the product of its text embedding with one vector, the mean feature of those patches, so
that the pictures are encoded once for all words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_gem.core.appearance import Appearance
from napari_gem.encoding.encode import encode_steps

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Features
    from napari_gem.models.model import Model

GREYS = (0, 85, 170, 255)
WIDTHS = (0.0, 1.0, 4.0, 16.0)
"""Of the Gaussians that smooth noise, in pixels."""

CONTRAST = 45.0
"""Standard deviation of noise around a middle grey, of 255."""

LARGEST_TILE = 32
"""Side of a neutral picture at most, in patches: larger tiles only take longer."""


def neutral_pictures(side: int) -> list[NDArray[np.uint8]]:
    """Make even greys and coloured noise of several widths: (side, side, 3) each."""
    random = np.random.default_rng(0)
    pictures = [np.full((side, side, 3), grey, np.uint8) for grey in GREYS]
    for width in WIDTHS:
        noise = random.normal(size=(side, side, 3))
        noise = ndimage.gaussian_filter(noise, (width, width, 0), mode="wrap")
        noise *= CONTRAST / max(noise.std(), 1e-9)
        pictures.append(np.clip(noise + 128, 0, 255).astype(np.uint8))
    return pictures


def neutral_steps(
    model: Model, features: Features
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Find the mean feature of neutral pictures that are encoded as an image was.

    It is kept in ``model.neutral``.

    Parameters
    ----------
    model
        Encodes them.
    features
        The image, for its parameters and the size of its patches.

    Yields
    ------
    Progress
        Of each picture; nothing if the mean is known.

    Returns
    -------
    NDArray[np.float32]
        (channels,), at most of unit length.
    """
    used = features.parameters
    if used not in model.neutral:
        tile = min(used.tile, LARGEST_TILE)
        small = replace(used, tile=tile, overlap=min(used.overlap, tile - 1))
        pictures = neutral_pictures(max(1, round(tile * features.patch)))
        rgb = Appearance(rgb=True, limits=(0, 255))
        means = []
        for picture in pictures:
            encoded = yield from encode_steps(model, picture, rgb, small)
            array = np.asarray(encoded.array[:], np.float32)
            means.append(array.mean(axis=(0, 1)))
        model.neutral[used] = np.mean(means, axis=0, dtype=np.float32)
    return model.neutral[used]
