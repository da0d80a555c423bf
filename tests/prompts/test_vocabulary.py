"""What a closed vocabulary knows of the sets that come with the package."""

from __future__ import annotations

from dataclasses import replace

import pytest

import napari_gem
from napari_gem.core.prompts import Example, Prompt
from napari_gem.images.samples import read_sample
from napari_gem.models.find import find_model
from napari_gem.prompts.sets import PromptSet, list_sets, read_set
from napari_gem.prompts.vocabulary import (
    fit_set,
    is_known,
    offered_sets,
    unknown_words,
)

OPEN: frozenset[str] = frozenset()
KNOWN = frozenset({"cell", "nuclei", "rod"})
PROMPTS = (
    Prompt(("nuclei", "Cell-nuclei", "kernel")),
    Prompt(("Golgi",)),
    Prompt(("Golgi", "stacks"), examples=(Example((1.0, 2.0)),)),
    Prompt(("rod",), on=False),
)


@pytest.fixture(scope="module")
def card():
    return find_model("embedded", "")


@pytest.mark.parametrize(
    ("word", "known"),
    [("nuclei", True), ("Cell nuclei", True), ("cell-nuclei", True), ("Golgi", False)],
)
def test_a_word_is_known_by_its_parts(word, known):
    assert is_known(word, KNOWN) == known
    assert is_known(word, OPEN)


def test_unknown_words_are_listed():
    assert unknown_words(PROMPTS, KNOWN) == ("kernel", "Golgi", "Golgi", "stacks")
    assert unknown_words(PROMPTS, OPEN) == ()


def test_classes_without_a_known_word_are_switched_off():
    fitted = fit_set(PromptSet("x", prompts=PROMPTS), KNOWN)
    assert [prompt.on for prompt in fitted.prompts] == [True, False, True, False]
    assert [prompt.words for prompt in fitted.prompts] == [
        ("nuclei", "Cell-nuclei"),
        ("Golgi",),
        ("Golgi", "stacks"),  # found by its example
        ("rod",),
    ]
    whole = PromptSet("x", prompts=PROMPTS)
    assert fit_set(whole, OPEN) == whole


def test_sets_that_suit_the_model_come_first(card):
    embedded = offered_sets(card.domain, card.known_words)
    assert [offer.name for offer in embedded if offer.suits] == [
        "aerial",
        "fluorescence",
        "histology",
    ]
    assert all(offer.suits for offer in embedded[:3])
    assert {offer.note for offer in embedded[3:]} == {"needs a CLIP model"}
    assert embedded[1].note == "9 of 18 classes"
    histology = offered_sets("histology", OPEN)
    assert histology[0].name == "histology"
    assert not any(offer.note for offer in histology)
    assert {offer.name for offer in histology} == set(list_sets())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("fluorescence", {"Nucleus": 3, "Cell": 10, "Filaments": 4, "Spots": 3}),
        ("histology", {"Nucleus": 8, "DAB stain": 3, "Lumen": 10, "Stroma": 50}),
        ("aerial", {"Water": 30, "Building": 3, "Road": 2, "Ship": 2, "Grass": 20}),
    ],
)
def test_a_set_finds_what_is_in_the_sample_of_its_name(card, name, classes):
    prompt_set = fit_set(read_set(name), card.known_words)
    score = replace(
        card.score,
        background=prompt_set.background,
        templates=prompt_set.templates,
    )
    pixels = read_sample(name)[0].pixels
    prompts = [prompt for prompt in prompt_set.prompts if prompt.on]
    result = napari_gem.segment(pixels, prompts, parameters=score)
    names = [prompt.name for prompt in result.recipe.prompts]
    shares = dict(zip(names, result.shares, strict=True))
    for title, percent in classes.items():
        assert shares[title] >= percent / 100, shares
