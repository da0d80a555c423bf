"""Points of classes that come and go, and points of other images."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_gem import layers
from napari_gem.core.prompts import Example, Prompt
from napari_gem.layers.writing.combine import named_ids
from napari_gem.prompts.sets import PromptSet
from napari_gem.widget.prompts.example_link import ExampleLink
from napari_gem.widget.prompts.example_points import ExamplePoints
from napari_gem.widget.prompts.table import PromptTable


class Scene:
    """Two images, a table of the classes 'a' and 'b', and points."""

    def __init__(self, qtbot):
        self.viewer = ViewerModel()
        self.images = [
            self.viewer.add_image(np.zeros((20, 30)), scale=(2, 3)),
            self.viewer.add_image(np.zeros((4, 20, 30)), translate=(1, 2, 3)),
        ]
        self.table = PromptTable(known=lambda: named_ids(self.viewer.layers))
        qtbot.addWidget(self.table)
        self.link_up()
        self.look(0)
        self.table.add_text("a\nb")

    def link_up(self):
        self.points = ExamplePoints(self.viewer)
        self.link = ExampleLink(self.table, self.points)
        self.table.changed.connect(self.link.follow_table)
        self.points.changed.connect(self.link.follow_points)

    def look(self, number):
        image = self.images[number]
        self.points.set_image(image, layers.read_layer(image, self.viewer.dims))
        self.link.follow_view()

    def click(self, name, *place, positive=True):
        prompt = next(p for p in self.table.prompts() if p.name == name)
        self.points.start(prompt, positive)
        layer = self.points.layer
        layer.add(np.array([0, *place][-layer.ndim :]))

    def tell(self):
        """Do at once what comes after a moment."""
        self.points._throttler.flush()

    @property
    def examples(self):
        return {
            prompt.name: [example.point for example in prompt.examples]
            for prompt in self.table.prompts()
            if prompt.examples
        }

    @property
    def shown(self):
        return {
            (name, tuple(map(float, place[-2:])))
            for layer in self.viewer.layers
            if layer.metadata.get("napari_gem", {}).get("role") == "examples"
            for name, place in zip(layer.features["class"], layer.data, strict=True)
        }


@pytest.fixture
def scene(qtbot):
    return Scene(qtbot)


def test_points_go_and_come_with_their_class(scene):
    scene.click("a", 1, 2)
    scene.click("b", 3, 4, positive=False)
    scene.tell()
    scene.look(1)
    scene.click("a", 5, 6)
    scene.tell()
    everything = {("a", (1, 2)), ("b", (3, 4)), ("a", (5, 6))}
    assert scene.shown == everything
    assert scene.examples == {"a": [(5, 6)]}
    scene.table.model.remove([1])
    assert scene.shown == {("b", (3, 4))}
    scene.table.add_text("c")
    scene.look(0)
    assert scene.table.prompts()[-1].label == 3
    assert scene.examples == {"b": [(3, 4)]}
    scene.table.model.undo()
    scene.table.model.undo()
    assert scene.shown == everything
    assert scene.examples == {"a": [(1, 2)], "b": [(3, 4)]}
    assert not scene.table.prompts()[1].examples[0].positive
    symbols = [str(symbol) for symbol in scene.points.layer.symbol]
    assert sorted(symbols) == ["disc", "x"]
    scene.table.model.redo()
    assert scene.shown == {("b", (3, 4))}


def test_a_point_is_a_step_of_undo_and_another_image_is_none(scene):
    steps = len(scene.table.model.history.past)
    scene.click("a", 1, 2)
    scene.tell()
    scene.look(1)
    scene.look(0)
    scene.look(1)
    assert len(scene.table.model.history.past) == steps + 1
    scene.table.model.undo()
    assert scene.shown == set()
    assert scene.examples == {}
    scene.table.model.redo()
    assert scene.shown == {("a", (1, 2))}
    assert scene.examples == {}, "it lies on the other image"


def test_points_of_this_moment_are_not_lost(scene):
    scene.click("a", 1, 2)
    scene.table.add_text("c")
    assert scene.shown == {("a", (1, 2))}
    scene.click("b", 3, 4)
    scene.table.model.remove([2])
    assert scene.shown == {("a", (1, 2))}
    scene.tell()
    scene.table.model.undo()
    assert scene.shown == {("a", (1, 2)), ("b", (3, 4))}
    scene.table.model.undo()
    assert scene.shown == {("a", (1, 2))}


def test_a_class_gets_no_points_of_another(scene):
    """Not even if the points were there before the table was."""
    scene.click("b", 3, 4)
    scene.tell()
    scene.points.detach()
    table, scene.table = scene.table, PromptTable(known=scene.table.model._known)
    scene.link_up()
    scene.look(0)
    scene.table.add_text("new")
    assert scene.table.prompts()[0].label == 1
    assert scene.shown == set()
    came = Prompt(("x",), 2), Prompt(("b",), 7)
    assert len(scene.table.model.history.past) == 1, (
        "points that were there are no step"
    )
    scene.table.model.load(PromptSet("set", prompts=came))
    assert {p.name: p.label for p in scene.table.prompts()} == {"x": 1, "b": 2}
    assert scene.shown == {("b", (3, 4))}
    assert scene.examples == {"b": [(3, 4)]}
    table.deleteLater()
    scene.table.deleteLater()


def test_a_layer_that_was_deleted_comes_back(scene):
    scene.click("a", 1, 2)
    scene.tell()
    scene.viewer.layers.remove(scene.points.layer)
    scene.tell()
    assert scene.examples == {}
    scene.table.model.undo()
    assert scene.shown == {("a", (1, 2))}
    scene.viewer.layers.remove(scene.points.layer)
    scene.viewer.layers.remove(scene.images[0])
    scene.tell()
    scene.table.model.undo()
    assert scene.shown == set()


def test_places_of_a_recipe_become_points(scene):
    scene.click("a", 1, 2)
    scene.look(1)
    scene.viewer.dims.set_point(0, 3)
    scene.look(1)
    vector = Example(None, (1.0, 0.0), "m")
    came = Prompt(("a",), 9, examples=(Example((7.5, 8.25), positive=False), vector))
    assert scene.link.load(PromptSet("recipe", prompts=(came,)))
    assert scene.examples == {"a": [None, (7.5, 8.25)]}
    assert scene.shown == {("a", (1, 2)), ("a", (7.5, 8.25))}
    assert scene.points.layer.data.tolist() == [[2, 7.5, 8.25]]
    scene.table.model.undo()
    assert scene.shown == {("a", (1, 2))}
