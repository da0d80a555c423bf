"""One colour a class, the same in maps, labels and pictures."""

from __future__ import annotations

import colorsys

# Okabe and Ito, Color Universal Design (2008), without black: told apart by people
# with any kind of colour vision.
_FIRST = (
    (0.902, 0.624, 0.000),
    (0.337, 0.706, 0.914),
    (0.000, 0.620, 0.451),
    (0.941, 0.894, 0.259),
    (0.835, 0.369, 0.000),
    (0.800, 0.475, 0.655),
    (0.000, 0.447, 0.698),
)
_GOLDEN = 0.6180339887


def class_color(number: int) -> tuple[float, float, float]:
    """Return the colour of a class.

    Parameters
    ----------
    number
        Position of the class, from 0.

    Returns
    -------
    tuple[float, float, float]
        Red, green, blue, each 0 to 1.
    """
    if number < len(_FIRST):
        return _FIRST[number]
    later = number - len(_FIRST)
    return colorsys.hsv_to_rgb(later * _GOLDEN % 1, 0.55 + 0.4 * (later % 2), 0.95)
