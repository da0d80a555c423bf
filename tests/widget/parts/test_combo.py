"""A combo box that keeps what is chosen."""

from __future__ import annotations

from napari_gem.widget.parts.combo import Combo


def test_what_is_chosen_stays_by_its_data(qtbot):
    combo = Combo("a name", "a tooltip")
    qtbot.addWidget(combo)
    changes = []
    combo.currentIndexChanged.connect(changes.append)
    combo.set_choices([("one", 1), ("two", 2)], 2)
    assert combo.currentData() == 2
    combo.set_choices([("new", 3), ("renamed", 2), ("one", 1)], combo.currentData())
    assert combo.currentText() == "renamed"
    combo.set_choices([("new", 3)], combo.currentData())
    assert (combo.data(), combo.currentText()) == ([3], "new")
    assert not changes
    assert combo.toolTip() == "a tooltip"


def test_a_long_text_is_shortened_in_its_middle_and_not_cut(qtbot):
    combo = Combo("a name", "a tooltip")
    qtbot.addWidget(combo)
    combo.set_choices([("short", 1), ("a far too long name (2 channels)", 2)], 1)
    combo.resize(120, combo.sizeHint().height())
    combo.show()
    assert combo.shown_text() == "short"
    combo.choose(2)
    text = combo.shown_text()
    assert text.startswith("a f")
    assert "…" in text
    assert text.endswith(")")
    assert combo.fontMetrics().horizontalAdvance(text) < combo.width()
    assert combo.currentText() == "a far too long name (2 channels)"
