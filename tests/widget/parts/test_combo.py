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
