"""The dock widget in napari, with the real worker and the embedded model."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.settings import get_settings
from qtpy.QtCore import QCoreApplication, QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QWidget,
)

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.images import samples
from napari_gem.images.rendering import render
from napari_gem.layers.derived import read_labels
from napari_gem.models.card import ModelCard
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.image.region_choice import SHAPE
from napari_gem.widget.image.slice_choice import RANGE
from napari_gem.widget.models import model_dialog
from napari_gem.widget.models.model_choice import ModelChoice
from napari_gem.widget.models.model_dialog import ModelDialog, NamedModel
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.progress_text import progress_text
from napari_gem.widget.results.policy_box import CHOICES, choose_policy
from napari_gem.widget.run import controller as controller_module
from napari_gem.widget.run.controller import Controller
from napari_gem.widget.run.run_bar import RunBar
from tests.widget.hand_client import HandClient, hand_driven_dock

NARROW = 320
PATIENCE = 600_000
"""Milliseconds at most: on a busy computer torch may take minutes to load."""


@pytest.fixture
def dock(make_napari_viewer):
    """A viewer and the widget, docked as the menu does it."""
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    yield viewer, widget
    widget.controller.close()


def crop(name="fluorescence", size=64):
    (pixels, kwargs, _), *_ = getattr(samples, f"load_{name}")()
    return pixels[:size, :size], kwargs


def type_classes(widget, text):
    """Leave only these classes in the table."""
    widget.prompt_table.set_prompts(())
    widget.prompt_table.add_text(text)


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


# --- end to end

TURN = "turn of the event loop"


@pytest.mark.early_worker
@pytest.mark.timeout(1800)
# slow, and still the one real run under the second Qt binding
def test_words_to_layers_with_the_real_worker(dock, qtbot):
    viewer, widget = dock
    pixels, kwargs = crop()
    layer = viewer.add_image(pixels, **kwargs, translate=(5, 7), rotate=20)
    assert widget.prompt_table.prompts()[0].name == "nuclei"
    type_classes(widget, "nuclei, nucleus\nfilaments, filament")
    messages = []
    widget.controller.message_sent.connect(lambda *message: messages.append(message))
    seen, timer = watch_turns(widget.controller)
    qtbot.mouseClick(widget.run_bar.run_button, Qt.MouseButton.LeftButton)
    assert widget.controller.busy
    assert not widget.run_bar.run_button.isEnabled()
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=PATIENCE)
    assert messages[-1][0] != "error", messages
    assert messages[-1][1].startswith("Done: labels and 2 maps.")
    nuclei, labels = viewer.layers[1:]
    assert [type(x) for x in viewer.layers] == [Image, Image, Labels]
    maps = read_labels(labels, viewer.layers, widget.map_layers.maps).maps.values()
    assert nuclei.data.shape == pixels.shape[:2]
    assert nuclei.data.min() >= 0
    assert nuclei.data.max() <= 1
    assert len(maps) == 2
    total = sum(maps)
    assert total.max() <= 1 + 1e-5
    ids = {prompt.label for prompt in widget.prompt_table.prompts()}
    assert set(np.unique(labels.data)) <= {0, *ids}
    assert labels.extent.world == pytest.approx(layer.extent.world)
    assert labels.units == layer.units
    timer.stop()
    # the window lives while the worker encodes
    first, last = seen.index("Encoding"), len(seen) - seen[::-1].index("Encoding")
    assert TURN in seen[first:last]
    # the image is encoded: other words take no encoding
    stages = []
    widget.controller.progressed.connect(lambda p: stages.append(p.stage))
    scored = []
    widget.controller.scored.connect(scored.append)
    widget.prompt_table.model.remove([widget.prompt_table.prompts()[1].label])
    qtbot.waitUntil(lambda: len(scored) == 1, timeout=PATIENCE)
    assert not scored[0].is_new
    assert not stages
    assert list(viewer.layers)[1:] == [nuclei, labels]
    assert widget.image_panel.layer() is layer


def watch_turns(controller):
    """Note each step that the worker tells and each turn of the event loop."""
    seen = []
    controller.progressed.connect(lambda progress: seen.append(progress.stage))
    timer = QTimer(QCoreApplication.instance())
    timer.timeout.connect(lambda: seen.append(TURN))
    timer.start(5)
    return seen, timer


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_cancel_and_close_with_the_real_worker(dock, qtbot):
    viewer, widget = dock
    viewer.add_image(np.random.default_rng(1).random((400, 400)))
    type_classes(widget, "nuclei")
    stages = []
    widget.controller.progressed.connect(lambda p: stages.append(p.stage))
    widget.run()
    qtbot.waitUntil(lambda: "Encoding" in stages, timeout=PATIENCE)
    qtbot.mouseClick(widget.run_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=PATIENCE)
    assert widget.run_bar.status.text() == "Cancelled."
    assert len(viewer.layers) == 1
    # the dock is closed in the middle of the next run
    stages.clear()
    widget.run()
    qtbot.waitUntil(lambda: "Encoding" in stages, timeout=PATIENCE)
    process_id = widget.controller.worker_id
    assert is_alive(process_id)
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not is_alive(process_id), timeout=PATIENCE)
    viewer.layers.clear()
    viewer.add_image(np.zeros((4, 4)))
    assert len(viewer.layers) == 1


@pytest.mark.early_worker
def test_closing_the_viewer_ends_the_worker(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    controller = widget.controller
    qtbot.waitUntil(lambda: controller.worker_id is not None, timeout=PATIENCE)
    process_id = controller.worker_id
    viewer.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.waitUntil(lambda: not is_alive(process_id), timeout=PATIENCE)


# --- the viewer's process stays light


LIGHT = """
import sys
import napari
viewer = napari.Viewer(show=False)
viewer.open_sample("napari-gem", "fluorescence")
viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
heavy = {"torch", "open_clip", "timm", "transformers"} & set(sys.modules)
print(",".join(sorted(heavy)))
viewer.close()
"""


@pytest.mark.slow
def test_the_dock_loads_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [""]


def test_samples_open_from_the_menu(make_napari_viewer):
    viewer = make_napari_viewer()
    for name in samples.SAMPLES:
        (layer,) = viewer.open_sample("napari-gem", name)
        assert layer.rgb
        assert layer.data.shape == (512, 512, 3)
    assert str(viewer.layers[0].units[0]) == "micrometer"
    assert tuple(viewer.layers[0].scale) == (0.5, 0.5)


# --- views


def test_the_widget_fits_a_narrow_dock(dock, qtbot):
    viewer, widget = dock
    layer = viewer.add_image(np.zeros((4, 4)), name="a name that is far too long " * 4)
    widget.run_bar.show_message(
        "error", "A long sentence that says what went wrong. " * 5, "x"
    )
    widget.run_bar.set_busy(True)
    widget.run_bar.show_progress(Progress("Downloading", 1234, 6_050_000_000, 4000.0))
    assert layer is widget.image_panel.layer()
    assert widget.minimumSizeHint().width() <= NARROW
    _unfold_all(viewer, widget)
    area = widget.findChild(QScrollArea)
    qtbot.waitUntil(lambda: area.widget().minimumSizeHint().width() > 0)
    assert widget.minimumSizeHint().width() <= NARROW
    widget.setParent(None, Qt.WindowType.Window)
    widget.resize(NARROW, 800)
    widget.show()
    qtbot.wait(50)
    for part in widget.findChildren(QLabel) + widget.findChildren(QPushButton):
        if part.isVisible() and part.height() and not part.visibleRegion().isEmpty():
            assert part.width() <= NARROW
            needed = part.heightForWidth(part.width())
            assert part.height() >= min(needed, part.sizeHint().height()), part.text()


def _unfold_all(viewer, widget):
    """Show every control there is, with the longest texts."""
    panel = widget.image_panel
    viewer.add_image(
        np.zeros((3, 4, 12, 8, 8)),
        name="another name that is far too long " * 4,
        axis_labels=("time", "fluorescence channel", "z", "y", "x"),
        units=("s", "px", "µm", "µm", "nm"),
        scale=(1, 1, 2, 0.3251234, 325.1234),
    )
    panel.slice_choice.choose(RANGE)
    panel.region_choice.choose(SHAPE)
    panel.set_detail(6.3712)
    panel._update()
    assert "µm x" in panel.detail_choice.value.text()
    for fold in widget.findChildren(Fold):
        fold.expand()
    QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)


def test_the_table_needs_no_scroll_bar_in_the_narrowest_dock(dock, qtbot):
    viewer, widget = dock
    viewer.open_sample("napari-gem", "fluorescence")
    widget.setParent(None, Qt.WindowType.Window)
    widget.show()
    hint = widget.minimumSizeHint().width()
    widget.resize(hint, 800)
    view = widget.prompt_table.view
    qtbot.waitUntil(lambda: widget.width() == hint < NARROW)
    qtbot.wait(50)
    assert view.header().length() <= view.viewport().width()
    assert not view.horizontalScrollBar().maximum()


def test_every_control_tells_what_it_does(dock):
    _, widget = dock
    kinds = (
        QAbstractButton,
        QAbstractSlider,
        QAbstractSpinBox,
        QComboBox,
        QLineEdit,
        QPlainTextEdit,
    )
    for control in widget.findChildren(QWidget):
        if isinstance(control, kinds) and not isinstance(control, QScrollBar):
            around = control
            while around is not widget and not around.toolTip():
                around = around.parentWidget()
            assert around is not widget, f"{control} has no tooltip"
    for menu in widget.findChildren(QMenu):
        for action in menu.actions():
            plain = action.text().split("\t")[0].rstrip("….")
            explained = action.isSeparator() or action.toolTip().rstrip(".…") != plain
            assert explained, f"{action.text()} has no tooltip"


def test_all_of_it_is_seen_in_a_window_of_960_pixels(dock, qtbot):
    """In the room that napari's menu and status bar leave."""
    viewer, widget = dock
    viewer.open_sample("napari-gem", "fluorescence")
    widget.setParent(None, Qt.WindowType.Window)
    widget.resize(NARROW, 895)
    widget.show()
    area = widget.findChild(QScrollArea)
    qtbot.waitUntil(lambda: area.viewport().height() > 700)
    inside, last = area.widget(), widget.results_panel
    qtbot.waitUntil(lambda: inside.height() == area.viewport().height())
    assert inside.minimumSizeHint().height() <= area.viewport().height()
    qtbot.waitUntil(lambda: last.visibleRegion().boundingRect() == last.rect())
    within = area.widget().findChildren(QAbstractScrollArea)
    seen = [part for part in within if not part.visibleRegion().isEmpty()]
    assert widget.prompt_table.view in seen
    assert not [part for part in seen if part.verticalScrollBar().isVisible()]


@pytest.mark.slow
def test_every_part_follows_naparis_font(dock):
    _, widget = dock
    appearance = get_settings().appearance
    usual = appearance.font_size
    try:
        appearance.font_size = 17
        table, bar = widget.prompt_table, widget.example_bar
        for part in (table.view, table.edit, table.menu_button, bar.positive):
            part.ensurePolished()
            assert part.font().pointSize() == 17
    finally:
        appearance.font_size = usual
    assert table.edit.font().pointSize() == usual


@pytest.mark.slow
def test_only_the_users_images_are_offered(dock):
    viewer, widget = dock
    choice = widget.image_panel.image_choice
    assert choice.layer() is None
    assert not choice.isEnabled()
    viewer.add_labels(np.zeros((4, 4), int))
    viewer.add_points([[1, 1]])
    assert choice.layer() is None
    widget.run()
    assert "There is no image layer" in widget.run_bar.status.text()
    first = viewer.add_image(np.zeros((4, 4)), name="first")
    second = viewer.add_image(np.zeros((4, 4)), name="second")
    assert choice.layer() is second
    viewer.layers.selection.active = first
    assert choice.layer() is first
    viewer.layers.selection.active = viewer.layers[0]
    assert choice.layer() is first
    image = layers.read_layer(first, viewer.dims)
    show_made_up_results(viewer, image)
    assert [choice.itemText(i) for i in range(choice.count())] == ["second", "first"]
    assert choice.layer() is first
    first.name = "renamed"
    assert choice.currentText() == "renamed"
    viewer.layers.remove(first)
    assert choice.layer() is second


def show_made_up_results(viewer, image):
    from tests.layers.scene import results_of, show_results

    show_results(viewer, image, results_of(image, "a"))


@pytest.mark.slow
def test_a_sample_fills_in_its_prompts_unless_words_were_typed(dock):
    viewer, widget = dock
    table = widget.prompt_table
    viewer.open_sample("napari-gem", "fluorescence")
    assert table.prompts()[0].words[:2] == ("nuclei", "nucleus")
    viewer.open_sample("napari-gem", "aerial")
    assert table.prompts()[0].words[:2] == ("water", "lake")
    type_classes(widget, "my words")
    viewer.open_sample("napari-gem", "histology")
    assert [prompt.name for prompt in table.prompts()] == ["my words"]


def test_ctrl_enter_runs(dock, qtbot):
    _, widget = dock
    control = Qt.KeyboardModifier.ControlModifier
    widget.prompt_table.edit.setText("cell")
    qtbot.keyClick(widget.prompt_table.edit, Qt.Key.Key_Return, control)
    assert [prompt.name for prompt in widget.prompt_table.prompts()] == ["cell"]
    status = widget.run_bar.status
    qtbot.waitUntil(lambda: "There is no image layer" in status.text())


def test_another_model_is_named_in_a_dialog(qtbot, tmp_path):
    dialog = ModelDialog()
    qtbot.addWidget(dialog)
    for name, architecture, expected in (
        ("nonsense", "", "There is no model 'nonsense'"),
        ("", "", "There is no model ''"),
        (str(tmp_path), "", "holds no open_clip_config.json"),
    ):
        dialog.model.setText(name)
        dialog.architecture.setCurrentText(architecture)
        dialog.accept()
        assert expected in dialog.error.text()
        assert dialog.chosen is None
    dialog.model.setText("hf-hub:owner/repository")
    dialog.accept()
    assert dialog.chosen == (NamedModel("hf-hub:owner/repository"), "owner/repository")


def test_other_models_stay_in_the_list(qtbot, monkeypatch):
    choice = ModelChoice()
    qtbot.addWidget(choice)
    assert choice.named() == NamedModel("embedded")
    combo = choice.combo
    count = combo.count()
    monkeypatch.setattr(ModelDialog, "exec", lambda self: 0)
    choice.other.trigger()
    assert choice.named() == NamedModel("embedded")
    assert combo.count() == count
    named = NamedModel("hf-hub:owner/repository")

    def take(self):
        self.chosen = named, "owner/repository"
        return 1

    monkeypatch.setattr(ModelDialog, "exec", take)
    choice.other.trigger()
    assert choice.named() == named
    assert combo.currentText() == "owner/repository"
    assert combo.count() == count + 2  # and the heading
    combo.setCurrentIndex(1)
    choice.other.trigger()
    assert choice.named() == named
    assert combo.count() == count + 2


@pytest.mark.parametrize("agreed", [True, False])
def test_a_download_starts_only_if_the_user_agrees(qtbot, monkeypatch, agreed):
    viewer = ViewerModel()
    clients = []

    def make_client(on_event):
        clients.append(HandClient(on_event))
        return clients[0]

    controller = Controller(viewer, make_client)
    widget = GemWidget(viewer, controller)
    qtbot.addWidget(widget)
    layer = viewer.add_image(np.zeros((8, 8)))
    monkeypatch.setattr(controller_module, "is_available", lambda card: False)
    boxes = []
    buttons = QMessageBox.StandardButton

    def answer():
        box = QApplication.activeModalWidget()
        boxes.append(box.text() + box.informativeText())
        box.button(buttons.Ok if agreed else buttons.Cancel).click()

    QTimer.singleShot(100, answer)
    type_classes(widget, "cat")
    assert widget.image_panel.layer() is layer
    choice = widget.model_choice
    choice.add(NamedModel("ViT-B-16-quickgelu/openai"), "B/16")
    widget.run()
    assert "MB" in boxes[0]
    assert "huggingface.co" in boxes[0]
    assert "Licence" in boxes[0]
    requests = clients[0].requests
    assert len(requests) == agreed
    if agreed:
        assert requests[0].download
    else:
        assert widget.run_bar.status.text() == "Nothing was downloaded."


def test_details_of_an_error_can_be_copied(qtbot):
    bar = RunBar()
    qtbot.addWidget(bar)
    bar.show()
    bar.show_message("error", "It failed.", "Traceback ...")
    assert bar.copy_button.isVisible()
    qtbot.mouseClick(bar.copy_button, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text() == "It failed.\n\nTraceback ..."
    bar.show_message("info", "Done.")
    assert not bar.copy_button.isVisible()


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress("Starting"), "Starting"),
        (Progress("Encoding", 0, 9), "Encoding: 0 %"),
        (Progress("Encoding", 3, 9, 0.2), "Encoding: 33 %, about 1 s left"),
        (Progress("Encoding", 3, 9, 130.0), "Encoding: 33 %, about 2 min left"),
        (Progress("Encoding", 3, 9, 9000.0), "Encoding: 33 %, about 2 h left"),
    ],
)
def test_progress_in_words(progress, text):
    assert progress_text(progress) == text


def test_unknown_size_and_licence_are_said(qtbot):
    card = ModelCard(id="x", name="X", architecture="", weights="hf-hub:a/b")
    box = model_dialog.download_box(card)
    qtbot.addWidget(box)
    assert "size not known" in box.informativeText()
    assert "see model card" in box.informativeText()


# --- what the model sees is what the viewer shows


SHOWN = {
    "grey": ({"contrast_limits": (0.2, 0.7), "gamma": 0.6}, (), float),
    "viridis": ({"contrast_limits": (0.1, 0.9), "colormap": "viridis"}, (), float),
    "uint16": ({"contrast_limits": (50, 700), "colormap": "green"}, (), np.uint16),
    "rgb": ({"rgb": True, "gamma": 1.5}, (3,), np.uint8),
    "rgb, 16 bit": ({"rgb": True, "contrast_limits": (9, 800)}, (3,), np.uint16),
}


@pytest.mark.parametrize("name", SHOWN)
def test_the_model_sees_what_the_viewer_shows(make_napari_viewer, name):
    kwargs, channels, dtype = SHOWN[name]
    values = np.random.default_rng(5).random((24, 30, *channels))
    top = {float: 1, np.uint8: 255, np.uint16: 1000}[dtype]
    data = (values * top).astype(dtype)
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_image(data, blending="opaque", **kwargs)
    image = layers.read_layer(layer, viewer.dims)
    seen = render(image.read(), image.appearance)
    shown = viewer.export_figure(flash=False)[..., :3] / 255
    assert shown.shape == seen.shape
    assert np.abs(shown - seen).max() < 3 / 255


def test_an_error_is_a_sentence_not_a_traceback(dock):
    viewer, widget = dock
    viewer.add_image(np.zeros((4, 4)))
    type_classes(widget, "  \n ,")
    widget.run()
    assert "There is no prompt" in widget.run_bar.status.text()
    with pytest.raises(GemError):
        layers.read_layer(viewer.add_labels(np.zeros((4, 4), int)), viewer.dims)


def test_what_the_table_refused_is_said_until_it_changes(dock):
    viewer, widget = dock
    viewer.add_image(np.zeros((4, 4)))
    type_classes(widget, "cell\ncell")
    status, table = widget.run_bar.status, widget.prompt_table
    assert "is in the table already" in status.text()
    table.add_text("nucleus")
    assert status.text() == ""
    table.add_text("cell")
    assert "is in the table already" in status.text()
    table.model.remove([table.prompts()[0].label])
    assert status.text() == ""
    table.add_text("nucleus")
    widget.run_bar.show_message("info", "Something else.")
    table.add_text("gland")
    assert status.text() == "Something else."


def test_an_error_of_the_worker_pops_up_in_the_window(dock, qtbot):
    viewer, widget = dock
    widget.controller.failed.emit(
        "The GPU has not enough memory. Close other programs."
    )
    canvas = viewer.window._qt_viewer.canvas.native

    def shown():
        return [x.message.text() for x in canvas.findChildren(NapariQtNotification)]

    qtbot.waitUntil(lambda: any("GPU" in text for text in shown()))
    for popup in canvas.findChildren(NapariQtNotification):
        popup.close()


# --- what is kept, and what is asked


@pytest.mark.slow
def test_last_used_values_come_back(make_napari_viewer):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    viewer.add_image(np.zeros((8, 8)))
    type_classes(widget, "first, one\nsecond")
    widget.image_panel.set_detail(8.0)
    widget.run()
    widget.controller.cancel()
    viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    words = [prompt.words for prompt in again.prompt_table.prompts()]
    assert words == [("first", "one"), ("second",)]
    assert again.image_panel.detail() == 8
    again.controller.close()


@pytest.mark.slow
def test_a_dock_that_is_closed_opens_as_it_was(make_napari_viewer):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    viewer.add_image(np.zeros((8, 8)))
    type_classes(widget, "first\nsecond")
    widget.prompt_table.set_templates(("a drawing of {}",))
    widget.prompt_table.model.remove([widget.prompt_table.prompts()[0].label])
    viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    assert [prompt.name for prompt in again.prompt_table.prompts()] == ["second"]
    assert again.prompt_table.templates() == ("a drawing of {}",)
    again.controller.close()


def test_what_was_said_of_a_run_goes_when_something_else_is_asked(qtbot):
    viewer, widget, client = hand_driven_dock(qtbot)
    image = viewer.add_image(np.zeros((8, 8)))
    widget.prompt_table.add_text("cell")
    status = widget.run_bar.status

    def run():
        widget.run()
        number = len(client.requests)
        client.send(client.finished(number))
        qtbot.waitUntil(lambda: "Done" in status.text())
        qtbot.wait(50)
        assert "Done" in status.text()

    run()
    widget.prompt_table.add_text("nucleus")
    assert status.text() == ""
    run()
    image.contrast_limits = (0.2, 0.7)
    qtbot.waitUntil(lambda: status.text() == "")


def test_a_table_without_classes_is_no_error(qtbot):
    viewer, widget, client = hand_driven_dock(qtbot)
    viewer.add_image(np.zeros((8, 8)))
    widget.prompt_table.add_text("cell\nnucleus")
    widget.run()
    client.send(client.finished(1))
    qtbot.waitUntil(lambda: "Done" in widget.run_bar.status.text())
    widget.prompt_table.view.selectAll()
    widget.prompt_table._on_remove()
    qtbot.wait(50)
    assert widget.run_bar.status.text() == ""
    assert "Type a class" in widget.run_bar.current.text()


def test_results_of_two_images_are_told_apart_by_their_names(qtbot):
    viewer, widget, client = hand_driven_dock(qtbot)
    widget.prompt_table.add_text("cell")
    for number, name in enumerate(("one", "two"), 1):
        viewer.add_image(np.full((8, 8), number), name=name)
        widget.run()
        client.send(client.finished(number))
        qtbot.waitUntil(lambda n=number: len(viewer.layers) == 3 * n)
    assert [layer.name for layer in viewer.layers] == [
        *("one", "cell · GEM", "labels · GEM"),
        *("two", "cell · GEM · two", "labels · GEM · two"),
    ]


@pytest.mark.parametrize("policy", ["new", "fill", "replace", None])
def test_painted_labels_are_asked_about(qtbot, policy):
    asked = []

    def answer():
        box = QApplication.activeModalWidget()
        asked.append(box.text())
        box.checkBox().setChecked(True)
        text = CHOICES.get(policy, "Cancel")
        (button,) = (b for b in box.buttons() if b.text().replace("&", "") == text)
        QTimer.singleShot(0, button.click)

    QTimer.singleShot(100, answer)
    assert choose_policy("labels · GEM") == (policy, True)
    assert "labels · GEM" in asked[0]


def test_keys_of_the_viewer_reach_the_widget(dock):
    viewer, widget = dock
    type_classes(widget, "a\nb")
    widget.prompt_table.select_previous()
    assert widget.prompt_table.current().name == "a"
    for key in widget.keys.bound:
        if key.action == "next_class":
            viewer.keymap[next(k for k in viewer.keymap if "PageDown" in str(k))](
                viewer
            )
    assert widget.prompt_table.current().name == "b"
