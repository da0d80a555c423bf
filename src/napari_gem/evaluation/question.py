"""What is looked for in an image: groups of words, and the classes they stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.evaluation.controls import change_words, distractors
from napari_gem.evaluation.metrics import OTHER
from napari_gem.prompts.word_lists import read_background

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from napari_gem.evaluation.controls import Control
    from napari_gem.evaluation.datasets import Dataset
    from napari_gem.evaluation.protocols import Protocol
    from napari_gem.models.model import Model

    Words = tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """Groups of words that compete for each pixel.

    Attributes
    ----------
    words
        Synonyms of each group.
    numbers
        Class of each group, or `metrics.OTHER`.
    background
        Number of the background class; None if the data set has none.
    rest
        Words for what is no class, for a data set whose background has no words.
    """

    words: tuple[Words, ...]
    numbers: tuple[int, ...]
    background: int | None
    rest: Words

    def only(self, wanted: Callable[[int], bool]) -> Question:
        """Keep the groups of wanted classes."""
        kept = [i for i, number in enumerate(self.numbers) if wanted(number)]
        return replace(
            self,
            words=tuple(self.words[i] for i in kept),
            numbers=tuple(self.numbers[i] for i in kept),
        )

    def absent(self, present: Collection[int]) -> Question:
        """Ask for classes that are not present, and for the background."""
        left = self.only(lambda n: n not in present or n == self.background)
        if self.background in left.numbers:
            return left
        return replace(
            left, words=(*left.words, self.rest), numbers=(*left.numbers, OTHER)
        )


def choose_words(
    dataset: Dataset, protocol: Protocol, control: Control, model: Model
) -> Question:
    """Choose what to look for.

    Raises
    ------
    GemError
        If nothing competes with a single class, or the control does not fit.
    """
    rest = model.card.score.background or read_background("general")
    by_threshold = protocol.threshold > 0 and not protocol.synonyms
    background = None
    words: list[Words] = []
    numbers: list[int] = []
    for number, entry in enumerate(change_words(dataset.classes, control)):
        if entry.background:
            background = number
        if entry.background and by_threshold:
            continue
        named = entry.words if protocol.synonyms else (entry.name,)
        words.append(named or rest)
        numbers.append(number)
    competing = distractors(dataset.classes, control)
    words += [(word,) for word in competing]
    numbers += [OTHER] * len(competing)
    if len(words) < 2 and dataset.format is not None:
        raise GemError(
            f"Only '{words[0][0]}' would be looked for, so nothing competes with it. "
            "Choose a protocol that looks for the background by words, such as model, "
            "and give the data set a background."
        )
    return Question(tuple(words), tuple(numbers), background, rest)
