"""Words to text embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.arrays import unit_vectors
from napari_gem.core.errors import GemError, no_numbers
from napari_gem.core.memory import Portion
from napari_gem.core.progress import Clock, Progress
from napari_gem.core.prompts import Prompt
from napari_gem.core.sentences import some_of
from napari_gem.prompts.vocabulary import unknown_words

if TYPE_CHECKING:
    from collections.abc import Generator, MutableMapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.backbones import Backbone

    Embeddings = MutableMapping[tuple[str, tuple[str, ...]], NDArray[np.float32]]

TOKENS = {"cpu": 1024}
MOST_TOKENS = 256 * 77
"""Tokens of a batch, by kind of device and for all others. It can be cancelled between
two batches; on a processor one takes about as long as a tile of an image."""


def fill_templates(templates: Sequence[str], word: str) -> list[str]:
    """Put a word into each template."""
    return [template.replace("{}", word) for template in templates]


def embed_words(
    backbone: Backbone,
    words: Sequence[str],
    templates: tuple[str, ...],
    cache: Embeddings,
) -> NDArray[np.float32]:
    """Embed words: each template's embedding normalised, averaged, normalised again.

    Parameters
    ----------
    backbone
        Model that reads the text.
    words
        At least one.
    templates
        Sentences with ``{}`` for the word.
    cache
        Embeddings by word and templates, all of this backbone; new ones are added.

    Returns
    -------
    NDArray[np.float32]
        (words, channels), unit length.
    """
    for _ in embed_steps(backbone, words, templates, cache):
        pass
    return np.stack([cache[word, templates] for word in words])


def embed_steps(
    backbone: Backbone,
    words: Sequence[str],
    templates: tuple[str, ...],
    cache: Embeddings,
) -> Generator[Progress, None, None]:
    """Embed the words that are not in the cache yet, in batches.

    If a batch does not fit the memory, smaller ones are tried. The parameters are those
    of `embed_words`.

    Yields
    ------
    Progress
        Before each batch and at the end; nothing if the cache has all words. If the
        generator is closed, finished words stay in the cache.

    Raises
    ------
    GemError
        If there is no template, or the model gives no finite numbers.
    """
    count = len(templates)
    if not count:
        raise GemError("There is no template; give at least one, such as '{}'.")
    missing = [w for w in dict.fromkeys(words) if (w, templates) not in cache]
    texts = [text for word in missing for text in fill_templates(templates, word)]
    tokens = TOKENS.get(backbone.device.type, MOST_TOKENS)
    at_once = max(1, tokens // backbone.context_length)
    clock, done = Clock(len(missing)), 0

    def read_batch(batch: slice) -> NDArray[np.float32]:
        read = backbone.encode_texts(texts[batch]).float().cpu().numpy()
        if not np.isfinite(read).all():
            name = str(backbone.dtype).removeprefix("torch.")
            raise GemError(no_numbers("The text tower of the model", name))
        return unit_vectors(read)

    waiting: list[NDArray[np.float32]] = []  # for the other templates of their word
    if missing:
        yield clock.progress("Reading words", done)
    for batch, embedded in Portion(at_once).over(slice(0, len(texts)), read_batch):
        waiting.append(embedded)
        whole = missing[done : batch.stop // count]
        if whole:
            read = np.concatenate(waiting)
            of_whole, waiting = read[: len(whole) * count], [read[len(whole) * count :]]
            means = of_whole.reshape(len(whole), count, -1).mean(axis=1)
            for word, mean in zip(whole, unit_vectors(means), strict=True):
                cache[word, templates] = mean
            done += len(whole)
        yield clock.progress("Reading words", done)


def notices(
    backbone: Backbone,
    prompts: Sequence[Prompt],
    templates: Sequence[str],
    known_words: frozenset[str],
) -> tuple[str, ...]:
    """Say what the model will not understand.

    Parameters
    ----------
    backbone
        Model that reads the text.
    prompts
        What the user typed.
    templates
        Sentences around the words.
    known_words
        All lower-case words that the model knows; empty means an open vocabulary.

    Returns
    -------
    tuple[str, ...]
        One sentence for unknown words, and one for each prompt that is cut.
    """
    sentences = []
    words = [word for prompt in prompts for word in prompt.words]
    unknown = unknown_words(prompts, known_words)
    if unknown:
        sentences.append(
            f"This model was not trained on {some_of(unknown, quoted=True)}: expect "
            "nothing sensible there. Choose a real CLIP model for free words."
        )
    for word in words:
        longest = max(fill_templates(templates, word), key=len)
        if backbone.count_tokens([longest])[0] > backbone.context_length:
            sentences.append(
                f"'{word[:40]}…' is longer than the {backbone.context_length} tokens "
                f"that this model reads: it sees '{backbone.kept_text(longest)}'."
            )
    return tuple(sentences)
