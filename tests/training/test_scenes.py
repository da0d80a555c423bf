from itertools import combinations

import numpy as np
import pytest

from training.make_test_scenes import LOOK_ALIKES, PER_DOMAIN, is_hard, load_scenes
from training.scenes import CLASSES, CLASSES_OF, DOMAINS, SPLITS, draw_scene


@pytest.mark.parametrize("domain", DOMAINS)
def test_scene_is_a_function_of_its_arguments(domain):
    first, again, other = (
        draw_scene("train", number, domain=domain) for number in (3, 3, 4)
    )
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


def test_splits_and_seeds_share_no_scene():
    drawn = [draw_scene(split, 0, domain="aerial").image for split in SPLITS]
    drawn.append(draw_scene("train", 0, seed=1, domain="aerial").image)
    assert not any(np.array_equal(a, b) for a, b in combinations(drawn, 2))


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("size", [128, 200])
def test_labels_hold_classes_of_the_domain_only(domain, size):
    scene = draw_scene("validation", 1, size=size, domain=domain)
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.labels.shape == (size, size)
    assert set(scene.classes) <= set(CLASSES_OF[domain])
    for name in scene.classes:
        assert scene.mask(name).any()


def test_every_class_is_drawn():
    seen = {name for n in range(150) for name in draw_scene("train", n).classes}
    assert seen == set(CLASSES) - {"background"}


def test_kept_test_scenes_are_hard_and_complete():
    scenes = load_scenes()
    domains = [scene.domain for scene in scenes]
    assert {domains.count(domain) for domain in DOMAINS} == {PER_DOMAIN}
    assert all(is_hard(scene) for scene in scenes)
    assert all(len(pair) == 2 for pair in LOOK_ALIKES)
    seen = {name for scene in scenes for name in scene.classes}
    assert seen == set(CLASSES) - {"background"}
