"""The line that says which kind of images is meant."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gem.core.parameters import DOMAINS, ScoreParameters
from napari_gem.prompts.domains import Decision
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.parameters.last_used import last_used
from napari_gem.widget.prompts.domain_choice import DomainChoice

SCORE = ScoreParameters(background=("fat", "glass <b>"), templates=("{}", "a {}"))


def test_the_line_says_what_is_meant_and_the_tooltip_why(qtbot):
    choice = DomainChoice()
    qtbot.addWidget(choice)
    choice.resize(400, choice.sizeHint().height())
    choice.show_decision(Decision("histology", "words", "as 'DAB' says"), SCORE)
    assert choice.shown_text() == "Stained tissue: 2 background words, 2 sentences"
    choice.resize(290, choice.height())
    assert choice.shown_text() == "Stained tissue: 2 background words"
    choice.resize(160, choice.height())
    assert choice.shown_text() == "Stained tissue"
    assert choice.itemText(0) == "Automatic: stained tissue"
    for part in ("as 'DAB' says", "fat, glass &lt;b&gt;", "a {}"):
        assert part in choice.toolTip()
    assert choice.data() == ["", *DOMAINS]


def test_the_users_choice_is_sent_once(qtbot):
    choice = DomainChoice()
    qtbot.addWidget(choice)
    chosen = []
    choice.domain_chosen.connect(chosen.append)
    choice.set_domain("aerial")
    assert (choice.domain(), chosen) == ("aerial", [])
    choice.setCurrentIndex(0)
    choice.activated.emit(0)
    assert chosen == [""]


@pytest.fixture
def dock(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((40, 50, 3), np.uint8), rgb=True)
    dock = GemWidget(viewer)
    yield dock
    dock.close()


def test_words_decide_and_the_user_may_choose_another(dock):
    table = dock.prompt_table
    table.set_prompts([])
    table.add_text("brown stain")
    score = dock.inputs().job.score
    assert score.domain == "histology"
    assert "tissue" in score.background and "field" not in score.background
    assert table.background() is None
    assert table.domain_choice.shown_text().startswith("Stained tissue: ")
    table.domain_choice.set_domain("aerial")
    table.domain_choice.domain_chosen.emit("aerial")
    score = dock.inputs().job.score
    assert score.domain == "aerial"
    assert "field" in score.background and "tissue" not in score.background
    assert last_used(dock).domain == "aerial"
    table.set_background(("dust",))
    assert dock.inputs().job.score.background == ("dust",)
    assert "1 background word," in table.domain_choice.shown_text()


def test_names_of_channels_speak_where_words_do_not(dock):
    dock.prompt_table.set_prompts([])
    dock.prompt_table.add_text("thing")
    assert dock.inputs().job.score.domain == "general"
    layer = dock._viewer.add_image(np.zeros((40, 50), np.uint8), name="C1_DAPI")
    dock.image_panel.image_choice.choose(layer)
    decision = dock.domain(dock.card())
    assert (decision.domain, decision.by) == ("fluorescence", "image")
