"""Domains of images: what each is, and how it is decided which one is meant.

A file in ``domains/`` describes one, for `Domain`. It names a list of templates and one
of background words, and words that speak for it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.core.parameters import DOMAINS, GENERAL, Domain
from napari_gem.core.sentences import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_gem.core.parameters import ScoreParameters
    from napari_gem.core.prompts import Prompt

    Words = Mapping[Domain, Sequence[str]]

_FOLDER = Path(__file__).parent / "domains"

_OTHER_NAMES = {"remote sensing": "aerial", "blood smear": "histology"}
"""What catalogues, prompt sets and models call a domain besides."""

_HEADS: dict[str, Domain] = {"microscopy": "biomedical", "ground": "aerial"}
"""The domain that is taken if words fit several domains of a family."""

_SATELLITE = 2.0
"""An image with pixels of so many metres or more was taken from a satellite."""

_IRREGULAR = {
    "nuclei": "nucleus",
    "bacteria": "bacterium",
    "mitochondria": "mitochondrion",
    "bacilli": "bacillus",
    "foci": "focus",
    "leaves": "leaf",
    "puncta": "punctum",
    "fibres": "fiber",
    "fibre": "fiber",
}

_CHANNELS: dict[Domain, re.Pattern[str]] = {
    "fluorescence": re.compile(
        r"\b(dapi|hoechst\d*|e?[grcy]fp|mcherry|tdtomato|fitc|tritc|cy[357]|texas ?red|"
        r"alexa ?(fluor)?|af ?\d{3}|phalloidin|mitotracker|rhodamine|"
        r"(ex|em)[ :=]*\d{3}|[34567]\d\d ?nm)\b",
        re.IGNORECASE,
    ),
    "electron microscopy": re.compile(
        r"\b(sem|tem|stem|fib-?sem|haadf|bse|se2|inlens|etd)\b", re.IGNORECASE
    ),
    "histology": re.compile(
        r"(\bh ?& ?e\b|\bhae?matoxylin|\beosin|\bdab\b|\bihc\b|brightfield rgb)",
        re.IGNORECASE,
    ),
}
"""Names of channels that speak for a domain."""


@dataclass(frozen=True)
class DomainFile:
    """A kind of images, as its file describes it.

    Attributes
    ----------
    name
        As in `ScoreParameters.domain`.
    title
        What the user reads.
    about, source
        A line for the user, and where its words come from.
    family
        ``microscopy``, ``ground`` or empty.
    templates, background
        Names of lists of `napari_gem.prompts.word_lists`.
    words
        Words that speak for it when they are asked for.
    """

    name: Domain
    title: str
    about: str
    source: str
    family: str
    templates: str
    background: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class ImageClues:
    """What is known of an image besides its pixels.

    Attributes
    ----------
    channels
        Names of its channels or bands.
    on_ground
        Whether it has a coordinate reference system.
    pixel
        Side of a pixel in metres; None if it is not known.
    grey
        Whether it has one channel and no colours.
    """

    channels: tuple[str, ...] = ()
    on_ground: bool = False
    pixel: float | None = None
    grey: bool = False


NO_CLUES = ImageClues()


class Decision(NamedTuple):
    """Which domain is meant, by what, and why in words for the user.

    Attributes
    ----------
    domain
        One of `DOMAINS`.
    by
        ``user``, ``model``, ``preset``, ``set``, ``words``, ``image`` or empty.
    reason
        A part of a sentence, such as ``as 'brown stain' says``.
    """

    domain: Domain
    by: str
    reason: str


def list_domains() -> tuple[DomainFile, ...]:
    """All domains but the general one, in the order of `DOMAINS`."""
    return tuple(read_domain(name) for name in DOMAINS if name != GENERAL)


@cache
def read_domain(name: Domain) -> DomainFile:
    """Read the file of a domain that is not the general one."""
    path = _FOLDER / f"{name.replace(' ', '-')}.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return DomainFile(name=name, **{**content, "words": tuple(content["words"])})


def domain_title(name: Domain) -> str:
    """Name a domain for the user."""
    return "General" if name == GENERAL else read_domain(name).title


def domain_line(name: Domain, score: ScoreParameters) -> str:
    """Say a domain with its numbers of background words and templates.

    Such as ``Stained tissue: 9 background words, 4 sentences``.
    """
    words, sentences = len(score.background), len(score.templates)
    return (
        f"{domain_title(name)}: {words} background word{'s' * (words != 1)}, "
        f"{sentences} sentence{'s' * (sentences != 1)}"
    )


def domain_named(name: str) -> Domain | None:
    """Find the domain that a card, a prompt set or a user names; empty for none.

    The card of the embedded model says ``demonstration``, which is no domain.
    """
    plain = " ".join(name.replace("-", " ").split()).casefold()
    plain = _OTHER_NAMES.get(plain, plain)
    return next((domain for domain in DOMAINS if domain == plain), None)


def check_domain(name: str) -> Domain | None:
    """Find the domain that a user names; empty stays empty.

    Raises
    ------
    GemError
        With those that there are.
    """
    named = domain_named(name)
    if name and not named:
        raise GemError(
            f"There is no domain '{shown(name, LONGEST)}'; choose one of "
            f"{', '.join(DOMAINS)}."
        )
    return named


def decide_domain(
    prompts: Sequence[Prompt],
    *,
    chosen: str = "",
    model: str = "",
    preset: str = "",
    sets: Sequence[str] = (),
    clues: ImageClues = NO_CLUES,
    words: Words | None = None,
) -> Decision:
    """Decide which domain is meant.

    What comes first in the list of parameters counts most, but the words, which come
    after the sets.

    Parameters
    ----------
    prompts
        The classes; those that are off say nothing.
    chosen
        What the user chose; empty for automatic.
    model
        What the model's card says it is for.
    preset
        What the preset is for.
    sets
        What the prompt set is for, the most likely first.
    clues
        What is known of the image.
    words
        Words that a model with a closed vocabulary knows, by domain.

    Returns
    -------
    Decision
        The general domain if nothing says which one is meant.
    """
    asked = domain_named(chosen)
    if asked:
        return Decision(asked, "user", "as you chose")
    image = _domain_of_image(clues)
    named = domain_named(model)
    if named == _HEADS["ground"] and image == "satellite":
        named = image  # models for the ground are for both
    for_sets = [name for name in map(domain_named, sets) if name]
    said: tuple[tuple[Domain | None, str, str], ...] = (
        (named, "model", "which the model is for"),
        (domain_named(preset), "preset", "as the preset says"),
        (for_sets[0] if for_sets else None, "set", "as the prompt set says"),
    )
    for name, by, reason in said:
        if name and name != GENERAL:
            return Decision(name, by, reason)
    meant, word = _domains_of_words(prompts, words or {})
    spoken = _one_of(meant, image, clues)
    if spoken:
        return Decision(spoken, "words", f"as '{shown(word, LONGEST)}' says")
    if image:
        place = "where the image lies" if clues.on_ground else "a channel of the image"
        return Decision(image, "image", f"as {place} says")
    return Decision(GENERAL, "", "as nothing tells which one")


def _one_of(
    meant: frozenset[Domain], image: Domain | None, clues: ImageClues
) -> Domain | None:
    """Choose among the domains that words speak for; empty if that is not possible."""
    if len(meant) > 1 and clues.grey:
        meant = meant - {"histology"}  # stains have colours
    if image in meant:
        return image
    if len(meant) == 1:
        return next(iter(meant))
    families = {read_domain(name).family for name in meant}
    return _HEADS.get(families.pop()) if len(families) == 1 else None


def belongs_elsewhere(word: str, domain: Domain, words: Words | None = None) -> bool:
    """Tell whether a word is one of the background of other domains only.

    Parameters
    ----------
    word
        A background word.
    domain
        The one that is meant; no word belongs elsewhere if that is the general one.
    words
        Background words that a model with a closed vocabulary has, by domain.
    """
    if domain == GENERAL:
        return False
    named = _background_domains(word, words or {})
    family = read_domain(domain).family
    return bool(named) and not any(
        name == domain or (family and read_domain(name).family == family)
        for name in named
    )


def word_key(word: str) -> tuple[str, ...]:
    """Give what is the same for spellings of a word, one and many.

    Examples
    --------
    >>> word_key("Cell-Nuclei") == word_key("cell nucleus")
    True
    """
    return tuple(map(_singular, word.casefold().replace("-", " ").split()))


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


def _domain_of_image(clues: ImageClues) -> Domain | None:
    """Name the domain that an image's file speaks for; empty for none."""
    if clues.on_ground:
        coarse = clues.pixel is not None and clues.pixel >= _SATELLITE
        return "satellite" if coarse else "aerial"
    for name, pattern in _CHANNELS.items():
        if any(pattern.search(channel) for channel in clues.channels):
            return name
    return None


def _domains_of_words(
    prompts: Sequence[Prompt], words: Words
) -> tuple[frozenset[Domain], str]:
    """Name the domains for which most classes speak, and a word that does."""
    known = _known_words(_frozen(words))
    votes: Counter[Domain] = Counter()
    said: dict[Domain, str] = {}
    for prompt in prompts:
        if not prompt.on:
            continue
        spoken = [(word, _domains_of(word, known)) for word in prompt.words]
        spoken = [(word, domains) for word, domains in spoken if domains]
        if not spoken:
            continue
        word, domains = min(spoken, key=lambda each: len(each[1]))
        for name in domains:
            votes[name] += 1
            said.setdefault(name, word)
    most = max(votes.values(), default=0)
    best = frozenset(name for name, count in votes.items() if count == most)
    return best, said[min(best)] if best else ""


def _domains_of(
    word: str, known: Mapping[tuple[str, ...], frozenset[Domain]]
) -> frozenset[Domain]:
    """Name the domains that know the longest part of a word."""
    parts = word_key(word)
    for length in range(len(parts), 0, -1):
        for start in range(len(parts) - length + 1):
            domains = known.get(parts[start : start + length])
            if domains:
                return domains
    return frozenset()


def _frozen(words: Words) -> tuple[tuple[Domain, tuple[str, ...]], ...]:
    return tuple((name, tuple(listed)) for name, listed in words.items())


@cache
def _known_words(
    own: tuple[tuple[Domain, tuple[str, ...]], ...],
) -> Mapping[tuple[str, ...], frozenset[Domain]]:
    """Words of all domains, and those that a model knows, by their keys."""
    listed: list[tuple[Domain, Iterable[str]]] = [
        (domain.name, domain.words) for domain in list_domains()
    ]
    return _by_key([*listed, *own])


def _background_domains(word: str, words: Words) -> frozenset[Domain]:
    return _known_background(_frozen(words)).get(word_key(word), frozenset())


@cache
def _known_background(
    own: tuple[tuple[Domain, tuple[str, ...]], ...],
) -> Mapping[tuple[str, ...], frozenset[Domain]]:
    from napari_gem.prompts.word_lists import read_background

    listed: list[tuple[Domain, Iterable[str]]] = [
        (domain.name, read_background(domain.background)) for domain in list_domains()
    ]
    return _by_key([*listed, *own])


def _by_key(
    listed: Iterable[tuple[Domain, Iterable[str]]],
) -> dict[tuple[str, ...], frozenset[Domain]]:
    found: dict[tuple[str, ...], frozenset[Domain]] = {}
    for name, words in listed:
        for key in map(word_key, words):
            found[key] = found.get(key, frozenset()) | {name}
    return found
