"""Words of classes and background to text embeddings, as scoring needs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import GENERAL, ScoreParameters
from napari_gem.core.progress import Progress
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Features
from napari_gem.encoding.tiles import tiles_seen
from napari_gem.models.domains import (
    background_by_domain,
    same_words,
    with_domain,
)
from napari_gem.prompts.domains import belongs_elsewhere, word_key
from napari_gem.scoring.cosines import (
    image_offsets,
    in_image,
    likelier_than_all,
    near_duplicates,
)
from napari_gem.scoring.presence import shortfalls
from napari_gem.scoring.text import embed_steps, embed_words
from napari_gem.scoring.word_levels import neutral_steps

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
    competing
        The background words whose embeddings are the last group.
    neutral
        (channels,): the product with a word is taken from its scores; None for nothing.
    """

    groups: list[NDArray[np.float32]]
    lacking: list[bool]
    offsets: NDArray[np.float32]
    competing: tuple[str, ...] = ()
    neutral: NDArray[np.float32] | None = None


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
        Before each batch of texts, and while levels of words are measured.

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
    words = _unlike(model, parameters, typed)
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
    own = background_by_domain(model.card)
    if own and _is_background_of_domain(model, parameters):
        everything = replace(parameters, background=model.card.score.background)
        all_words = _unlike(model, everything, typed)
        yield from embed_steps(
            model.backbone, all_words, parameters.templates, model.texts
        )
        embedded = _embed(model, all_words, parameters)
        elsewhere = [belongs_elsewhere(w, parameters.domain, own) for w in all_words]
        if _is_of_another_domain(
            embedded @ features.image_embedding, np.array(elsewhere)
        ):
            words, background = all_words, embedded
            parameters = replace(everything, domain=GENERAL)
    if parameters.background and not words:
        raise GemError(
            "Every background word is a word of a prompt, so there is nothing to "
            "tell them from. Give other background words."
        )
    if words:
        classes = np.concatenate(groups)
        kept = _competing(model, words, background, classes, embeddings, parameters)
        background = background[kept]
        words = [word for word, keep in zip(words, kept, strict=True) if keep]
    groups.append(background)
    offsets = image_offsets(groups, features.image_embedding, parameters.image_weight)
    offsets[:-1] -= np.float32(parameters.absent_weight) * lacking
    neutral = None
    if parameters.level_weight:
        neutral = yield from neutral_steps(model, features)
        neutral = np.float32(parameters.level_weight) * neutral
    return Words(groups, (lacking > 0).tolist(), offsets, tuple(words), neutral)


def _is_background_of_domain(model: Model, parameters: ScoreParameters) -> bool:
    """Tell whether the domain brought the background words, not the user."""
    if parameters.domain == GENERAL:
        return False
    brought = with_domain(model.card.score, model.card, parameters.domain)
    return parameters.background == brought.background


def _is_of_another_domain(
    likely: NDArray[np.float32], elsewhere: NDArray[np.bool_]
) -> bool:
    """Tell whether an image is more like a word of another domain than of its own.

    The domain follows the words: clouds that are asked for in a micrograph would have
    only water and roads to compete with. A model with a closed vocabulary has words of
    the other domains, which then compete, too.

    Parameters
    ----------
    likely
        (words,): cosine of each background word with the image embedding.
    elsewhere
        (words,): whether it belongs to another domain.
    """
    if not elsewhere.any() or elsewhere.all():
        return False
    return bool(likely[elsewhere].max() > likely[~elsewhere].max())


def _unlike(
    model: Model, parameters: ScoreParameters, typed: Sequence[str]
) -> list[str]:
    """Leave out background words that are those of prompts.

    In images of a known domain this holds for plurals and for words that were one class
    in the training, too, unless no word would be left. Recipes from before there were
    domains keep their results.
    """
    known = {word.casefold() for word in typed}
    words = [word for word in parameters.background if word.casefold() not in known]
    if parameters.domain == GENERAL:
        return words
    same = same_words(model.card, typed)
    return [word for word in words if word_key(word) not in same] or words


def _competing(
    model: Model,
    words: Sequence[str],
    background: NDArray[np.float32],
    classes: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    parameters: ScoreParameters,
) -> NDArray[np.bool_]:
    """Choose the background words that compete with the classes, at least one.

    Left out are those that mean the same to the model as a prompt, those of other
    domains that are likelier in the image than every prompt, and those that are
    probably nowhere in the image.
    """
    kept = np.ones(len(words), bool)
    if len(classes):
        kept = ~near_duplicates(background, classes, parameters.near)
        if not kept.any():  # a model that does not tell these words apart
            kept[np.argmin((background @ classes.T).max(axis=1))] = True
        own, domain = background_by_domain(model.card), parameters.domain
        foreign = np.array([belongs_elsewhere(word, domain, own) for word in words])
        foreign &= likelier_than_all(background, classes, embeddings)
        if (kept & ~foreign).any():
            kept &= ~foreign
    rest = background[kept]
    limits = parameters.present, parameters.likeliest
    kept[kept] = in_image(rest, embeddings, *limits)
    return kept


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
