"""Typed words to prompts, and prompts to text embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.tiles import unit
from napari_gem.types import GemError, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.backbones import Backbone

MOST_CLASSES = 200
"""Classes of one run at most: each brings a map as large as the image."""

TextCache = dict[tuple[str, tuple[str, ...]], "NDArray[np.float32]"]


def parse_prompts(lines: str | Iterable[str | Prompt]) -> tuple[Prompt, ...]:
    """Read prompts: one class a line, a comma between synonyms.

    Blank lines, blanks around words and repeated words of one class are dropped.

    Parameters
    ----------
    lines
        Text with one class a line, or the lines. A `Prompt` is taken as it is.

    Raises
    ------
    GemError
        If no word is left, if two classes share a word, or if there are more than
        `MOST_CLASSES`.
    """
    if isinstance(lines, str):
        lines = lines.splitlines()
    prompts = [line if isinstance(line, Prompt) else _parse(line) for line in lines]
    prompts = [prompt for prompt in prompts if prompt.words]
    if not prompts:
        raise GemError("There is no prompt. Type what to look for, one class a line.")
    if len(prompts) > MOST_CLASSES:
        raise GemError(
            f"{len(prompts)} classes came; at most {MOST_CLASSES} can be looked for in "
            "one run. Split the list into several runs."
        )
    owner: dict[str, Prompt] = {}
    for prompt in prompts:
        for word in prompt.words:
            if word.casefold() in owner:
                raise GemError(
                    f"'{word}' stands twice in the prompts. Keep it in one class only."
                )
        owner.update((word.casefold(), prompt) for word in prompt.words)
    return tuple(prompts)


def _parse(line: str) -> Prompt:
    words = (" ".join(part.split()) for part in line.split(","))
    return Prompt(tuple({w.casefold(): w for w in words if w}.values()))


def fill(templates: Sequence[str], word: str) -> list[str]:
    """Put a word into each template."""
    return [template.replace("{}", word) for template in templates]


def embed_words(
    backbone: Backbone,
    words: Sequence[str],
    templates: tuple[str, ...],
    cache: MutableMapping[tuple[str, tuple[str, ...]], NDArray[np.float32]],
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
        Embeddings already made with this backbone; new ones are added.

    Returns
    -------
    NDArray[np.float32]
        (words, channels), unit length.
    """
    if not templates:
        raise GemError("There is no template; expected at least one, such as '{}'.")
    missing = [w for w in dict.fromkeys(words) if (w, templates) not in cache]
    if missing:
        texts = [text for word in missing for text in fill(templates, word)]
        vectors = unit(backbone.encode_texts(texts).float().cpu().numpy())
        means = unit(vectors.reshape(len(missing), len(templates), -1).mean(axis=1))
        cache.update({(w, templates): m for w, m in zip(missing, means, strict=True)})
    return np.stack([cache[word, templates] for word in words])


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
        All lower-case words the model knows; empty means an open vocabulary.

    Returns
    -------
    tuple[str, ...]
        One sentence for unknown words, and one for each prompt that is cut.
    """
    said = []
    words = [word for prompt in prompts for word in prompt.words]
    unknown = [word for word in words if known_words and not _known(word, known_words)]
    if unknown:
        names = ", ".join(f"'{word}'" for word in unknown)
        said.append(
            f"This model was not trained on {names}: expect nothing sensible there. "
            "Choose a real CLIP model for free words."
        )
    for word in words:
        longest = max(fill(templates, word), key=len)
        if backbone.count_tokens([longest])[0] > backbone.context_length:
            said.append(
                f"'{word[:40]}…' is longer than the {backbone.context_length} tokens "
                f"that this model reads: it sees '{backbone.kept_text(longest)}'."
            )
    return tuple(said)


def _known(word: str, known_words: frozenset[str]) -> bool:
    parts = word.casefold().replace("-", " ").split()
    return all(part in known_words for part in parts)
