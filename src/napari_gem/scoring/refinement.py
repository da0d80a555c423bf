"""Scores read where the pixel's own thing is, so that labels end at the image's edges.

A map has one value a patch, so what it says near an edge is a mixture of both sides.
The image tells which side a pixel is on. Therefore its score is read a little away from
it: where a walk among neighbours leads on average that goes to those of its colour.
That depends on the image alone, is computed once, and new words cost nothing more.

The walk's weights are those of PAMR (arXiv 2005.08104), which averages scores instead;
reading them elsewhere is what SegFix (arXiv 2007.04269) trains a network for.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.memory import ERRORS, is_out_of_memory
from napari_gem.core.progress import Clock
from napari_gem.images.tile_reading import HELD_PIXELS, ahead

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
"""Pixels of a step along each axis; each has eight neighbours."""

SHARPNESS = 5.0
"""A neighbour that differs by the local deviation weighs exp(-this) of an equal one."""

SMALLEST_DEVIATION = 1e-6
"""Where the image is flat all neighbours weigh alike."""

STRIP = 1 << 19
"""Pixels whose shifts are computed at a time, about."""

SMALLEST = 64
"""Rows and columns of a part that is not halved if it does not fit the memory."""

BAND, BLOCK = 512, 2048
"""Rows, and columns of them, whose shifts are computed together in large images. The
margin that a walk may reach is computed twice, so narrow strips would cost double."""


def shifts(picture: NDArray[np.float32], rounds: int) -> NDArray[np.float32]:
    """Tell for each pixel where its score is to be read.

    In each round a walk goes to one of the neighbours at `DISTANCES`, the sooner the
    more alike their colour is. It does not leave the image.

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
    found: NDArray[np.float32] = total.numpy()
    return found


UNKNOWN = (
    "The image is too large for its pixels to be kept, so labels are not drawn to its "
    "edges. Segment a part of it, or the file with 'napari-gem segment'."
)
"""Notice where refinement is asked for and the features do not know their picture."""


class Shifts:
    """Where the scores of an image's pixels are read, strip by strip.

    Parameters
    ----------
    made
        Gives the shifts of rows of the image, (2, those rows, width), in its pixels.
    features
        The encoded image; outside of its region nothing is read.
    rounds
        As of `shifts`.
    step
        Image pixels per pixel of the result along each axis.

    Attributes
    ----------
    reach
        Pixels of the result away from a pixel at most, along each axis.
    stop, close
        Functions: what is found ahead ends soon with an error until it is closed; what
        is being found is closed and forgotten.
    """

    def __init__(
        self,
        made: _Held | _Bands,
        features: Features,
        rounds: int,
        step: int,
    ) -> None:
        self._made = made
        self.stop, self.close = made.stop, made.close
        self._shape = features.image_shape
        self._region = features.region
        self._step = step
        self.reach = rounds * max(DISTANCES) / step

    def begin(self, end: int) -> None:
        """Tell the row of the result behind the last that will be asked for."""
        self._made.begin(min(end * self._step, self._shape[0]))

    def rows(self, rows: slice) -> NDArray[np.float32]:
        """Give (2, those rows, width) of the result, in its pixels."""
        step, (height, width) = self._step, self._shape
        first = rows.start * step
        made = self._made.rows(slice(first, min(rows.stop * step, height)))
        down = np.arange(0, made.shape[1], step) + step // 2
        down = np.minimum(down, made.shape[1] - 1)
        right = np.minimum(np.arange(0, width, step) + step // 2, width - 1)
        if step > 1:
            made = made[:, down][:, :, right]
        found = made.astype(np.float32)
        if self._region is not None:
            _keep_inside(found[0], down[:, None] + first, self._region.rows)
            _keep_inside(found[1], right, self._region.columns)
        return found / np.float32(step) if step > 1 else found


def shift_steps(
    features: Features, rounds: int, cache: ScoreCache, step: int = 1
) -> Generator[Progress, None, Shifts | None]:
    """Find where the scores of an image are read, or how that is found strip by strip.

    Parameters
    ----------
    features
        The encoded image, with its picture.
    rounds
        As of `shifts`; 0 for none.
    cache
        Of these features; keeps the shifts if the image has at most `HELD_PIXELS`.
    step
        Image pixels per pixel of the result along each axis.

    Yields
    ------
    Progress
        Before each strip of what is kept.

    Returns
    -------
    Shifts or None
        None for no rounds, or if the features do not know their picture.
    """
    picture = features.picture
    if rounds == 0 or picture is None:
        return None
    height, width = features.image_shape
    if cache.shifts is None or cache.shifts[0] != rounds:
        made = _room(height, width)
        if made is None:
            return shifts_in_bands(features, picture, rounds, step)
        portion = max(1, STRIP // width)
        clock = Clock(height)
        for start in range(0, height, portion):
            yield clock.progress("Finding edges", start)
            rows = slice(start, min(start + portion, height))
            made[:, rows] = _strip(picture, rows, rounds)
        cache.shifts = rounds, made
    return Shifts(_Held(cache.shifts[1]), features, rounds, step)


def shifts_in_bands(
    features: Features, picture: LazyArray, rounds: int, step: int = 1
) -> Shifts:
    """Find where scores are read when that is asked for, band by band of the image.

    Parameters
    ----------
    features
        The encoded image.
    picture
        (height, width, 3), 0 to 255: the image as the model sees it.
    rounds, step
        As of `shift_steps`.
    """
    bands = _Bands(picture, rounds, features.region)
    return Shifts(bands, features, rounds, step)


def _room(height: int, width: int) -> NDArray[np.float16] | None:
    """Make room for the shifts of all pixels; None if that takes too much memory."""
    if height * width > HELD_PIXELS:
        return None
    try:
        return np.empty((2, height, width), np.float16)
    except MemoryError:
        return None


class _Held:
    """Shifts of an image, all in memory."""

    def __init__(self, array: NDArray[np.float16]) -> None:
        self._array = array

    def rows(self, rows: slice) -> NDArray[np.float16]:
        """Give (2, those rows, width)."""
        return self._array[:, rows]

    def begin(self, end: int) -> None:
        """All is there."""

    def stop(self) -> None:
        """Nothing is being found."""

    close = stop


class _Bands:
    """Shifts of a large image: the band in work is kept, and the next one is found.

    Parameters
    ----------
    picture, rounds
        As of `shifts`.
    region
        Blocks that it does not touch are left out; None leaves out none.
    """

    def __init__(
        self, picture: LazyArray, rounds: int, region: Region | None = None
    ) -> None:
        self._picture, self._rounds, self._region = picture, rounds, region
        self._number = -1
        self._made = np.empty((2, 0, 0), np.float16)
        self._end = picture.shape[0]
        self._coming: Generator[NDArray[np.float16], None, None] | None = None
        self._stopped = threading.Event()

    def rows(self, rows: slice) -> NDArray[np.float16]:
        """Give (2, those rows, width)."""
        parts = []
        for number in range(rows.start // BAND, -(-rows.stop // BAND)):
            first = number * BAND
            made = self._band(number)
            parts.append(made[:, max(0, rows.start - first) : rows.stop - first])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def begin(self, end: int) -> None:
        """Tell the row behind the last that will be asked for."""
        self.close()
        self._end = end

    def stop(self) -> None:
        """Let what is being found end soon with an error, until it is closed."""
        self._stopped.set()

    def close(self) -> None:
        """Forget the band in work, and let what is being found end soon."""
        self._stopped.set()
        if self._coming is not None:
            self._coming.close()
        self._coming, self._number, self._made = None, -1, self._made[:, :0]
        self._stopped = threading.Event()

    def _band(self, number: int) -> NDArray[np.float16]:
        if number != self._number:
            if self._coming is None or number != self._number + 1:
                self.close()
                numbers = range(number, max(number + 1, -(-self._end // BAND)))
                self._coming = ahead(partial(self._find, self._stopped), numbers)
            self._made = next(self._coming)
            self._number = number
        return self._made

    def _find(self, stopped: threading.Event, number: int) -> NDArray[np.float16]:
        height, width = self._picture.shape[:2]
        rows = slice(number * BAND, min((number + 1) * BAND, height))
        made = np.zeros((2, rows.stop - rows.start, width), np.float16)
        seen = (0, width) if self._region is None else self._region.columns
        for left in range(seen[0] // BLOCK * BLOCK, seen[1], BLOCK):
            if stopped.is_set():
                raise CancelledError
            columns = slice(left, min(left + BLOCK, width))
            made[:, :, columns] = _strip(self._picture, rows, self._rounds, columns)
        return made


def _strip(
    picture: LazyArray, rows: slice, rounds: int, columns: slice | None = None
) -> NDArray[np.float16]:
    """Shifts of a part: those of the whole, since a walk goes no further.

    What does not fit the memory is made by halves.
    """
    columns = columns or slice(0, picture.shape[1])
    try:
        return _whole_strip(picture, rows, rounds, columns)
    except ERRORS as error:
        if not is_out_of_memory(error) or _small(rows, columns):
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
    margin = rounds * max(DISTANCES)
    top, left = max(0, rows.start - margin), max(0, columns.start - margin)
    seen = picture[
        top : min(height, rows.stop + margin), left : min(width, columns.stop + margin)
    ]
    shown = np.asarray(seen).astype(np.float32) / np.float32(255)
    down = slice(rows.start - top, rows.stop - top)
    right = slice(columns.start - left, columns.stop - left)
    return shifts(shown, rounds)[:, down, right].astype(np.float16)


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _small(rows: slice, columns: slice) -> bool:
    return max(_length(rows), _length(columns)) <= SMALLEST


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
    """Weigh the neighbours of each pixel, sum 1; and tell where they are on average."""
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
