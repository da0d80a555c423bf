"""Labels and probabilities of a large image, written a part at a time.

A part is written by whoever sees the features and the arrays: this process, which takes
all as one, or several.
"""

from __future__ import annotations

import math
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from napari_gem.core.progress import prefetched
from napari_gem.encoding.stored_features import RowWriter
from napari_gem.scoring.patch_scores import RowRanges, intersection
from napari_gem.segmentation.inside import inside_pixels
from napari_gem.segmentation.segment import label_strips

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import zarr
    from numpy.typing import NDArray

    from napari_gem.core.results import Features
    from napari_gem.segmentation.segment import Scored


class Filled(NamedTuple):
    """Rows of pixels that are done, and how many of their pixels are in the region.

    Zero rows only say that the work goes on, so that whoever waits can cancel it.
    """

    rows: int
    inside: int


class Filling(Protocol):
    """Has the labels and probabilities of an image written."""

    def __call__(
        self,
        scored: Scored,
        labels: zarr.Array[Any],
        maps: zarr.Array[Any],
        folder: Path,
        /,
    ) -> Generator[Filled | str, None, None]:
        """Write labels, (height, width), and maps, (classes, rows, columns).

        Both lie in the folder. Yields what was written, piece by piece, and between
        them texts that say what it waits for; the caller may stop at each.
        """


def fill_locally(
    scored: Scored,
    labels: zarr.Array[Any],
    maps: zarr.Array[Any],
    _: object = None,
    /,
) -> Generator[Filled | str, None, None]:
    """Write all in this process: a `Filling`."""
    everything = RowRanges(slice(0, labels.shape[0]), slice(0, maps.shape[1]))
    yield from fill(scored, everything, labels, maps)


def parts(labels: zarr.Array[Any], maps: zarr.Array[Any]) -> list[RowRanges]:
    """List parts that touch no chunk together: a row of chunks of one array each."""
    nothing = slice(0, 0)
    return [
        *(RowRanges(rows, nothing) for rows in _chunks(labels, 0)),
        *(RowRanges(nothing, rows) for rows in _chunks(maps, 1)),
    ]


def fill(
    scored: Scored, part: RowRanges, labels: zarr.Array[Any], maps: zarr.Array[Any]
) -> Iterator[Filled]:
    """Write a part, which begins and ends with chunks, to the arrays of a `Filling`.

    The next strip of pixels is computed meanwhile.
    """
    features, width = scored.features, labels.shape[1]
    rows_of_labels = RowWriter(labels, 0, part.rows.start, part.rows.stop)
    rows_of_maps = RowWriter(maps, 1, part.patches.start, part.patches.stop)
    on_patches = partial(_write_patches, rows_of_maps, features)
    strips = label_strips(scored, 1, on_patches, _seen(part, features))
    stop = scored.shifts.stop if scored.shifts else _nothing
    with closing(strips), closing(prefetched(strips, stop)) as ready:
        for strip in ready:
            if strip is None:
                yield Filled(0, 0)
                continue
            rows, _, values = strip
            rows_of_labels.write(rows, values)
            mask = inside_pixels(features, 1, rows, width)
            inside = values.size if mask is None else int(mask.sum())
            yield Filled(rows.stop - rows.start, inside)
    rows_of_labels.close()
    rows_of_maps.close()


def _nothing() -> None:
    """Stop nothing: strips come soon."""


def _seen(part: RowRanges, features: Features) -> RowRanges:
    """Leave out the rows of a part that the region does not touch."""
    region = features.region
    if region is None:
        return part
    top, bottom = region.rows
    patches = slice(int(top / features.patch), math.ceil(bottom / features.patch))
    return RowRanges(
        intersection(part.rows, slice(top, bottom)), intersection(part.patches, patches)
    )


def _chunks(array: zarr.Array[Any], axis: int) -> list[slice]:
    count, step = array.shape[axis], array.chunks[axis]
    return [slice(at, min(at + step, count)) for at in range(0, count, step)]


def _write_patches(
    writer: RowWriter, features: Features, rows: slice, values: NDArray[np.float32]
) -> None:
    """Write probabilities on the patch grid; they are zero outside of the region."""
    values[:, ~_middles_inside(features, rows)] = 0
    writer.write(rows, values[:-1].astype(np.float16))


def _middles_inside(features: Features, rows: slice) -> NDArray[np.bool_]:
    """Tell which patches of some rows have their middle where the image counts."""
    columns = int(features.array.shape[1])
    inside = np.ones((rows.stop - rows.start, columns), bool)
    region = features.region
    down, right = (
        (np.arange(first, end) + 0.5) * features.patch - 0.5
        for first, end in ((rows.start, rows.stop), (0, columns))
    )
    if features.valid is not None and len(inside):
        height, width = features.image_shape
        at_row, at_column = (
            np.clip(np.round(middles), 0, length - 1).astype(int)
            for middles, length in ((down, height), (right, width))
        )
        first = int(at_row[0])
        holds = inside_pixels(features, 1, slice(first, int(at_row[-1]) + 1), width)
        if holds is not None:
            inside &= holds[at_row - first][:, at_column]
    if region is None:
        return inside
    inside &= ((region.rows[0] <= down) & (down < region.rows[1]))[:, None]
    inside &= (region.columns[0] <= right) & (right < region.columns[1])
    if region.polygon and inside.any():
        from skimage.measure import points_in_poly

        at = np.argwhere(inside)
        points = np.stack([down[at[:, 0]], right[at[:, 1]]], axis=1)
        inside[inside] = points_in_poly(points, region.polygon)
    return inside
