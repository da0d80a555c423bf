"""Examples of a class: places that show it, or look alike but are none.

Patch features are centred on the image and partly whitened, so that what most patches
of the image share counts little. The mean of a class's positive examples, less half
the mean of its negative ones, is a direction; how far a patch lies along it is the
class's prototype score. Cosines of images with images are far larger than those of
images with words, so the prototype score is given the mean and spread of the text
scores before both are joined. `docs/decisions/0006-examples.md` tells what was tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.arrays import bands, unit_vectors
from napari_gem.core.errors import GemError
from napari_gem.core.memory import IfItFits
from napari_gem.core.prompts import Example
from napari_gem.scoring.cache import Centred

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Features
    from napari_gem.scoring.cache import ScoreCache

NEGATIVE = 0.5
"""How much the negative examples count beside the positive ones."""

MOST = 0.7
"""Weight of the examples beside the words, if there are very many."""

BY_WORDS = 0.05
"""Part of the image that stands for the class if it has negative examples only."""

SPREAD = 0.05
"""Spread of scores if there are no words at all to take it from."""

SAMPLE = 8192
"""Patches from which mean, whitening and spread are computed, at most."""

STRIP = 1 << 15
"""Patches that are scored at a time."""

LARGEST_COPY = 1 << 28
"""Bytes that `Centred` takes for features in single precision, at most."""

MOST_PAINTED = 100_000
"""Pixels of a painted patch that are looked at, about."""

DIGITS = 4
FLAT = 1e-6
"""Variance below which the features of an image count as all the same."""


def centre(features: Features) -> Centred:
    """Find the mean and the whitening of an image's features, within its region.

    Takes a second or two for a model of 1024 channels, else a fraction of it.
    """
    array = features.array
    if isinstance(array, np.ndarray) and 4 * array.size <= LARGEST_COPY:
        with IfItFits():
            array = array.astype(np.float32, copy=False)
    places = np.flatnonzero(_inside(features))
    if len(places) > SAMPLE:
        random = np.random.default_rng(0)
        places = np.sort(random.choice(places, SAMPLE, replace=False))
    vectors = _gather(array, places)
    mean = vectors.mean(axis=0) if len(places) else np.zeros(array.shape[-1], "f4")
    sample = vectors - mean
    whitening = _whitening(sample)
    return Centred(mean, whitening, places, sample @ whitening, vectors, array)


def _gather(array: LazyArray, places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Read the vectors of some patches, given in order, band by band."""
    columns, channels = array.shape[1:]
    found = [np.empty((0, channels), np.float32)]
    for rows in bands(array):
        first, end = np.searchsorted(
            places, (rows.start * columns, rows.stop * columns)
        )
        if first < end:
            band = np.asarray(array[rows]).reshape(-1, channels)
            here = band[places[first:end] - rows.start * columns]
            found.append(here.astype(np.float32))
    return np.concatenate(found)


def usable(features: Features, prompt: Prompt) -> tuple[tuple[Example, ...], str]:
    """Choose the examples of a class that can be used on an encoded image.

    Parameters
    ----------
    features
        The encoded image.
    prompt
        The class.

    Returns
    -------
    tuple[tuple[Example, ...], str]
        Those examples; a sentence for the user about the others, empty if there are
        none. Left out are points outside of the image or its region, and vectors of
        another model.
    """
    found, outside, foreign = [], 0, 0
    for example in prompt.examples:
        if example.point is not None and _is_inside(features, example.point):
            found.append(example)
        elif _fits(features, example):
            found.append(replace(example, point=None))
        elif example.vector:
            foreign += 1
        else:
            outside += 1
    told = []
    if outside:
        told.append(f"{outside} outside of the image or region")
    if foreign:
        told.append(f"{foreign} made with another model than {features.model}")
    if not told:
        return tuple(found), ""
    name = prompt.title or (prompt.words[0] if prompt.words else "a class")
    return tuple(found), f"Examples of '{name}' left out: {' and '.join(told)}."


def with_vectors(
    features: Features, prompts: Sequence[Prompt], centred: Centred | None = None
) -> tuple[Prompt, ...]:
    """Give examples that are points their vectors, so that they can be kept.

    Parameters
    ----------
    features
        The encoded image that the points lie on; points elsewhere stay as they are.
    prompts
        The classes.
    centred
        From `centre`; None makes it if there is an example.
    """

    def completed(example: Example) -> Example:
        if example.point is None or not _is_inside(features, example.point):
            return example
        return replace(keep(features, example, centred), point=example.point)

    return tuple(
        replace(prompt, examples=tuple(completed(e) for e in prompt.examples))
        if prompt.examples
        else prompt
        for prompt in prompts
    )


def keep(
    features: Features, example: Example, centred: Centred | None = None
) -> Example:
    """Turn a point to a vector that can be used on other images.

    Parameters
    ----------
    features
        The encoded image that the point lies on.
    example
        A point; one that is a vector already comes back as it is.
    centred
        From `centre`; None makes it.

    Returns
    -------
    Example
        Without point; the vector is the feature there less the image's mean, of unit
        length, rounded to 4 digits.

    Raises
    ------
    GemError
        If the point is outside of the image or its region.
    """
    if example.point is None:
        return example
    if not _is_inside(features, example.point):
        row, column = example.point
        raise GemError(
            f"An example at row {row:.0f}, column {column:.0f} came; expected one in "
            "the encoded image or region. Delete it or set it elsewhere."
        )
    mean = (centre(features) if centred is None else centred).mean
    away = unit_vectors(_feature_at(features, example.point) - mean)
    vector = tuple(round(float(value), DIGITS) for value in away)
    return Example(vector=vector, model=features.model, positive=example.positive)


def spread_out(mask: NDArray[np.bool_], most: int = 50) -> NDArray[np.intp]:
    """Choose pixels of a painted patch that are spread over all of it.

    Parameters
    ----------
    mask
        (height, width).
    most
        Pixels to choose at most, 1 or more.

    Returns
    -------
    NDArray[np.intp]
        (pixels, 2) rows and columns; one pixel in each cell of a grid, that nearest
        to the middle of what is painted in the cell.
    """
    painted = np.flatnonzero(mask)
    painted = painted[:: 1 + len(painted) // MOST_PAINTED]
    places = np.stack(np.unravel_index(painted, mask.shape), axis=-1)
    side = max(1, int(np.sqrt(len(places) / most)))
    while True:
        cells = places // side
        _, cell = np.unique(cells, axis=0, return_inverse=True)
        count = int(cell.max(initial=-1)) + 1
        if count <= most:
            break
        side += 1 + side // 8
    size = np.maximum(np.bincount(cell, minlength=count), 1)
    sums = [np.bincount(cell, places[:, axis], minlength=count) for axis in (0, 1)]
    away = np.linalg.norm(places - (np.stack(sums) / size).T[cell], axis=-1)
    order = np.lexsort((away, cell))
    first = np.searchsorted(cell[order], np.arange(count))
    result: NDArray[np.intp] = places[order[first]]
    return result


@dataclass(frozen=True, eq=False)
class Direction:
    """What the examples of one class do to its scores.

    Attributes
    ----------
    number
        Of the class.
    weight
        Of the examples beside the words, 0 to 1.
    vector
        (channels,): how far a patch lies along it is its prototype score ...
    shift
        ... plus this.
    """

    number: int
    weight: float
    vector: NDArray[np.float32]
    shift: float


def directions(
    features: Features,
    prompts: Sequence[Prompt],
    text: NDArray[np.float32],
    centred: Centred,
) -> list[Direction]:
    """Find what the examples do to the scores of words, from a sample of them.

    Parameters
    ----------
    features
        The encoded image.
    prompts
        The classes; examples that `usable` leaves out do nothing.
    text
        (classes, patches) or (classes + 1, patches) with the background last: scores
        of words at the sample's places.
    centred
        From `centre`.
    """
    if not centred.whitening.any():
        return []
    examples = [usable(features, prompt)[0] for prompt in prompts]
    worded = _worded(prompts, text)
    found_directions = []
    for number, (prompt, found) in enumerate(zip(prompts, examples, strict=True)):
        positive = _prototype(features, centred, [e for e in found if e.positive])
        negative = _prototype(features, centred, [e for e in found if not e.positive])
        count = sum(e.positive == (positive is not None) for e in found)
        # a class of negative examples keeps the level that its words give it
        level = text[worded] if positive is not None else text[[number]]
        if positive is None and negative is not None and number in worded:
            positive = _by_words(centred, text[worded], worded.index(number))
        if positive is None:
            continue
        direction = positive if negative is None else positive - NEGATIVE * negative
        along = centred.sample @ direction
        spread = float(along.std())
        if spread**2 < FLAT:
            continue
        mean, factor = (level.mean(), level.std()) if level.size else (0.0, SPREAD)
        weight = MOST * count / (count + 1) if prompt.words else 1.0
        direction = centred.whitening @ direction * (factor / spread)
        shift = mean - factor / spread * along.mean() - direction @ centred.mean
        found_directions.append(Direction(number, weight, direction, shift))
    return found_directions


def join(
    scores: NDArray[np.float32],
    array: LazyArray,
    found: Sequence[Direction],
    cache: ScoreCache | None = None,
) -> None:
    """Join the scores of words with those of examples, in place.

    Parameters
    ----------
    scores
        (classes, rows, columns) or (classes + 1, rows, columns).
    array
        (rows, columns, channels): the features of the same patches.
    found
        From `directions`.
    cache
        Of all of these features; keeps what does not change with other settings.
    """
    keys = [b"along" + d.vector.tobytes() for d in found]
    new = [i for i, key in enumerate(keys) if cache is None or key not in cache]
    made = dict(zip(new, _along(array, [found[i].vector for i in new]), strict=True))

    def make(number: int) -> NDArray[np.float32]:
        if number in made:
            return made[number]
        return _along(array, [found[number].vector])[0]  # it went meanwhile

    for number, direction in enumerate(found):
        along = (
            make(number)
            if cache is None
            else cache.get(keys[number], partial(make, number))
        )
        row = scores[direction.number]
        row *= np.float32(1 - direction.weight)
        row += np.float32(direction.weight) * along
        row += np.float32(direction.weight * direction.shift)


def _along(
    array: LazyArray, vectors: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Features along some vectors, (rows, columns) each."""
    if not vectors:
        return []
    flat = np.asarray(array).reshape(-1, array.shape[-1])
    every = np.stack(vectors).astype(np.float32)
    made = np.empty((len(vectors), len(flat)), np.float32)
    for start in range(0, len(flat), STRIP):
        strip = slice(start, start + STRIP)
        made[:, strip] = every @ flat[strip].astype(np.float32, copy=False).T
    return [row.reshape(array.shape[:2]) for row in made]


def _worded(prompts: Sequence[Prompt], text: NDArray[np.float32]) -> list[int]:
    """Rows that words made: neither wordless classes nor an empty background."""
    rows = [i for i, prompt in enumerate(prompts) if prompt.words]
    rows += range(len(prompts), len(text))
    return [i for i in rows if np.ptp(text[i]) > 0]


def _by_words(
    centred: Centred, text: NDArray[np.float32], row: int
) -> NDArray[np.float32]:
    """Mean patch where the words of a class lead the others most."""
    others = np.delete(text, row, axis=0)
    lead = text[row] - others.max(axis=0) if len(others) else text[row]
    count = max(1, round(BY_WORDS * len(lead)))
    best = np.argpartition(lead, -count)[-count:]
    return unit_vectors(centred.sample[best].mean(axis=0))


def _prototype(
    features: Features, centred: Centred, examples: Sequence[Example]
) -> NDArray[np.float32] | None:
    """Mean of the examples, each of unit length, itself of unit length."""
    if not examples:
        return None
    vectors = [
        np.array(example.vector, np.float32)
        if example.point is None
        else _feature_at(features, example.point) - centred.mean
        for example in examples
    ]
    return unit_vectors(
        unit_vectors(np.stack(vectors) @ centred.whitening).mean(axis=0)
    )


def _whitening(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """Damp directions that vary more than the mean of all; keep the others."""
    covariance = (centred.T @ centred).astype(np.float64) / max(1, len(centred))
    variance, axes = np.linalg.eigh(covariance)
    if not variance.sum() > FLAT:
        return np.zeros(covariance.shape, np.float32)
    ratio = np.maximum(variance, 0) / variance.mean()
    whitening: NDArray[np.float32] = (axes / np.sqrt(ratio + 1) @ axes.T).astype("f4")
    return whitening


def _feature_at(features: Features, point: tuple[float, float]) -> NDArray[np.float32]:
    """Interpolate features between the middles of patches, as scores are."""
    last = np.array(features.array.shape[:2]) - 1
    at = np.clip((np.array(point) + 0.5) / features.patch - 0.5, 0, last)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, last)
    down, right = (at - low).astype(np.float32)
    box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    corners = np.asarray(features.array[box])[:, [0, -1]][[0, -1]]
    left_right = corners.astype(np.float32)
    top, bottom = left_right[:, 0] + right * (left_right[:, 1] - left_right[:, 0])
    result: NDArray[np.float32] = top + down * (bottom - top)
    return result


def _is_inside(features: Features, point: tuple[float, float]) -> bool:
    height, width = features.image_shape
    row, column = point
    if not (-0.5 <= row < height - 0.5 and -0.5 <= column < width - 0.5):
        return False
    region = features.region
    if region is None:
        return True
    within = (
        region.rows[0] - 0.5 <= row < region.rows[1] - 0.5
        and region.columns[0] - 0.5 <= column < region.columns[1] - 0.5
    )
    if not within or not region.polygon:
        return within
    from skimage.measure import points_in_poly

    return bool(points_in_poly([point], region.polygon)[0])


def _fits(features: Features, example: Example) -> bool:
    return (
        example.model == features.model
        and len(example.vector) == features.array.shape[-1]
        and bool(np.isfinite(example.vector).all())
    )


def _inside(features: Features) -> NDArray[np.bool_]:
    """Patches of the region, as a flat grid."""
    rows, columns = features.array.shape[:2]
    if features.region is None:
        return np.ones(rows * columns, bool)
    across = _spans(features.region.rows, features.patch, rows)
    along = _spans(features.region.columns, features.patch, columns)
    return np.outer(across, along).ravel()


def _spans(pixels: tuple[int, int], patch: float, count: int) -> NDArray[np.bool_]:
    start = np.arange(count) * patch
    found: NDArray[np.bool_] = (start + patch > pixels[0]) & (start < pixels[1])
    return found
