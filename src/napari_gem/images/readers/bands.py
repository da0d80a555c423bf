"""Which bands or channels are chosen, by number, name or preset."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.images.scene import Band

if TYPE_CHECKING:
    from collections.abc import Sequence

RGB = (
    Band("red", (1.0, 0.0, 0.0)),
    Band("green", (0.0, 1.0, 0.0)),
    Band("blue", (0.0, 0.0, 1.0)),
)
"""The bands of a picture."""

PRESETS = {
    "true-color": ("red", "green", "blue"),
    "true-colour": ("red", "green", "blue"),
    "color-infrared": ("near infrared", "red", "green"),
    "colour-infrared": ("near infrared", "red", "green"),
}
"""Composites by name."""

SYNONYMS = {
    "r": "red",
    "g": "green",
    "b": "blue",
    "nir": "near infrared",
    "nir1": "near infrared",
    "near-infrared": "near infrared",
    "nearinfrared": "near infrared",
    "infrared": "near infrared",
}
"""Other names of bands."""

COLORS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "cyan": (0.0, 1.0, 1.0),
    "magenta": (1.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "orange": (1.0, 0.5, 0.0),
    "gray": (1.0, 1.0, 1.0),
    "grey": (1.0, 1.0, 1.0),
    "white": (1.0, 1.0, 1.0),
}
"""In which a band can be shown, by name, beside any ``#ff8000``."""

HEX = re.compile("#?[0-9A-Fa-f]{6}")

LISTED = 16
"""So many names are said."""


def choose_bands(
    text: str, bands: Sequence[Band], count: int, name: str
) -> tuple[tuple[int, ...], tuple[Band, ...], tuple[str, ...]]:
    """Find the bands that a text names.

    Parameters
    ----------
    text
        Numbers from 1 and names with commas between, each with ``=`` and a colour or
        without, or one of `PRESETS`.
    bands
        What the file says of its bands; fewer than there are, if it says nothing.
    count
        Number of its bands.
    name
        Name of the file.

    Returns
    -------
    positions, chosen, notices
        Positions from 0, in the order of the text; what is known of these bands, with
        the colours of the text; and what was assumed.

    Raises
    ------
    GemError
        If there is no such band or colour, or if a band is named twice.
    """
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    notices: tuple[str, ...] = ()
    names = [_plain(band.name) for band in bands]
    if len(wanted) == 1 and wanted[0].lower() in PRESETS:
        wanted = list(PRESETS[wanted[0].lower()])
        named = "near infrared" in names
        if "near infrared" in wanted and not named and count == len(RGB) + 1:
            # aerial images of four bands have it there
            names = [*names[: len(RGB)], "near infrared"]
            notices = (f"The fourth band of '{name}' is taken for near infrared.",)
    parts = [one.partition("=") for one in wanted]
    positions = [_find(one.strip(), names, count, name) for one, _, _ in parts]
    if not positions or len(set(positions)) < len(positions):
        raise GemError(f"The bands '{text}' are chosen; give each once, such as 3,2,1.")
    chosen = []
    for at, (_, equals, color) in zip(positions, parts, strict=True):
        band = bands[at] if at < len(bands) else Band()
        chosen.append(replace(band, color=_color(color)) if equals else band)
    return tuple(positions), tuple(chosen), notices


def band_names(bands: Sequence[Band], count: int) -> str:
    """List the bands for the user."""
    names = [
        f"{number + 1} {shown(bands[number].name)}".strip()
        if number < len(bands)
        else str(number + 1)
        for number in range(count)
    ]
    more = ", ..." if count > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _color(text: str) -> tuple[float, float, float]:
    text = text.strip().lower()
    color = COLORS.get(text) or read_hex(text)
    if color is None:
        raise GemError(
            f"There is no colour '{shown(text)}'; give one of {', '.join(COLORS)}, or "
            "one like #ff8000."
        )
    return color


def read_hex(text: str) -> tuple[float, float, float] | None:
    """Read a colour in hexadecimal digits; None for other texts."""
    if not HEX.fullmatch(text):
        return None
    digits = text.removeprefix("#")
    red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    return red, green, blue


def _find(wanted: str, names: Sequence[str], count: int, name: str) -> int:
    if wanted.isdecimal() and 1 <= int(wanted) <= count:
        return int(wanted) - 1
    if _plain(wanted) in names[:count]:
        return names.index(_plain(wanted))
    bands = [Band(one) for one in names]
    raise GemError(
        f"'{name}' has no band '{wanted}'; its bands are {band_names(bands, count)}."
    )


def _plain(name: str) -> str:
    name = " ".join(name.lower().replace("_", " ").split())
    return SYNONYMS.get(name, name)
