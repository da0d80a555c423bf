"""Examples of a class: places that show it, or places that look alike but do not.

Patch features are centred on the image and partly whitened, so that what most patches
of the image share counts little. The mean of a class's positive examples, less half
the mean of its negative ones, is a direction in feature space; how far a patch lies
along it is the class's prototype score. Cosines between images are far larger than
those between images and words, so the prototype score is brought to the mean and spread
of the scores of words before both are joined. `docs/decisions/0006-examples.md` says
what was tried.
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
"""Weight of the negative examples; the positive ones have 1."""

MOST = 0.7
"""Weight that the examples approach beside the words as there are more of them."""

BY_WORDS = 0.05
"""Part of the image that stands for a class that has negative examples only."""

SPREAD = 0.05
"""Spread of scores where there are no words to take it from."""

SAMPLE = 8192
"""Largest number of patches from which mean, whitening and spread are computed."""

STRIP = 1 << 15
"""Patches that are scored at a time."""

LARGEST_COPY = 1 << 28
"""Largest copy of the features in single precision that `Centred` keeps, in bytes."""

MOST_PAINTED = 100_000
"""Of a larger painted patch only about this many pixels are looked at."""

DIGITS = 4
FLAT = 1e-6
"""Features with a smaller variance count as all the same."""


def centre(features: Features) -> Centred:
    """Find the mean and the whitening of an image's features, within its region.

    Takes a second or two for a model of 1024 channels, less for others.
    """
    array = features.array
    if isinstance(array, np.ndarray) and 4 * array.size <= LARGEST_COPY:
        with IfItFits():
            array = array.astype(np.float32, copy=False)
    places = np.flatnonzero(_patches_in_region(features))
    if len(places) > SAMPLE:
        random = np.random.default_rng(0)
        places = np.sort(random.choice(places, SAMPLE, replace=False))
    vectors = _read_patches(array, places)
    mean = vectors.mean(axis=0) if len(places) else np.zeros(array.shape[-1], "f4")
    sample = vectors - mean
    whitening = _whitening(sample)
    return Centred(mean, whitening, places, sample @ whitening, vectors, array)


def _read_patches(array: LazyArray, places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Read the features at ascending places of the flattened grid, band by band."""
    columns, channels = array.shape[1:]
    parts = [np.empty((0, channels), np.float32)]
    for rows in bands(array):
        start = rows.start * columns
        first, end = np.searchsorted(places, (start, rows.stop * columns))
        if first < end:
            band = np.asarray(array[rows]).reshape(-1, channels)
            parts.append(band[places[first:end] - start].astype(np.float32))
    return np.concatenate(parts)


def usable_examples(
    features: Features, prompt: Prompt
) -> tuple[tuple[Example, ...], str]:
    """Choose the examples of a class that can be used on an encoded image.

    Returns
    -------
    tuple[tuple[Example, ...], str]
        Those examples; a sentence for the user about the others, empty if there are
        none. Others are points outside of the image or its region, and vectors of
        another model.
    """
    usable, outside, foreign = [], 0, 0
    for example in prompt.examples:
        if example.point is not None and _is_inside(features, example.point):
            usable.append(example)
        elif _is_vector_of(features, example):
            usable.append(replace(example, point=None))
        elif example.vector:
            foreign += 1
        else:
            outside += 1
    reasons = []
    if outside:
        reasons.append(f"{outside} outside of the image or region")
    if foreign:
        reasons.append(f"{foreign} made with another model than {features.model}")
    if not reasons:
        return tuple(usable), ""
    name = prompt.title or (prompt.words[0] if prompt.words else "a class")
    return tuple(usable), f"Examples of '{name}' left out: {' and '.join(reasons)}."


def with_vectors(
    features: Features, prompts: Sequence[Prompt], centred: Centred | None = None
) -> tuple[Prompt, ...]:
    """Give the examples that are points on this image their vectors, to be kept.

    Parameters
    ----------
    features
        The encoded image; points outside of it stay as they are.
    prompts
        The classes.
    centred
        From `centre`; None computes it if there is an example.
    """

    def completed(example: Example) -> Example:
        if example.point is None or not _is_inside(features, example.point):
            return example
        return replace(as_vector(features, example, centred), point=example.point)

    return tuple(
        replace(prompt, examples=tuple(completed(e) for e in prompt.examples))
        if prompt.examples
        else prompt
        for prompt in prompts
    )


def as_vector(
    features: Features, example: Example, centred: Centred | None = None
) -> Example:
    """Turn a point into a vector that can be used on other images.

    Parameters
    ----------
    features
        The encoded image that the point lies on.
    example
        A point; a vector is returned as it is.
    centred
        From `centre`; None computes it.

    Returns
    -------
    Example
        Without point. Its vector is the feature at the point less the mean of the
        image, of unit length, rounded to 4 digits.

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
            f"The example at row {row:.0f}, column {column:.0f} lies outside of the "
            "encoded image or region. Delete it or set it elsewhere."
        )
    mean = (centre(features) if centred is None else centred).mean
    away = unit_vectors(_feature_at(features, example.point) - mean)
    vector = tuple(round(float(value), DIGITS) for value in away)
    return Example(vector=vector, model=features.model, positive=example.positive)


def spread_pixels(mask: NDArray[np.bool_], most: int = 50) -> NDArray[np.intp]:
    """Choose pixels of a painted patch that are spread over all of it.

    Parameters
    ----------
    mask
        (height, width).
    most
        Largest number of pixels to choose, 1 or more.

    Returns
    -------
    NDArray[np.intp]
        (pixels, 2) rows and columns: one pixel in each cell of a grid, the one nearest
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
    """A direction in feature space that is joined with the scores of a class's words.

    Attributes
    ----------
    number
        Number of the class.
    weight
        Weight of the direction beside the words, 0 to 1.
    vector, shift
        (channels,) and a number: the score of a patch is its feature along the vector,
        plus the shift.
    """

    number: int
    weight: float
    vector: NDArray[np.float32]
    shift: float


def directions_of_examples(
    features: Features,
    prompts: Sequence[Prompt],
    text: NDArray[np.float32],
    centred: Centred,
) -> list[Direction]:
    """Find a direction for each class with usable examples.

    ``text`` has the scores of words at the places of the sample: (classes, patches), or
    (classes + 1, patches) with the background last.
    """
    if not centred.whitening.any():
        return []
    worded = _rows_of_words(prompts, text)
    directions = []
    for number, prompt in enumerate(prompts):
        usable, _ = usable_examples(features, prompt)
        positive = _prototype(features, centred, [e for e in usable if e.positive])
        negative = _prototype(features, centred, [e for e in usable if not e.positive])
        count = sum(e.positive == (positive is not None) for e in usable)
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
        directions.append(Direction(number, weight, direction, shift))
    return directions


def join_directions(
    scores: NDArray[np.float32],
    array: LazyArray,
    directions: Sequence[Direction],
    cache: ScoreCache | None = None,
) -> None:
    """Join scores of words with those along directions, in place.

    Parameters
    ----------
    scores
        (classes, rows, columns) or (classes + 1, rows, columns).
    array
        (rows, columns, channels): the features of the same patches.
    directions
        At most one for each class.
    cache
        Cache of these features; keeps the features along each direction.
    """
    keys = [b"along" + d.vector.tobytes() for d in directions]
    missing = [i for i, key in enumerate(keys) if cache is None or key not in cache]
    maps = _along(array, [directions[i].vector for i in missing])
    new = dict(zip(missing, maps, strict=True))

    def make(number: int) -> NDArray[np.float32]:
        if number in new:
            return new[number]
        # the cache dropped it since it was looked up
        return _along(array, [directions[number].vector])[0]

    for number, direction in enumerate(directions):
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
    """Project features on each vector: (rows, columns) each."""
    if not vectors:
        return []
    flat = np.asarray(array).reshape(-1, array.shape[-1])
    every = np.stack(vectors).astype(np.float32)
    along = np.empty((len(vectors), len(flat)), np.float32)
    for start in range(0, len(flat), STRIP):
        strip = slice(start, start + STRIP)
        along[:, strip] = every @ flat[strip].astype(np.float32, copy=False).T
    return [row.reshape(array.shape[:2]) for row in along]


def _rows_of_words(prompts: Sequence[Prompt], text: NDArray[np.float32]) -> list[int]:
    """Rows that words made: not those of wordless classes or an empty background."""
    rows = [i for i, prompt in enumerate(prompts) if prompt.words]
    rows += range(len(prompts), len(text))
    return [i for i in rows if np.ptp(text[i]) > 0]


def _by_words(
    centred: Centred, text: NDArray[np.float32], row: int
) -> NDArray[np.float32]:
    """Mean of the patches where the words of a class lead the others most."""
    others = np.delete(text, row, axis=0)
    lead = text[row] - others.max(axis=0) if len(others) else text[row]
    count = max(1, round(BY_WORDS * len(lead)))
    best = np.argpartition(lead, -count)[-count:]
    return unit_vectors(centred.sample[best].mean(axis=0))


def _prototype(
    features: Features, centred: Centred, examples: Sequence[Example]
) -> NDArray[np.float32] | None:
    """Mean of the examples as unit vectors, itself of unit length; None for none."""
    if not examples:
        return None
    vectors = [
        np.array(example.vector, np.float32)
        if example.point is None
        else _feature_at(features, example.point) - centred.mean
        for example in examples
    ]
    each = unit_vectors(np.stack(vectors) @ centred.whitening)
    return unit_vectors(each.mean(axis=0))


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


def _is_vector_of(features: Features, example: Example) -> bool:
    return (
        example.model == features.model
        and len(example.vector) == features.array.shape[-1]
        and bool(np.isfinite(example.vector).all())
    )


def _patches_in_region(features: Features) -> NDArray[np.bool_]:
    """Tell for each patch of the flattened grid whether the region touches it."""
    rows, columns = features.array.shape[:2]
    region, patch = features.region, features.patch
    if region is None:
        return np.ones(rows * columns, bool)
    down = _touched(region.rows, patch, rows)
    return np.outer(down, _touched(region.columns, patch, columns)).ravel()


def _touched(pixels: tuple[int, int], patch: float, count: int) -> NDArray[np.bool_]:
    start = np.arange(count) * patch
    touched: NDArray[np.bool_] = (start + patch > pixels[0]) & (start < pixels[1])
    return touched
