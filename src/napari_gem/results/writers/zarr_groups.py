"""``labels.zarr`` and ``probabilities.zarr``: OME-Zarr with coarser levels."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.progress import Progress
from napari_gem.results import pyramid
from napari_gem.results.pyramid import (
    Pyramid,
    describe_labels,
    describe_probabilities,
)
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.results.writers.maps import ResultMaps


def _steps(maps: ResultMaps, folder: Path, _: OutlineParameters) -> Iterator[Progress]:
    """Write both groups, or copy those of a result on disk."""
    if maps.folder is not None:
        for done, name in enumerate(pyramid.NAMES):
            yield Progress("Copying", done, len(pyramid.NAMES))
            shutil.copytree(maps.folder / name, folder / name)
        return
    location, recipe = maps.scene.location, maps.recipe
    labels = Pyramid(folder / pyramid.LABELS, maps.shape, maps.labels[0].dtype)
    shape = maps.probabilities.shape
    probabilities = Pyramid(folder / pyramid.PROBABILITIES, shape, np.float16)
    for filled, values in (
        (labels, maps.labels[0]),
        (probabilities, maps.probabilities),
    ):
        bands = filled.bands()
        for done, band in enumerate(bands):
            yield Progress("Writing zarr", done, len(bands))
            filled.finest[..., band, :] = values[..., band, :]
        for _level in filled.coarser():
            yield Progress("Writing zarr", len(bands), len(bands))
    describe_labels(labels, recipe, location, maps.scene.path, folder.parent)
    describe_probabilities(probabilities, recipe, maps.patch, location)


ZARR = Writer("labels and probabilities as OME-Zarr", pyramid.NAMES, _steps)
