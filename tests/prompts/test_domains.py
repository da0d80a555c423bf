"""Which domain is meant, and by what."""

from __future__ import annotations

import pytest

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import DOMAINS, GENERAL, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.prompts.domains import (
    ImageClues,
    belongs_elsewhere,
    check_domain,
    decide_domain,
    domain_line,
    domain_named,
    list_domains,
    word_key,
)
from napari_gem.prompts.word_lists import read_background, read_templates

OWN = {
    "histology": ("tissue", "nuclei", "brown stain"),
    "fluorescence": ("nuclei", "cells"),
    "aerial": ("water", "field"),
}


def prompts(*words: str) -> list[Prompt]:
    return [Prompt((word,)) for word in words]


def test_each_domain_has_templates_background_and_sources():
    assert [domain.name for domain in list_domains()] == list(DOMAINS[1:])
    for domain in list_domains():
        assert domain.title and domain.about and domain.source and domain.words
        assert all("{}" in line for line in read_templates(domain.templates))
        assert len(read_background(domain.background)) >= 5


def test_what_counts_most_comes_first():
    decide = {
        "chosen": "aerial",
        "model": "histology",
        "preset": "photograph",
        "sets": ("", "electron microscopy"),
    }
    said = prompts("DAPI")
    expected = [
        ("aerial", "user"),
        ("histology", "model"),
        ("photograph", "preset"),
        ("electron microscopy", "set"),
        ("fluorescence", "words"),
    ]
    for name, by in expected:
        decision = decide_domain(said, **decide)
        assert (decision.domain, decision.by) == (name, by)
        assert decision.reason.startswith(("as ", "which "))
        if decide:
            del decide[next(iter(decide))]


@pytest.mark.parametrize(
    ("words", "domain"),
    [
        (["brown stain"], "histology"),
        (["purple nuclei of cells"], "histology"),
        (["GFP", "nucleus"], "fluorescence"),
        (["synapses"], "electron microscopy"),
        (["nuclei"], "biomedical"),  # of any micrograph
        (["tree crowns"], "aerial"),
        (["mangroves", "cropland"], "aerial"),  # of both kinds of images of the ground
        (["wetlands"], "satellite"),
        (["dog", "sky"], "photograph"),
        (["road", "car", "tree"], GENERAL),  # of streets and of the ground
        (["dog", "nucleus"], GENERAL),
        ([], GENERAL),
    ],
)
def test_words_speak_for_a_domain(words, domain):
    decision = decide_domain(prompts(*words))
    assert decision.domain == domain
    assert bool(decision.by) == (domain != GENERAL)


def test_classes_that_are_off_say_nothing():
    off = Prompt(("DAPI",), on=False)
    assert decide_domain([off]).domain == GENERAL


def test_words_that_a_model_knows_speak_too():
    assert decide_domain(prompts("water"), words=OWN).domain == "aerial"
    assert decide_domain(prompts("water")).domain == GENERAL
    assert decide_domain(prompts("tissue", "nuclei"), words=OWN).domain == "histology"
    assert decide_domain(prompts("brown stain"), words=OWN).reason == (
        "as 'brown stain' says"
    )


@pytest.mark.parametrize(
    ("clues", "domain"),
    [
        (ImageClues(channels=("DAPI", "GFP")), "fluorescence"),
        (ImageClues(channels=("Ch1", "525 nm")), "fluorescence"),
        (ImageClues(channels=("EM 461",)), "fluorescence"),
        (ImageClues(channels=("H&E",)), "histology"),
        (ImageClues(channels=("HAADF",)), "electron microscopy"),
        (ImageClues(channels=("red", "nir"), on_ground=True, pixel=0.6), "aerial"),
        (ImageClues(on_ground=True, pixel=10.0), "satellite"),
        (ImageClues(on_ground=True), "aerial"),
        (ImageClues(channels=("red", "item")), GENERAL),
    ],
)
def test_the_file_speaks_where_words_do_not(clues, domain):
    assert decide_domain(prompts("thing"), clues=clues).domain == domain
    if domain != GENERAL:
        assert decide_domain(prompts("dog"), clues=clues).domain == "photograph"


def test_the_image_decides_between_domains_of_which_words_speak():
    said = prompts("nuclei")
    stained = ImageClues(channels=("Haematoxylin",))
    assert decide_domain(said, clues=stained).domain == "histology"
    assert decide_domain(said, words=OWN).domain == "biomedical"
    grey = ImageClues(grey=True)
    assert decide_domain(prompts("cells"), clues=grey).domain == "fluorescence"


def test_a_model_for_the_ground_follows_the_size_of_pixels():
    said = prompts("DAPI")
    assert decide_domain(said, model="remote sensing").domain == "aerial"
    coarse = ImageClues(on_ground=True, pixel=10.0)
    assert decide_domain(said, model="remote sensing", clues=coarse).domain == (
        "satellite"
    )


def test_names_of_before_are_read():
    assert domain_named("Electron-Microscopy") == "electron microscopy"
    assert domain_named("remote sensing") == "aerial"
    assert domain_named("demonstration") is None
    assert check_domain("") is None
    with pytest.raises(GemError, match=r"no domain 'cats'.*histology"):
        check_domain("cats")


def test_words_of_other_families_belong_elsewhere():
    assert belongs_elsewhere("field", "histology", OWN)
    assert belongs_elsewhere("roof", "histology")
    assert not belongs_elsewhere("cells", "histology", OWN)  # another micrograph
    assert not belongs_elsewhere("background", "histology")
    assert not belongs_elsewhere("whatever", "histology")
    assert not belongs_elsewhere("field", GENERAL, OWN)


def test_a_plural_is_the_same_word():
    assert word_key("Cell-Nuclei") == word_key("cell nucleus")
    assert word_key("trees") == word_key("tree")
    assert word_key("bodies") == word_key("body")
    assert word_key("grass") != word_key("gras")


def test_the_line_counts_what_a_domain_brings():
    score = ScoreParameters(background=("a", "b"), templates=("{}",))
    assert domain_line("histology", score) == (
        "Stained tissue: 2 background words, 1 sentence"
    )
    assert domain_line(GENERAL, score).startswith("General: ")
