"""Scores of all classes and the background on the patch grid, in bands of rows.

For features in memory the maps are made at once and kept for the next words; features
on disk are read band by band, and only the maps of the bands in work are in memory. So
it is, too, if the memory does not suffice for all at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_gem.core.arrays import bands
from napari_gem.core.memory import IfItFits, Portion
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.cosines import group_scores, smooth, smoothing_reach, softmax
from napari_gem.scoring.examples import Direction, centre, directions, join
from napari_gem.scoring.prototypes import prototypes
from napari_gem.scoring.upsampling import sample, upsample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.parameters import ScoreParameters
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Features
    from napari_gem.scoring.words import Words

STRIP = 1 << 20
"""Pixels of one strip at most, so that little beside the maps is in memory."""

NOWHERE = -1e4
"""Score of a background that there are no words for."""


@dataclass(frozen=True)
class Part:
    """A part of what is made of the scores.

    Attributes
    ----------
    rows
        Of pixels of the result.
    patches
        Rows of the patch grid.
    """

    rows: slice
    patches: slice


class PatchScores(Protocol):
    """Scores that are asked for by rows of the patch grid.

    Attributes
    ----------
    bands
        Rows that are best asked for together, first to last.
    """

    bands: list[slice]

    def rows(self, first: int, end: int) -> NDArray[np.float32]:
        """Give (classes + 1, end - first, columns), the background last."""


class Shifted(Protocol):
    """Where the scores of pixels are read.

    Attributes
    ----------
    reach
        Pixels away from a pixel at most, along each axis.
    """

    reach: float

    def rows(self, rows: slice) -> NDArray[np.float32]:
        """Give (2, those rows, width): rows and columns away, in pixels."""


def patch_scores(
    features: Features,
    words: Words,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters,
    cache: ScoreCache,
) -> PatchScores:
    """Score an encoded image.

    Parameters
    ----------
    features
        The encoded image.
    words
        Text embeddings of the classes and the background.
    prompts
        The classes, with their examples.
    parameters
        Smoothing and the weight of the background.
    cache
        Scores of these features made so far; new ones are added.
    """
    if parameters.prototype_weight or any(prompt.examples for prompt in prompts):
        cache.centred = cache.centred or centre(features)
    found = _directions(features, words, prompts, parameters, cache)
    if isinstance(features.array, np.ndarray):
        with IfItFits():
            return _Held(features, features.array, words, parameters, cache, found)
        cache.shrink(features.array)
    return _Streamed(features, words, parameters, found)


class _Held:
    def __init__(
        self,
        features: Features,
        array: NDArray[np.floating[Any]],
        words: Words,
        parameters: ScoreParameters,
        cache: ScoreCache,
        found: Sequence[Direction],
    ) -> None:
        # a copy in single precision, where there is one, is three times as fast
        copy = cache.centred.array if cache.centred else array
        scores = _score(copy, words, parameters, cache)
        join(scores, copy, found, cache)
        self._scores = _finish(scores, words, parameters, features.patch)
        self.bands = bands(array)

    def rows(self, first: int, end: int) -> NDArray[np.float32]:
        return self._scores[:, first:end]


class _Streamed:
    def __init__(
        self,
        features: Features,
        words: Words,
        parameters: ScoreParameters,
        found: Sequence[Direction],
    ) -> None:
        self._array = features.array
        self._words = words
        self._parameters = parameters
        self._patch = features.patch
        self._reach = smoothing_reach(parameters.smoothing / features.patch)
        self._made: dict[int, NDArray[np.float32]] = {}
        self.bands = bands(features.array, at_once=False)
        self._portion = Portion(self.bands[0].stop)
        self._directions = found

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again, for another process."""
        return vars(self) | {"_made": {}}

    def rows(self, first: int, end: int) -> NDArray[np.float32]:
        top = max(0, first - self._reach)
        bottom = min(self.bands[-1].stop, end + self._reach)
        wanted = [
            number
            for number, band in enumerate(self.bands)
            if band.start < bottom and top < band.stop
        ]
        self._made = {n: made for n, made in self._made.items() if n in wanted}
        for number in wanted:
            if number not in self._made:
                self._made[number] = self._score(self.bands[number])
        start = self.bands[wanted[0]].start
        joined = np.concatenate([self._made[number] for number in wanted], axis=1)
        window = joined[:, top - start : bottom - start]
        finished = _finish(window, self._words, self._parameters, self._patch)
        return finished[:, first - top : end - top]

    def _score(self, band: slice) -> NDArray[np.float32]:
        parts = [part for _, part in self._portion.over(band, self._score_rows)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _score_rows(self, rows: slice) -> NDArray[np.float32]:
        features = np.asarray(self._array[rows])
        scores = _score(features, self._words, self._parameters)
        join(scores, features, self._directions)
        return scores


def _directions(
    features: Features,
    words: Words,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters,
    cache: ScoreCache,
) -> list[Direction]:
    """Find what examples, and the surest patches, do to the scores of words."""
    centred, weight = cache.centred, parameters.prototype_weight
    clicked = any(prompt.examples for prompt in prompts)
    if centred is None or not (clicked or weight):
        return []
    text = _score(centred.vectors[None], words, parameters)[:, 0]
    found = directions(features, prompts, text, centred) if clicked else []
    if weight and len(centred.vectors):
        scores = text[:, None].copy()
        join(scores, centred.vectors[None], found)
        as_they_are = replace(parameters, smoothing=0.0)
        logits = _finish(scores, words, as_they_are, features.patch)
        sure = prototypes(
            softmax(logits, parameters.scale)[:, 0], text, centred.vectors
        )
        shown = {direction.number for direction in found}
        found += [
            Direction(number, weight, vector, shift)
            for number, (vector, shift) in sure.items()
            if number not in shown
        ]
    return found


def _score(
    array: LazyArray,
    words: Words,
    parameters: ScoreParameters,
    cache: ScoreCache | None = None,
) -> NDArray[np.float32]:
    classes, background = words.groups[:-1], words.groups[-1:]
    return np.concatenate(
        [
            group_scores(array, classes, cache, parameters.synonyms),
            group_scores(array, background, cache),
        ]
    )


def _finish(
    scores: NDArray[np.float32],
    words: Words,
    parameters: ScoreParameters,
    patch: float,
) -> NDArray[np.float32]:
    scores = smooth(scores, parameters.smoothing / patch)
    scores = scores + words.offsets[:, None, None]
    if parameters.background:
        scores[-1] += np.log(parameters.background_weight) / parameters.scale
    else:
        scores[-1] = NOWHERE
    return scores


def probability_strips(
    scores: PatchScores,
    patch: float,
    shape: tuple[int, int],
    scale: float,
    on_patches: Callable[[slice, NDArray[np.float32]], object] | None = None,
    shifted: Shifted | None = None,
    part: Part | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Upsample scores to pixels and take the softmax there, strip by strip.

    Parameters
    ----------
    scores
        On the patch grid.
    patch
        Pixels per patch.
    shape
        (height, width) of the image.
    scale
        Inverse temperature of the softmax.
    on_patches
        Called with rows of the patch grid and the probabilities there, (classes + 1,
        those rows, columns), first to last.
    shifted
        Where the scores of pixels are read; None reads them where the pixels are.
    part
        What is wanted; None for all.

    Yields
    ------
    tuple[slice, NDArray[np.float32]]
        Rows of pixels, and (classes + 1, those rows, width) from 0 to 1 that sum to 1.
    """
    height, width = shape
    count = scores.bands[-1].stop
    wanted = part or Part(slice(0, height), slice(0, count))
    portion = Portion(STRIP // width)
    reach = shifted.reach if shifted else 0.0
    end = 0
    for band in scores.bands:
        start, end = end, height
        if band.stop < count:
            end = min(height, int(np.ceil(band.stop * patch)))
        pixels = both(slice(start, end), wanted.rows)
        patches = both(band, wanted.patches) if on_patches else slice(0, 0)
        if pixels.start == pixels.stop and patches.start == patches.stop:
            continue
        needed = _needed(pixels, patches, patch, count, reach)
        window, first = scores.rows(needed.start, needed.stop), needed.start
        if on_patches is not None and patches.start < patches.stop:
            here = window[:, patches.start - first : patches.stop - first]
            on_patches(patches, softmax(here.copy(), scale))
        make = partial(_strip, window, first, count, patch, width, scale, shifted)
        yield from portion.over(pixels, make)


def both(one: slice, other: slice) -> slice:
    """Rows that are in both, empty if there is none."""
    start = max(one.start, other.start)
    return slice(start, max(start, min(one.stop, other.stop)))


def _needed(
    pixels: slice, patches: slice, patch: float, count: int, reach: float
) -> slice:
    """Rows of patches that some rows of pixels, and of patches, need."""
    if pixels.start == pixels.stop:
        return patches
    first = _patch_below(pixels.start - reach, patch, count)
    end = min(count, _patch_below(pixels.stop + reach, patch, count) + 2)
    if patches.start == patches.stop:
        return slice(first, end)
    return slice(min(first, patches.start), max(end, patches.stop))


def _strip(
    window: NDArray[np.float32],
    first: int,
    count: int,
    patch: float,
    width: int,
    scale: float,
    shifted: Shifted | None,
    rows: slice,
) -> NDArray[np.float32]:
    """Probabilities of rows of pixels, from a window of scores."""
    if shifted is None:
        fine = upsample(window, patch, width, rows, (first, count))
    else:
        fine = _read(window, patch, rows, first, shifted.rows(rows))
    return softmax(fine, scale)


def _read(
    window: NDArray[np.float32],
    patch: float,
    rows: slice,
    first: int,
    shifts: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Interpolate scores at shifted pixels."""
    height, width = shifts.shape[1:]
    down = np.arange(rows.start, rows.start + height, dtype=np.float32)[:, None]
    right = np.arange(width, dtype=np.float32)
    at = np.float32(1 / patch)
    down = (shifts[0] + down + 0.5) * at - np.float32(0.5 + first)
    return sample(window, down, (shifts[1] + right + 0.5) * at - np.float32(0.5))


def _patch_below(row: float, patch: float, count: int) -> int:
    """Row of patches whose middle is at or above a row of pixels."""
    return int(np.clip((row + 0.5) / patch - 0.5, 0, max(0, count - 2)))
