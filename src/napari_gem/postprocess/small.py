"""Connected regions that are too small become background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def remove_small(labels: NDArray[np.unsignedinteger[Any]], size: float) -> None:
    """Set connected regions of one label with fewer pixels than this to 0, in place.

    Parameters
    ----------
    labels
        (height, width). Pixels are connected along the axes, not diagonally.
    size
        Pixels.
    """
    for label in np.unique(labels):
        if label == 0 or size <= 1:
            continue
        regions, count = ndimage.label(labels == label)
        sizes = np.bincount(regions.ravel(), minlength=count + 1)
        small = sizes < size
        small[0] = False
        labels[small[regions]] = 0
