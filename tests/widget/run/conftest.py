"""A dock whose worker is driven by hand."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gem.widget.dock import GemWidget
from napari_gem.widget.run.controller import Controller
from tests.widget.hand_client import HandClient


@pytest.fixture
def wired(qtbot, monkeypatch):
    """A widget whose worker is driven by hand, after a run."""
    # napari silences a warning there, which two threads cannot do at a time
    monkeypatch.setattr("napari_gem.widget.run.controller.warm_up", lambda: None)
    viewer, clients = ViewerModel(), []

    def make_client(on_event):
        clients.append(HandClient(on_event))
        return clients[0]

    widget = GemWidget(viewer, Controller(viewer, make_client))
    qtbot.addWidget(widget)
    viewer.add_image(np.random.default_rng(3).random((12, 10)), name="cells")
    widget.prompt_table.set_prompts(())
    widget.prompt_table.add_text("nuclei\nfilament")
    widget.run()
    clients[0].send(clients[0].finished(1))
    qtbot.waitUntil(lambda: not widget.controller.busy)
    yield viewer, widget, clients[0]
    widget.controller.close()
