"""What the dock shows about the chosen image: one function of what is known of it.

`shown` needs no window. The dock calls it whenever something changes that it depends on
and hands the answer to its views; nothing else decides what they say about an image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from napari_gem.core.prompts import label_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_gem.core.prompts import Prompt
    from napari_gem.core.region import Region
    from napari_gem.core.results import Recipe


class Encoded(Enum):
    """Where the features of the chosen image are."""

    LIVE = "the worker scores them at once"
    KEPT = "they are in memory or on disk: a run reads them"
    LOOKING = "the disk is being looked at"
    NO = "nowhere: a run encodes the image"


class Running(Enum):
    """Which image a run is going on for."""

    NO = "none"
    HERE = "the chosen one"
    ELSEWHERE = "another image, slice or region"


@dataclass(frozen=True)
class Place:
    """What a result is about: an image, a slice of it, and a region.

    Attributes
    ----------
    source
        Tells which layers; see `LayerImage`.
    plane
        Tells which slice; see `LayerImage`.
    region
        None for the whole image.
    """

    source: str
    plane: tuple[int, ...]
    region: Region | None = None


@dataclass(frozen=True)
class LastResult:
    """What the last result of a place says.

    Attributes
    ----------
    recipe
        How it was made; its `label_ids` are those of the shares.
    shares
        For each class the part of the image, or region, that has its label, 0 to 1.
    absent
        Names of the classes that are probably not in the image.
    file, index
        Where the image came from, empty if that is not known, and which plane of the
        file it is; None if it is no single one.
    message
        Kind and sentence with which the run ended.
    is_opened
        Whether we opened the file, so that its recipe says which bands and level.
    """

    recipe: Recipe
    shares: tuple[float, ...] = ()
    absent: tuple[str, ...] = ()
    file: str = ""
    index: tuple[int, ...] | None = None
    message: tuple[str, str] = ("info", "")
    is_opened: bool = False


@dataclass(frozen=True)
class DockState:
    """What is known when the dock is drawn.

    Attributes
    ----------
    image
        Whether an image is chosen.
    problem
        Why the image, slice, region or model cannot be used; empty if they can.
    prompts
        All classes of the table, also those that are off.
    region
        Whether only a region is segmented.
    encoded
        Where the features are.
    running
        Which image a run is going on for.
    download
        Whether the model must be downloaded first.
    last
        The result of this image, slice and region; None if there is none.
    """

    image: bool = True
    problem: str = ""
    prompts: tuple[Prompt, ...] = ()
    region: bool = False
    encoded: Encoded = Encoded.NO
    running: Running = Running.NO
    download: bool = False
    last: LastResult | None = None


@dataclass(frozen=True)
class Shown:
    """What the views of the dock say.

    Attributes
    ----------
    sentence
        Whether the image is encoded, or what is missing; with a sign that tells it
        without colours.
    run
        What Run does: its tooltip.
    shares
        For each label id whose share is known the part of the image, or region.
    absent
        Label ids of classes that are probably not in the image.
    whole
        What the shares are parts of: ``image`` or ``region``.
    last
        The result whose recipe and message are shown; None for none.
    """

    sentence: str
    run: str
    shares: Mapping[int, float] = field(default_factory=dict)
    absent: frozenset[int] = frozenset()
    whole: str = "image"
    last: LastResult | None = None


OPEN = "○ Open an image, or a sample: File > Open Sample > GEM."
PROBLEM = "○ This cannot be run as it is chosen."
ELSEWHERE = "○ A run on another image, slice or region goes on."
HERE = "○ A run on this {whole} goes on."
NO_CLASS = "{sign} Type a class, such as nucleus, then press Run."
ALL_OFF = "{sign} Every class is switched off. Switch one on."
SENTENCES = {
    Encoded.LIVE: "● Encoded: words and sliders show at once.",
    Encoded.KEPT: "◐ Encoded before: Run shows it in a moment.",
    Encoded.LOOKING: "○ Looking whether this {whole} is encoded...",
    Encoded.NO: "○ Not encoded yet: Run encodes this {whole} first.",
}
DOWNLOAD = "○ The model is not on this computer: Run asks before it is downloaded."

RUNS = {
    Encoded.LIVE: "Look for the classes again; the {whole} is encoded",
    Encoded.KEPT: "Read the encoded {whole} and look for the classes",
    Encoded.LOOKING: "Encode the {whole} and look for the classes",
    Encoded.NO: "Encode the {whole} and look for the classes",
}
WAITS = "Cancel the run that goes on, or let it end, before the next"
NOTHING = "Tells what is missing for a run"


def shown(state: DockState) -> Shown:
    """Decide what the dock shows."""
    whole = "region" if state.region else "image"
    shares: dict[int, float] = {}
    absent = set()
    last = state.last
    if last is not None:
        words = {prompt.label: prompt.words for prompt in state.prompts}
        prompts, ids = last.recipe.prompts, label_ids(last.recipe.prompts)
        for label, prompt, share in zip(ids, prompts, last.shares, strict=True):
            if words.get(label) != prompt.words:
                continue  # by now this class looks for something else
            shares[label] = share
            if prompt.name in last.absent:
                absent.add(label)
    sentence, run = (text.format(whole=whole) for text in _sentences(state))
    return Shown(sentence, run, shares, frozenset(absent), whole, last)


def _sentences(state: DockState) -> tuple[str, str]:
    """Choose a sentence, the most urgent one, and say what Run does."""
    if not state.image:
        return OPEN, NOTHING
    if state.running is Running.HERE:
        return HERE, WAITS
    if state.running is Running.ELSEWHERE:
        return ELSEWHERE, WAITS
    if state.problem:
        return PROBLEM, NOTHING
    sign = SENTENCES[state.encoded][0]
    if not state.prompts:
        return NO_CLASS.replace("{sign}", sign), NOTHING
    if not any(prompt.on for prompt in state.prompts):
        return ALL_OFF.replace("{sign}", sign), NOTHING
    if state.download and state.encoded is not Encoded.LIVE:
        return DOWNLOAD, RUNS[Encoded.NO]
    return SENTENCES[state.encoded], RUNS[state.encoded]
