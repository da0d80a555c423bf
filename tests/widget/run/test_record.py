"""What the dock says when another image, slice or region is in front."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gem import layers
from napari_gem.core.region import Region
from napari_gem.widget.prompts.cells import Column
from napari_gem.widget.state import SENTENCES, Encoded
from napari_gem.worker.messages import Failed

SHARES = {1: "33 %", 2: "67 %"}
LIVE = SENTENCES[Encoded.LIVE]
FIRST = SENTENCES[Encoded.NO].format(whole="image")


class Scene:
    """A dock after a run on 'cells', and what it shows."""

    def __init__(self, wired, qtbot):
        self.viewer, self.widget, self.client = wired
        self.qtbot = qtbot
        self.cells = self.viewer.layers["cells"]

    def add(self, name, shape=(12, 10)):
        layer = self.viewer.add_image(np.ones(shape), name=name)
        self.choose(layer)
        return layer

    def choose(self, layer):
        """Click on a layer."""
        self.viewer.layers.selection.active = layer
        self.wait()

    def wait(self):
        self.qtbot.wait(160)  # the image panel waits for the viewer to be at rest

    def run(self, *shares, **kwargs):
        self.widget.run()
        self.finish(*shares, **kwargs)

    def finish(self, *shares, absent=()):
        number = len(self.client.requests)
        event = self.client.finished(number, shares=shares, absent=absent)
        self.client.send(event)
        self.qtbot.waitUntil(lambda: not self.widget.controller.busy)

    @property
    def shares(self):
        model = self.widget.prompt_table.model
        return [model.index(row, Column.SHARE).data() for row in range(2)]

    @property
    def sentence(self):
        return self.widget.run_bar.current.text()

    @property
    def message(self):
        return self.widget.run_bar.status.text()


@pytest.fixture
def scene(wired, qtbot):
    scene = Scene(wired, qtbot)
    scene.run(0.33, 0.12)
    return scene


def test_each_image_has_its_own_shares_and_sentence(scene):
    assert scene.shares == ["33 %", "12 %"]
    assert scene.sentence == LIVE
    assert scene.message.startswith("Done")
    other = scene.add("other")
    assert scene.shares == ["", ""], "it was never run"
    assert scene.sentence == FIRST
    assert scene.message == ""
    assert not scene.widget.recipe_menu.save.isEnabled()
    scene.run(0.67, 0.2, absent=("filament",))
    assert scene.shares == ["67 %", "not here?"]
    scene.choose(scene.cells)
    assert scene.shares == ["33 %", "12 %"]
    assert scene.sentence == LIVE, "both are still encoded"
    assert scene.message.startswith("Done")
    assert scene.widget.recipe_menu.save.isEnabled()
    scene.choose(other)
    assert scene.shares == ["67 %", "not here?"]
    scene.viewer.layers.remove(other)
    scene.choose(scene.cells)
    assert scene.shares == ["33 %", "12 %"]


def test_words_show_at_once_on_each_encoded_image(scene):
    other = scene.add("other")
    scene.run(0.67, 0.2)
    before = len(scene.client.requests)
    scene.choose(scene.cells)
    scene.widget.prompt_table.model.change(1, threshold=0.7)
    asked = scene.client.requests[before:]
    assert [each.encoded for each in asked] == [f"image {before - 1}"]
    scene.client.send(scene.client.finished(before + 1, shares=(0.1, 0.0)))
    scene.qtbot.waitUntil(lambda: scene.shares == ["10 %", "0 %"])
    scene.choose(other)
    # the limits of the table are for all images: it is scored with them now
    assert scene.client.requests[-1].encoded == f"image {before}"


def test_a_run_that_ends_behind_another_image_is_called_by_its_name(scene):
    scene.widget.run()
    scene.add("other")
    assert "another image" in scene.sentence
    scene.finish(0.5, 0.5)
    assert scene.message.startswith("'cells': Done")
    assert scene.shares == ["", ""]
    assert scene.sentence == FIRST
    scene.choose(scene.cells)
    assert scene.shares == ["50 %", "50 %"]
    assert scene.message.startswith("Done")


def test_a_failure_behind_another_image_is_called_by_its_name(scene):
    scene.widget.run()
    scene.add("other")
    scene.client.send(Failed(len(scene.client.requests), "There is no memory."))
    scene.qtbot.waitUntil(lambda: "memory" in scene.message)
    assert "'cells': There is no memory." in scene.message


def test_each_slice_has_its_own_shares(scene):
    stack = scene.add("stack", (3, 12, 10))
    scene.viewer.dims.set_point(0, 0)
    scene.wait()
    scene.run(0.4, 0.1)
    assert scene.shares == ["40 %", "10 %"]
    scene.viewer.dims.set_point(0, 2)
    scene.wait()
    assert scene.shares == ["", ""]
    assert scene.sentence == FIRST
    scene.viewer.dims.set_point(0, 0)
    scene.wait()
    assert scene.shares == ["40 %", "10 %"]
    assert scene.sentence == LIVE
    assert stack in scene.viewer.layers


def test_a_region_has_its_own_shares(scene, monkeypatch):
    panel = scene.widget.image_panel
    monkeypatch.setattr(panel, "region", lambda: Region((0, 6), (0, 5)))
    scene.widget.show_state()
    assert scene.shares == ["", ""]
    assert scene.sentence == SENTENCES[Encoded.NO].format(whole="region")
    scene.run(0.8, 0.1)
    assert scene.shares == ["80 %", "10 %"]
    model = scene.widget.prompt_table.model
    assert "80 % of the region" in model.index(0, Column.SHARE).data(3)
    monkeypatch.undo()
    scene.widget.show_state()
    assert scene.shares == ["33 %", "12 %"]
    assert "33 % of the image" in model.index(0, Column.SHARE).data(3)


def test_what_is_undone_removed_or_replaced_has_no_shares(scene):
    scene.widget.controller.undo()
    assert scene.shares == ["", ""]
    scene.run(0.3, 0.1)
    labels = [x for x in scene.viewer.layers if layers.is_result(x)][-1]
    scene.viewer.layers.remove(labels)
    assert scene.shares == ["", ""]
    scene.run(0.3, 0.1)
    assert scene.shares == ["30 %", "10 %"]
    scene.cells.data = np.zeros((12, 10))
    scene.wait()
    assert scene.shares == ["", ""]
    assert scene.sentence == FIRST


def test_a_class_with_other_words_has_no_share_yet(scene):
    scene.widget.image_panel.set_detail(8.0)  # so that nothing is live
    scene.wait()
    assert scene.shares == ["33 %", "12 %"]
    scene.widget.prompt_table.model.change(1, words=("cytoplasm",))
    assert scene.shares == ["", "12 %"]


def test_an_image_that_was_encoded_before_is_said_to_be(scene):
    scene.widget.image_panel.set_detail(8.0)
    scene.wait()
    scene.run(0.2, 0.2)
    record = scene.widget.controller._live
    record.clear()  # as when another model was loaded meanwhile
    scene.widget.show_state()
    assert scene.sentence == SENTENCES[Encoded.KEPT]
