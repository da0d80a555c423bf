"""Scores are read a little away from a pixel, so that labels end at the image's edges.

A map has one value a patch, so near an edge of the image it mixes both sides. The
colours of the image say on which side a pixel is. Its score is therefore read where a
random walk among neighbouring pixels ends on average, if each step prefers pixels of
like colour. This depends on the image alone: it is computed once, and new words cost
nothing more.

The walk's weights are those of PAMR (arXiv 2005.08104), which averages scores instead.
SegFix (arXiv 2007.04269) trains a network to read scores elsewhere.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.bounds import is_large
from napari_gem.core.memory import ERRORS, is_out_of_memory
from napari_gem.core.progress import Clock
from napari_gem.images.tile_reading import read_ahead

if TYPE_CHECKING:
    from collections.abc import Generator

    import torch
    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.progress import Progress
    from napari_gem.core.region import Region
    from napari_gem.core.results import Features
    from napari_gem.scoring.cache import ScoreCache

DISTANCES = (1, 3)
"""Distances of neighbours along each axis, in pixels; eight at each distance."""

SHARPNESS = 5.0
"""A neighbour that differs by the local deviation has exp(-this) of the weight of an
equal one."""

SMALLEST_DEVIATION = 1e-6
"""Where the image is flat all neighbours have the same weight."""

STRIP = 1 << 19
"""About this many pixels have their shifts computed at a time."""

SMALLEST = 64
"""A part with no more rows or columns is not halved if it does not fit the memory."""

BAND, BLOCK = 512, 2048
"""Rows and columns whose shifts are computed together in large images. The margin that
a walk may reach is computed twice, so narrow strips would cost double."""

NO_PICTURE = (
    "The image is too large for its pixels to be kept, so labels are not drawn to its "
    "edges. Segment a part of it, or the file with 'napari-gem segment'."
)
"""Notice if refinement is asked for and the features have no picture."""


def shifts(picture: NDArray[np.float32], rounds: int) -> NDArray[np.float32]:
    """Find for each pixel where its score is read.

    In each step the walk goes to one of the neighbours at `DISTANCES`, more probably to
    one of like colour. It does not leave the image.

    Parameters
    ----------
    picture
        (height, width, channels), 0 to 1.
    rounds
        Steps of the walk, 1 or more.

    Returns
    -------
    NDArray[np.float32]
        (2, height, width): rows and columns, in pixels, from a pixel to where the walk
        ends on average.
    """
    import torch

    colours = torch.from_numpy(np.moveaxis(picture, -1, 0).copy())
    weights, first = _steps(colours)
    total = first
    for _ in range(rounds - 1):
        padded = _pad(total)
        total = first.clone()
        for weight, offset in zip(weights, _OFFSETS, strict=True):
            total.addcmul_(weight, _shifted(padded, offset))
    away: NDArray[np.float32] = total.numpy()
    return away


class Shifts:
    """Where the scores of an image's pixels are read, strip by strip.

    Parameters
    ----------
    image_shifts
        Shifts of rows of the image, (2, those rows, width), in its pixels.
    features
        The encoded image; no score is read outside of its region.
    rounds
        Steps of the walk.
    step
        Image pixels per pixel of the result along each axis.

    Attributes
    ----------
    reach
        Largest distance along each axis, in pixels of the result.
    stop
        Function that lets a band that is computed ahead end soon, with an error.
    close
        Function that ends all computation and forgets the bands.
    """

    def __init__(
        self,
        image_shifts: _ShiftsInMemory | _ShiftsInBands,
        features: Features,
        rounds: int,
        step: int,
    ) -> None:
        self._image_shifts = image_shifts
        self.stop, self.close = image_shifts.stop, image_shifts.close
        self._shape = features.image_shape
        self._region = features.region
        self._step = step
        self.reach = rounds * max(DISTANCES) / step

    def begin(self, end: int) -> None:
        """Say at which row of the result the requests will end."""
        self._image_shifts.begin(min(end * self._step, self._shape[0]))

    def rows(self, rows: slice) -> NDArray[np.float32]:
        """Return (2, those rows, width) of the result, in its pixels."""
        step, (height, width) = self._step, self._shape
        first = rows.start * step
        fine = self._image_shifts.rows(slice(first, min(rows.stop * step, height)))
        down = np.arange(0, fine.shape[1], step) + step // 2
        down = np.minimum(down, fine.shape[1] - 1)
        right = np.minimum(np.arange(0, width, step) + step // 2, width - 1)
        if step > 1:
            fine = fine[:, down][:, :, right]
        away = fine.astype(np.float32)
        if self._region is not None:
            _keep_inside(away[0], down[:, None] + first, self._region.rows)
            _keep_inside(away[1], right, self._region.columns)
        return away / np.float32(step) if step > 1 else away


def shift_steps(
    features: Features, rounds: int, cache: ScoreCache, step: int = 1
) -> Generator[Progress, None, Shifts | None]:
    """Find where the scores of an image are read.

    Parameters
    ----------
    features
        The encoded image, with its picture.
    rounds
        Steps of the walk; 0 for no refinement.
    cache
        Cache of these features; keeps the shifts unless the image is large. Those of
        large images are computed when they are asked for.
    step
        Image pixels per pixel of the result along each axis.

    Yields
    ------
    Progress
        Before each strip that is computed now.

    Returns
    -------
    Shifts or None
        None for no refinement, or if the features have no picture.
    """
    picture = features.picture
    if rounds == 0 or picture is None:
        return None
    height, width = features.image_shape
    if cache.shifts is None or cache.shifts[0] != rounds:
        kept = _allocate(height, width)
        if kept is None:
            return shifts_in_bands(features, picture, rounds, step)
        portion = max(1, STRIP // width)
        clock = Clock(height)
        for start in range(0, height, portion):
            yield clock.progress("Finding edges", start)
            rows = slice(start, min(start + portion, height))
            kept[:, rows] = _strip(picture, rows, rounds)
        cache.shifts = rounds, kept
    return Shifts(_ShiftsInMemory(cache.shifts[1]), features, rounds, step)


def shifts_in_bands(
    features: Features, picture: LazyArray, rounds: int, step: int = 1
) -> Shifts:
    """Find where scores are read, band by band, when they are asked for.

    ``picture`` is the image as the model sees it, (height, width, 3), 0 to 255; the
    other parameters are those of `shift_steps`.
    """
    bands = _ShiftsInBands(picture, rounds, features.region)
    return Shifts(bands, features, rounds, step)


def _allocate(height: int, width: int) -> NDArray[np.float16] | None:
    """Allocate the shifts of all pixels; None if they take too much memory."""
    if is_large((height, width)):
        return None
    try:
        return np.empty((2, height, width), np.float16)
    except MemoryError:
        return None


class _ShiftsInMemory:
    """Shifts of an image that are all in memory, so that nothing is left to compute."""

    def __init__(self, array: NDArray[np.float16]) -> None:
        self._array = array

    def rows(self, rows: slice) -> NDArray[np.float16]:
        return self._array[:, rows]

    def begin(self, end: int) -> None:
        pass

    def stop(self) -> None:
        pass

    close = stop


class _ShiftsInBands:
    """Shifts of a large image: one band is kept while the next one is computed.

    Blocks outside of the region are left out.
    """

    def __init__(
        self, picture: LazyArray, rounds: int, region: Region | None = None
    ) -> None:
        self._picture, self._rounds, self._region = picture, rounds, region
        self._number = -1
        self._kept = np.empty((2, 0, 0), np.float16)
        self._end = picture.shape[0]
        self._next: Generator[NDArray[np.float16], None, None] | None = None
        self._stopped = threading.Event()

    def rows(self, rows: slice) -> NDArray[np.float16]:
        parts = []
        for number in range(rows.start // BAND, -(-rows.stop // BAND)):
            first = number * BAND
            band = self._band(number)
            parts.append(band[:, max(0, rows.start - first) : rows.stop - first])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def begin(self, end: int) -> None:
        self.close()
        self._end = end

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._stopped.set()
        if self._next is not None:
            self._next.close()
        self._next, self._number, self._kept = None, -1, self._kept[:, :0]
        self._stopped = threading.Event()

    def _band(self, number: int) -> NDArray[np.float16]:
        if number != self._number:
            if self._next is None or number != self._number + 1:
                self.close()
                numbers = range(number, max(number + 1, -(-self._end // BAND)))
                self._next = read_ahead(partial(self._compute, self._stopped), numbers)
            self._kept = next(self._next)
            self._number = number
        return self._kept

    def _compute(self, stopped: threading.Event, number: int) -> NDArray[np.float16]:
        height, width = self._picture.shape[:2]
        rows = slice(number * BAND, min((number + 1) * BAND, height))
        band = np.zeros((2, rows.stop - rows.start, width), np.float16)
        first, end = (0, width) if self._region is None else self._region.columns
        for left in range(first // BLOCK * BLOCK, end, BLOCK):
            if stopped.is_set():
                raise CancelledError
            columns = slice(left, min(left + BLOCK, width))
            band[:, :, columns] = _strip(self._picture, rows, self._rounds, columns)
        return band


def _strip(
    picture: LazyArray, rows: slice, rounds: int, columns: slice | None = None
) -> NDArray[np.float16]:
    """Compute the shifts of a part of the image; by halves if it does not fit."""
    columns = columns or slice(0, picture.shape[1])
    try:
        return _whole_strip(picture, rows, rounds, columns)
    except ERRORS as error:
        small = max(_length(rows), _length(columns)) <= SMALLEST
        if small or not is_out_of_memory(error):
            raise
    if _length(rows) > _length(columns):
        parts = [_strip(picture, half, rounds, columns) for half in _halves(rows)]
        return np.concatenate(parts, axis=1)
    parts = [_strip(picture, rows, rounds, half) for half in _halves(columns)]
    return np.concatenate(parts, axis=2)


def _whole_strip(
    picture: LazyArray, rows: slice, rounds: int, columns: slice
) -> NDArray[np.float16]:
    height, width = picture.shape[:2]
    margin = rounds * max(DISTANCES)  # a walk goes no further
    top, left = max(0, rows.start - margin), max(0, columns.start - margin)
    part = picture[
        top : min(height, rows.stop + margin), left : min(width, columns.stop + margin)
    ]
    colours = np.asarray(part).astype(np.float32) / np.float32(255)
    down = slice(rows.start - top, rows.stop - top)
    right = slice(columns.start - left, columns.stop - left)
    return shifts(colours, rounds)[:, down, right].astype(np.float16)


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _halves(part: slice) -> tuple[slice, slice]:
    middle = (part.start + part.stop) // 2
    return slice(part.start, middle), slice(middle, part.stop)


def _keep_inside(
    shifts: NDArray[np.float32], at: NDArray[np.intp], span: tuple[int, int]
) -> None:
    np.clip(shifts, span[0] - at, span[1] - 1 - at, out=shifts)


_OFFSETS = [
    (down * distance, right * distance)
    for distance in DISTANCES
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if down or right
]


def _steps(colours: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Weights of the neighbours of each pixel, with sum 1, and their mean position."""
    import torch

    padded = _pad(colours)
    total, squares = torch.zeros_like(colours), torch.zeros_like(colours)
    for offset in _OFFSETS:
        away = _shifted(padded, offset) - colours  # small numbers, exact squares
        total += away
        squares.addcmul_(away, away)
    count = len(_OFFSETS)
    variance = (squares / count - (total / count) ** 2).clamp_min_(0)
    share = -SHARPNESS / (len(colours) * (variance.sqrt_() + SMALLEST_DEVIATION))
    weights = [
        ((_shifted(padded, offset) - colours).abs_() * share).sum(dim=0)
        for offset in _OFFSETS
    ]
    largest = weights[0].clone()
    for weight in weights[1:]:
        torch.maximum(largest, weight, out=largest)
    whole = torch.zeros_like(largest)
    for weight in weights:
        whole += weight.sub_(largest).exp_()
    height, width = colours.shape[1:]
    rows, columns = torch.arange(height), torch.arange(width)
    mean = torch.zeros((2, height, width))
    for weight, (down, right) in zip(weights, _OFFSETS, strict=True):
        weight.div_(whole)
        # at the border the outermost pixel is its own neighbour
        mean[0] += weight * ((rows + down).clamp(0, height - 1) - rows)[:, None]
        mean[1] += weight * ((columns + right).clamp(0, width - 1) - columns)
    return weights, mean


def _pad(maps: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import pad

    most = max(DISTANCES)
    return pad(maps[None], (most, most, most, most), mode="replicate")[0]


def _shifted(padded: torch.Tensor, offset: tuple[int, int]) -> torch.Tensor:
    most = max(DISTANCES)
    height, width = (length - 2 * most for length in padded.shape[1:])
    top, left = most + offset[0], most + offset[1]
    return padded[:, top : top + height, left : left + width]
