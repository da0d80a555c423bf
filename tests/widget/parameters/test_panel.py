"""The advanced panel and the recipe menu."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QAbstractSlider, QFileDialog, QLabel

from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import LabelParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe
from napari_gem.models.find import find_model
from napari_gem.models.presets import with_preset
from napari_gem.prompts.word_lists import read_templates
from napari_gem.results.recipe import read_recipe
from napari_gem.widget.parameters.panel import GEM, PREFERRED, SUGGESTED, AdvancedPanel
from napari_gem.widget.recipes.menu import RecipeMenu
from napari_gem.widget.state import LastResult

EMBEDDED = find_model("embedded")
NARROW = 320
STATE = {
    "background_weight": 0.75,
    "smoothing": 2.5,
    "minimum_size": 40,
    "depth": 3,
    "iterations": 2,
    "temperature_scale": 1.5,
    "residual": True,
    "refinement": 7,
    "templates": "bare",
    "precision": "bfloat16",
}


@pytest.fixture
def panel(qtbot):
    panel = AdvancedPanel()
    qtbot.addWidget(panel)
    panel.set_card(EMBEDDED)
    return panel


@pytest.fixture
def said(panel):
    """What the panel reports."""
    reports = []
    panel.score_changed.connect(lambda moving: reports.append(("score", moving)))
    panel.encode_changed.connect(lambda: reports.append("encode"))
    return reports


def field(panel, name):
    return panel._controls[name]


def test_as_the_card_says_nothing_is_changed(panel, said):
    assert panel.score(EMBEDDED.score) == EMBEDDED.score
    assert panel.encode(EMBEDDED.encode) == EMBEDDED.encode
    assert panel.label() == LabelParameters()
    assert panel.precision() is None
    assert panel.state() == {}
    assert panel.summary.text() == "As the model suggests"
    assert not panel.reset_button.isEnabled()
    assert field(panel, "depth").value == EMBEDDED.encode.gem.depth
    assert said == []


def test_values_reach_the_parameters_and_come_back(panel, said, qtbot):
    panel.set_state(STATE)
    assert said == []
    assert panel.state() == STATE
    base = replace(EMBEDDED.score, scale=33.0, background=("sky",))
    assert panel.score(base) == replace(
        base,
        background_weight=0.75,
        smoothing=2.5,
        refinement=7,
        templates=read_templates("bare"),
    )
    gem = panel.encode(replace(EMBEDDED.encode, zoom=3.0))
    assert gem.zoom == 3.0
    assert [getattr(gem.gem, name) for name in GEM] == [3, 2, 1.5, True]
    assert panel.label() == LabelParameters(40)
    assert panel.precision() == "bfloat16"
    qtbot.mouseClick(panel.reset_button, Qt.MouseButton.LeftButton)
    assert said == ["encode"]
    assert panel.state() == {}
    assert panel.score(base) == base


def test_a_preset_is_laid_over_the_card(panel, said):
    heard = []
    panel.preset_changed.connect(lambda: heard.append(panel.suggested(EMBEDDED)))
    field(panel, "smoothing").value = 4
    field(panel, "depth").value = 4
    said.clear()
    names = list(field(panel, "preset").choices)
    assert names == [SUGGESTED, "microscopy", "photo", "remote-sensing"]
    field(panel, "preset").value = "photo"
    photo = with_preset(EMBEDDED, "photo")
    assert (heard, said) == ([photo], ["encode"])
    # what was changed of the method goes, of the labels it stays
    assert panel.state() == {"smoothing": 4.0, "preset": "photo"}
    assert panel.encode(photo.encode) == photo.encode
    assert panel.score(photo.score) == replace(photo.score, smoothing=4.0)
    assert field(panel, "refinement").value == photo.score.refinement
    assert panel.summary.text() == "Changed: preset, smoothing"
    kept = panel.state()
    panel.reset()
    assert panel.suggested(EMBEDDED) == EMBEDDED
    assert panel.state() == {}
    panel.set_state(kept)
    assert panel.suggested(EMBEDDED) == photo
    panel.set_state({"preset": "gone"})
    assert panel.suggested(EMBEDDED) == EMBEDDED


def test_what_differs_from_the_card_is_shown(panel):
    field(panel, "smoothing").value = 4
    field(panel, "templates").value = "one"
    assert panel.summary.text() == "Changed: smoothing, templates"
    bold = [name for name, label in panel._labels.items() if label.font().bold()]
    assert bold == ["smoothing", "templates"]
    assert "The model suggests 0." in field(panel, "smoothing").native.toolTip()
    assert panel.reset_button.isEnabled()
    field(panel, "smoothing").value = 0
    field(panel, "templates").value = SUGGESTED
    assert panel.summary.text() == "As the model suggests"
    assert all(panel._controls[name].native.toolTip() for name in panel._controls)
    assert field(panel, "precision").choices[0] == PREFERRED


def test_a_slider_moves_and_then_rests(panel, said, qtbot):
    slider = field(panel, "background_weight").native.findChild(QAbstractSlider)
    unit = slider.maximum() / 5
    slider.setSliderDown(True)
    slider.setSliderPosition(round(2.0 * unit))
    slider.setSliderPosition(round(3.0 * unit))
    assert said == [("score", True)] * 2
    slider.setSliderDown(False)
    assert said[2:] == [("score", False)]
    qtbot.wait(400)
    assert len(said) == 3
    # keys and the wheel never let go
    said.clear()
    field(panel, "minimum_size").value = 20
    assert said == [("score", True)]
    qtbot.waitUntil(lambda: said == [("score", True), ("score", False)], timeout=5000)
    # a click that changes nothing
    said.clear()
    slider.setSliderDown(True)
    slider.setSliderDown(False)
    assert said == []


def test_what_needs_the_model_says_so(panel, said):
    field(panel, "depth").value = 4
    field(panel, "iterations").value = 3
    field(panel, "temperature_scale").value = 2.5
    field(panel, "residual").native.toggle()
    field(panel, "precision").value = "float32"
    assert said == ["encode"] * 5
    field(panel, "templates").value = "bare"
    assert said[5:] == [("score", False)]


def test_a_number_that_is_being_typed_is_no_value_yet(panel, said, qtbot):
    spin = field(panel, "depth").native
    spin.selectAll()
    qtbot.keyClicks(spin, "12")
    assert said == []
    qtbot.keyClick(spin, Qt.Key.Key_Return)
    assert said == ["encode"]
    assert panel.encode(EMBEDDED.encode).gem.depth == 12


def test_another_model_brings_its_own_method(panel, said):
    field(panel, "depth").value = 4
    field(panel, "smoothing").value = 3
    said.clear()
    # the same model keeps what was changed
    panel.set_card(EMBEDDED)
    assert panel.state() == {"smoothing": 3.0, "depth": 4}
    other = find_model("ViT-B-16-quickgelu/openai")
    panel.set_card(other)
    assert panel.state() == {"smoothing": 3.0}
    assert panel.encode(other.encode) == other.encode
    assert said == []


def test_values_beyond_the_scale_are_kept(panel):
    state = {"background_weight": 9.0, "smoothing": 80.0, "minimum_size": 20_000}
    panel.set_state(state)
    assert panel.state() == state
    panel.set_state({"templates": "no such list"})
    assert panel.state() == {}


def test_it_folds_and_fits_a_narrow_dock(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    panel = AdvancedPanel()
    panel.set_card(EMBEDDED)
    panel.set_state(STATE)
    viewer.window.add_dock_widget(panel, name="panel")
    assert panel.labels_group.isExpanded()
    assert not panel.method_group.isExpanded()
    folded = panel.sizeHint().height()
    panel.method_group.expand()
    qtbot.wait(50)
    assert panel.sizeHint().height() > folded
    assert panel.minimumSizeHint().width() <= NARROW
    panel.setParent(None, Qt.WindowType.Window)
    panel.resize(NARROW, panel.sizeHint().height())
    panel.show()
    qtbot.wait(50)
    for widget in (each.native for each in panel._controls.values()):
        assert widget.mapTo(panel, widget.rect().topRight()).x() < NARROW
    for label in panel.findChildren(QLabel):
        assert label.width() >= min(label.sizeHint().width(), 60)
    panel.close()


# --- the recipe menu


RECIPE = Recipe(
    version="1",
    model="embedded",
    revision="abc",
    prompts=(Prompt(("nuclei",)),),
    encode=EMBEDDED.encode,
    score=EMBEDDED.score,
    appearance=Appearance(limits=(0.0, 255.0)),
    device="cpu",
    precision="float32",
)


@pytest.fixture
def menu(qtbot):
    menu = RecipeMenu()
    qtbot.addWidget(menu)
    return menu


def test_without_a_result_recipes_can_only_be_opened(menu):
    assert not menu.copy_python.isEnabled()
    assert not menu.copy_command.isEnabled()
    assert not menu.save.isEnabled()
    assert menu.open.isEnabled()
    menu.set_result(LastResult(RECIPE, index=()))
    assert menu.save.isEnabled()


def test_recipes_are_copied(menu):
    messages = []
    menu.message_sent.connect(lambda *message: messages.append(message))
    menu.set_result(LastResult(RECIPE, file="/a/cells.tif", index=()))
    menu.copy_python.trigger()
    assert "read_image('/a/cells.tif')" in QGuiApplication.clipboard().text()
    menu.copy_command.trigger()
    assert "/a/cells.tif -p nuclei" in QGuiApplication.clipboard().text()
    fifth = replace(RECIPE, prompts=(Prompt(("a",), label=5),))
    menu.set_result(LastResult(fifth, index=()))
    menu.copy_command.trigger()
    text = QGuiApplication.clipboard().text()
    assert text.endswith("replay recipe.json image.tif -o segmentation")
    menu.set_result(LastResult(RECIPE, file="a.tif", index=(3, 1)))
    menu.copy_command.trigger()
    assert " --index 3,1 " in QGuiApplication.clipboard().text()
    menu.copy_python.trigger()
    assert "read_image('a.tif', (3, 1))" in QGuiApplication.clipboard().text()
    assert [kind for kind, _ in messages] == ["info"] * 5
    assert "save the recipe too" in messages[2][1]


def test_recipes_are_saved_and_opened(menu, tmp_path, monkeypatch):
    messages, opened = [], []
    menu.message_sent.connect(lambda *message: messages.append(message))
    menu.opened.connect(opened.append)
    menu.set_result(LastResult(RECIPE, index=()))

    def choose(name):
        def accept(dialog):
            assert dialog.acceptMode() == QFileDialog.AcceptMode.AcceptSave
            dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
            dialog.selectFile(path)
            return bool(name)

        path = str(tmp_path / name) if name else ""
        monkeypatch.setattr(QFileDialog, "exec", accept)
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (path, ""))

    choose("")
    menu.save.trigger()
    menu.open.trigger()
    assert messages == opened == []
    choose("mine")
    menu.save.trigger()
    assert messages.pop() == ("info", "Saved mine.json.")
    assert read_recipe(tmp_path / "mine.json") == RECIPE
    choose("mine.json")
    menu.open.trigger()
    assert opened == [RECIPE]
    choose("none/none.json")
    menu.save.trigger()
    assert messages.pop()[0] == "error"
    menu.open.trigger()
    assert messages.pop()[0] == "error"
    assert len(opened) == 1
