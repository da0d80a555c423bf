"""A dock whose worker is driven by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.widget.hand_client import hand_driven_dock


@pytest.fixture
def wired(qtbot, monkeypatch):
    """A widget whose worker is driven by hand, after a run."""
    # napari silences a warning there, which two threads cannot do at a time
    monkeypatch.setattr("napari_gem.widget.run.controller.warm_up", lambda: None)
    viewer, widget, client = hand_driven_dock(qtbot)
    viewer.add_image(np.random.default_rng(3).random((12, 10)), name="cells")
    widget.prompt_table.set_prompts(())
    widget.prompt_table.add_text("nuclei\nfilament")
    widget.run()
    client.send(client.finished(1))
    qtbot.waitUntil(lambda: not widget.controller.busy)
    yield viewer, widget, client
    widget.controller.close()
