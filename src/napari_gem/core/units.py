"""Units of length: the names that files and napari give them, and how long they are."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of length.

    Attributes
    ----------
    ngff_name
        Its name in OME-NGFF.
    centimetres
        Its length.
    """

    ngff_name: str
    centimetres: float


_MICROMETRE = Unit("micrometer", 1e-4)

UNITS = {
    "m": Unit("meter", 100.0),
    "cm": Unit("centimeter", 1.0),
    "mm": Unit("millimeter", 0.1),
    "µm": _MICROMETRE,  # U+00B5, the micro sign
    "μm": _MICROMETRE,  # U+03BC, the Greek letter
    "um": _MICROMETRE,
    "nm": Unit("nanometer", 1e-7),
}
"""Units by their symbol."""


def symbol_of(ngff_name: str) -> str | None:
    """Give the symbol of a unit of OME-NGFF; None for one that is not known."""
    symbols = (symbol for symbol, unit in UNITS.items() if unit.ngff_name == ngff_name)
    return next(symbols, None)
