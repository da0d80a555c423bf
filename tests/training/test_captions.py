import numpy as np
import pytest

from training.captions import (
    PHRASES,
    all_texts,
    concepts,
    known_words,
    make_caption,
    prompts,
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
        assert list(prompts()[domain]) == list(names)
        for _ in range(100):
            text = make_caption(rng, names, domain, {names[0]: "red"}).text
            assert set(text.replace(",", " ").replace(".", " ").split()) <= known
    assert set(PHRASES) == set(CLASSES)
    assert all(text == text.lower() for text in all_texts())
