"""What a domain of images brings to a model: templates and background words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.fields import with_values
from napari_gem.core.parameters import GENERAL, Domain, ScoreParameters
from napari_gem.core.units import in_unit
from napari_gem.models.card import ModelCard
from napari_gem.models.presets import read_preset
from napari_gem.models.weight_sources import DomainWords, weight_source
from napari_gem.prompts.domains import (
    NO_CLUES,
    Decision,
    ImageClues,
    decide_domain,
    domain_named,
    read_domain,
    word_key,
)
from napari_gem.prompts.word_lists import read_background, read_templates

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_gem.core.location import Location
    from napari_gem.core.prompts import Prompt
    from napari_gem.images.scene import Scene

Value = bool | int | float | str | tuple[str, ...]
"""Of a parameter."""

DEGREE = 111_320.0
"""Metres of a degree on the equator."""

BACKGROUND = "background"
"""The word that models with a closed vocabulary have beside those of a domain."""


def domain_for(
    card: ModelCard,
    prompts: Sequence[Prompt],
    *,
    chosen: str = "",
    preset: str = "",
    sets: Sequence[str] = (),
    clues: ImageClues = NO_CLUES,
) -> Decision:
    """Decide which domain is meant, of what is asked of a model.

    Parameters
    ----------
    card
        The model.
    preset
        Its name; empty for none.
    prompts, chosen, sets, clues
        See `napari_gem.prompts.domains.decide_domain`.
    """
    if preset and read_preset(preset).squash:  # words are a part of what it repeats
        return Decision(GENERAL, "preset", "as the preset says")
    own = weight_source(card).words_by_domain()
    return decide_domain(
        prompts,
        chosen=chosen,
        # it was trained on several domains
        model="" if own else card.domain,
        preset=read_preset(preset).domain if preset else "",
        sets=sets,
        clues=clues,
        words={name: words.known for name, words in own.items()},
    )


def with_domain(
    score: ScoreParameters, card: ModelCard, decision: Decision | Domain
) -> ScoreParameters:
    """Take templates and background words of a domain.

    Parameters
    ----------
    score
        The model's parameters, perhaps with a preset. The general domain leaves their
        words, and a preset that decided the domain has its own.
    card
        The model, without a preset: its words are those of the domain that it is for.
        A model with a closed vocabulary keeps its templates.
    decision
        The domain, or how it was decided.
    """
    domain = decision if isinstance(decision, str) else decision.domain
    by = "" if isinstance(decision, str) else decision.by
    score = replace(score, domain=domain)
    own = weight_source(card).words_by_domain()
    if domain == GENERAL or by == "preset":
        return score
    if own:
        return replace(score, background=_own_background(card, domain))
    if domain == domain_named(card.domain):
        templates, background = card.score.templates, card.score.background
    else:
        described = read_domain(domain)
        templates = read_templates(described.templates)
        background = read_background(described.background)
    return replace(score, templates=templates, background=background)


@dataclass(frozen=True)
class DomainRule:
    """How the domain of each image is decided, and what it decides.

    Attributes
    ----------
    card
        Of the model, without the preset.
    score
        What is suggested: the model's parameters, perhaps with the preset.
    given
        What the user gave, by the names of parameters; a ``domain`` among it is the
        choice.
    preset
        Its name; empty for none.
    sets
        Domains of the prompt set.
    """

    card: ModelCard
    score: ScoreParameters
    given: dict[str, Value]
    preset: str = ""
    sets: tuple[str, ...] = ()

    @property
    def plain(self) -> dict[str, Any]:
        """What it decides by, as plain values."""
        return {"domain": self.given.get("domain", ""), "sets": list(self.sets)}

    def decide(self, prompts: tuple[Prompt, ...], clues: ImageClues) -> Decision:
        """Decide which domain an image is of."""
        return domain_for(
            self.card,
            prompts,
            chosen=str(self.given.get("domain", "")),
            preset=self.preset,
            sets=self.sets,
            clues=clues,
        )

    def settle(self, prompts: tuple[Prompt, ...], clues: ImageClues) -> ScoreParameters:
        """Give the parameters for an image."""
        decision = self.decide(prompts, clues)
        return with_values(with_domain(self.score, self.card, decision), self.given)


def clues_of(scene: Scene) -> ImageClues:
    """Say what a file tells of its image's domain."""
    location, shape = scene.location, scene.levels[0].shape
    return ImageClues(
        channels=tuple(band.name for band in scene.bands if band.name),
        on_ground=bool(location and location.crs),
        pixel=ground_pixel(location),
        grey=len(shape) == 2,
    )


def ground_pixel(location: Location | None) -> float | None:
    """Measure the side of a pixel on the ground in metres; None if it is not known."""
    if location is None or not location.crs:
        return None
    side = max(location.pixel_size)
    if location.unit == "degree":
        return side * DEGREE
    return in_unit(side, location.unit, "m")


def background_by_domain(card: ModelCard) -> dict[Domain, tuple[str, ...]]:
    """Background words of each domain that a model with a closed vocabulary has."""
    own = weight_source(card).words_by_domain()
    return {name: words.background for name, words in own.items()}


def same_words(card: ModelCard, words: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """Keys of words, and of those that mean all or a part of the same to a model.

    That is what was one class with them in the training, and what they cover.

    See `napari_gem.prompts.domains.word_key`.
    """
    own = weight_source(card).words_by_domain().values()
    keys = set(map(word_key, words))
    keys |= _of_one_class(keys, own)
    covered = {
        word_key(narrower)
        for listed in own
        for word, several in listed.covers
        if word_key(word) in keys
        for narrower in several
    }
    return frozenset(keys | covered | _of_one_class(covered, own))


def _of_one_class(
    keys: set[tuple[str, ...]], own: Iterable[DomainWords]
) -> set[tuple[str, ...]]:
    """Give the keys of all phrases of the classes that some keys are of."""
    classes = (set(map(word_key, some)) for listed in own for some in listed.classes)
    return {key for phrases in classes if phrases & keys for key in phrases}


def _own_background(card: ModelCard, domain: Domain) -> tuple[str, ...]:
    """Words that a model knows of a domain, or else of its family, or else all."""
    own = background_by_domain(card)
    family = read_domain(domain).family
    lists = [own[domain]] if domain in own else []
    lists = lists or [
        words
        for name, words in own.items()
        if family and read_domain(name).family == family
    ]
    words = [word for listed in lists for word in listed]
    if not words:
        return card.score.background
    return tuple(dict.fromkeys([BACKGROUND, *words]))
