"""Checks of what comes from outside, before any work is done.

The range of a parameter stands on its field (`napari_gem.core.fields`); how long lists
and texts may be, in `napari_gem.core.bounds`.
"""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, Any

from napari_gem.core.bounds import (
    LARGEST_LENGTH,
    LARGEST_MAPS,
    LARGEST_SQUASH,
    LONGEST_NAME,
    LONGEST_TEXT,
    LONGEST_VECTOR,
    MOST_AXES,
    MOST_CHANNELS,
    MOST_CHARACTERS,
    MOST_CLASSES,
    MOST_COLORS,
    MOST_CORNERS,
    MOST_EXAMPLES,
    MOST_GAPS,
    MOST_SYNONYMS,
    MOST_TEMPLATES,
    MOST_WORDS,
    SENTENCE,
)
from napari_gem.core.errors import GemError
from napari_gem.core.fields import brief, check_fields, check_number, is_within
from napari_gem.core.foreign_text import commands_in
from napari_gem.core.parameters import LARGEST, PRECISIONS, SMALLEST
from napari_gem.core.prompts import label_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.parameters import (
        EncodeParameters,
        GemParameters,
        ScoreParameters,
    )
    from napari_gem.core.prompts import Example, Prompt
    from napari_gem.core.region import Region
    from napari_gem.core.results import Job, Recipe


_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?|mps(:0)?")


def check_encode(parameters: EncodeParameters) -> None:
    """Refuse parameters with which an image cannot be encoded.

    Raises
    ------
    GemError
        For the first that is out of its range.
    """
    check_fields(parameters)
    if parameters.overlap >= parameters.tile:
        raise GemError(
            f"Tiles of {parameters.tile} patches overlap by {parameters.overlap}; give "
            "an overlap that is smaller than the tile."
        )
    check_gem(parameters.gem)


def check_gem(parameters: GemParameters) -> None:
    """Refuse parameters of GEM itself that are out of their range.

    Raises
    ------
    GemError
        For the first, with its range.
    """
    check_fields(parameters)
    if parameters.method in ("gem", "vv") and parameters.depth < 2:
        raise GemError(
            f"Depth is {parameters.depth}, but the last depth - 1 blocks take part: "
            "give 2 or more, or choose the method 'plain'."
        )
    if 0 < parameters.repair < 1:
        raise GemError(
            f"Repair is {brief(parameters.repair)}; give how many times longer than "
            "the median an outlier is, 1 or more, or 0 to leave all tokens as they are."
        )


def check_score(parameters: ScoreParameters) -> None:
    """Refuse parameters with which nothing can be scored.

    Raises
    ------
    GemError
        For the first that is out of its range.
    """
    check_fields(parameters)
    _check_filled("templates", parameters.templates, MOST_TEMPLATES)
    if not parameters.templates:
        raise GemError("There is no template; give at least one, such as '{}'.")
    for template in parameters.templates:
        if not 1 <= template.count("{}") <= MOST_GAPS:
            raise GemError(
                f"The template is '{brief(template)}'; give a sentence with {{}} where "
                "the word goes."
            )
    _check_filled("background words", parameters.background, MOST_WORDS)


def check_appearance(appearance: Appearance) -> None:
    """Refuse an appearance that no viewer could show.

    Raises
    ------
    GemError
        If limits, gamma or colours of the image, or of a channel, are out of range.
    """
    _check_count("channels", len(appearance.channels), MOST_CHANNELS)
    for channel in appearance.channels:
        if channel.channels:
            raise GemError(
                "A channel has channels of its own, but at most several channels are "
                "shown as one picture. Choose another recipe."
            )
        check_appearance(channel)
    low, high = appearance.limits
    if not (is_within(low, -inf, inf) and is_within(high, -inf, inf) and low < high):
        raise GemError(
            f"The contrast limits are {brief(low)} and {brief(high)}; give two finite "
            "numbers, the smaller one first, or reset the contrast of the layer."
        )
    check_percentiles(appearance.percentiles)
    check_number("Gamma", appearance.gamma, SMALLEST, LARGEST)
    if appearance.lut is not None:
        if not 2 <= len(appearance.lut) <= MOST_COLORS:
            raise GemError(
                f"The colormap has {len(appearance.lut)} colours; give at least 2, "
                f"from black to white, and at most {MOST_COLORS}."
            )
        for color in appearance.lut:
            _check_color(color)


def check_percentiles(percentiles: tuple[float, float]) -> None:
    """Refuse percentiles that are not in order from 0 to 100.

    Raises
    ------
    GemError
        With both.
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise GemError(
            f"The percentiles are {brief(low)} and {brief(high)}; give two numbers "
            "from 0 to 100, the smaller one first."
        )


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
    _check_count("classes", len(prompts), MOST_CLASSES)
    for prompt in prompts:
        _check_prompt(prompt)
    words = sum(len(prompt.words) for prompt in prompts)
    _check_count("words of all classes together", words, MOST_WORDS)
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
            f"{len(words)} words in {len(score.templates)} templates are more "
            "sentences than a model reads in hours. Leave out words or templates."
        )


def check_region(region: Region) -> None:
    """Refuse a region that lies in no image.

    Raises
    ------
    GemError
        If it has too many corners, or an edge or a corner is no number of pixels.
    """
    edges = (*region.rows, *region.columns)
    most = LARGEST_LENGTH
    if not all(is_within(n, -most, most, whole=True) for n in edges):
        raise GemError(
            f"The region has rows {brief(region.rows)} and columns "
            f"{brief(region.columns)}; give whole numbers of pixels."
        )
    _check_count("corners of the region", len(region.polygon), MOST_CORNERS)
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
    for name in (*names, "unit", "bands", "nodata"):
        check_length(name, getattr(recipe, name), LONGEST_NAME)
    check_job(recipe)
    check_number("Patch", recipe.patch, 0, LARGEST_LENGTH)
    check_number("The factor of the resolution", recipe.factor, SMALLEST, LARGEST)
    for side in recipe.pixel_size or ():
        check_number("Pixel size", side, -LARGEST_LENGTH, LARGEST_LENGTH)
    index = recipe.index
    if len(index) > MOST_AXES or not all(0 <= i <= LARGEST_LENGTH for i in index):
        raise GemError(
            f"The slice is {brief(index)}; give at most {MOST_AXES} positions, each 0 "
            "or more."
        )


def check_squash(size: int) -> None:
    """Refuse a square that no model reads.

    Raises
    ------
    GemError
        If it is larger than `LARGEST_SQUASH`, or smaller than a pixel and not 0.
    """
    title = "The square that the image is squashed to"
    check_number(title, size, 0, LARGEST_SQUASH, whole=True)


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


def check_detail(detail: float) -> None:
    """Refuse what can be no number of image pixels per patch.

    Raises
    ------
    GemError
        With its range.
    """
    check_number("The detail", detail, SMALLEST, LARGEST_LENGTH)


def is_cluster(device: str) -> bool:
    """Tell whether a device is the address of a dask scheduler."""
    return "://" in device


def check_device(name: str) -> None:
    """Refuse what can be no device; torch tells later whether it is there.

    Raises
    ------
    GemError
        With what is expected.
    """
    if not _DEVICE.fullmatch(name):
        raise GemError(
            f"There is no device '{brief(name)}'; choose auto, cpu, cuda, cuda:1 or "
            "mps."
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
            f"There is no precision '{brief(name)}'; choose "
            f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}."
        )


def check_job(job: Job) -> None:
    """Refuse a job that could not be done, before its model is loaded.

    Raises
    ------
    GemError
        For the first number or text that is out of its range.
    """
    check_prompts(job.prompts)
    check_fields(job.label)
    check_appearance(job.appearance)
    if job.encode is not None:
        check_encode(job.encode)
    if job.score is not None:
        check_score(job.score)
        check_sentences(job.prompts, job.score)
    if job.region is not None:
        check_region(job.region)
    check_squash(job.squash)


def check_texts(kind: str, texts: object) -> None:
    """Refuse what is no tuple, or list, of texts.

    Parameters
    ----------
    kind
        What the texts are, in the plural.
    texts
        A lone text is refused, since it would be read letter by letter.

    Raises
    ------
    GemError
        If it is something else.
    """
    if isinstance(texts, tuple | list) and all(isinstance(t, str) for t in texts):
        return
    given = f"'{brief(texts)}'" if isinstance(texts, str) else brief(texts)
    raise GemError(
        f"{given} was given as {kind}; give texts in a tuple, such as ('cell',)."
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


def _check_filled(kind: str, texts: Sequence[str], most: int) -> None:
    check_texts(kind, texts)
    _check_count(kind, len(texts), most)
    for text in texts:
        check_length(kind, text, LONGEST_TEXT)
        if not text.strip():
            raise GemError(f"One of the {kind} is empty. Leave it out.")
        _check_commands(kind, text)


def check_length(kind: str, text: str, most: int) -> None:
    """Refuse a text of more characters.

    Raises
    ------
    GemError
        If it is longer.
    """
    if len(text) > most:
        raise GemError(
            f"A text for {kind} has {len(text)} characters and begins "
            f"'{brief(text)}'. Shorten it to at most {most}."
        )


def _check_commands(kind: str, text: str) -> None:
    commands = commands_in(text)
    if commands:
        raise GemError(
            f"'{brief(text)}' among the {kind} holds the characters {brief(commands)}, "
            "which cannot be seen. Type it anew."
        )


def _check_prompt(prompt: Prompt) -> None:
    _check_filled("words of a class", prompt.words, MOST_SYNONYMS)
    check_length("the title of a class", prompt.title, LONGEST_TEXT)
    _check_commands("names of classes", prompt.title)
    if not prompt.words and not prompt.title:
        raise GemError("A class has neither words nor a title. Name it by one of them.")
    name = brief(prompt.name)
    if not prompt.words and not prompt.examples:
        raise GemError(
            f"The class '{name}' has neither words nor examples. Give it one."
        )
    check_number(f"The threshold of '{name}'", prompt.threshold, 0, 1)
    if prompt.color is not None:
        _check_color(prompt.color)
    _check_count(f"examples of '{name}'", len(prompt.examples), MOST_EXAMPLES)
    for example in prompt.examples:
        _check_example(example, name)


def _check_example(example: Example, name: str) -> None:
    if len(example.vector) > LONGEST_VECTOR:
        raise GemError(
            f"An example of '{name}' has {len(example.vector)} numbers; models give at "
            f"most {LONGEST_VECTOR}. Leave it out."
        )
    check_length("the model of an example", example.model, LONGEST_NAME)
    _check_numbers(f"example of '{name}'", example.vector)
    if example.point is None and not example.vector:
        raise GemError(
            f"An example of '{name}' is nowhere: it has neither a point in the image "
            "nor a vector. Leave it out."
        )
    _check_numbers(f"example of '{name}'", example.point or ())


def _check_color(color: Any) -> None:
    if len(color) != 3 or not all(is_within(part, 0, 1) for part in color):
        raise GemError(
            f"The colour is {brief(tuple(color))}; give red, green and blue, each from "
            "0 to 1."
        )


def _check_count(kind: str, count: int, most: int) -> None:
    if count > most:
        raise GemError(
            f"There are {count} {kind}, and at most {most} are taken. Leave some out."
        )


def _check_numbers(kind: str, values: Sequence[Any]) -> None:
    if not all(is_within(value, -inf, inf) for value in values):
        raise GemError(f"An {kind} holds what is no finite number. Leave it out.")
