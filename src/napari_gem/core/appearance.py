"""How an image is shown, and so what the model sees of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ContrastRule = Literal["", "percentiles", "fixed", "shown"]

PERCENTILES = (0.5, 99.5)
"""Shown as black and as white, unless somebody chooses others."""


@dataclass(frozen=True)
class Appearance:
    """How pixel values become the RGB image that the model sees.

    Attributes
    ----------
    channels
        Appearance of each channel of a ``(height, width, channels)`` array that is
        shown as one picture; empty for a single channel and for RGB. A channel has
        ``rgb`` False and no channels itself; the other fields are not used then.
    blending
        How the channels' colours are joined: ``additive`` (sum) or ``minimum``.
    rgb
        True: the last axis holds red, green, blue and perhaps alpha.
    limits
        Values shown as black and white (contrast limits), in units of the data.
    gamma
        Exponent applied after scaling to 0..1.
    lut
        For a single channel: N >= 2 colours (red, green, blue, each 0..1), evenly
        spaced from black to white. None is grey.
    contrast
        Where the limits come from: ``percentiles`` of the image, ``fixed`` numbers, or
        as a viewer had ``shown`` the image. Empty if that is not known. Another image
        gets its own limits if they are percentiles. It does not change what is seen
        of this image, so that appearances that differ in it are equal.
    percentiles
        Those shown as black and as white, 0 to 100, if the limits come from them.
    """

    rgb: bool = False
    limits: tuple[float, float] = (0.0, 1.0)
    gamma: float = 1.0
    lut: tuple[tuple[float, float, float], ...] | None = None
    channels: tuple[Appearance, ...] = ()
    blending: Literal["additive", "minimum"] = "additive"
    contrast: ContrastRule = field(default="", compare=False, repr=False)
    percentiles: tuple[float, float] = field(
        default=PERCENTILES, compare=False, repr=False
    )
