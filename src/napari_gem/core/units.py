"""Units of length: the names that files and napari give them, and how long they are."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of length.

    Attributes
    ----------
    ngff_name
        Its name in OME-NGFF; empty if that has none.
    centimetres
        Its length.
    """

    ngff_name: str
    centimetres: float


_MICROMETRE = Unit("micrometer", 1e-4)
_INCH = 2.54

UNITS = {
    "Ym": Unit("yottameter", 1e26),
    "Zm": Unit("zettameter", 1e23),
    "Em": Unit("exameter", 1e20),
    "Pm": Unit("petameter", 1e17),
    "Tm": Unit("terameter", 1e14),
    "Gm": Unit("gigameter", 1e11),
    "Mm": Unit("megameter", 1e8),
    "km": Unit("kilometer", 1e5),
    "hm": Unit("hectometer", 1e4),
    "dam": Unit("", 1e3),
    "m": Unit("meter", 100.0),
    "dm": Unit("decimeter", 10.0),
    "cm": Unit("centimeter", 1.0),
    "mm": Unit("millimeter", 0.1),
    "µm": _MICROMETRE,  # U+00B5, the micro sign
    "μm": _MICROMETRE,  # U+03BC, the Greek letter
    "um": _MICROMETRE,
    "nm": Unit("nanometer", 1e-7),
    "Å": Unit("angstrom", 1e-8),  # U+00C5, the letter
    "\u212b": Unit("angstrom", 1e-8),  # the sign of the unit
    "pm": Unit("picometer", 1e-10),
    "fm": Unit("femtometer", 1e-13),
    "am": Unit("attometer", 1e-16),
    "zm": Unit("zeptometer", 1e-19),
    "ym": Unit("yoctometer", 1e-22),
    "in": Unit("inch", _INCH),
    "inch": Unit("inch", _INCH),
    "ft": Unit("foot", 12 * _INCH),
    "yd": Unit("yard", 36 * _INCH),
    "mi": Unit("mile", 63360 * _INCH),
    "thou": Unit("", _INCH / 1000),
    "li": Unit("", _INCH / 12),
    "pt": Unit("", _INCH / 72),
    "pc": Unit("parsec", 3.0856775814913673e18),
    "ly": Unit("", 9.4607304725808e17),
    "ua": Unit("", 1.495978707e13),
    "us-ft": Unit("", 120000 / 3937),
}
"""Units by their symbol: all of OME-NGFF and of OME-XML, and the survey foot."""

_SYMBOLS: dict[str, str] = {}
for _symbol, _unit in UNITS.items():
    _SYMBOLS.setdefault(_unit.ngff_name, _symbol)


def symbol_of(name: str) -> str | None:
    """Give the symbol of a unit by its name in OME-NGFF, or by one of its symbols.

    None for one that is not known.
    """
    if not name:
        return None
    return _SYMBOLS.get(name, name if name in UNITS else None)


def in_unit(value: float, unit: str, other: str) -> float | None:
    """Convert a length to another unit; None if one of the units is not known."""
    if unit == other:
        return value
    if unit not in UNITS or other not in UNITS:
        return None
    return value * (UNITS[unit].centimetres / UNITS[other].centimetres)
