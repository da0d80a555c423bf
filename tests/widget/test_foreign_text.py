"""Names from outside, in every place of the dock: shown as they are, never as HTML."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import Notification, notification_manager
from qtpy import QtGui
from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QLabel,
    QMenu,
    QProgressBar,
    QWidget,
)

from napari_gem import layers
from napari_gem.cluster.tasks import WorkerReport
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import is_command, without_tags
from napari_gem.core.progress import Progress
from napari_gem.core.prompts import Prompt
from napari_gem.models import own_list
from napari_gem.prompts.sets import PromptSet, write_set
from napari_gem.widget.models.cluster_view import report_text
from napari_gem.widget.models.model_dialog import (
    AddDialog,
    ModelDialog,
    NamedModel,
    download_box,
)
from napari_gem.widget.parts.plain import Label, MessageBox, menu_text, tip
from napari_gem.widget.results.policy_box import policy_box
from napari_gem.widget.results.status import text_at
from tests.layers.scene import results_of, show_results

pytestmark = pytest.mark.contact("foreign text")

# where each of the bindings has it
might_be_rich = (Qt if hasattr(Qt, "mightBeRichText") else QtGui.Qt).mightBeRichText

PICTURE = '<img src="mark.png">'
HTML = f"{PICTURE}<b>b</b> & <h1>"
HOSTILE = f"{HTML}\x1b[2J\x00\u202e\n2"


class Watched(QTextDocument):
    """Notes what a text makes Qt load."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def loadResource(self, kind, name):  # noqa: N802 (Qt's name)
        self.asked.append(name)
        return super().loadResource(kind, name)


def read_rich(text):
    """What a reader sees of text that Qt takes for HTML."""
    document = Watched()
    document.setHtml(text)
    document.setTextWidth(300)
    document.adjustSize()
    assert not document.asked, text
    return document.toPlainText()


def check_rich(where, text):
    """Of text that Qt may take for HTML: our own tags only."""
    if might_be_rich(text):
        seen = read_rich(text)
        if "mark.png" in text:
            assert PICTURE in seen, (where, text)
    assert not any(is_command(c) for c in text if c != "\n"), (where, text)


def check_plain(where, text):
    # tabs part the text of a menu from its key
    assert not any(is_command(c) for c in text if c not in "\n\t"), (where, text)


class Walk:
    """Checks everything below a widget; `found` tells where the picture's name is."""

    def __init__(self, top):
        self.texts = set()
        for widget in [top, *top.findChildren(QWidget)]:
            name = type(widget).__name__
            self.rich(f"{name} tooltip", widget.toolTip())
            self.rich(f"{name} what's this", widget.whatsThis())
            self.plain(f"{name} status tip", widget.statusTip())
            self.plain(f"{name} title", widget.windowTitle())
            self.own_text(name, widget)
            if isinstance(widget, QComboBox | QAbstractItemView):
                self.items(name, widget.model())

    def rich(self, where, text):
        check_rich(where, text)
        self.note(where, text)

    def plain(self, where, text):
        check_plain(where, text)
        self.note(where, text)

    def note(self, where, text):
        if "mark.png" in text:
            self.texts.add(where)

    def own_text(self, name, widget):
        if isinstance(widget, QLabel):
            is_plain = widget.textFormat() == Qt.TextFormat.PlainText
            (self.plain if is_plain else self.rich)(name, widget.text())
        elif isinstance(widget, QAbstractButton):
            self.plain(name, widget.text())
        elif isinstance(widget, QProgressBar):
            self.plain(name, widget.format())
        elif isinstance(widget, QMenu):
            for action in widget.actions():
                self.plain(name, action.text())
                self.rich(f"{name} tooltip", action.toolTip())

    def items(self, name, model):
        one_column = isinstance(model, QAbstractListModel)  # its count is private
        none = QModelIndex()
        columns = 1 if one_column or model is None else model.columnCount(none)
        rows = 0 if model is None else model.rowCount(none)
        for row, column in product(range(rows), range(columns)):
            index = model.index(row, column)
            self.plain(name, str(index.data(Qt.ItemDataRole.DisplayRole) or ""))
            for role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.WhatsThisRole):
                self.rich(f"{name} tooltip", str(index.data(role) or ""))


def walk(top):
    return Walk(top).texts


@pytest.fixture
def dock(make_napari_viewer):
    own_list.add_own(
        {
            "id": HTML,
            "name": HTML,
            "domain": "general",
            "good_for": HTML,
            "licence": HTML,
            "source": HTML,
            "weights": "/no/such/file.pt",
            "architecture": "ViT-B-16",
        }
    )
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    yield viewer, widget
    widget.controller.close()


def test_the_walk_finds_what_is_not_plain(qtbot):
    for wrong in ("label", "tooltip", "button"):
        top = QWidget()
        qtbot.addWidget(top)
        if wrong == "label":
            label = QLabel(HTML, top)
        elif wrong == "tooltip":
            top.setToolTip(HTML)
        else:
            label = Label("", top)
            QLabel.setText(label, HOSTILE)
        with pytest.raises(AssertionError):
            walk(top)


def test_no_name_is_read_as_html_anywhere_in_the_dock(dock, tmp_path):
    viewer, widget = dock
    pixels = np.zeros((3, 16, 16), np.float32)
    viewer.add_image(pixels, name=HOSTILE, axis_labels=(HOSTILE, "y", "x"))
    viewer.add_image(pixels, name=f"other {HOSTILE}")
    viewer.add_labels(np.zeros((3, 16, 16), np.uint8), name=HOSTILE)
    viewer.add_shapes([[[0, 0], [5, 5]]], name=HOSTILE)
    viewer.layers.selection.active = viewer.layers[0]

    path = write_set(
        tmp_path / "set.json",
        PromptSet(
            HOSTILE,
            tested=HOSTILE,
            prompts=(Prompt((HTML,), title=f"title {HTML}"),),
            background=(HTML,),
        ),
    )
    widget.prompt_table.load_set(path)
    model = widget.model_choice.combo
    model.setCurrentIndex(model.add(NamedModel(HTML), HOSTILE))
    model.add(NamedModel(HOSTILE), HOSTILE)
    widget.device_choice.set_device(f"tcp://{HOSTILE}:1")
    report = WorkerReport(*[HOSTILE] * 4, (HOSTILE,), HOSTILE, HOSTILE, HOSTILE)
    card = widget.model_choice.card()
    cluster = widget.device_choice.cluster
    cluster._show(report_text([report], card, HOSTILE))
    bar = widget.run_bar
    bar.set_kept(HOSTILE)
    bar.set_undo(HOSTILE)
    bar.show_progress(Progress(HOSTILE, 1, 2))
    bar.show_message("error", str(GemError(HOSTILE)) * 40, HOSTILE)
    widget.model_choice._on_progress(Progress(HOSTILE, 1, 2))
    for menu in widget.findChildren(QMenu):
        menu.aboutToShow.emit()
    texts = walk(widget)
    # the walk came by where names are shown
    assert {
        "ImageChoice",
        "ModelList",
        "ModelList tooltip",
        "Label",
        "QMenu",
        "QListWidget",
        "QListWidget tooltip",
        "Combo",
        "QPushButton tooltip",
        "TwoLines",
    } <= texts, texts
    assert any("Table" in name or "View" in name for name in texts), texts


def test_no_name_is_read_as_html_in_a_dialog(dock, qtbot):
    _, widget = dock
    model = widget.model_choice.combo
    model.setCurrentIndex(model.add(NamedModel(HTML), HTML))
    card = widget.model_choice.card()
    assert card.name == HTML
    add, other = AddDialog(Path(HOSTILE), widget), ModelDialog(widget)
    add.error.setText(HOSTILE)
    other.model.setText(HOSTILE)
    other.accept()
    boxes = [download_box(card, widget), policy_box(HOSTILE, widget)]
    plain = MessageBox(HOSTILE, widget)
    plain.setText(HOSTILE)
    plain.setInformativeText(HOSTILE)
    for dialog in (add, other, *boxes, plain):
        assert any("Label" in where for where in walk(dialog)), dialog
    widget.prompt_table.set_prompts((Prompt((HTML,)),))
    widget.prompt_table.view.go_to(0)
    walk(widget.prompt_table.context_menu())


def test_napari_gets_nothing_of_ours_that_it_takes_for_html(dock):
    viewer, widget = dock
    layer = viewer.add_image(np.zeros((16, 16)), name=HTML)
    image = layers.read_layer(layer, viewer.dims)
    show_results(viewer, image, results_of(image, Prompt((HTML,), label=1)))
    added = viewer.layers[1:]
    qt_layers = viewer.window._qt_viewer.layers.model()
    indices = [qt_layers.index(row, 0) for row in range(qt_layers.rowCount())]
    tips = [str(one.data(Qt.ItemDataRole.ToolTipRole)) for one in indices]
    assert sum("mark.png" in each for each in tips) == 2
    ours = [each for each in tips if "GEM" in each]
    assert len(ours) == len(added)
    under = text_at(list(viewer.layers), added[0], (3, 3))
    assert "mark.png" in under
    for text in [*ours, under]:
        assert not might_be_rich(text), text
    status = added[-1].get_status((0, 1), world=True)
    assert not any(might_be_rich(str(value)) for value in status.values())
    said = []

    notification_manager.notification_ready.connect(said.append)
    widget.controller.failed.emit(f"'{HTML}' came.")
    notification_manager.notification_ready.disconnect(said.append)
    (note,) = said
    assert isinstance(note, Notification)
    assert "mark.png" in note.message
    assert not might_be_rich(note.message)
    assert without_tags(note.message) == note.message


def test_words_are_written_for_menus_and_tooltips():
    assert menu_text("a & b\n") == "a && b\\n"
    assert tip("5 % of it") == "5 % of it"
    assert read_rich(tip("a < b\n<img src=x>")) == "a < b\n<img src=x>"
    assert read_rich(tip("&lt;")) == "&lt;"
