"""What writers take: labels and probabilities in memory or on disk, in one form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.core.results import StoredSegmentation
from napari_gem.results.pyramid import level_shapes

if TYPE_CHECKING:
    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.results import Outcome, Recipe, Segmentation
    from napari_gem.images.scene import Scene


@dataclass(frozen=True, eq=False)
class ResultMaps:
    """A result and its image.

    Attributes
    ----------
    labels
        (height, width) of the image, and then each half the one before, as
        `napari_gem.results.pyramid.level_shapes` tells.
    probabilities
        (classes, rows, columns): of pixels, or of patches.
    patch
        Pixels per row and column of the probabilities.
    outcome
        The result itself: its recipe and shares.
    scene
        The image.
    folder
        Where its zarr groups lie; None for a result in memory.
    """

    labels: tuple[LazyArray, ...]
    probabilities: LazyArray
    patch: float
    outcome: Outcome
    scene: Scene
    folder: Path | None = None

    @property
    def recipe(self) -> Recipe:
        """How the result was made."""
        return self.outcome.recipe

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.labels[0].shape
        return int(height), int(width)


def result_maps(result: Segmentation | StoredSegmentation, scene: Scene) -> ResultMaps:
    """Make one form of results in memory and on disk; the latter are not read yet."""
    if not isinstance(result, StoredSegmentation):
        labels = result.labels
        steps = (2**n for n in range(len(level_shapes(labels.shape))))
        levels = tuple(labels[::step, ::step] for step in steps)
        return ResultMaps(levels, result.probabilities, 1.0, result, scene)
    import zarr

    group = zarr.open_group(result.labels, mode="r")
    count = len(level_shapes(result.shape))
    levels = tuple(group[str(level)] for level in range(count))
    maps = zarr.open_group(result.probabilities, mode="r")["0"]
    folder = Path(result.labels).parent
    return ResultMaps(levels, maps, result.patch, result, scene, folder)
