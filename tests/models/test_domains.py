"""Templates and background words of a domain, for each model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_gem
from napari_gem.core.location import Location
from napari_gem.core.parameters import DOMAINS, GENERAL
from napari_gem.core.prompts import Prompt
from napari_gem.images.samples import REAL, SAMPLES, read_sample
from napari_gem.images.scene import Band, Scene
from napari_gem.models.catalogue import list_models, make_card
from napari_gem.models.domains import clues_of, domain_for, same_words, with_domain
from napari_gem.models.find import find_model
from napari_gem.models.presets import with_preset
from napari_gem.models.weight_sources import weight_source
from napari_gem.prompts.domains import domain_named, read_domain, word_key
from napari_gem.prompts.word_lists import read_background, read_templates

DAB = [Prompt(("brown stain",))]
DOMAIN_OF = {name: "histology" if name == REAL else name for name in SAMPLES}
ON_MICROGRAPHS_NEVER = {"field", "sand", "water", "road", "grass", "forest"}


@pytest.fixture(scope="module")
def card():
    return find_model("embedded")


@pytest.fixture(scope="module")
def general():
    return find_model("ViT-B-16-quickgelu/openai")


def test_each_card_of_a_domain_has_its_templates_and_background(general):
    cards = [card for card in list_models() if domain_named(card.domain)]
    named = {domain_named(card.domain) for card in cards}
    assert named > {"histology", "biomedical", "electron microscopy", "aerial"}
    for card in cards:
        domain = domain_named(card.domain)
        if domain == GENERAL:
            continue
        assert card.score.templates != general.score.templates, card.id
        assert card.score.background != general.score.background, card.id
        described = read_domain(domain)
        assert card.score.templates == read_templates(described.templates), card.id
        assert card.score.background == read_background(described.background), card.id


def test_a_model_of_the_user_takes_the_lists_of_its_domain():
    entry = {"architecture": "ViT-B-32", "weights": "file:/a.pt"}
    score = make_card("mine", "Mine", **entry, domain="histology").score
    assert score.templates == read_templates("histology")
    assert score.background == read_background("histology")


def test_the_embedded_model_knows_words_of_domains(card):
    own = weight_source(card).words_by_domain()
    assert set(own) >= set(DOMAIN_OF.values())
    for domain, words in own.items():
        assert domain in DOMAINS
        assert words.known
        assert words.background


def test_the_samples_are_of_their_domains(card):
    for name, domain in DOMAIN_OF.items():
        _, lines = read_sample(name)
        said = [Prompt((line.split(",")[0],)) for line in lines]
        decision = domain_for(card, said)
        assert (decision.domain, decision.by) == (domain, "words")
        score = with_domain(card.score, card, decision)
        own = weight_source(card).words_by_domain()[domain].background
        assert set(score.background) == {"background", *own}
        assert score.templates == card.score.templates


def test_micrographs_have_no_words_of_the_ground(card):
    for domain in ("fluorescence", "histology", "biomedical", "electron microscopy"):
        words = with_domain(card.score, card, domain).background
        assert not ON_MICROGRAPHS_NEVER & set(words)
    assert {
        *with_domain(card.score, card, "aerial").background,
    } >= ON_MICROGRAPHS_NEVER
    assert with_domain(card.score, card, "photograph").background == (
        card.score.background
    )


def test_a_general_model_takes_the_lists_of_the_domain(general):
    score = with_domain(general.score, general, domain_for(general, DAB))
    assert score.domain == "histology"
    assert score.templates == read_templates("histology")
    assert score.background == read_background("histology")
    assert with_domain(general.score, general, GENERAL) == general.score


def test_a_model_of_a_domain_keeps_its_own_lists(general):
    card = replace(general, domain="histology")
    decision = domain_for(card, [Prompt(("DAPI",))])
    assert decision.by == "model"
    score = with_domain(with_preset(card, "microscopy").score, card, decision)
    assert score.background == general.score.background
    assert score.refinement == 20  # of the preset


def test_a_preset_that_says_its_domain_keeps_its_words(general):
    score = with_preset(general, "photo").score
    decision = domain_for(general, DAB, preset="photo")
    assert decision.by == "preset"
    assert with_domain(score, general, decision) == replace(score, domain="photograph")


def test_the_preset_of_the_paper_has_no_domain(general):
    score = with_preset(general, "paper").score
    assert with_domain(score, general, domain_for(general, DAB, preset="paper")) == (
        score
    )


def test_words_of_one_class_are_the_same_to_the_model_that_learned_them(card, general):
    assert word_key("brown stain") in same_words(card, ["DAB"])
    assert word_key("brown stain") not in same_words(general, ["DAB"])
    assert word_key("lumen") not in same_words(card, ["DAB"])


@pytest.mark.parametrize(
    ("unit", "step", "pixel"), [("m", 10.0, 10.0), ("degree", 1e-4, 11.132)]
)
def test_clues_are_those_of_the_file(unit, step, pixel):
    at = Location(down=(step, 0.0), right=(0.0, step), unit=unit, crs="EPSG:4326")
    bands = (Band("red"), Band())
    clues = clues_of(Scene((np.zeros((2, 2, 2)),), (at,), bands=bands))
    assert (clues.channels, clues.on_ground, clues.grey) == (("red",), True, False)
    assert clues.pixel == pytest.approx(pixel)
    assert clues_of(Scene((np.zeros((2, 2)),))).grey


@pytest.mark.slow
def test_brown_stain_is_found_on_a_real_section():
    """By a word alone: the domain follows, and no word of the ground competes."""
    skimage = pytest.importorskip("skimage")
    image = skimage.data.immunohistochemistry()
    stain = skimage.color.rgb2hed(image)[..., 2]
    truth = stain > skimage.filters.threshold_otsu(stain)
    result = napari_gem.segment(image, ["brown stain"])
    assert result.recipe.score.domain == "histology"
    assert not ON_MICROGRAPHS_NEVER & set(result.recipe.competing)
    found = result.labels == 1
    assert (found & truth).sum() / (found | truth).sum() >= 0.8


@pytest.mark.slow
def test_what_is_not_of_the_image_takes_little_of_it():
    """Clouds are no word of a section: what is there competes with them."""
    skimage = pytest.importorskip("skimage")
    image = skimage.data.immunohistochemistry()
    result = napari_gem.segment(image, ["clouds"])
    assert result.recipe.score.domain == "aerial"
    assert {"brown stain", "tissue"} <= set(result.recipe.competing)
    assert result.shares[0] <= 0.1


@pytest.mark.slow
def test_background_words_of_the_user_stay_in_an_image_of_another_domain():
    skimage = pytest.importorskip("skimage")
    image = skimage.data.immunohistochemistry()
    model = napari_gem.load_model("embedded")
    score = replace(
        with_domain(model.card.score, model.card, "aerial"), background=("water",)
    )
    result = napari_gem.segment(image, ["clouds"], model, parameters=score)
    assert result.recipe.competing == ("water",)
