"""Each pixel gets the label of its most probable class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def label_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """Return the smallest type that holds the labels of this many classes."""
    return np.uint8 if classes < 256 else np.uint16


def largest(probabilities: NDArray[np.float32]) -> NDArray[np.unsignedinteger[Any]]:
    """Label each pixel by its most probable class, background included.

    Parameters
    ----------
    probabilities
        (classes + 1, height, width), the background last.

    Returns
    -------
    NDArray[np.unsignedinteger[Any]]
        (height, width): 0 is background, ``i + 1`` is class i.
    """
    classes = len(probabilities) - 1
    winner = probabilities.argmax(axis=0)
    return np.where(winner == classes, 0, winner + 1).astype(label_type(classes))
