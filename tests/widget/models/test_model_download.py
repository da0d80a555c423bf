"""From the list of models over a hub to layers, in the widget with the real worker."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_gem.models.architectures import PACKAGE
from napari_gem.models.download.hub import CONFIG
from napari_gem.models.find import is_available
from napari_gem.widget.models.model_dialog import NamedModel
from tests.hub import point_at, serve
from tests.widget.test_dock import PATIENCE, crop, dock, type_classes

__all__ = ["dock"]

NAME = "hf-hub:tiny/model"
BUTTONS = QMessageBox.StandardButton


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with the embedded model; the worker sees its cache and no network."""
    folder = PACKAGE / "embedded"
    names = (CONFIG, "open_clip_model.safetensors")
    files = {name: (folder / name).read_bytes() for name in names}
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with serve(files) as server, point_at(server.address, tmp_path / "cache"):
        yield server


def press(qtbot, button):
    """Press a button of the box that comes, and tell what it said."""
    said = []

    def answer():
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            timer.stop()
            said.append(box.text() + "\n" + box.informativeText())
            box.button(button).click()

    timer = QTimer()
    timer.timeout.connect(answer)
    timer.start(20)
    qtbot.waitUntil(lambda: bool(said), timeout=20_000)
    return said[0]


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_a_model_is_chosen_downloaded_stopped_gone_on_with_and_run(hub, dock, qtbot):
    viewer, widget = dock
    choice = widget.model_choice
    pixels, kwargs = crop()
    viewer.add_image(pixels, **kwargs)
    type_classes(widget, "nuclei, nucleus\nfilaments, filament")
    messages = []
    choice.message_sent.connect(lambda *message: messages.append(message))
    choice.add(NamedModel(NAME), "tiny")
    whole = sum(map(len, hub.files.values()))

    hub.answers.clear()
    choice.download.trigger()
    qtbot.waitUntil(lambda: choice.bar.format().startswith("Asking"), timeout=20_000)
    choice.cancel.click()
    qtbot.waitUntil(lambda: not choice.job.busy, timeout=1000)
    hub.answers.set()

    hub.go_on.clear()  # the weights come half
    choice.download.trigger()
    said = press(qtbot, BUTTONS.Ok)
    assert f"Size: about {whole / 1e6:,.0f} MB" in said
    assert f"From: {hub.address}/tiny/model" in said
    assert "Licence: cc-by-4.0" in said
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(None))
    timer.start(10)
    qtbot.waitUntil(lambda: choice.bar.value() > 400, timeout=20_000)
    assert choice.bar.text().startswith("Downloading: ")
    ticks.clear()
    qtbot.wait(500)  # the hub is silent
    assert len(ticks) > 5, "the viewer waits for the hub"
    timer.stop()
    choice.cancel.click()
    qtbot.waitUntil(lambda: not choice.job.busy)
    assert choice.bar.isHidden()
    assert not is_available(choice.card())
    assert not messages

    hub.go_on.set()
    hub.starts.clear()
    choice.download.trigger()
    press(qtbot, BUTTONS.Ok)
    qtbot.waitUntil(lambda: bool(messages), timeout=20_000)
    assert messages == [("info", "tiny/model is on this computer now.")]
    assert max(hub.starts) > whole // 3, "what came was fetched again"
    assert is_available(choice.card())
    assert "download" not in choice._about.text()

    hub.asked.clear()
    ended = []
    widget.controller.message_sent.connect(lambda *message: ended.append(message))
    widget.run_bar.run_button.click()
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=PATIENCE)
    assert ended[-1][1].startswith("Done: labels and 2 maps."), ended
    recipe = viewer.layers[-1].metadata["napari_gem"]["recipe"]
    assert NAME in str(recipe)
    assert not hub.asked
