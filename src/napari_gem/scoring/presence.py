"""Whether a class is in the image at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.scoring.cosines import image_cosines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_SHARE = 0.02
"""A class whose labels cover so much of the image is never called absent."""


def shortfalls(
    groups: Sequence[NDArray[np.float32]],
    background: NDArray[np.float32],
    image_embeddings: NDArray[np.float32],
    present: float,
    spread: float | None = None,
) -> NDArray[np.float32]:
    """Measure how far the best word of each class is from being in the image.

    Compared is the cosine of the word with the image embedding that it fits best. The
    limit is ``present`` if the model has one. Otherwise it comes from the background
    words, since most of them name what is not in the image either.

    Parameters
    ----------
    groups
        Text embeddings of each class, (words, channels), unit length.
    background
        (words, channels), unit length.
    image_embeddings
        (embeddings, channels), unit length: of the image, or of each of its tiles.
    present
        Cosine from which on a word counts as in the image; -1 if it is not known.
    spread
        Standard deviations of the background words' cosines by which the limit lies
        above their mean; None takes their median.

    Returns
    -------
    NDArray[np.float32]
        (classes,): distance of the cosine below the limit; 0 for a class that is
        probably in the image, that has no words, or if there is no limit.
    """
    short = np.zeros(len(groups), np.float32)
    limit = present
    if present <= -1:
        if len(background) == 0:
            return short
        cosines = image_cosines(background, image_embeddings)
        if spread is None:
            limit = float(np.median(cosines))
        else:
            limit = float(cosines.mean() + spread * cosines.std())
    for number, group in enumerate(groups):
        if len(group):
            best = float(image_cosines(group, image_embeddings).max())
            short[number] = max(0.0, limit - best)
    return short


def is_absent(lacking: bool, share: float) -> bool:
    """Decide whether a class is called absent.

    Parameters
    ----------
    lacking
        Whether its words fit the whole image less than they would if it were there.
    share
        Part of the image, or region, that has its label, 0 to 1. From `MOST_SHARE` on
        the class is not called absent, so that labels and words agree.
    """
    return lacking and share < MOST_SHARE
