"""Results of many slices in one labels layer, without Qt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.core.region import Region
from napari_gem.layers.levels.on_disk import DiskArray
from napari_gem.layers.writing import stack
from napari_gem.widget.results.result_layers import ResultLayers
from napari_gem.widget.results.stack import StackResult
from tests.layers.scene import results_of

RNG = np.random.default_rng(5)
A = Prompt(("a",), label=2)
B = Prompt(("b",), label=5)


@pytest.fixture(autouse=True, params=["memory", "disk"])
def place(request, monkeypatch, tmp_path):
    """Both ways in which a stack is kept do the same."""
    monkeypatch.setenv("NAPARI_GEM_CACHE", str(tmp_path / "features"))
    on_disk = request.param == "disk"
    monkeypatch.setattr(stack, "LARGEST_LABELS", 0 if on_disk else 1 << 30)
    monkeypatch.setattr(Scene, "largest_maps", 0 if on_disk else 1 << 30)
    return request.param


class Scene:
    largest_maps = 0

    def __init__(self, shape=(4, 7, 9), order=None, **kwargs):
        self.viewer = ViewerModel()
        kwargs.setdefault("rgb", False)
        self.layer = self.viewer.add_image(RNG.random(shape), name="cells", **kwargs)
        if order:
            self.viewer.dims.order = order
        self.results = ResultLayers(self.viewer)

    def image(self, number):
        axis = self.viewer.dims.order[0]
        self.viewer.dims.set_current_step(axis, number)
        return layers.read_layer(self.layer, self.viewer.dims)

    def run(self, *numbers, prompts=(A, B), shift=0, region=None, **kwargs):
        """Returns the expected plane of each slice."""
        kwargs.setdefault("largest_maps", self.largest_maps)
        stack = StackResult(self.results, self.layer, **kwargs)
        planes = {}
        for number in numbers:
            image = self.image(number)
            results = results_of(image, *prompts, shift=shift + number, region=region)
            planes[number] = results[-1].data.copy()
            stack.add(image, results)
        return stack, planes

    @property
    def ours(self):
        return list(self.viewer.layers)[1:]

    @property
    def labels(self):
        return next(x for x in reversed(self.ours) if isinstance(x, Labels))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_slices_fill_a_layer_of_the_whole_stack(order):
    scene = Scene(order=order, scale=(3, 0.5, 2), translate=(5, 6, 7))
    _, planes = scene.run(0, 2)
    names = [x.name for x in scene.ours]
    assert names == ["a · GEM stack", "b · GEM stack", "labels · GEM stack"]
    labels, first = scene.labels, scene.ours[0]
    assert labels.data.shape == first.data.shape == (4, 7, 9)
    axis = order[0]
    for number in range(labels.data.shape[axis]):
        plane = np.take(labels.data, [number], axis)
        expected = planes.get(number, np.zeros_like(plane))
        assert np.array_equal(plane, expected)
        assert np.array_equal(np.take(first.data, [number], axis) > 0, expected == 2)
    assert np.allclose(labels.extent.world, scene.layer.extent.world)
    assert list(labels.features["class"]) == ["background", "a", "b"]
    # what is on the screen is what was written
    scene.viewer.dims.set_current_step(axis, 2)
    shown, expected = labels._slice.image.raw, planes[2].squeeze(axis)
    assert np.array_equal(shown, expected.T if order[1] > order[2] else expected)


def test_what_is_too_large_is_on_disk(place):
    scene = Scene()
    scene.run(0, 1, largest_maps=2 * 4 * 7 * 9 * 4 - 1)
    kinds = [type(x.data) for x in scene.ours]
    assert kinds == [DiskArray, DiskArray, DiskArray if place == "disk" else np.ndarray]


def test_slices_of_another_run_take_the_place_of_the_first():
    scene = Scene()
    _, before = scene.run(0, 1, 2)
    every = scene.ours
    _, after = scene.run(1, 3, shift=1)
    assert scene.ours == every
    for number in range(4):
        expected = {**before, **after}[number]
        assert np.array_equal(scene.labels.data[number : number + 1], expected)
    scene.run(0, region=Region((0, 3), (0, 9)), shift=1)
    assert np.array_equal(scene.labels.data[0, 3:], before[0][0, 3:])


def test_single_slices_and_stacks_are_apart():
    scene = Scene()
    image = scene.image(1)
    scene.results.show(image, results_of(image, A, B))
    single = scene.labels
    kept = single.data.copy()
    scene.run(0, 1, shift=2)
    assert len(scene.ours) == 6
    assert np.array_equal(single.data, kept)


@pytest.mark.parametrize("policy", ["new", "fill", "replace"])
def test_painted_stacks(policy):
    scene = Scene()
    scene.run(0, 1, 2, 3)
    painted = scene.labels
    painted.data[1, 2, 3] = 9
    painted.data[2, 2, 2] = 0
    kept = np.array(painted.data)
    _, planes = scene.run(1, 2, shift=1, policy=policy)
    new = np.concatenate([planes[1], planes[2]])
    if policy == "new":
        assert np.array_equal(painted.data, kept)
        assert scene.labels is not painted
        assert np.array_equal(scene.labels.data[1:3], new)
        return
    assert scene.labels is painted
    assert np.array_equal(painted.data[[0, 3]], kept[[0, 3]])
    if policy == "fill":
        new[0, 2, 3] = 9
        new[1, 2, 2] = kept[2, 2, 2]
    assert np.array_equal(painted.data[1:3], new)
    if policy == "fill":
        _, planes = scene.run(1, shift=2, policy=policy)
        assert painted.data[1, 2, 3] == 9


def test_painting_during_the_run_is_kept():
    scene = Scene()
    stack, _ = scene.run(0)
    stack.labels.data[0, 0, 0] = 9
    stack.labels.data[1, 3, 3] = 8
    image = scene.image(1)
    results = results_of(image, A, B)
    stack.add(image, results)
    assert stack.labels.data[0, 0, 0] == 9
    assert stack.labels.data[1, 3, 3] == 8
    assert (stack.labels.data[1] != results[-1].data[0]).sum() == 1


def test_undo_of_a_stack_is_one_step():
    scene = Scene()
    scene.run(0, 1)
    first, second, labels = scene.ours
    labels.data[0, 0, 0] = 9
    labels.data[2, 0, 0] = 9
    before = [np.array(x.data) for x in scene.ours]
    scene.run(0, 1, 3, prompts=(A,), shift=1, policy="fill")
    assert second not in scene.ours
    assert not np.array_equal(labels.data, before[-1])
    assert scene.results.undo() == "The last run is undone."
    assert scene.ours == [first, second, labels]
    for layer, data in zip(scene.ours, before, strict=True):
        assert np.array_equal(layer.data, data)
    _, planes = scene.run(0, shift=1, policy="fill")
    planes[0][0, 0, 0] = 9
    assert np.array_equal(labels.data[:1], planes[0])
    labels.data[3, 1, 1] = 7  # no slice of that run
    labels.data[0, 1, 1] = 7
    painted = np.array(labels.data)
    sentence = scene.results.undo()
    before[-1][3, 1, 1] = 7
    assert np.array_equal(labels.data, before[-1])
    copy = scene.viewer.layers["labels · GEM stack · painted"]
    assert copy.name in sentence
    assert np.array_equal(copy.data, painted)


def test_old_strokes_do_not_come_back_into_a_stack():
    scene = Scene()
    scene.run(0, 1)
    scene.labels.paint((1, 2, 2), 9)
    scene.labels.undo()
    before = np.array(scene.labels.data)
    _, planes = scene.run(0, 1, shift=1)
    scene.labels.redo()
    assert np.array_equal(scene.labels.data[1:2], planes[1])
    scene.labels.paint((1, 2, 2), 9)
    scene.labels.undo()
    scene.results.undo()
    scene.labels.redo()
    assert np.array_equal(scene.labels.data, before)


def test_undo_of_a_first_stack_removes_it():
    scene = Scene()
    scene.run(0, 1)
    scene.results.undo()
    assert scene.ours == []


def test_labels_deleted_during_the_run():
    scene = Scene()
    stack, _ = scene.run(0)
    scene.viewer.layers.remove(stack.labels)
    image = scene.image(1)
    with pytest.raises(GemError, match="was deleted, so"):
        stack.add(image, results_of(image, A, B))
    other = Scene()
    stack, _ = other.run(0)
    stack.labels.data = np.zeros((2, 3, 3), np.uint8)
    image = other.image(1)
    with pytest.raises(GemError, match="of another shape"):
        stack.add(image, results_of(image, A, B))


def test_four_axes_and_larger_ids():
    scene = Scene((2, 3, 7, 9))
    scene.run(0)
    labels = scene.labels
    assert labels.data.shape == (2, 3, 7, 9)
    assert labels.data[1:].max() == 0
    image = scene.image(1)
    large = results_of(image, A, B)
    wide = replace(large[-1], data=large[-1].data.astype(np.uint16))
    StackResult(scene.results, scene.layer).add(image, [*large[:-1], wide])
    assert labels.data.dtype == np.uint16
    assert np.array_equal(labels.data[1:, 1:2], wide.data)
