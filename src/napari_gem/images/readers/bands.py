"""Which bands or channels are chosen, by number, name or preset."""

from __future__ import annotations

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

LISTED = 16
"""So many names are said."""


def choose_bands(
    text: str, bands: Sequence[Band], count: int, name: str
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Find the bands that a text names.

    Parameters
    ----------
    text
        Numbers from 1 and names with commas between, or one of `PRESETS`.
    bands
        What the file says of its bands; fewer than there are, if it says nothing.
    count
        Number of its bands.
    name
        Name of the file.

    Returns
    -------
    positions, notices
        Positions from 0, in the order of the text; and what was assumed.

    Raises
    ------
    GemError
        If there is no such band, or if one is named twice.
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
    chosen = [_find(one, names, count, name) for one in wanted]
    if not chosen or len(set(chosen)) < len(chosen):
        raise GemError(f"The bands '{text}' are chosen; give each once, such as 3,2,1.")
    return tuple(chosen), notices


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
