"""Parameters out of their range, told in a sentence before any work is done.

The ranges of all that may come from elsewhere are in `napari_gem.core.bounds`.
"""

from __future__ import annotations

import re
from math import inf, isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeGuard

from napari_gem.core.bounds import (
    LARGEST_FACTOR,
    LARGEST_LENGTH,
    LARGEST_MAPS,
    LARGEST_SMOOTHING,
    LARGEST_SQUASH,
    LARGEST_TILE,
    LARGEST_WEIGHT,
    LONGEST_NAME,
    LONGEST_TEXT,
    LONGEST_VECTOR,
    MOST_AXES,
    MOST_BLOCKS,
    MOST_CHANNELS,
    MOST_CHARACTERS,
    MOST_CLASSES,
    MOST_COLORS,
    MOST_CORNERS,
    MOST_EXAMPLES,
    MOST_GAPS,
    MOST_ROUNDS,
    MOST_SYNONYMS,
    MOST_TEMPLATES,
    MOST_WORDS,
    SENTENCE,
    ZOOMS,
)
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import commands_in, shown
from napari_gem.core.parameters import METHODS, PRESENCES, SYNONYMS
from napari_gem.core.prompts import label_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.parameters import (
        EncodeParameters,
        GemParameters,
        LabelParameters,
        ScoreParameters,
    )
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.region import Region
    from napari_gem.core.results import Recipe
    from napari_gem.worker.messages import Request


PRECISIONS = ("auto", "float32", "bfloat16", "float16")
"""Names of what models compute with."""

_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?|mps(:0)?")


def check_encode(parameters: EncodeParameters) -> None:
    """Refuse parameters with which an image cannot be encoded.

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
            f"A zoom of {_brief(zoom)} came; expected a number from "
            f"1/{1 / smallest:.0f} to {largest:.0f}."
        )
    tile, overlap = parameters.tile, parameters.overlap
    whole = _is_whole(tile) and _is_whole(overlap)
    if not (whole and 0 <= overlap < tile <= LARGEST_TILE):
        raise GemError(
            f"A tile of {_brief(tile)} patches with an overlap of {_brief(overlap)} "
            f"came; expected whole numbers, from 1 to {LARGEST_TILE} patches and an "
            "overlap smaller than the tile."
        )
    check_gem(parameters.gem)


def check_gem(parameters: GemParameters) -> None:
    """Refuse parameters of GEM itself that are out of their range.

    Raises
    ------
    GemError
        For the first, with its range.
    """
    p = parameters
    if p.method not in METHODS:
        raise GemError(
            f"Method '{_brief(p.method)}' is unknown; choose {', '.join(METHODS)}."
        )
    attends = p.method in ("gem", "vv")
    if not (_is_whole(p.depth) and (2 if attends else 0) <= p.depth <= MOST_BLOCKS):
        raise GemError(
            f"Depth is {_brief(p.depth)}, but the last depth - 1 blocks take part: "
            f"give a whole number from 2 to {MOST_BLOCKS}, or choose the method "
            "'plain'."
        )
    if not (_is_whole(p.iterations) and 0 <= p.iterations <= MOST_ROUNDS):
        raise GemError(
            f"Iterations is {_brief(p.iterations)}; give a whole number from 0 to "
            f"{MOST_ROUNDS}."
        )
    top = f"up to {LARGEST_FACTOR:,.0f}"
    fixed = p.inverse_temperature
    if fixed is not None and not _is_factor(fixed):
        raise GemError(
            f"Inverse temperature is {_brief(fixed)}; give a number above 0, {top}, "
            "or none to compute it from each image."
        )
    if not _is_factor(p.temperature_scale):
        raise GemError(
            f"Temperature scale is {_brief(p.temperature_scale)}; give a number above "
            f"0, {top}."
        )
    if not _within(p.neighbours, -LARGEST_FACTOR, LARGEST_FACTOR):
        raise GemError(
            f"Neighbours is {_brief(p.neighbours)}; give a finite number, {top}, 0 for "
            "no bias."
        )
    if not _is_factor(p.neighbour_width):
        raise GemError(
            f"Neighbour width is {_brief(p.neighbour_width)}; give patches above 0, "
            f"{top}."
        )
    if not _within(p.middle, 0, 1):
        raise GemError(f"Middle is {_brief(p.middle)}; give a share from 0 to 1.")
    if p.repair != 0 and not _within(p.repair, 1, LARGEST_FACTOR):
        raise GemError(
            f"Repair is {_brief(p.repair)}; give how many times longer than the median "
            f"an outlier is, from 1 {top}, or 0 to leave all tokens as they are."
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
            f"A refinement of {_brief(p.refinement)} came; expected a whole number of "
            f"rounds from 0 to {MOST_ROUNDS}."
        )
    if p.synonyms not in SYNONYMS:
        raise GemError(
            f"'{_brief(p.synonyms)}' came for synonyms; expected "
            f"{' or '.join(SYNONYMS)}."
        )
    if p.presence not in PRESENCES:
        raise GemError(
            f"'{_brief(p.presence)}' came for presence; expected "
            f"{' or '.join(PRESENCES)}."
        )
    _check_between("image weight", p.image_weight, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    _check_between("absent weight", p.absent_weight, 0, LARGEST_WEIGHT)
    _check_between("prototype weight", p.prototype_weight, 0, 1)
    _check_between("cosine 'near'", p.near, -1, LARGEST_FACTOR)
    _check_between("cosine 'present'", p.present, -1, 1)
    _check_filled("templates", p.templates, MOST_TEMPLATES)
    if not p.templates:
        raise GemError("There is no template; expected at least one, such as '{}'.")
    for template in p.templates:
        if not 1 <= template.count("{}") <= MOST_GAPS:
            raise GemError(
                f"The template '{_brief(template)}' came; expected a sentence with "
                "{} where the word goes."
            )
    _check_filled("background words", p.background, MOST_WORDS)


def check_label(parameters: LabelParameters) -> None:
    """Refuse parameters with which no labels can be made.

    Raises
    ------
    GemError
        If the minimum size is below 0, no number, or too large for one.
    """
    _check_between("minimum size", parameters.minimum_size, 0, LARGEST_LENGTH)


def check_appearance(appearance: Appearance) -> None:
    """Refuse an appearance that no viewer could show.

    Raises
    ------
    GemError
        If limits, gamma or colours of the image, or of a channel, are out of range.
    """
    if len(appearance.channels) > MOST_CHANNELS:
        raise GemError(
            f"{len(appearance.channels)} channels came; at most {MOST_CHANNELS} can be "
            "shown together. Leave some out."
        )
    for channel in appearance.channels:
        if channel.channels:
            raise GemError(
                "A channel has channels of its own; expected one picture of several "
                "channels at most. Choose another recipe."
            )
        check_appearance(channel)
    low, high = appearance.limits
    if not (_within(low, -inf, inf) and _within(high, -inf, inf) and low < high):
        raise GemError(
            f"The contrast limits are {_brief(low)} and {_brief(high)}; expected two "
            "finite numbers, the smaller one first. Reset the contrast of the layer."
        )
    _check_above_zero("gamma", appearance.gamma)
    if appearance.lut is not None:
        if not 2 <= len(appearance.lut) <= MOST_COLORS:
            raise GemError(
                f"A colormap of {len(appearance.lut)} colours came; expected at least "
                f"2, from black to white, and at most {MOST_COLORS}."
            )
        for color in appearance.lut:
            _check_color(color)


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Refuse classes that cannot be looked for.

    Words of several classes may be the same: `napari_gem.prompts.parsing.parse_prompts`
    looks at that.

    Raises
    ------
    GemError
        If a class has neither words nor examples, no name, or a word, threshold,
        colour or example that is out of its range; if label ids collide, or if there
        are more classes or words than anybody looks for.
    """
    if len(prompts) > MOST_CLASSES:
        raise GemError(
            f"{len(prompts)} classes came; expected at most {MOST_CLASSES}. Split the "
            "list into several."
        )
    for prompt in prompts:
        _check_prompt(prompt)
    words = sum(len(prompt.words) for prompt in prompts)
    if words > MOST_WORDS:
        raise GemError(
            f"{words} words came for all classes together; expected at most "
            f"{MOST_WORDS}. Split the classes into several lists."
        )
    label_ids(prompts)


def check_sentences(prompts: Sequence[Prompt], score: ScoreParameters) -> None:
    """Refuse more sentences than anybody waits for: each word goes into each template.

    Parameters
    ----------
    prompts, score
        Classes, background words and templates, each checked on its own before.

    Raises
    ------
    GemError
        If all sentences together are longer than `MOST_CHARACTERS`.
    """
    words = [*score.background, *(word for one in prompts for word in one.words)]
    length = sum(map(len, words))
    total = sum(
        len(words) * (len(template) + SENTENCE) + template.count("{}") * length
        for template in score.templates
    )
    if total > MOST_CHARACTERS:
        raise GemError(
            f"{len(words)} words in {len(score.templates)} templates came, which are "
            "more sentences than a model reads in hours. Leave out words or templates."
        )


def check_region(region: Region) -> None:
    """Refuse a region that lies in no image.

    Raises
    ------
    GemError
        If it has too many corners, or an edge or a corner is no number of pixels.
    """
    edges = (*region.rows, *region.columns)
    if not all(_is_whole(n) and abs(n) <= LARGEST_LENGTH for n in edges):
        raise GemError(
            f"A region of rows {_brief(region.rows)} and columns "
            f"{_brief(region.columns)} came; expected whole numbers of pixels."
        )
    if len(region.polygon) > MOST_CORNERS:
        raise GemError(
            f"A region of {len(region.polygon)} corners came; expected at most "
            f"{MOST_CORNERS}. Draw it with fewer."
        )
    for corner in region.polygon:
        _check_numbers("corner of the region", corner)


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that could not be followed, before a model or an image is read.

    Raises
    ------
    GemError
        For the first number or text that is out of its range.
    """
    if not recipe.prompts:
        raise GemError("The recipe has no prompts. Add one.")
    names = ("model", "revision", "architecture", "device", "precision", "version")
    for name in (*names, "unit"):
        check_length(name, getattr(recipe, name), LONGEST_NAME)
    check_prompts(recipe.prompts)
    check_encode(recipe.encode)
    check_score(recipe.score)
    check_sentences(recipe.prompts, recipe.score)
    check_label(recipe.label)
    check_appearance(recipe.appearance)
    if recipe.region is not None:
        check_region(recipe.region)
    check_squash(recipe.squash)
    _check_between("patch", recipe.patch, 0, LARGEST_LENGTH)
    _check_above_zero("factor of the resolution", recipe.factor)
    for side in recipe.pixel_size or ():
        _check_between("pixel size", side, -LARGEST_LENGTH, LARGEST_LENGTH)
    index = recipe.index
    if len(index) > MOST_AXES or not all(0 <= i <= LARGEST_LENGTH for i in index):
        raise GemError(
            f"The slice {_brief(index)} came; expected at most {MOST_AXES} positions, "
            "each 0 or more."
        )


def check_squash(size: int) -> None:
    """Refuse a square that no model reads.

    Raises
    ------
    GemError
        If it is larger than `LARGEST_SQUASH`, or smaller than a pixel and not 0.
    """
    if not (_is_whole(size) and 0 <= size <= LARGEST_SQUASH):
        raise GemError(
            f"A square of {_brief(size)} pixels to squash the image to came; expected "
            f"a whole number from 0, for none, to {LARGEST_SQUASH}."
        )


def check_within(region: Region, shape: Sequence[int]) -> None:
    """Refuse a region that is not inside of an image.

    Parameters
    ----------
    region
        Part of the image.
    shape
        (height, width, ...) of the image.

    Raises
    ------
    GemError
        With both.
    """
    for (start, stop), length in zip(
        (region.rows, region.columns), shape[:2], strict=True
    ):
        if not 0 <= start < stop <= length:
            raise GemError(
                f"The region's rows {region.rows} and columns {region.columns} do not "
                f"fit an image of {shape[0]} x {shape[1]} pixels. Choose another."
            )


def check_device(name: str) -> None:
    """Refuse what can be no device; whether it is there is told when torch is loaded.

    Raises
    ------
    GemError
        With what is expected.
    """
    if not _DEVICE.fullmatch(name):
        raise GemError(
            f"The device '{name}' came; expected auto, cpu, cuda, cuda:1 or mps."
        )


def check_precision(name: str) -> None:
    """Refuse what is no precision.

    Raises
    ------
    GemError
        With those there are.
    """
    if name not in PRECISIONS:
        raise GemError(
            f"The precision '{name}' came; expected {', '.join(PRECISIONS[:-1])} or "
            f"{PRECISIONS[-1]}."
        )


def check_request(request: Request) -> None:
    """Refuse a request that could not be answered, before its model is loaded.

    Raises
    ------
    GemError
        For the first number or text that is out of its range.
    """
    check_prompts(request.prompts)
    check_label(request.label)
    check_appearance(request.appearance)
    if request.encode is not None:
        check_encode(request.encode)
    if request.score is not None:
        check_score(request.score)
        check_sentences(request.prompts, request.score)
    if request.detail is not None:
        _check_above_zero("detail", request.detail, LARGEST_LENGTH)
    if request.region is not None:
        check_region(request.region)


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
    came = f"'{_brief(texts)}'" if isinstance(texts, str) else _brief(texts)
    raise GemError(
        f"{came} came as {what}; expected texts in a tuple, such as ('cell',)."
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


def _brief(value: object, most: int = 60) -> str:
    """Show what came as a part of a sentence: never more than some characters of it."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    # of a long list only what is shown is made text
    part = value[: most + 1] if isinstance(value, str | tuple | list) else value
    text = part if isinstance(part, str) else repr(part)
    return shown(text if len(text) <= most else f"{text[:most]}…", 2 * most)


def _check_filled(what: str, texts: Sequence[str], most: int) -> None:
    check_texts(what, texts)
    if len(texts) > most:
        raise GemError(
            f"{len(texts)} {what} came; expected at most {most}. Leave some out."
        )
    for text in texts:
        check_length(what, text, LONGEST_TEXT)
        if not text.strip():
            raise GemError(f"One of the {what} is empty. Leave it out.")
        _check_commands(what, text)


def check_length(what: str, text: str, most: int) -> None:
    """Refuse a text of more characters.

    Raises
    ------
    GemError
        If it is longer.
    """
    if len(text) > most:
        raise GemError(
            f"A text of {len(text)} characters came for {what}, which begins "
            f"'{_brief(text)}'; expected at most {most}. Shorten it."
        )


def _check_commands(what: str, text: str) -> None:
    found = commands_in(text)
    if found:
        raise GemError(
            f"'{_brief(text)}' came among the {what}; expected text without the "
            f"characters {_brief(found)}, which are not to be seen. Type it anew."
        )


def _check_prompt(prompt: Prompt) -> None:
    _check_filled("words of a class", prompt.words, MOST_SYNONYMS)
    check_length("the title of a class", prompt.title, LONGEST_TEXT)
    _check_commands("names of classes", prompt.title)
    if not prompt.words and not prompt.title:
        raise GemError(
            "A class came without words and without a title; expected one of them to "
            "name it by."
        )
    name = _brief(prompt.name)
    if not prompt.words and not prompt.examples:
        raise GemError(
            f"The class '{name}' has neither words nor examples. Give it one."
        )
    _check_between(f"threshold of '{name}'", prompt.threshold, 0, 1)
    if prompt.color is not None:
        _check_color(prompt.color)
    if len(prompt.examples) > MOST_EXAMPLES:
        raise GemError(
            f"{len(prompt.examples)} examples of '{name}' came; expected at most "
            f"{MOST_EXAMPLES}. Leave some out."
        )
    for example in prompt.examples:
        if len(example.vector) > LONGEST_VECTOR:
            raise GemError(
                f"An example of '{name}' has {len(example.vector)} numbers; expected "
                f"at most {LONGEST_VECTOR}. Leave it out."
            )
        check_length("the model of an example", example.model, LONGEST_NAME)
        _check_numbers(f"example of '{name}'", example.vector)
        if example.point is None and not example.vector:
            raise GemError(
                f"An example of '{name}' is nowhere; expected a point in the "
                "image, or the vector of one that was kept."
            )
        _check_numbers(f"example of '{name}'", example.point or ())


def _check_color(color: Any) -> None:
    if len(color) != 3 or not all(_within(part, 0, 1) for part in color):
        raise GemError(
            f"The colour {_brief(tuple(color))} came; expected red, green and blue, "
            "each from 0 to 1."
        )


def _check_numbers(what: str, values: Sequence[Any]) -> None:
    if not all(_within(value, -inf, inf) for value in values):
        raise GemError(f"An {what} holds what is no finite number. Leave it out.")


def _check_above_zero(what: str, value: Any, most: float = LARGEST_FACTOR) -> None:
    if not _within(value, 0, most) or value == 0:
        raise GemError(
            f"A {what} of {_brief(value)} came; expected a finite number above 0, up "
            f"to {most:,.0f}."
        )


def _check_between(what: str, value: Any, low: float, high: float) -> None:
    if not _within(value, low, high):
        raise GemError(
            f"A {what} of {_brief(value)} came; expected a finite number from {low} to "
            f"{high:,}."
        )


def _is_factor(value: Any) -> bool:
    return _within(value, 0, LARGEST_FACTOR) and value > 0


def _within(value: Any, low: float, high: float) -> bool:
    if not isinstance(value, Real):
        return False
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False
    return isfinite(number) and low <= number <= high


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral)
