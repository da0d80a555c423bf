"""The advanced panel and the recipe menu."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QLabel

from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import LabelParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe
from napari_gem.models.find import find_model
from napari_gem.models.presets import with_preset
from napari_gem.prompts.word_lists import read_templates
from napari_gem.results.recipe import read_recipe
from napari_gem.widget.parameters.panel import GEM, PREFERRED, SUGGESTED, AdvancedPanel
from napari_gem.widget.parameters.settings import Advanced
from napari_gem.widget.recipes.menu import RecipeMenu

EMBEDDED = find_model("embedded")
NARROW = 320


@pytest.fixture
def panel(qtbot):
    made = AdvancedPanel()
    qtbot.addWidget(made)
    made.set_card(EMBEDDED)
    return made


@pytest.fixture
def said(panel):
    """What the panel reports."""
    reports = []
    panel.score_changed.connect(lambda moving: reports.append(("score", moving)))
    panel.encode_changed.connect(lambda: reports.append("encode"))
    return reports


def field(panel, name):
    return panel._fields[name]


def test_as_the_card_says_nothing_is_changed(panel, said):
    assert panel.score(EMBEDDED.score) == EMBEDDED.score
    assert panel.encode(EMBEDDED.encode) == EMBEDDED.encode
    assert panel.label() == LabelParameters()
    assert panel.precision() is None
    assert panel.state() == Advanced()
    assert panel.summary.text() == "As the model suggests"
    assert not panel.reset_button.isEnabled()
    assert field(panel, "depth").value() == EMBEDDED.encode.gem.depth
    assert said == []


def test_values_reach_the_parameters_and_come_back(panel, said, qtbot):
    state = Advanced(0.75, 2.5, 40, 3, 2, 1.5, True, "bare", "bfloat16", 7)
    panel.set_state(state)
    assert said == []
    assert panel.state() == state
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
    assert panel.state() == Advanced()
    assert panel.score(base) == base


def test_a_preset_is_laid_over_the_card(panel, said):
    heard = []
    panel.preset_changed.connect(lambda: heard.append(panel.suggested(EMBEDDED)))
    field(panel, "smoothing").setValue(4)
    field(panel, "depth").setValue(4)
    said.clear()
    names = [field(panel, "preset").itemText(i) for i in range(4)]
    assert names == [SUGGESTED, "microscopy", "photo", "remote-sensing"]
    field(panel, "preset").setCurrentText("photo")
    photo = with_preset(EMBEDDED, "photo")
    assert (heard, said) == ([photo], ["encode"])
    # what was changed of the method goes, of the labels it stays
    assert panel.state() == Advanced(smoothing=4.0, preset="photo")
    assert panel.encode(photo.encode) == photo.encode
    assert panel.score(photo.score) == replace(photo.score, smoothing=4.0)
    assert field(panel, "refinement").value() == photo.score.refinement
    assert panel.summary.text() == "Changed: preset, smoothing"
    kept = panel.state()
    panel.reset()
    assert panel.suggested(EMBEDDED) == EMBEDDED
    assert panel.state() == Advanced()
    panel.set_state(kept)
    assert panel.suggested(EMBEDDED) == photo
    panel.set_state(Advanced(preset="gone"))
    assert panel.suggested(EMBEDDED) == EMBEDDED


def test_what_differs_from_the_card_is_shown(panel):
    field(panel, "smoothing").setValue(4)
    field(panel, "templates").setCurrentText("one")
    assert panel.summary.text() == "Changed: smoothing, templates"
    bold = [name for name, label in panel._captions.items() if label.font().bold()]
    assert bold == ["smoothing", "templates"]
    assert "The model suggests 0." in field(panel, "smoothing").toolTip()
    assert panel.reset_button.isEnabled()
    field(panel, "smoothing").setValue(0)
    field(panel, "templates").setCurrentText(SUGGESTED)
    assert panel.summary.text() == "As the model suggests"
    assert all(panel._fields[name].toolTip() for name in panel._fields)
    assert field(panel, "precision").itemText(0) == PREFERRED


def test_a_slider_moves_and_then_rests(panel, said, qtbot):
    slider = field(panel, "background_weight")._slider
    slider.setSliderDown(True)
    slider.setSliderPosition(2.0)
    slider.setSliderPosition(3.0)
    assert said == [("score", True)] * 2
    slider.setSliderDown(False)
    assert said[2:] == [("score", False)]
    qtbot.wait(400)
    assert len(said) == 3
    # keys and the wheel never let go
    said.clear()
    field(panel, "minimum_size").setValue(20)
    assert said == [("score", True)]
    qtbot.waitUntil(lambda: said == [("score", True), ("score", False)], timeout=5000)
    # a click that changes nothing
    said.clear()
    slider.setSliderDown(True)
    slider.setSliderDown(False)
    assert said == []


def test_what_needs_the_model_says_so(panel, said):
    field(panel, "depth").setValue(4)
    field(panel, "iterations").setValue(3)
    field(panel, "temperature_scale").setValue(2.5)
    field(panel, "residual").toggle()
    field(panel, "precision").setCurrentText("float32")
    assert said == ["encode"] * 5
    field(panel, "templates").setCurrentText("bare")
    assert said[5:] == [("score", False)]


def test_a_number_that_is_being_typed_is_no_value_yet(panel, said, qtbot):
    spin = field(panel, "depth")
    spin.selectAll()
    qtbot.keyClicks(spin, "12")
    assert said == []
    qtbot.keyClick(spin, Qt.Key.Key_Return)
    assert said == ["encode"]
    assert panel.encode(EMBEDDED.encode).gem.depth == 12


def test_another_model_brings_its_own_method(panel, said):
    field(panel, "depth").setValue(4)
    field(panel, "smoothing").setValue(3)
    said.clear()
    # the same model keeps what was changed
    panel.set_card(EMBEDDED)
    assert panel.state() == Advanced(smoothing=3.0, depth=4)
    other = find_model("ViT-B-16-quickgelu/openai")
    panel.set_card(other)
    assert panel.state() == Advanced(smoothing=3.0)
    assert panel.encode(other.encode) == other.encode
    assert said == []


def test_values_beyond_the_scale_are_kept(panel):
    state = Advanced(background_weight=9.0, smoothing=80.0, minimum_size=20_000)
    panel.set_state(state)
    assert panel.state() == state
    panel.set_state(Advanced(templates="no such list"))
    assert panel.state() == Advanced()


def test_it_folds_and_fits_a_narrow_dock(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    panel = AdvancedPanel()
    panel.set_card(EMBEDDED)
    panel.set_state(Advanced(0.5, 2.5, 40, 3, 2, 1.5, True, "bare", "bfloat16"))
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
    for widget in panel._fields.values():
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
    made = RecipeMenu()
    qtbot.addWidget(made)
    return made


def test_without_a_result_recipes_can_only_be_opened(menu):
    assert not menu.copy_python.isEnabled()
    assert not menu.copy_command.isEnabled()
    assert not menu.save.isEnabled()
    assert menu.open.isEnabled()
    menu.set_recipe(RECIPE)
    assert menu.save.isEnabled()


def test_recipes_are_copied(menu):
    told = []
    menu.message_sent.connect(lambda *what: told.append(what))
    menu.set_recipe(RECIPE, "/a/cells.tif")
    menu.copy_python.trigger()
    assert "read_image('/a/cells.tif')" in QGuiApplication.clipboard().text()
    menu.copy_command.trigger()
    assert "/a/cells.tif -p nuclei" in QGuiApplication.clipboard().text()
    menu.set_recipe(replace(RECIPE, prompts=(Prompt(("a",), label=5),)))
    menu.copy_command.trigger()
    text = QGuiApplication.clipboard().text()
    assert text.endswith("replay recipe.json image.tif -o segmentation")
    menu.set_recipe(RECIPE, "a.tif", (3, 1))
    menu.copy_command.trigger()
    assert " --index 3,1 " in QGuiApplication.clipboard().text()
    menu.copy_python.trigger()
    assert "read_image('a.tif', (3, 1))" in QGuiApplication.clipboard().text()
    assert [kind for kind, _ in told] == ["info"] * 5
    assert "save the recipe too" in told[2][1]


def test_recipes_are_saved_and_opened(menu, tmp_path, monkeypatch):
    told, opened = [], []
    menu.message_sent.connect(lambda *what: told.append(what))
    menu.opened.connect(opened.append)
    menu.set_recipe(RECIPE)

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
    assert told == opened == []
    choose("mine")
    menu.save.trigger()
    assert told.pop() == ("info", "Saved mine.json.")
    assert read_recipe(tmp_path / "mine.json") == RECIPE
    choose("mine.json")
    menu.open.trigger()
    assert opened == [RECIPE]
    choose("none/none.json")
    menu.save.trigger()
    assert told.pop()[0] == "error"
    menu.open.trigger()
    assert told.pop()[0] == "error"
    assert len(opened) == 1
