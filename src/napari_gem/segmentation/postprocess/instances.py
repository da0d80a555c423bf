"""Labels of classes to instances: connected regions, or watershed within each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import check_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

InstanceMethod = Literal["components", "watershed"]
INSTANCE_METHODS: tuple[InstanceMethod, ...] = get_args(InstanceMethod)

SEED_SMOOTHING = 1.0
"""Standard deviation, in pixels, over distances to the edge before seeds are sought."""


@dataclass(frozen=True, eq=False)
class Instances:
    """Instances of a labels map, and what is known of each.

    Attributes
    ----------
    labels
        (height, width) int32: 0 for background, 1 to n for the instances.
    ids
        (n,) label id of each instance's class.
    areas
        (n,) pixels.
    probabilities
        (n,) mean over the instance of its class's probability; NaN without a map.
    centroids
        (n, 2) row and column in pixels.
    boxes
        (n, 4) first row, first column, row behind the last, column behind the last.
    """

    labels: NDArray[np.int32]
    ids: NDArray[np.int64]
    areas: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    centroids: NDArray[np.float64]
    boxes: NDArray[np.int64]


def instances(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.float32] | Sequence[NDArray[np.float32]],
    ids: Sequence[int],
    method: InstanceMethod = "components",
    minimum_size: int = 0,
    seed_distance: int = 5,
) -> Instances:
    """Part labels into instances; pixels of two classes are never in one.

    Parameters
    ----------
    labels
        (height, width), 0 for background. Pixels are connected along the axes, not
        diagonally.
    probabilities
        A (height, width) map for each of `ids`, 0 to 1; may be empty.
    ids
        Label id of each map.
    method
        ``components``: each connected region is an instance. ``watershed``: connected
        regions are cut between the peaks of the distance to their edge.
    minimum_size
        Instances with fewer pixels become background.
    seed_distance
        Pixels that two peaks are apart at least; for watershed.

    Raises
    ------
    GemError
        If the method is unknown or a map has another size than the labels.
    """
    check_known("method", method, INSTANCE_METHODS)
    check_maps(labels, probabilities, ids)
    parts = _components(labels)
    if method == "watershed":
        parts = _watershed(parts, seed_distance)
    parts = _without_small(parts, minimum_size)
    return _measure(labels, parts, probabilities, ids)


def check_maps(
    labels: NDArray[Any],
    probabilities: Sequence[Any] | NDArray[Any],
    ids: Sequence[int],
) -> None:
    """Refuse maps that do not belong to labels.

    Raises
    ------
    GemError
        If there are not as many maps as ids, or a map has another size.
    """
    if len(probabilities) != len(ids):
        raise GemError(
            f"There are {len(probabilities)} maps for {len(ids)} label ids, and each "
            "needs one. Run again."
        )
    for plane in probabilities:
        if plane.shape != labels.shape:
            raise GemError(
                f"A map has {plane.shape} pixels, but the labels have {labels.shape}. "
                "Run again to get maps that fit the labels."
            )


def _components(labels: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    # imported late, as the viewer's process reads this module on its main thread
    from skimage.measure import label

    parts: NDArray[np.int32] = label(labels, background=0, connectivity=1)
    return parts.astype(np.int32, copy=False)


def _watershed(parts: NDArray[np.int32], seed_distance: int) -> NDArray[np.int32]:
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    cut = np.zeros(parts.shape, np.int32)
    count = 0
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        # with a rim, since beyond the region there is an edge everywhere
        mask = np.pad(parts[box] == number, 1)
        distance = ndimage.distance_transform_edt(mask)
        smooth = ndimage.gaussian_filter(distance, SEED_SMOOTHING)
        peaks = peak_local_max(
            smooth, min_distance=max(1, seed_distance), labels=mask.astype(np.uint8)
        )
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        if len(peaks) < 2:
            seeds = mask.astype(np.int32)
        pieces = watershed(-smooth, seeds, mask=mask)[1:-1, 1:-1]
        inside = pieces > 0
        cut[box][inside] = pieces[inside] + count
        count += int(pieces.max())
    return cut


def _without_small(parts: NDArray[np.int32], minimum_size: int) -> NDArray[np.int32]:
    """Leave small parts out and number the others from 1."""
    sizes = np.bincount(parts.ravel())
    kept = sizes >= max(1, minimum_size)
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    renumbered: NDArray[np.int32] = numbers[parts]
    return renumbered


def _measure(
    labels: NDArray[np.integer[Any]],
    parts: NDArray[np.int32],
    probabilities: NDArray[np.float32] | Sequence[NDArray[np.float32]],
    ids: Sequence[int],
) -> Instances:
    from scipy import ndimage

    rows, columns = np.nonzero(parts)
    number = parts[rows, columns]
    count = int(number.max(initial=0))
    areas = np.bincount(number, minlength=count + 1)[1:]
    label_of = np.zeros(count + 1, np.int64)
    label_of[number] = labels[rows, columns]
    own = np.full(len(rows), np.nan)
    for label, plane in zip(ids, probabilities, strict=True):
        of_label = labels[rows, columns] == label
        own[of_label] = plane[rows[of_label], columns[of_label]]

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(number, weights=values, minlength=count + 1)[1:]
        means: NDArray[np.float64] = sums / areas
        return means

    slices = ndimage.find_objects(parts, max_label=count)
    boxes = [(a.start, b.start, a.stop, b.stop) for a, b in slices]
    return Instances(
        labels=parts,
        ids=label_of[1:],
        areas=areas.astype(np.int64),
        probabilities=mean(own),
        centroids=np.stack([mean(rows), mean(columns)], axis=-1),
        boxes=np.array(boxes, np.int64).reshape(-1, 4),
    )
