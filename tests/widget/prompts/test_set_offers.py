"""Sets that suit the model are offered, and words that it does not know are named."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_gem.core.prompts import Prompt
from napari_gem.models.find import find_model
from napari_gem.prompts.sets import list_sets, read_set, write_set
from napari_gem.widget.prompts.cells import Column
from napari_gem.widget.prompts.table import PromptTable


@pytest.fixture
def table(qtbot):
    table = PromptTable()
    qtbot.addWidget(table)
    table.messages = []
    table.message_sent.connect(lambda *said: table.messages.append(said))
    table.show()
    return table


@pytest.fixture
def embedded(table):
    card = find_model("embedded", "")
    table.set_model(card.domain, card.known_words)
    return table


def buttons(table):
    return [b for b in table.set_offers.buttons if not b.isHidden()]


def entries(table):
    return [action.text() for action in table.menu_button.menu().actions()]


def test_an_empty_table_says_what_to_type_and_offers_sets(embedded):
    assert [button.text() for button in buttons(embedded)] == [
        "Aerial",
        "Fluorescence",
        "Histology",
    ]
    assert "begin with a set" in embedded.set_offers.sentence.text()
    assert all(button.toolTip() for button in buttons(embedded))
    buttons(embedded)[1].click()
    assert len(embedded.prompts()) == 18
    assert not buttons(embedded)
    embedded.set_prompts(())
    assert len(buttons(embedded)) == 3


def test_a_set_is_loaded_with_what_the_model_knows(embedded):
    embedded.load_set("fluorescence")
    on = [prompt for prompt in embedded.prompts() if prompt.on]
    assert [prompt.name for prompt in on][:6] == [
        *("Nucleus", "Cell", "Filaments", "Spots", "Mitochondrion", "Bacterium")
    ]
    assert len(on) == 9
    assert embedded.messages == [
        (
            "info",
            "Loaded 'Fluorescence'. The model knows 9 of its 18 classes; the others "
            "are switched off, and need a CLIP model.",
        )
    ]
    assert embedded.set_offers.isHidden()


def test_sets_are_marked_in_the_menu(embedded):
    texts = entries(embedded)
    assert texts[:5] == [
        "Aerial (9 of 20 classes)",
        "Fluorescence (9 of 18 classes)",
        "Histology (5 of 18 classes)",
        "Electron microscopy (needs a CLIP model)",
        "Land cover (needs a CLIP model)",
    ]
    assert texts[5] == ""  # a line
    embedded.set_model("electron microscopy", frozenset())
    assert entries(embedded)[:2] == ["Electron microscopy", "Aerial"]
    assert len(entries(embedded)) == len(texts)
    first = embedded.menu_button.menu().actions()[0]
    first.trigger()
    assert embedded.prompts()[0].name == read_set("electron-microscopy").prompts[0].name
    assert all(prompt.on for prompt in embedded.prompts())
    assert "Untested" in embedded.messages[-1][1]


def test_a_set_of_the_user_is_loaded_as_it_is(embedded, tmp_path):
    path = write_set(tmp_path / "mine.json", read_set("fluorescence"))
    embedded.load_set(path)
    assert all(prompt.on for prompt in embedded.prompts())
    sentence = embedded.set_offers.sentence.text()
    assert sentence.startswith("The model does not know 'nucleolus', 'nucleoli', ")
    assert "more. Choose a CLIP model" in sentence
    assert "The model knows 9 of its 18 classes." in embedded.messages[-1][1]


def cell(table, row, column, role=Qt.ItemDataRole.DisplayRole):
    return table.model.data(table.model.index(row, column), role)


def test_a_class_that_the_model_does_not_know_is_marked_before_and_after_a_run(
    embedded,
):
    embedded.set_prompts([Prompt(("nuclei",)), Prompt(("unicorn", "cell"))])
    assert cell(embedded, 0, Column.NAME) == "nuclei"
    assert cell(embedded, 1, Column.NAME) == "⚠ unicorn"
    assert cell(embedded, 1, Column.NAME, Qt.ItemDataRole.EditRole) == "unicorn"
    assert "does not know 'unicorn'" in cell(
        embedded, 1, Column.WORDS, Qt.ItemDataRole.ToolTipRole
    )
    assert cell(embedded, 1, Column.SHARE) == ""
    embedded.model.show_shares({1: 0.2, 2: 0.7}, ())
    assert cell(embedded, 0, Column.SHARE) == "20 %"
    assert cell(embedded, 1, Column.SHARE) == "⚠ 70 %"
    embedded.set_model("general", frozenset())
    assert cell(embedded, 1, Column.NAME) == "unicorn"


def test_unknown_words_are_named_until_they_go(embedded):
    embedded.set_prompts([Prompt(("nuclei",)), Prompt(("<b>unicorn</b>", "cell"))])
    sentence = embedded.set_offers.sentence
    assert not embedded.set_offers.isHidden()
    assert "does not know '<b>unicorn</b>'." in sentence.text()
    assert not buttons(embedded)
    embedded.set_model("general", frozenset())
    assert embedded.set_offers.isHidden()
    embedded.set_model("demonstration", frozenset({"cell"}))
    embedded.model.change(embedded.prompts()[0].label, on=False)
    embedded.model.change(embedded.prompts()[1].label, on=False)
    assert embedded.set_offers.isHidden()


def test_every_set_can_be_loaded(embedded):
    for name in list_sets():
        embedded.load_set(name)
        assert embedded.messages[-1][0] == "info"
