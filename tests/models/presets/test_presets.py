from __future__ import annotations

import pytest

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import GemParameters
from napari_gem.core.validation import check_encode, check_gem, check_score
from napari_gem.evaluation.protocols import list_protocols
from napari_gem.models.find import find_model
from napari_gem.models.presets import list_presets, read_preset, with_preset
from napari_gem.prompts.word_lists import read_background, read_templates

CARD = find_model("ViT-L-14-quickgelu/openai")


def test_there_are_those_that_are_told() -> None:
    assert list_presets() == ("microscopy", "paper", "photo", "remote-sensing")


@pytest.mark.parametrize("name", list_presets())
def test_a_preset_can_be_used(name: str) -> None:
    preset = read_preset(name)
    assert preset.about
    assert preset.protocol in ("", *list_protocols())
    changed = with_preset(CARD, name)
    assert changed != CARD
    check_encode(changed.encode)
    check_score(changed.score)
    check_gem(changed.encode.gem)
    # what it does not tell is as the model has it
    stated = {**preset.encode.get("gem", {})}
    for key, value in vars(changed.encode.gem).items():
        assert value == stated.get(key, getattr(CARD.encode.gem, key))


def test_lists_are_read_by_their_names() -> None:
    score = with_preset(CARD, "remote-sensing").score
    assert score.templates == read_templates("aerial")
    assert score.background == read_background("aerial")


def test_the_paper_is_the_released_method() -> None:
    card = with_preset(CARD, "paper")
    assert card.encode.gem == GemParameters()
    assert card.score.templates == ("a photo of a {}.",)
    assert card.score.background == ()
    assert read_preset("paper").squash == 448


def test_no_preset_changes_nothing() -> None:
    assert with_preset(CARD, "") is CARD
    with pytest.raises(GemError, match=r"no preset 'best'; choose one of .*photo"):
        with_preset(CARD, "best")
