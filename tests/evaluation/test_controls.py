from __future__ import annotations

import numpy as np
import pytest

from napari_gem.core.errors import GemError
from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.controls import (
    Control,
    change_image,
    change_words,
    distractors,
    parse_control,
)
from napari_gem.evaluation.datasets import DatasetClass

VOC = read_classes("voc").classes
IMAGE = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Control()),
        ("shuffled", Control("shuffled")),
        ("distractors", Control("distractors", 200)),
        ("distractors=5", Control("distractors", 5)),
        ("noise=0.2", Control("noise", 0.2)),
    ],
)
def test_controls_as_typed(text: str, expected: Control) -> None:
    assert parse_control(text) == expected


@pytest.mark.parametrize(
    "text",
    ["random", "noise=", "noise=-1", "shuffled=3", "distractors=1.5", "noise=nan"],
)
def test_other_controls_are_refused(text: str) -> None:
    with pytest.raises(GemError, match=r"choose one of|the control .* takes"):
        parse_control(text)


def test_shuffling_gives_each_class_the_words_of_another() -> None:
    changed = change_words(VOC, Control("shuffled"))
    assert changed[0] == VOC[0]
    assert all(a.words != b.words for a, b in zip(VOC[1:], changed[1:], strict=True))
    assert {c.words for c in changed} == {c.words for c in VOC}
    with pytest.raises(GemError, match="cannot be shuffled"):
        change_words((DatasetClass("a", ("a",)),), Control("shuffled"))


def test_generic_words_say_nothing() -> None:
    changed = change_words(VOC, Control("generic"))
    assert {c.words for c in changed[1:]} == {("object",)}
    assert changed[0] == VOC[0]


def test_distractors_are_no_words_of_the_data_set() -> None:
    chosen = distractors(VOC, Control("distractors", 150))
    own = {word for c in VOC for word in (c.name, *c.words)}
    assert len(set(chosen)) == 150 and not own & set(chosen)
    assert chosen == distractors(VOC, Control("distractors", 150))
    assert len(distractors(VOC, Control("distractors", 200))) == 200
    assert distractors(VOC, Control("noise", 0.1)) == ()
    with pytest.raises(GemError, match=r"only .* distractors"):
        distractors(VOC, Control("distractors", 10_000))


def test_images_change_the_same_way_each_time() -> None:
    noise = Control("noise", 0.1)
    first, again, other = (change_image(IMAGE, noise, name) for name in "aab")
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert np.std(first - IMAGE) == pytest.approx(0.1, rel=0.3)
    assert first.min() >= 0 and first.max() <= 1 and first.dtype == np.float32
    faint = change_image(IMAGE, Control("contrast", 0.3), "a")
    assert np.std(faint) == pytest.approx(0.3 * np.std(IMAGE), rel=1e-3)
    assert change_image(IMAGE, Control(), "a") is IMAGE
