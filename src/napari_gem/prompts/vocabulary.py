"""What a model with a closed vocabulary knows of words, classes and sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from napari_gem.prompts.sets import list_sets, read_set

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_gem.core.prompts import Prompt
    from napari_gem.prompts.sets import PromptSet


def is_known(word: str, known_words: frozenset[str]) -> bool:
    """Tell whether a model was trained on all parts of a word.

    ``known_words`` are lower-case; none means an open vocabulary.
    """
    parts = word.casefold().replace("-", " ").split()
    return not known_words or all(part in known_words for part in parts)


def unknown_words(
    prompts: Iterable[Prompt], known_words: frozenset[str]
) -> tuple[str, ...]:
    """List the words of classes that a model does not know."""
    words = (word for prompt in prompts for word in prompt.words)
    return tuple(word for word in words if not is_known(word, known_words))


def related_words(words: Iterable[str], known_words: frozenset[str]) -> tuple[str, ...]:
    """List the words of all classes of the package's sets that share one with these.

    Only words that the model knows; none known means an open vocabulary.
    """
    own = {word.casefold() for word in words}
    related = {
        word.casefold(): word
        for name in list_sets()
        for prompt in _built_in(name).prompts
        if own & {word.casefold() for word in prompt.words}
        for word in prompt.words
        if word.casefold() not in own and is_known(word, known_words)
    }
    return tuple(related.values())


def fit_set(prompt_set: PromptSet, known_words: frozenset[str]) -> PromptSet:
    """Switch off the classes of which a model knows no word.

    Their words would get pixels of other classes: to such a model they all mean
    the same, which is nothing in particular. For the same reason unknown words of the
    other classes are left out.

    Parameters
    ----------
    prompt_set
        Of this package: it can be loaded again for another model.
    known_words
        Of the model; none means an open vocabulary, which leaves the set as it is.
    """
    prompts = []
    for prompt in prompt_set.prompts:
        words = tuple(word for word in prompt.words if is_known(word, known_words))
        if words or prompt.examples:
            prompts.append(replace(prompt, words=words or prompt.words))
        else:
            prompts.append(replace(prompt, on=False))
    return replace(prompt_set, prompts=tuple(prompts))


@dataclass(frozen=True)
class SetOffer:
    """A set that comes with the package, as it suits a model.

    Attributes
    ----------
    name
        For `napari_gem.prompts.sets.read_set`.
    title
        What the user reads.
    about
        Which images it is for, and what was tried.
    suits
        Whether it is for the images that the model is for.
    known, classes
        Classes of which the model knows a word, and all.
    prompts
        The classes themselves.
    """

    name: str
    title: str
    about: str
    suits: bool
    known: int
    classes: int
    prompts: tuple[Prompt, ...] = ()

    @property
    def needs_another_model(self) -> bool:
        """Whether the model has a closed vocabulary and does not know the set."""
        return not self.known or (self.known < self.classes and not self.suits)

    @property
    def note(self) -> str:
        """What the user should know before loading it; empty if there is nothing."""
        if self.needs_another_model:
            return "needs a CLIP model"
        if self.known < self.classes:
            return f"{self.known} of {self.classes} classes"
        return ""


def offered_sets(domain: str, known_words: frozenset[str]) -> tuple[SetOffer, ...]:
    """List the sets that come with the package, those first that suit a model.

    Parameters
    ----------
    domain
        Images that the model is for, as its card says.
    known_words
        Of the model; none means an open vocabulary.
    """
    offers = []
    for name in list_sets():
        prompt_set = _built_in(name)
        prompts = prompt_set.prompts
        known = sum(any(is_known(w, known_words) for w in p.words) for p in prompts)
        offers.append(
            SetOffer(
                name=name,
                title=prompt_set.name,
                about=" ".join(filter(None, (prompt_set.about, prompt_set.tested))),
                suits=domain in prompt_set.domains,
                known=known,
                classes=len(prompts),
                prompts=prompts,
            )
        )
    return tuple(
        sorted(offers, key=lambda offer: (not offer.suits, offer.needs_another_model))
    )


@cache
def _built_in(name: str) -> PromptSet:
    """Read a set once: it takes milliseconds, and models are changed often."""
    return read_set(name)
