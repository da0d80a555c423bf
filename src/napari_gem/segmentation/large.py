"""Segmentations of images of any size: labels and probabilities go to zarr in bands."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.memory import explained
from napari_gem.core.path_names import check_length
from napari_gem.core.progress import Clock, Progress
from napari_gem.core.results import StoredSegmentation
from napari_gem.results.pyramid import (
    INSIDE,
    LABELS,
    PROBABILITIES,
    Pyramid,
    describe_labels,
    describe_probabilities,
)
from napari_gem.results.recipe import write_result_recipe
from napari_gem.results.save import move_up, unfinished
from napari_gem.segmentation.postprocess.largest import label_type
from napari_gem.segmentation.postprocess.small import remove_small_steps
from napari_gem.segmentation.segment import score_steps
from napari_gem.segmentation.writing import fill_locally

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.location import Location
    from napari_gem.core.parameters import LabelParameters, ScoreParameters
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Features
    from napari_gem.models.model import Model
    from napari_gem.segmentation.segment import Scored
    from napari_gem.segmentation.writing import Filling


@explained
def segment_large_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    folder: Path,
    parameters: ScoreParameters | None = None,
    label: LabelParameters | None = None,
    *,
    location: Location | None = None,
    image: Mapping[str, Any] | None = None,
    filling: Filling = fill_locally,
    overwrite: bool = True,
    source: Path | None = None,
) -> Generator[Progress, None, StoredSegmentation]:
    """Score an encoded image and write the results; nothing is left if that is stopped.

    Parameters
    ----------
    model, features, prompts, parameters, label
        See `napari_gem.segmentation.segment.segment_steps`.
    folder
        Gets ``labels.zarr``, ``probabilities.zarr`` and ``recipe.json`` when all are
        complete; made if missing.
    location
        Where the pixels lie; None if it is not known.
    image
        Fields of the recipe that say which pixels of a file the image is.
    filling
        Writes the finest levels.
    overwrite
        Whether results in the folder are replaced.
    source
        File of the image; None if there is none.
    """
    check_length(folder, INSIDE)
    scored = yield from score_steps(model, features, prompts, parameters, label)
    scored = replace(scored, recipe=replace(scored.recipe, **(image or {})))
    with unfinished(folder) as hidden:
        labels = Pyramid(
            hidden / LABELS, features.image_shape, label_type(max(scored.ids))
        )
        grid = len(scored.prompts), *features.array.shape[:2]
        maps = Pyramid(hidden / PROBABILITIES, grid, np.float16, chunk=256)
        inside = yield from _fill_steps(scored, labels, maps, hidden, filling)
        counts = yield from _coarser_steps(scored, labels, maps)
        describe_labels(labels, scored.recipe, location, source, folder)
        describe_probabilities(maps, scored.recipe, features.patch, location)
        write_result_recipe(scored, hidden, location)
        move_up(hidden, folder, overwrite=overwrite)
    shares = tuple(float(counts[i] / max(1, inside)) for i in scored.ids)
    return StoredSegmentation(
        labels=str(folder / LABELS),
        probabilities=str(folder / PROBABILITIES),
        shape=features.image_shape,
        patch=features.patch,
        recipe=scored.recipe,
        notices=scored.notices,
        shares=shares,
        absent=scored.absent(shares),
    )


def _fill_steps(
    scored: Scored, labels: Pyramid, maps: Pyramid, folder: Path, filling: Filling
) -> Generator[Progress, None, int]:
    """Write the finest levels, and count the pixels inside of the region."""
    region, height = scored.features.region, labels.finest.shape[0]
    rows = height if region is None else region.rows[1] - region.rows[0]
    clock, done, inside = Clock(rows), 0, 0
    with closing(filling(scored, labels.finest, maps.finest, folder)) as filled:
        for piece in filled:
            stage = piece if isinstance(piece, str) else "Scoring"
            if not isinstance(piece, str):
                done += piece.rows
                inside += piece.inside
            yield clock.progress(stage, done, waits=stage != "Scoring")
    bands = labels.bands(rows=None if region is None else slice(*region.rows))
    size = scored.label.minimum_size
    for step in remove_small_steps(labels.finest, bands, size):
        yield Progress("Removing small regions", step, 2 * len(bands))
    return inside


def _coarser_steps(
    scored: Scored, labels: Pyramid, maps: Pyramid
) -> Generator[Progress, None, NDArray[np.int64]]:
    """Make the coarser levels, and count the pixels of each label but 0."""
    largest, features = max(scored.ids), scored.features
    counts = np.zeros(largest + 1, np.int64)
    box, patches, region = None, None, features.region
    if region is not None:
        box = slice(*region.rows), slice(*region.columns)
        rows, columns = (
            slice(int(one.start / features.patch), ceil(one.stop / features.patch))
            for one in box
        )
        patches = rows, columns
    total = len(labels.bands(rows=box and box[0]))
    done = 0
    for level, part in labels.coarser(box):
        if level == 0:
            counts += np.bincount(part.ravel(), minlength=largest + 1)
            done += 1
            yield Progress("Writing levels", done, total)
    for _ in maps.coarser(patches):
        yield Progress("Writing levels", done, total)
    return counts
