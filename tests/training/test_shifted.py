from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import napari_gem
from training.captions import known_words
from training.scenes import BACKGROUND, CLASSES, CLASSES_OF, DOMAINS, INDEX
from training.shifted import NEW, SETS, WITHHELD, draw_set, draw_withheld

WORDS = Path(napari_gem.__file__).parent / "models" / "embedded" / "words.json"


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_a_function_of_its_name_and_split(name: str) -> None:
    first, again = draw_set(name, "validation", 3), draw_set(name, "validation", 3)
    assert all(
        np.array_equal(a.scene.image, b.scene.image)
        and np.array_equal(a.scene.labels, b.scene.labels)
        for a, b in zip(first, again, strict=True)
    )
    other = draw_set(name, "test", 1)[0]
    assert not np.array_equal(first[0].scene.image, other.scene.image)
    assert len({asked.group for asked in first}) == len(DOMAINS)
    side = 256 if name == "wide" else 128
    for asked in first:
        assert asked.scene.image.shape == (side, side, 3)
        assert asked.scene.image.dtype == asked.scene.labels.dtype == np.uint8
        numbers = {INDEX[each] for each in asked.scene.classes}
        assert len(numbers) >= 2 and numbers <= set(asked.words)
        assert len(set(asked.words.values())) == len(asked.words)


def test_classes_are_together_that_never_are_in_training() -> None:
    for asked in draw_set("mixed", "validation", 3):
        names = set(asked.scene.classes) - {BACKGROUND}
        assert not any(names <= set(several) for several in CLASSES_OF.values())


def test_things_touch_and_lie_in_each_other() -> None:
    cells = next(
        asked.scene
        for asked in draw_set("crowded", "validation", 3)
        if asked.group == "fluorescence"
    )
    inside = cells.mask("nucleus")
    around = np.zeros_like(inside)
    for axis in (0, 1):
        for step in (-1, 1):
            around |= np.roll(inside, step, axis)
    touching = cells.labels[around & ~inside]
    assert np.mean(touching == INDEX["cell"]) > 0.7
    assert np.mean(cells.labels == 0) < 0.3


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_withheld_class_is_in_no_caption_and_no_scene(domain: str) -> None:
    asked = draw_withheld("validation", 0, domain)
    assert (asked.scene.labels == NEW).mean() > 0.01
    assert NEW not in asked.words and len(CLASSES) == NEW
    said = set(known_words()) | set(json.loads(WORDS.read_text()))
    assert not said & set(re.findall("[a-z]+", WITHHELD[domain]))
