"""Parameters out of their range, told in a sentence before any work is done."""

from __future__ import annotations

from math import inf, isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from napari_gem.types import PRESENCES, SYNONYMS, GemError, label_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.types import (
        Appearance,
        EncodeParameters,
        LabelParameters,
        Prompt,
        ScoreParameters,
    )

ZOOMS = (1 / 64, 64.0)
"""Smallest and largest factor by which an image is enlarged."""

LARGEST_MAPS = 8 << 30
"""Bytes that the probability maps of one run may take at most."""

LARGEST_SMOOTHING = 10_000.0
"""Image pixels."""

LARGEST_WEIGHT = 10.0
"""Of the image embedding, either way."""

MOST_ROUNDS = 100
"""Of refinement."""


def check_encode(parameters: EncodeParameters) -> None:
    """Refuse parameters with which an image cannot be encoded.

    Those of GEM itself are checked where it runs (`napari_gem.gem`).

    Parameters
    ----------
    parameters
        What is asked for.

    Raises
    ------
    GemError
        For the first that is out of its range.
    """
    zoom, (smallest, largest) = parameters.zoom, ZOOMS
    if not _within(zoom, smallest, largest):
        raise GemError(
            f"A zoom of {zoom} came; expected a number from 1/{1 / smallest:.0f} to "
            f"{largest:.0f}."
        )
    tile, overlap = parameters.tile, parameters.overlap
    if not (_is_whole(tile) and _is_whole(overlap) and 0 <= overlap < tile):
        raise GemError(
            f"A tile of {tile} patches with an overlap of {overlap} came; expected "
            "whole numbers, at least 1 patch and an overlap smaller than the tile."
        )


def check_score(parameters: ScoreParameters) -> None:
    """Refuse parameters with which nothing can be scored.

    Raises
    ------
    GemError
        For the first that is out of its range.
    """
    p = parameters
    _check_above_zero("scale", p.scale)
    _check_above_zero("background weight", p.background_weight)
    _check_between("smoothing", p.smoothing, 0, LARGEST_SMOOTHING)
    if not (_is_whole(p.refinement) and 0 <= p.refinement <= MOST_ROUNDS):
        raise GemError(
            f"A refinement of {p.refinement} came; expected a whole number of rounds "
            f"from 0 to {MOST_ROUNDS}."
        )
    if p.synonyms not in SYNONYMS:
        raise GemError(
            f"'{p.synonyms}' came for synonyms; expected {' or '.join(SYNONYMS)}."
        )
    if p.presence not in PRESENCES:
        raise GemError(
            f"'{p.presence}' came for presence; expected {' or '.join(PRESENCES)}."
        )
    _check_between("image weight", p.image_weight, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    _check_between("absent weight", p.absent_weight, 0, LARGEST_WEIGHT)
    _check_between("prototype weight", p.prototype_weight, 0, 1)
    _check_between("cosine 'near'", p.near, -1, inf)
    _check_between("cosine 'present'", p.present, -1, 1)
    _check_filled("templates", p.templates)
    if not p.templates:
        raise GemError("There is no template; expected at least one, such as '{}'.")
    for template in p.templates:
        if "{}" not in template:
            raise GemError(
                f"The template '{template}' came; expected a sentence with {{}} where "
                "the word goes."
            )
    _check_filled("background words", p.background)


def check_label(parameters: LabelParameters) -> None:
    """Refuse parameters with which no labels can be made.

    Raises
    ------
    GemError
        If the minimum size is below 0 or no number.
    """
    _check_between("minimum size", parameters.minimum_size, 0, inf)


def check_appearance(appearance: Appearance) -> None:
    """Refuse an appearance that no viewer could show.

    Raises
    ------
    GemError
        If limits, gamma or colours of the image, or of a channel, are out of range.
    """
    for channel in appearance.channels:
        check_appearance(channel)
    low, high = appearance.limits
    if not (_within(low, -inf, inf) and _within(high, -inf, inf) and low < high):
        raise GemError(
            f"The contrast limits are {low} and {high}; expected two finite numbers, "
            "the smaller one first. Reset the contrast of the layer."
        )
    _check_above_zero("gamma", appearance.gamma)
    if appearance.lut is not None:
        if len(appearance.lut) < 2:
            raise GemError(
                f"A colormap of {len(appearance.lut)} colours came; expected at least "
                "2, from black to white."
            )
        for color in appearance.lut:
            _check_color(color)


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Refuse classes that cannot be looked for.

    Words of several classes may be the same: `napari_gem.text.parse_prompts` looks at
    that.

    Raises
    ------
    GemError
        If a class has neither words nor examples, no name, or a word, threshold,
        colour or example that is out of its range; or if label ids collide.
    """
    for prompt in prompts:
        _check_prompt(prompt)
    label_ids(prompts)


def check_texts(what: str, texts: object) -> None:
    """Refuse what is no tuple, or list, of texts.

    Parameters
    ----------
    what
        What the texts are, in the plural.
    texts
        What came. A lone text is refused, since it would be read letter by letter.

    Raises
    ------
    GemError
        If it is something else.
    """
    if isinstance(texts, tuple | list) and all(isinstance(t, str) for t in texts):
        return
    raise GemError(
        f"{texts!r} came as {what}; expected texts in a tuple, such as ('cell',)."
    )


def check_maps(classes: int, shape: tuple[int, int]) -> None:
    """Refuse more maps than fit the memory, before the image is encoded.

    Parameters
    ----------
    classes
        Number of maps.
    shape
        (height, width) of the image.

    Raises
    ------
    GemError
        If they would take more than `LARGEST_MAPS`.
    """
    height, width = shape
    size = 4 * classes * height * width
    if size > LARGEST_MAPS:
        raise GemError(
            f"{classes} maps of {height} x {width} pixels would take "
            f"{size / 2**30:.0f} GiB. Ask for fewer classes, crop the image, or let "
            "`napari-gem segment` or `segment_large` write them to disk."
        )


def _check_filled(what: str, texts: Sequence[str]) -> None:
    check_texts(what, texts)
    if not all(text.strip() for text in texts):
        raise GemError(f"One of the {what} is empty. Leave it out.")


def _check_prompt(prompt: Prompt) -> None:
    _check_filled("words of a class", prompt.words)
    if not prompt.words and not prompt.title:
        raise GemError(
            "A class came without words and without a title; expected one of them to "
            "name it by."
        )
    if not prompt.words and not prompt.examples:
        raise GemError(
            f"The class '{prompt.title}' has neither words nor examples. Give it one."
        )
    _check_between(f"threshold of '{prompt.name}'", prompt.threshold, 0, 1)
    if prompt.color is not None:
        _check_color(prompt.color)
    for example in prompt.examples:
        _check_numbers(f"example of '{prompt.name}'", example.vector)
        if example.point is None and not example.vector:
            raise GemError(
                f"An example of '{prompt.name}' is nowhere; expected a point in the "
                "image, or the vector of one that was kept."
            )
        _check_numbers(f"example of '{prompt.name}'", example.point or ())


def _check_color(color: Any) -> None:
    if len(color) != 3 or not all(_within(part, 0, 1) for part in color):
        raise GemError(
            f"The colour {tuple(color)} came; expected red, green and blue, each from "
            "0 to 1."
        )


def _check_numbers(what: str, values: Sequence[Any]) -> None:
    if not all(_within(value, -inf, inf) for value in values):
        raise GemError(f"An {what} holds what is no finite number. Leave it out.")


def _check_above_zero(what: str, value: Any) -> None:
    if not _within(value, 0, inf) or value == 0:
        raise GemError(f"A {what} of {value} came; expected a finite number above 0.")


def _check_between(what: str, value: Any, low: float, high: float) -> None:
    if not _within(value, low, high):
        upto = f"from {low} to {high:,}" if isfinite(high) else f"of {low} or more"
        raise GemError(f"A {what} of {value} came; expected a finite number {upto}.")


def _within(value: Any, low: float, high: float) -> bool:
    if not isinstance(value, Real):
        return False
    number = float(value)
    return isfinite(number) and low <= number <= high


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral)
