"""A job done as GEM was released: a squashed image, maps from minimum to maximum.

The image is resized to a square whatever its shape, a map is what is seen of each word,
and every word lights up somewhere (arXiv 2312.00878 and its code).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gem._version import __version__
from napari_gem.core.appearance import Appearance
from napari_gem.core.prompts import label_ids
from napari_gem.core.results import Recipe, Segmentation
from napari_gem.core.validation import check_maps
from napari_gem.images.rendering import render, squash
from napari_gem.scoring.cosines import group_scores, min_max
from napari_gem.scoring.text import notices
from napari_gem.scoring.upsampling import upsample
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.postprocess.largest import label_type
from napari_gem.segmentation.postprocess.small import remove_small
from napari_gem.segmentation.segment import check_features

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Job
    from napari_gem.models.model import Model
    from napari_gem.segmentation.image_cache import Encoded

SHOWN = Appearance(rgb=True, limits=(0.0, 1.0))


def squash_job(
    job: Job, pixels: LazyArray, model: Model
) -> tuple[Job, NDArray[np.float32]]:
    """Squash an image to a square that is one tile.

    Parameters
    ----------
    job
        With a side of the square, and parameters of which those of GEM are used.
    pixels, model
        See `napari_gem.segmentation.job.job_steps`.

    Returns
    -------
    Job, array
        What is asked of the square, and its pixels: (side, side, 3), 0 to 1.
    """
    check_maps(len(job.prompts), (int(pixels.shape[0]), int(pixels.shape[1])))
    picture = squash(render(np.asarray(pixels), job.appearance), job.squash)
    tile = -(-job.squash // model.backbone.patch_size)
    encode = replace(job.encode or model.card.encode, zoom=1.0, tile=tile, overlap=0)
    return replace(job, encode=encode, appearance=SHOWN, region=None), picture


def heat_map_steps(
    job: Job, model: Model, encoded: Encoded
) -> Generator[Progress, None, Segmentation]:
    """Segment a squashed image, by templates and synonyms and without a background.

    Returns
    -------
    Segmentation
        Its maps are no probabilities but cosines, each from its minimum to its
        maximum. A pixel has the class whose map is largest there, of those that reach
        their threshold.
    """
    features, size = encoded.features, job.squash
    height, width = encoded.image_shape
    prompts = tuple(prompt for prompt in job.prompts if prompt.on)
    check_features(model, features, prompts, None)
    score = replace(job.score or model.card.score, background=())
    words = yield from word_steps(model, features, prompts, score)
    cosines = group_scores(features.array, words.groups[:-1], synonyms=score.synonyms)
    square = min_max(upsample(cosines, features.patch, size, slice(0, size)))
    maps = upsample(square, (height / size, width / size), width, slice(0, height))
    ids = label_ids(prompts)
    thresholds = np.array([prompt.threshold for prompt in prompts], np.float32)
    reaches = maps >= thresholds[:, None, None]
    best = np.where(reaches, maps, -1).argmax(axis=0)
    labels = np.array(ids, label_type(max(ids)))[best]
    labels[~reaches.any(axis=0)] = 0
    counted = height * width
    if features.valid is not None:
        holds = np.asarray(features.valid[:, :])
        labels[~holds], maps[:, ~holds] = 0, 0
        counted = max(1, int(holds.sum()))
    remove_small(labels, job.label)
    recipe = Recipe(
        version=__version__,
        model=model.card.id,
        revision=model.revision,
        prompts=prompts,
        encode=features.parameters,
        score=score,
        appearance=job.appearance,
        device=model.device,
        precision=model.precision,
        label=job.label,
        squash=size,
    )
    return Segmentation(
        maps,
        labels,
        recipe=recipe,
        notices=(
            *features.notices,
            *filter(None, [model.notice]),
            *notices(model.backbone, prompts, score.templates, model.card.known_words),
        ),
        shares=tuple(float((labels == number).sum() / counted) for number in ids),
    )
