"""The run bar alone, and what the widget tells it."""

from __future__ import annotations

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_gem import layers
from napari_gem.widget.run.run_bar import RunBar
from napari_gem.widget.state import SENTENCES, Encoded
from napari_gem.worker.messages import Failed


@pytest.fixture
def bar(qtbot):
    run_bar = RunBar()
    qtbot.addWidget(run_bar)
    run_bar.show()
    return run_bar


def test_undo_can_be_pressed_only_when_there_is_something(bar):
    assert not bar.undo_button.isEnabled()
    bar.set_undo("Bring back what was before the last run on 'cells'")
    assert bar.undo_button.isEnabled()
    assert "'cells'" in bar.undo_button.toolTip()
    bar.set_busy(True)
    assert not bar.undo_button.isEnabled()
    bar.set_busy(False)
    assert bar.undo_button.isEnabled()
    bar.set_undo("")
    assert not bar.undo_button.isEnabled()
    assert bar.undo_button.toolTip() == "There is no run to undo"


def test_labels_that_are_left_alone(bar, qtbot):
    assert not bar.update_button.isVisible()
    bar.set_kept("labels · GEM")
    assert "labels · GEM" in bar.kept.text()
    with qtbot.waitSignal(bar.update_requested):
        qtbot.mouseClick(bar.update_button, Qt.MouseButton.LeftButton)
    bar.set_kept("")
    assert not bar.kept.isVisible()
    assert not bar.update_button.isVisible()


def test_the_bar_says_what_can_be_undone(wired):
    viewer, widget, _ = wired
    assert widget.run_bar.undo_button.isEnabled()
    widget.run_bar.undo_button.click()
    assert len(viewer.layers) == 1
    assert not widget.run_bar.undo_button.isEnabled()


def test_painted_labels_are_updated_on_request(wired, qtbot, monkeypatch):
    viewer, widget, client = wired
    labels = viewer.layers[-1]
    labels.paint((2, 2), 7)
    client.label = 2
    model = widget.prompt_table.model
    label = widget.prompt_table.prompts()[0].label
    model.change(label, threshold=0.7)
    client.send(client.finished(2))
    bar = widget.run_bar
    qtbot.waitUntil(lambda: bool(bar.kept.text()))
    assert labels.data[9, 9] == 1
    monkeypatch.setattr(
        "napari_gem.widget.dock.choose_policy", lambda name, parent: ("fill", False)
    )
    bar.update_button.click()
    client.send(client.finished(3))
    qtbot.waitUntil(lambda: not widget.controller.busy)
    assert labels.data[2, 2] == 7
    assert labels.data[9, 9] == 2
    assert not bar.kept.text()
    assert [x for x in viewer.layers if layers.is_result(x)][-1] is labels


def test_a_run_of_something_else_is_not_marked_as_current(wired, qtbot):
    _, widget, client = wired
    widget.run()
    widget.image_panel.set_detail(8.0)
    client.send(client.finished(2))
    qtbot.waitUntil(lambda: not widget.controller.busy)
    expected = SENTENCES[Encoded.NO].format(whole="image")
    assert widget.run_bar.current.text() == expected


def test_errors_of_the_worker_are_announced(wired, qtbot):
    _, widget, client = wired
    seen = []
    notification_manager.notification_ready.connect(seen.append)
    try:
        widget.run()
        client.send(Failed(2, "The GPU has not enough memory.", "Traceback ..."))
        qtbot.waitUntil(lambda: not widget.controller.busy)
    finally:
        notification_manager.notification_ready.disconnect(seen.append)
    assert [(str(n.severity), n.message) for n in seen] == [
        ("error", "The GPU has not enough memory.")
    ]
    assert "The GPU has not enough memory." in widget.run_bar.status.text()


def test_a_very_long_sentence_leaves_room_for_the_rest(qtbot):
    bar = RunBar()
    qtbot.addWidget(bar)
    sentence = "This model was not trained on " + ", ".join(["'word'"] * 400)
    bar.show_message("warning", sentence)
    assert len(QLabel.text(bar.status)) < 300
    assert QLabel.text(bar.status).endswith("…")
    assert bar.status.toolTip() == f"⚠ {sentence}"
    bar.show_message("info", "Done.")
    assert bar.status.text() == "Done."
    assert not bar.status.toolTip()
