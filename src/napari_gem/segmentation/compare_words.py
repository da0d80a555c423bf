"""Words for a class, compared on an encoded image: small maps, the clearest first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.arrays import bands
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.core.word_comparison import (
    NOBODY,
    ComparedMaps,
    ComparedWords,
    WordFigures,
)
from napari_gem.prompts.vocabulary import is_known
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.cosines import group_scores
from napari_gem.scoring.examples import usable_examples
from napari_gem.scoring.separation import agreement, separation
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.inside import inside_pixels
from napari_gem.segmentation.segment import label_strips, score_steps

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.parameters import ScoreParameters
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Features
    from napari_gem.models.model import Model
    from napari_gem.scoring.words import Words
    from napari_gem.segmentation.segment import Scored

MAP_SIDE = 160
"""Pixels along each axis of a small map at most."""

GRID_SIDE = 256
"""Patches along each axis that are read of features on disk, at most."""

MOST_WORDS = 24
"""Words that are compared at a time."""


def compare_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    number: int,
    words: Sequence[str],
    parameters: ScoreParameters | None = None,
    cache: ScoreCache | None = None,
) -> Generator[Progress, None, ComparedMaps]:
    """Put words, one after the other, in the place of the words of a class.

    Each is scored as a run would score it, beside the other classes and the
    background, but without refinement and without the examples of its class, which are
    what it is compared with.

    Parameters
    ----------
    model, features, parameters, cache
        As `napari_gem.segmentation.segment.segment_steps`.
    prompts
        The classes.
    number
        Position of the class among them.
    words
        Candidates, each once.

    Yields
    ------
    Progress
        Before each word and each batch of texts.

    Raises
    ------
    GemError
        If there is no word, or more than `MOST_WORDS`, or as `segment_steps`.
    """
    if not words:
        raise GemError("There is no word to compare. Type some, with commas between.")
    if len(words) > MOST_WORDS:
        raise GemError(
            f"There are {len(words)} words; at most {MOST_WORDS} are compared at a "
            "time. Leave some out."
        )
    parameters = replace(parameters or model.card.score, refinement=0)
    if cache is None or not isinstance(features.array, np.ndarray):
        cache = ScoreCache()
        features = yield from _thinned_steps(features)
    own = prompts[number]
    step = -(-max(features.image_shape) // MAP_SIDE)
    maps, winners, figures, rivals = [], [], [], _Rivals()
    for done, word in enumerate(words):
        yield Progress("Comparing words", done, len(words))
        beside = _beside(prompts, number, word)
        asked = replace(own, words=(word,), examples=(), on=True)
        scored = yield from score_steps(
            model, features, (asked, *beside), parameters, step=step, cache=cache
        )
        probability, labels = _small_maps(scored, step)
        inside = inside_pixels(features, step, slice(0, len(labels)), labels.shape[1])
        counted = slice(None) if inside is None else inside
        label = scored.ids[0]
        fits = _agreement(features, own, probability, probability[counted], step)
        won = labels[counted] == label
        figures.append(
            WordFigures(
                word=word,
                known=is_known(word, model.card.known_words),
                separation=separation(probability[counted]),
                agreement=fits,
                share=float(won.mean()) if won.size else 0.0,
            )
        )
        maps.append((probability * 255 + 0.5).astype(np.uint8))
        read = yield from word_steps(model, features, scored.prompts, scored.parameters)
        winner = rivals.winners(scored, read, labels, step)
        if inside is not None:
            winner[~inside] = NOBODY
        winners.append(winner)
    order = sorted(range(len(words)), key=lambda n: -figures[n].rank)
    compared = ComparedWords(
        own.name, tuple(figures[n] for n in order), tuple(rivals.names), step
    )
    return ComparedMaps(
        compared,
        np.stack([maps[n] for n in order]),
        np.stack([winners[n] for n in order]),
    )


def _thinned_steps(features: Features) -> Generator[Progress, None, Features]:
    """Take every few rows and columns of patches that are on disk."""
    array = features.array
    thin = max(1, -(-max(array.shape[:2]) // GRID_SIDE))
    if isinstance(array, np.ndarray) or thin == 1:
        return features
    middle, parts = thin // 2, []
    for rows in bands(array):
        yield Progress("Reading features", rows.start, array.shape[0])
        first = (middle - rows.start) % thin
        parts.append(np.asarray(array[rows])[first::thin, middle::thin])
    return replace(
        features,
        array=np.concatenate(parts),
        patch=features.patch * thin,
        tile_embeddings=None,
        picture=None,
    )


def _beside(prompts: Sequence[Prompt], number: int, word: str) -> list[Prompt]:
    """Give the other classes that are on, without a word that is asked for."""
    others = []
    for place, prompt in enumerate(prompts):
        rest = tuple(w for w in prompt.words if w.casefold() != word.casefold())
        if place != number and prompt.on and (rest or prompt.examples):
            title = prompt.name
            others.append(replace(prompt, words=rest, title=title))
    return others


def _small_maps(
    scored: Scored, step: int
) -> tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]:
    """Probability of the first class, and labels, on a coarse grid."""
    strips = list(label_strips(scored, step))
    probability = np.concatenate([maps[0] for _, maps, _ in strips])
    return probability, np.concatenate([labels for _, _, labels in strips])


def _agreement(
    features: Features,
    prompt: Prompt,
    probability: NDArray[np.float32],
    counted: NDArray[np.float32],
    step: int,
) -> float | None:
    """Compare a map with the examples of the class on this image, if there are any."""
    at: dict[bool, list[float]] = {True: [], False: []}
    for example in usable_examples(features, prompt)[0]:
        if example.point is not None:
            row, column = (int(place) // step for place in example.point)
            at[example.positive].append(float(probability[row, column]))
    if not at[True] and not at[False]:
        return None
    positive, negative = (np.array(at[sign], np.float32) for sign in (True, False))
    return agreement(counted, positive, negative)


class _Rivals:
    """Names of who wins in the place of a word, in the order in which they turn up."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def winners(
        self,
        scored: Scored,
        words: Words,
        labels: NDArray[np.unsignedinteger[Any]],
        step: int,
    ) -> NDArray[np.uint8]:
        """Tell who wins each place: 0 the first class, n the n-th name."""
        winners = np.zeros(labels.shape, np.uint8)
        for label, prompt in zip(scored.ids[1:], scored.prompts[1:], strict=True):
            self._put(winners, labels == label, prompt.name)
        background = labels == 0
        if not words.competing:
            self._put(winners, background, "background")
            return winners
        vectors = [vector[None] for vector in words.groups[-1]]
        array, neutral = scored.features.array, words.neutral
        best = group_scores(array, vectors, neutral=neutral).argmax(axis=0)
        rows, columns = (
            np.minimum(
                ((np.arange(length) + 0.5) * step / scored.features.patch).astype(int),
                count - 1,
            )
            for length, count in zip(labels.shape, best.shape, strict=True)
        )
        best = best[rows[:, None], columns]
        for place, name in enumerate(words.competing):
            self._put(winners, background & (best == place), name)
        return winners

    def _put(
        self, winners: NDArray[np.uint8], where: NDArray[np.bool_], name: str
    ) -> None:
        if not where.any():
            return
        if name not in self.names:
            if len(self.names) >= NOBODY - 1:
                return
            self.names.append(name)
        winners[where] = self.names.index(name) + 1
