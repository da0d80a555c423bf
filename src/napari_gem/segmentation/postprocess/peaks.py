"""Places where a class is most probable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Peaks:
    """Local maxima of a probability map, the most probable first.

    Attributes
    ----------
    places
        (n, 2) row and column in pixels.
    probabilities
        (n,) probability there.
    """

    places: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def peaks(
    probability: NDArray[np.float32],
    distance: int = 10,
    threshold: float = 0.5,
    most: int = 1000,
) -> Peaks:
    """Find the local maxima of one class's probability.

    Parameters
    ----------
    probability
        (height, width), 0 to 1.
    distance
        Pixels that two peaks are apart at least, 1 or more.
    threshold
        Peaks below this probability are left out.
    most
        At most so many peaks, the most probable ones.
    """
    # imported late, as the viewer's process reads this module on its main thread
    from skimage.feature import peak_local_max

    places = peak_local_max(
        probability,
        min_distance=max(1, distance),
        # what is exactly at the threshold counts, and nothing is a peak of zero
        threshold_abs=max(
            float(np.nextafter(np.float32(threshold), np.float32(-1))), 0.0
        ),
        exclude_border=False,
        num_peaks=most,
    ).astype(np.int64)
    values = probability[tuple(places.T)].astype(np.float64)
    order = np.argsort(-values, kind="stable")
    return Peaks(places[order], values[order])
