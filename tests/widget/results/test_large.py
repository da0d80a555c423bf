"""Results of large images: on disk, shown lazily, filled in while they are computed.

The limit is set low, so that small images are large ones.
"""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels

from napari_gem.core.region import Region
from napari_gem.images import samples
from napari_gem.layers import KEY
from napari_gem.layers.files import files
from napari_gem.layers.levels.lazy import LazyPlane
from napari_gem.results import pyramid
from napari_gem.results.pyramid import Pyramid
from napari_gem.widget.results.status import text_at
from napari_gem.widget.run import controller as module
from napari_gem.worker.messages import Cancelled, Failed, Interim
from tests.widget.hand_client import PATCH
from tests.widget.run.test_controller import Stage
from tests.widget.test_dock import PATIENCE, type_classes

SHAPE = 22, 17
GRID = 6, 5


@pytest.fixture(autouse=True)
def small_limit(monkeypatch):
    monkeypatch.setattr("napari_gem.core.bounds.LARGEST_HELD", 300)
    monkeypatch.setattr(pyramid, "COARSEST", 12)


@pytest.fixture
def stage(qtbot):
    stage = Stage(qtbot)
    yield stage
    stage.controller.close()


def write_result(folder, label, value, classes=2):
    """As the worker would."""
    labels = Pyramid(folder / "labels.zarr", SHAPE, np.uint8)
    labels.finest[:] = label
    list(labels.coarser())
    maps = Pyramid(folder / "probabilities.zarr", (classes, *GRID), np.float16)
    maps.finest[:] = value
    list(maps.coarser())
    return folder


def finish(stage, run, folder, label=1, value=0.5):
    stage.finish(run, folder=write_result(folder, label, value))


def interim(stage, run, step=4):
    stage.send(Interim(run, stage.client.finished(run, step=step)))


def shown(stage):
    return {
        layer.name: np.unique(np.asarray(layer.data[0])).tolist()
        for layer in stage.results()
    }


def test_a_large_result_is_shown_from_disk_and_lies_on_the_image(stage, tmp_path):
    image = stage.image(*SHAPE, scale=(2, 3), translate=(10, 20), rotate=30)
    stage.run(image)
    assert stage.client.large == [True]
    folder = tmp_path / "1"
    finish(stage, 1, folder)
    assert stage.messages[-1][1].startswith("Done: labels and 2 maps.")
    *maps, labels = stage.results()
    assert [len(maps), type(labels)] == [2, Labels]
    assert labels.multiscale
    assert not labels.editable
    assert isinstance(labels.data[0], LazyPlane)
    assert labels.data[0].shape == SHAPE
    for map_ in maps:
        assert map_.data[0].shape == GRID
        assert map_.interpolation2d == "linear"
    middle = [PATCH / 2 - 0.5] * 2  # of the first patch
    assert np.allclose(maps[0].data_to_world((0, 0)), image.data_to_world(middle))
    assert np.allclose(labels.data_to_world((7, 5)), image.data_to_world((7, 5)))
    place = image.data_to_world((9, 9))
    text = text_at(stage.viewer.layers, image, place)
    assert text == "nuclei: nuclei 0.50, filament 0.50"
    # the files go with the last layer that shows them
    stage.controller.undo()
    del maps, labels, map_
    stage.viewer.layers.selection.active = image  # napari remembers the one before
    stage.image(*SHAPE)
    gc.collect()
    assert not folder.exists()


def test_rows_are_shown_while_they_come_and_taken_back(stage, tmp_path):
    image = stage.image(*SHAPE)
    stage.run(image)
    interim(stage, 1)
    assert shown(stage) == {"labels · GEM": [1]}
    assert stage.controller.busy
    stage.client.label = 2
    interim(stage, 1)
    assert shown(stage) == {"labels · GEM": [2]}
    stage.controller.cancel()
    stage.send(Cancelled(1))
    assert stage.results() == []
    assert stage.messages[-1] == ("info", "Cancelled.")
    assert list(stage.viewer.layers) == [image]

    stage.run(image)
    interim(stage, 2)
    stage.send(Failed(2, "It failed."))
    assert stage.results() == []

    stage.run(image)
    interim(stage, 3)
    finish(stage, 3, tmp_path / "3", label=1)
    assert shown(stage)["labels · GEM"] == [1]
    assert len(stage.results()) == 3
    stage.controller.undo()
    assert list(stage.viewer.layers) == [image]


def test_what_was_shown_before_a_cancelled_run_is_back(stage, tmp_path):
    image = stage.image(*SHAPE)
    stage.run(image)
    finish(stage, 1, tmp_path / "1", label=1, value=0.25)
    before = shown(stage)
    stage.client.label = 2
    stage.run(image)
    interim(stage, 2)
    assert shown(stage) != before
    stage.controller.cancel()
    stage.send(Cancelled(2))
    assert shown(stage) == before


def test_a_change_shows_a_preview_and_then_the_full_size(stage, tmp_path):
    image = stage.image(*SHAPE)
    stage.run(image)
    finish(stage, 1, tmp_path / "1", label=1)
    stage.client.label = 2
    stage.controller.refresh(stage.ask(image, "nuclei\nmembrane"))
    assert stage.client.requests[-1].preview
    assert not stage.client.large[-1]
    stage.send(stage.client.finished(2, step=4))
    assert shown(stage)["labels · GEM"] == [2]
    assert len(stage.results()[-1].data[0].shape) == 2
    stage.until(lambda: len(stage.client.requests) == 3)
    assert stage.client.large[-1]
    assert stage.messages[-1] == ("info", module.COARSE)
    stage.send(
        stage.client.finished(3, folder=write_result(tmp_path / "3", label=1, value=1))
    )
    assert stage.messages[-1] == ("info", module.FULL)
    labels = shown(stage)
    assert labels["labels · GEM"] == [1]
    assert labels["membrane · GEM"] == [1]


def test_a_region_is_put_into_what_was_there(stage, tmp_path):
    image = stage.image(*SHAPE)
    stage.run(image)
    finish(stage, 1, tmp_path / "1", label=1, value=0.25)
    stage.run(image, region=Region((4, 12), (0, 8)))
    finish(stage, 2, tmp_path / "2", label=2, value=0.75)
    wanted = np.ones(SHAPE)
    wanted[4:12, :8] = 2
    assert np.array_equal(stage.results()[-1].data[0], wanted)
    patches = np.full(GRID, 0.25)
    patches[1:3, :2] = 0.75
    assert np.array_equal(stage.results()[0].data[0], patches)


@pytest.mark.slow
def test_what_a_region_covers_is_not_kept(stage, tmp_path):
    image = stage.image(*SHAPE)
    stage.run(image)
    finish(stage, 1, tmp_path / "1", label=1)
    regions = (
        Region((4, 12), (0, 8)),
        Region((14, 18), (0, 4)),
        Region((4, 12), (0, 8)),  # with other words
        Region((2, 12), (0, 9)),  # zoomed out
    )
    for run, region in enumerate(regions, start=2):
        stage.run(image, region=region)
        finish(stage, run, tmp_path / str(run), label=run)
    wanted = np.ones(SHAPE)
    wanted[14:18, :4] = 3
    wanted[2:12, :9] = 5
    assert np.array_equal(stage.results()[-1].data[0], wanted)
    stage.controller.undo()
    wanted[2:12, :9] = 1
    wanted[4:12, :8] = 4
    assert np.array_equal(stage.results()[-1].data[0], wanted)
    gc.collect()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3", "4"]


@pytest.mark.slow
def test_a_result_that_comes_after_undo_leaves_no_files(stage, tmp_path):
    image = stage.image(*SHAPE)
    stage.run(image)
    finish(stage, 1, tmp_path / "1")
    stage.controller.refresh(stage.ask(image, "nuclei\nmembrane"))
    stage.send(stage.client.finished(2, step=4))
    stage.until(lambda: len(stage.client.requests) == 3)
    stage.controller.undo()
    finish(stage, 3, tmp_path / "3")
    gc.collect()
    assert not (tmp_path / "3").exists()
    assert stage.results() == []


def test_labels_of_the_user_stay_beside_a_large_result(stage, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_gem.core.bounds.LARGEST_HELD", 10_000)
    image = stage.image(*SHAPE)
    stage.run(image)
    stage.finish(1)
    (*_, small) = stage.results()
    small.data[3, 3] = 7
    monkeypatch.setattr("napari_gem.core.bounds.LARGEST_HELD", 300)
    stage.run(image)
    assert stage.policies == []
    finish(stage, 2, tmp_path / "2")
    assert small in stage.viewer.layers
    assert small.data[3, 3] == 7


def test_slices_of_a_stack_stay_in_memory(stage):
    image = stage.image(2, *SHAPE)
    from napari_gem.layers import read_layer

    more = (read_layer(image, stage.viewer.dims, position={0: 1}),)
    stage.viewer.dims.set_current_step(0, 0)
    stage.run(image, more=more)
    assert stage.client.large == [False]


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_the_real_worker_writes_what_a_small_image_gets(
    make_napari_viewer, qtbot, monkeypatch, tmp_path
):
    monkeypatch.setenv("NAPARI_GEM_CACHE", str(tmp_path / "features"))
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    (pixels, kwargs, _), *_ = samples.load_aerial()
    monkeypatch.setattr(pyramid, "COARSEST", 1024)  # as in the worker's process
    strip = np.concatenate([pixels[:, :40]] * 3)[:1040]
    layer = viewer.add_image(strip, **kwargs)
    type_classes(widget, "building, buildings\nroad, roads")
    messages = []
    widget.controller.message_sent.connect(lambda *message: messages.append(message))
    widget.derived_layers.message_sent.connect(
        lambda *message: messages.append(message)
    )

    def run():
        widget.run()
        qtbot.waitUntil(lambda: not widget.controller.busy, timeout=PATIENCE)
        assert messages[-1][0] == "info", messages[-1]
        return viewer.layers[-1]

    monkeypatch.setattr("napari_gem.core.bounds.LARGEST_HELD", 1 << 24)
    small = np.array(run().data)
    widget.controller.undo()
    assert list(viewer.layers) == [layer]
    monkeypatch.setattr("napari_gem.core.bounds.LARGEST_HELD", 300)
    labels = run()
    assert labels.multiscale
    assert np.array_equal(np.asarray(labels.data[0]), small)
    assert len(np.unique(small)) > 1
    assert Path(tmp_path / "features-results").is_dir()

    widget.results_panel.instances_button.click()
    assert "Press Paint copy first" in widget.run_bar.status.text()
    widget.results_panel.paint_button.click()
    qtbot.waitUntil(lambda: not widget.derived_layers.busy, timeout=PATIENCE)
    assert len(viewer.layers) == 4, messages
    copy = viewer.layers[-1]
    assert copy.editable
    assert np.array_equal(np.asarray(copy.data), small)
    changes = copy.data.changes
    copy.paint((5, 5), 2)
    assert copy.data[5, 5] == 2
    assert copy.data.changes > changes
    assert np.asarray(labels.data[0])[5, 5] == small[5, 5]
    copy.undo()
    assert np.array_equal(np.asarray(copy.data), small)

    paths = files.write_layers(
        tmp_path / "saved.gem", [x.as_layer_data_tuple() for x in viewer.layers[1:]]
    )
    read = files.get_reader(paths[-1])(paths[-1])
    data = {state["name"]: each for each, state, _ in read}
    assert np.array_equal(data[labels.name], small)
    assert read[0][1]["metadata"][KEY]["recipe"]["model"] == "embedded"
