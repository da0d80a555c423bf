"""A recipe's detail for images of another magnification."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from napari_gem.core.units import UNITS

if TYPE_CHECKING:
    from napari_gem.core.results import Recipe

BELIEVED = 16.0
"""Larger factors are not believed: many files tell the size of a screen's pixels."""

ALIKE = 0.01
"""Pixels whose sizes differ by less than this part count as equally large."""


def enlargement(
    recipe: Recipe, pixel_size: tuple[float, float] | None, unit: str
) -> float:
    """Tell how much larger the recipe's pixels were than those of another image.

    Parameters
    ----------
    recipe
        Of an image whose pixels have a size, or not.
    pixel_size, unit
        (height, width) of a pixel of the other image, as in `Recipe`.

    Returns
    -------
    float
        Sides of pixels by sides of pixels; so many times as many pixels of the other
        image belong to a patch. 1 if it is not known or cannot be believed, or is
        about 1.
    """
    then = _centimetres(recipe.pixel_size, recipe.unit)
    now = _centimetres(pixel_size, unit)
    factor = then / now if then and now else 1.0
    if abs(factor - 1) < ALIKE or not 1 / BELIEVED <= factor <= BELIEVED:
        return 1.0
    return factor


def _centimetres(size: tuple[float, float] | None, unit: str) -> float:
    """Side of a square as large as a pixel; 0 if it is not known."""
    if size is None or unit not in UNITS or min(size) <= 0:
        return 0.0
    return sqrt(size[0] * size[1]) * UNITS[unit].centimetres
