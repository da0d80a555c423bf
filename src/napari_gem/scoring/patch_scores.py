"""Scores of all classes and the background on the patch grid, in bands of rows.

For features in memory all scores are computed at once and kept for the next words.
Features on disk are read band by band, and only the scores of the bands in work are in
memory. Features in memory are scored so too if the memory does not suffice.
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
from napari_gem.scoring.examples import (
    Direction,
    centre,
    directions_of_examples,
    join_directions,
)
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

    Scores = NDArray[np.float32]

STRIP = 1 << 20
"""Largest strip of pixels whose probabilities are computed at a time."""

NOWHERE = -1e4
"""Score of a background that there are no words for."""


@dataclass(frozen=True)
class RowRanges:
    """Rows of a result that are wanted.

    Attributes
    ----------
    rows
        Rows of pixels.
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

    def rows(self, first: int, end: int) -> Scores:
        """Return (classes + 1, end - first, columns), the background last."""


class PixelShifts(Protocol):
    """Tells for each pixel where its scores are read.

    Attributes
    ----------
    reach
        Largest distance along each axis, in pixels.
    """

    reach: float

    def rows(self, rows: slice) -> NDArray[np.float32]:
        """Return (2, those rows, width): distance in rows and columns, in pixels."""


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
        Earlier scores of these features; new ones are added.
    """
    if parameters.prototype_weight or any(prompt.examples for prompt in prompts):
        cache.centred = cache.centred or centre(features)
    scoring = _Scoring(words, parameters, features.patch)
    directions = _directions(scoring, features, prompts, cache)
    scoring = replace(scoring, directions=directions)
    if isinstance(features.array, np.ndarray):
        with IfItFits():
            # a copy in single precision, where there is one, is three times as fast
            array = cache.centred.array if cache.centred else features.array
            scores = scoring.finish(scoring.score(array, cache))
            return _ScoresInMemory(scores, bands(features.array))
        cache.shrink(features.array)
    return _ScoresInBands(features.array, scoring)


@dataclass(frozen=True, eq=False)
class _Scoring:
    """How features become scores."""

    words: Words
    parameters: ScoreParameters
    patch: float
    directions: Sequence[Direction] = ()

    def score(self, array: LazyArray, cache: ScoreCache | None = None) -> Scores:
        """Score patches by words and directions."""
        groups, synonyms = self.words.groups, self.parameters.synonyms
        neutral = self.words.neutral
        classes = group_scores(array, groups[:-1], cache, synonyms, neutral)
        background = group_scores(array, groups[-1:], cache, neutral=neutral)
        scores = np.concatenate([classes, background])
        join_directions(scores, array, self.directions, cache)
        return scores

    def finish(self, scores: Scores) -> Scores:
        """Smooth scores, and add what does not depend on the place."""
        scores = smooth(scores, self.parameters.smoothing / self.patch)
        scores = scores + self.words.offsets[:, None, None]
        if self.parameters.background:
            weight = background_weight(self.parameters, len(scores) - 1)
            scores[-1] += np.log(weight) / self.parameters.scale
        else:
            scores[-1] = NOWHERE
        return scores


def background_weight(parameters: ScoreParameters, classes: int) -> float:
    """Weigh the background beside so many classes."""
    growth: float = max(1, classes) ** parameters.background_growth
    return parameters.background_weight * growth


class _ScoresInMemory:
    def __init__(self, scores: Scores, bands: list[slice]) -> None:
        self._scores = scores
        self.bands = bands

    def rows(self, first: int, end: int) -> Scores:
        return self._scores[:, first:end]


class _ScoresInBands:
    def __init__(self, array: LazyArray, scoring: _Scoring) -> None:
        self._array = array
        self._scoring = scoring
        self._reach = smoothing_reach(scoring.parameters.smoothing / scoring.patch)
        self._kept: dict[int, Scores] = {}
        self.bands = bands(array, at_once=False)
        self._portion = Portion(self.bands[0].stop)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again, for another process."""
        return vars(self) | {"_kept": {}}

    def rows(self, first: int, end: int) -> Scores:
        top = max(0, first - self._reach)
        bottom = min(self.bands[-1].stop, end + self._reach)
        wanted = [
            number
            for number, band in enumerate(self.bands)
            if band.start < bottom and top < band.stop
        ]
        self._kept = {n: scores for n, scores in self._kept.items() if n in wanted}
        for number in wanted:
            if number not in self._kept:
                self._kept[number] = self._score(self.bands[number])
        start = self.bands[wanted[0]].start
        joined = np.concatenate([self._kept[number] for number in wanted], axis=1)
        finished = self._scoring.finish(joined[:, top - start : bottom - start])
        return finished[:, first - top : end - top]

    def _score(self, band: slice) -> Scores:
        parts = [part for _, part in self._portion.over(band, self._score_rows)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _score_rows(self, rows: slice) -> Scores:
        return self._scoring.score(np.asarray(self._array[rows]))


def _directions(
    scoring: _Scoring, features: Features, prompts: Sequence[Prompt], cache: ScoreCache
) -> list[Direction]:
    """Find the directions of examples, and of the surest patches, from a sample."""
    parameters, centred = scoring.parameters, cache.centred
    weight = parameters.prototype_weight
    has_examples = any(prompt.examples for prompt in prompts)
    if centred is None or not (has_examples or weight):
        return []
    text = scoring.score(centred.vectors[None])[:, 0]
    directions = []
    if has_examples:
        directions = directions_of_examples(features, prompts, text, centred)
    if weight and len(centred.vectors):
        scores = text[:, None].copy()
        join_directions(scores, centred.vectors[None], directions)
        unsmoothed = replace(scoring, parameters=replace(parameters, smoothing=0.0))
        sure = softmax(unsmoothed.finish(scores), parameters.scale)[:, 0]
        shown = {direction.number for direction in directions}
        directions += [
            Direction(number, weight, vector, shift)
            for number, (vector, shift) in prototypes(
                sure, text, centred.vectors
            ).items()
            if number not in shown
        ]
    return directions


def probability_strips(
    scores: PatchScores,
    patch: float,
    shape: tuple[int, int],
    scale: float,
    on_patches: Callable[[slice, Scores], object] | None = None,
    shifts: PixelShifts | None = None,
    wanted: RowRanges | None = None,
) -> Iterator[tuple[slice, Scores]]:
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
    shifts
        Where the scores of pixels are read; None reads them where the pixels are.
    wanted
        Rows that are wanted; None for all.

    Yields
    ------
    tuple[slice, NDArray[np.float32]]
        Rows of pixels, and (classes + 1, those rows, width) from 0 to 1 that sum to 1.
    """
    height, width = shape
    count = scores.bands[-1].stop
    wanted = wanted or RowRanges(slice(0, height), slice(0, count))
    portion = Portion(STRIP // width)
    reach = shifts.reach if shifts else 0.0
    end = 0
    for band in scores.bands:
        start, end = end, height
        if band.stop < count:
            end = min(height, int(np.ceil(band.stop * patch)))
        pixels = intersection(slice(start, end), wanted.rows)
        patches = intersection(band, wanted.patches) if on_patches else slice(0, 0)
        if pixels.start == pixels.stop and patches.start == patches.stop:
            continue
        needed = _needed(pixels, patches, patch, count, reach)
        window, first = scores.rows(needed.start, needed.stop), needed.start
        if on_patches is not None and patches.start < patches.stop:
            part = window[:, patches.start - first : patches.stop - first]
            on_patches(patches, softmax(part.copy(), scale))
        make = partial(_strip, window, first, count, patch, width, scale, shifts)
        yield from portion.over(pixels, make)


def intersection(one: slice, other: slice) -> slice:
    """Rows that both slices have; empty if there is none."""
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
    window: Scores,
    first: int,
    count: int,
    patch: float,
    width: int,
    scale: float,
    shifts: PixelShifts | None,
    rows: slice,
) -> Scores:
    """Probabilities of rows of pixels, from a window of scores."""
    if shifts is None:
        fine = upsample(window, patch, width, rows, (first, count))
    else:
        fine = _read_shifted(window, patch, rows, first, shifts.rows(rows))
    return softmax(fine, scale)


def _read_shifted(
    window: Scores,
    patch: float,
    rows: slice,
    first: int,
    shifts: NDArray[np.float32],
) -> Scores:
    """Interpolate scores at shifted pixels."""
    height, width = shifts.shape[1:]
    down = np.arange(rows.start, rows.start + height, dtype=np.float32)[:, None]
    right = np.arange(width, dtype=np.float32)
    factor = np.float32(1 / patch)
    down = (shifts[0] + down + 0.5) * factor - np.float32(0.5 + first)
    return sample(window, down, (shifts[1] + right + 0.5) * factor - np.float32(0.5))


def _patch_below(row: float, patch: float, count: int) -> int:
    """Row of patches whose middle is at or above a row of pixels."""
    return int(np.clip((row + 0.5) / patch - 0.5, 0, max(0, count - 2)))
