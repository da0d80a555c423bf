"""An image segmented as GEM was released: squashed, with maps from minimum to maximum.

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
from napari_gem.core.validation import (
    check_label,
    check_maps,
    check_prompts,
    check_score,
    check_squash,
)
from napari_gem.encoding.encode import encode_steps
from napari_gem.images.rendering import check_image, render, squash
from napari_gem.scoring.cosines import group_scores, min_max
from napari_gem.scoring.text import notices
from napari_gem.scoring.upsampling import upsample
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.postprocess.largest import label_type
from napari_gem.segmentation.postprocess.small import remove_small

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.parameters import (
        EncodeParameters,
        LabelParameters,
        ScoreParameters,
    )
    from napari_gem.core.progress import Progress
    from napari_gem.core.prompts import Prompt
    from napari_gem.models.find import Model

SHOWN = Appearance(rgb=True, limits=(0.0, 1.0))


def squashed_steps(
    model: Model,
    pixels: LazyArray,
    appearance: Appearance,
    prompts: Sequence[Prompt],
    encode: EncodeParameters,
    score: ScoreParameters,
    label: LabelParameters,
    size: int,
) -> Generator[Progress, None, Segmentation]:
    """Segment an image that is squashed first.

    Parameters
    ----------
    model
        From `napari_gem.load_model`.
    pixels, appearance
        As of `napari_gem.encoding.encode.encode_steps`.
    prompts
        The classes; examples are not used.
    encode
        Of it only what concerns GEM is used: the square is one tile.
    score
        Of it templates and synonyms are used; there is no background.
    label
        Parameters.
    size
        Side of the square in pixels.

    Yields
    ------
    Progress
        For reading words and encoding.

    Returns
    -------
    Segmentation
        Its maps are no probabilities but cosines, each from its minimum to its
        maximum. A pixel has the class whose map is largest there, of those that reach
        their threshold.

    Raises
    ------
    GemError
        As `napari_gem.segment`.
    """
    prompts = tuple(prompt for prompt in prompts if prompt.on)
    check_image(pixels, appearance)
    check_prompts(prompts)
    check_score(score)
    check_label(label)
    check_squash(size)
    height, width = shape = int(pixels.shape[0]), int(pixels.shape[1])
    check_maps(len(prompts), shape)
    picture = squash(render(np.asarray(pixels), appearance), size)
    tile = -(-size // model.backbone.patch_size)
    whole = replace(encode, zoom=1.0, tile=tile, overlap=0)
    features = yield from encode_steps(model, picture, SHOWN, whole)
    score = replace(score, background=())
    words = yield from word_steps(model, features, prompts, score)
    cosines = group_scores(features.array, words.groups[:-1], synonyms=score.synonyms)
    square = min_max(upsample(cosines, features.patch, size, slice(0, size)))
    maps = upsample(square, (height / size, width / size), width, slice(0, height))
    ids = label_ids(prompts)
    reached = [one.threshold for one in prompts]
    reaches = maps >= np.array(reached, np.float32)[:, None, None]
    best = np.where(reaches, maps, -1).argmax(axis=0)
    labels = np.array(ids, label_type(max(ids)))[best]
    labels[~reaches.any(axis=0)] = 0
    remove_small(labels, label.minimum_size)
    recipe = Recipe(
        version=__version__,
        model=model.card.id,
        revision=model.revision,
        prompts=prompts,
        encode=whole,
        score=score,
        appearance=appearance,
        device=model.device,
        precision=model.precision,
        label=label,
        squash=size,
    )
    said = notices(model.backbone, prompts, score.templates, model.card.known_words)
    shares = tuple(float((labels == one).mean()) for one in ids)
    return Segmentation(maps, labels, recipe, said, shares)
