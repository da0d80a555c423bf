"""Questions: the viewer may be closed while one is open."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_gem.models.find import find_model
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.parts.plain import MessageBox, ask
from napari_gem.widget.run.controller import Controller
from tests.widget.hand_client import HandClient

pytestmark = pytest.mark.contact("Qt bindings")


def when_asked(do):
    """Do something as soon as a question is open."""

    def look():
        box = QApplication.activeModalWidget()
        if box is None:
            QTimer.singleShot(1, look)
        else:
            do(box)

    QTimer.singleShot(0, look)


def test_an_answer_is_given_while_who_asked_is_there(qtbot):
    owner = QWidget()
    qtbot.addWidget(owner)
    assert ask(owner, lambda: "yes") == "yes"

    def fail():
        raise RuntimeError("of something else")

    with pytest.raises(RuntimeError, match="something else"):
        ask(owner, fail)


def test_there_is_no_answer_when_who_asked_is_gone():
    owner = QWidget()
    box = MessageBox("Question", owner)
    when_asked(lambda _box: owner.deleteLater())
    assert ask(owner, box.exec) is None


@pytest.mark.parametrize("question", ["download", "policy"])
def test_the_dock_is_deleted_while_it_asks_before_a_run(question):
    viewer, clients = ViewerModel(), []

    def make_client(on_event):
        clients.append(HandClient(on_event))
        return clients[0]

    widget = GemWidget(viewer, Controller(viewer, make_client))
    layer = viewer.add_image(np.zeros((8, 8)))
    widget.prompt_table.add_text("cell")
    emitted = {
        "download": lambda ask: widget.controller.download_requested.emit(
            find_model("ViT-B-32/openai"), ask
        ),
        "policy": lambda ask: widget.controller.policy_requested.emit(layer, ask),
    }
    widget.controller.run = emitted[question]
    when_asked(lambda _box: widget.deleteLater())
    widget.run()  # what is raised in a slot fails the test
    assert not clients[0].requests
    assert clients[0].closed
