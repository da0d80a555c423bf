"""Words that were compared on an image, as names and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOBODY = 255
"""Stands in `ComparedMaps.winners` where the image is not looked at."""


@dataclass(frozen=True)
class WordOrder:
    """Which words are compared, and for which class.

    Attributes
    ----------
    label
        Id of the class.
    words
        Candidates, each once.
    """

    label: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class WordFigures:
    """What is known of a word on an image.

    Attributes
    ----------
    word
        As it was typed.
    known
        Whether the model was trained on all parts of it.
    separation
        How clearly its scores fall into two heaps: see
        `napari_gem.scoring.separation`; 0 to 1.
    agreement
        How high it scores at the examples, among all places: see
        `napari_gem.scoring.separation`; 0 to 1, None without examples.
    share
        Part of the image, or region, that it would get in its class's place, 0 to 1.
    """

    word: str
    known: bool
    separation: float
    agreement: float | None
    share: float

    @property
    def rank(self) -> float:
        """What words are ordered by, 0 to 1: the separation, less if examples differ.

        A word that is not known to the model stands for nothing, whatever its map.
        """
        if not self.known:
            return 0.0
        return self.separation * (1.0 if self.agreement is None else self.agreement)


@dataclass(frozen=True)
class ComparedWords:
    """Words for one class on one image, the clearest first.

    Attributes
    ----------
    name
        Of the class.
    words
        What is known of each.
    rivals
        Background words, and names of other classes, that win somewhere.
    step
        Image pixels per pixel of the maps along each axis.
    """

    name: str
    words: tuple[WordFigures, ...]
    rivals: tuple[str, ...]
    step: int


@dataclass(frozen=True, eq=False)
class ComparedMaps:
    """Words that were compared, with their small maps in the same order.

    Attributes
    ----------
    compared
        Names and numbers.
    probabilities
        (words, height, width) uint8: 255 times the probability of the word.
    winners
        (words, height, width) uint8: who gets the place, 0 the word, n the n-th of the
        rivals; `NOBODY` outside of the region.
    """

    compared: ComparedWords
    probabilities: NDArray[np.uint8]
    winners: NDArray[np.uint8]
