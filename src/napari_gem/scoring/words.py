"""Words of classes and background to text embeddings, as scoring needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import ScoreParameters
from napari_gem.core.progress import Progress
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Features
from napari_gem.encoding.tiles import tiles_seen
from napari_gem.scoring.cosines import (
    image_offsets,
    in_image,
    near_duplicates,
)
from napari_gem.scoring.presence import shortfalls
from napari_gem.scoring.text import embed_steps, embed_words

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_gem.models.model import Model


@dataclass(frozen=True, eq=False)
class Words:
    """Words of all classes and the background, embedded.

    Attributes
    ----------
    groups
        Text embeddings of each class and, last, of the background: (words, channels),
        unit length.
    lacking
        For each class whether its words fit the whole image less than they would if it
        were there; a class with examples is there.
    offsets
        (classes + 1,): number that is added to all scores of a group.
    """

    groups: list[NDArray[np.float32]]
    lacking: list[bool]
    offsets: NDArray[np.float32]


def word_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters,
) -> Generator[Progress, None, Words]:
    """Read the words of classes and background.

    Parameters
    ----------
    model
        Reads them.
    features
        The encoded image, which shows what is probably not in it.
    prompts
        The classes.
    parameters
        Templates and background words.

    Yields
    ------
    Progress
        Before each batch of texts.

    Returns
    -------
    Words
        Their text embeddings.

    Raises
    ------
    GemError
        If every background word is one of the classes' words. If each only means the
        same to the model, the one that is least like them is kept.
    """
    typed = [word for prompt in prompts for word in prompt.words]
    known = {word.casefold() for word in typed}
    words = [w for w in parameters.background if w.casefold() not in known]
    yield Progress("Reading words")
    yield from embed_steps(
        model.backbone, typed + words, parameters.templates, model.texts
    )
    none = np.empty((0, len(features.image_embedding)), np.float32)
    groups = [
        _embed(model, prompt.words, parameters) if prompt.words else none
        for prompt in prompts
    ]
    background = _embed(model, words, parameters) if words else none
    embeddings = _image_embeddings(features, parameters)
    lacking = shortfalls(
        groups,
        background,
        embeddings,
        parameters.present,
        parameters.absent_spread,
    )
    # an example says that the class is there
    lacking[[bool(prompt.examples) for prompt in prompts]] = 0
    if len(background) and typed:
        classes = np.concatenate(groups)
        same = near_duplicates(background, classes, parameters.near)
        if same.all():  # a model that does not tell these words apart
            same[np.argmin((background @ classes.T).max(axis=1))] = False
        background = background[~same]
    if parameters.background and not len(background):
        raise GemError(
            "Every background word is a word of a prompt, so there is nothing to "
            "tell them from. Give other background words."
        )
    if len(background):
        background = background[in_image(background, embeddings, parameters.present)]
    groups.append(background)
    offsets = image_offsets(groups, features.image_embedding, parameters.image_weight)
    offsets[:-1] -= np.float32(parameters.absent_weight) * lacking
    return Words(groups, (lacking > 0).tolist(), offsets)


def _image_embeddings(
    features: Features, parameters: ScoreParameters
) -> NDArray[np.float32]:
    """Embeddings that show what is in the image, or in its region."""
    tiles = features.tile_embeddings
    if parameters.presence == "image" or tiles is None:
        return features.image_embedding[None]
    grid, used, region = features.array.shape, features.parameters, features.region
    return tiles[tiles_seen(grid, used, region, features.image_shape, features.patch)]


def _embed(
    model: Model, words: Sequence[str], parameters: ScoreParameters
) -> NDArray[np.float32]:
    return embed_words(model.backbone, words, parameters.templates, model.texts)
