"""Runs of the dock widget on a dask cluster, with a real scheduler and workers.

The limit is set low, so that a small image is a large one.
"""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_gem.cluster.connection import WAITING
from napari_gem.images import samples
from tests.dask_processes import Processes
from tests.widget.test_dock import PATIENCE, type_classes

pytestmark = pytest.mark.slow


@pytest.fixture
def processes(tmp_path):
    started = Processes(tmp_path, 2)
    yield started
    started.end()


@pytest.mark.timeout(1800)
def test_a_large_image_on_a_cluster_whose_workers_go(
    make_napari_viewer, qtbot, monkeypatch, tmp_path, processes
):
    monkeypatch.setenv("NAPARI_GEM_CACHE", str(tmp_path / "features"))
    monkeypatch.setattr("napari_gem.core.bounds.LARGEST_HELD", 300)
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    (pixels, kwargs, _), *_ = samples.load_aerial()
    scene = zarr.create_array(
        tmp_path / "scene.zarr", data=np.tile(pixels[:, :256], (3, 1, 1))[:1040]
    )
    layer = viewer.add_image(scene, **kwargs)
    type_classes(widget, "building, buildings\nroad, roads")
    widget.image_panel.set_detail(6)
    widget.device_choice.set_device(processes.address)
    controller, bar = widget.controller, widget.run_bar
    steps = []
    controller.progressed.connect(steps.append)

    def until(done):
        qtbot.waitUntil(lambda: not controller.busy or done(), timeout=PATIENCE)
        assert controller.busy, bar.status.text()

    def encoded(count):
        return any(s.stage == "Encoding" and s.done >= count for s in steps)

    def cancel():
        bar.cancel_button.click()
        qtbot.waitUntil(lambda: not controller.busy, timeout=PATIENCE)
        assert bar.status.text() == "Cancelled."
        assert list(viewer.layers) == [layer]

    # rows are shown as they come; cancelled in the middle nothing of it is left
    bar.run_button.click()
    until(lambda: len(viewer.layers) > 1)
    cancel()

    # what is encoded stays so; one worker goes, then the other
    steps.clear()
    bar.run_button.click()
    until(lambda: encoded(1))
    assert next(s.done for s in steps if s.stage == "Encoding") > 5
    processes.workers[0].kill()
    more = max(s.done for s in steps) + 3
    until(lambda: encoded(more))
    processes.workers[1].kill()
    until(lambda: steps[-1].stage == WAITING)
    assert f"'dask worker {processes.address}', or press Cancel" in bar.status.text()
    assert steps[-1].seconds_left is None
    cancel()

    # and it waits for new ones
    steps.clear()
    bar.run_button.click()
    until(lambda: steps[-1].stage == WAITING)
    processes.add()
    until(lambda: steps[-1].stage == "Encoding")
    assert "no workers" not in bar.status.text()
    qtbot.waitUntil(lambda: not controller.busy, timeout=PATIENCE)
    assert bar.status.text().startswith("Done: labels and 2 maps.")
    labels = np.asarray(viewer.layers[-1].data[0])

    # the same as on this computer
    widget.device_choice.set_device("cpu")
    widget.run()
    qtbot.waitUntil(lambda: not controller.busy, timeout=PATIENCE)
    local = np.asarray(viewer.layers[-1].data[0])
    assert len(np.unique(local)) > 1
    assert (local == labels).mean() > 0.999
