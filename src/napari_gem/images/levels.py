"""Chooses a resolution of a pyramid."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDED = 1.02
"""Pyramids halve odd lengths, so that pixels of a level are a little larger than twice
those of the level before. Pixels that are larger by this factor count as equal."""


def factor_of(finest: Sequence[int], level: Sequence[int]) -> float:
    """Count the pixels of the finest level, along a side, for one of another level.

    Both shapes begin with height and width.
    """
    return sqrt(finest[0] * finest[1] / (level[0] * level[1]))


def coarsest_that_shows(wanted: float, shapes: Sequence[Sequence[int]]) -> int:
    """Choose the coarsest level that still shows a detail.

    Parameters
    ----------
    wanted
        Pixels of the finest level, along a side, for one wanted pixel.
    shapes
        Height and width of each level, the finest first.

    Returns
    -------
    int
        Number of the level; 0 if none shows it.
    """
    fine = [
        number
        for number, shape in enumerate(shapes)
        if factor_of(shapes[0], shape) <= wanted * ROUNDED
    ]
    return max(fine, default=0)
