import json
import re

import numpy as np
import pytest

from training.captions import (
    ALL_CLASSES,
    CAPTION_DOMAINS,
    COVERS,
    NUMBER_OF,
    PHRASES,
    UNLABELLED,
    all_texts,
    concepts,
    known_words,
    make_caption,
    prompts,
    write_words,
)
from training.scenes import CLASSES, CLASSES_OF, DOMAINS, INDEX, draw_scene


@pytest.mark.parametrize("domain", DOMAINS)
def test_caption_is_true_of_its_own_crop(domain):
    rng = np.random.default_rng(0)
    for number in range(20):
        scene = draw_scene("train", number, domain=domain)
        sure, maybe = concepts(scene.labels, domain)
        present = [name for name in CLASSES if sure >> INDEX[name] & 1]
        caption = make_caption(rng, present, domain, scene.colours)
        assert caption.claims & sure == caption.claims
        assert sure & maybe == sure


def test_tiny_things_are_neither_present_nor_absent():
    labels = np.full((100, 100), INDEX["grass"], np.uint8)
    labels[0, :50] = INDEX["road"]
    sure, maybe = concepts(labels, "aerial")
    road, water = 1 << INDEX["road"], 1 << INDEX["water"]
    assert not sure & road
    assert maybe & road
    assert not maybe & water


def test_nuclei_is_true_in_both_microscopy_domains():
    rng = np.random.default_rng(0)
    stained = np.full((9, 9), INDEX["stained nucleus"], np.uint8)
    sure, _ = concepts(stained, "histology")
    plain = [make_caption(rng, ["nucleus"], "fluorescence", {}) for _ in range(200)]
    true = [caption for caption in plain if caption.claims & sure == caption.claims]
    assert any("nuclei" in caption.text for caption in true)
    assert not any("dapi" in caption.text for caption in true)
    assert not any("fluorescen" in caption.text for caption in true)


def test_words_and_prompts_cover_every_class_and_caption():
    rng = np.random.default_rng(0)
    known = set(known_words())
    for domain, names in CLASSES_OF.items():
        assert list(prompts()[domain])[: len(names)] == list(names)
    for domain in CAPTION_DOMAINS:
        names = list(prompts()[domain])
        for _ in range(100):
            text = make_caption(rng, names, domain, {names[0]: "red"}).text
            assert set(re.findall(r"[a-z]+", text)) <= known
    assert set(PHRASES) == set(ALL_CLASSES)
    assert all(text == text.lower() for text in all_texts())


def test_what_cannot_be_told_is_neither_present_nor_absent():
    labels = np.full((10, 10), UNLABELLED, np.uint8)
    sure, maybe = concepts(labels, "aerial", ("building",))
    building, road = 1 << INDEX["building"], 1 << INDEX["road"]
    assert not sure & building
    assert maybe & building
    assert not maybe & road


def test_forest_and_grass_are_vegetation_and_forests_are_trees():
    vegetation, tree = (1 << NUMBER_OF[name] for name in ("vegetation", "tree"))
    for name in ("forest", "grass"):
        sure, _ = concepts(np.full((9, 9), INDEX[name], np.uint8), "aerial")
        assert sure & vegetation
        assert not sure & tree
    rng = np.random.default_rng(0)
    forest, _ = concepts(np.full((9, 9), INDEX["forest"], np.uint8), "aerial")
    captions = [make_caption(rng, ["tree"], "aerial", {}) for _ in range(20)]
    assert all(caption.claims & forest == caption.claims for caption in captions)


def test_crop_without_a_known_class_is_named_by_its_kind():
    rng = np.random.default_rng(0)
    caption = make_caption(rng, [], "blood smear", {})
    sure, _ = concepts(np.full((9, 9), UNLABELLED, np.uint8), "blood smear")
    assert caption.text == "a blood smear"
    assert caption.claims & sure == caption.claims


def test_a_wider_word_is_no_background_word(tmp_path):
    write_words(tmp_path)
    written = json.loads((tmp_path / "prompts.json").read_text())
    assert set(written["background"]) == set(CAPTION_DOMAINS)
    usual = {phrases[0] for phrases in PHRASES.values()}
    assert usual.issuperset({*COVERS, *(w for words in COVERS.values() for w in words)})
    assert "vegetation" in written["prompts"]["aerial"]
    assert "vegetation" not in written["background"]["aerial"]
