"""How undecided each pixel is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def uncertainty(
    probabilities: NDArray[np.float32] | Sequence[NDArray[np.float32]],
) -> NDArray[np.float32]:
    """One less the margin between the two best, of all classes and background.

    Parameters
    ----------
    probabilities
        (classes, height, width), at least one class, 0 to 1; what they leave of 1 is
        the background's probability.

    Returns
    -------
    NDArray[np.float32]
        (height, width): 0 where one of them is certain, 1 where the two best are
        equally probable. It tells how close the decision is, not whether it is right.
    """
    best = np.clip(1 - np.sum(probabilities, axis=0, dtype=np.float32), 0, 1)
    second = np.zeros_like(best)
    # one by one: all sorted at once would take as much memory again as the maps
    for plane in probabilities:
        np.maximum(second, np.minimum(best, plane), out=second)
        np.maximum(best, plane, out=best)
    unsure: NDArray[np.float32] = 1 - (best - second)
    return unsure
