"""Images that an earlier session encoded, with a real folder of features."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

import napari_gem
from napari_gem import layers
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.widget.run.controller import Controller
from napari_gem.widget.run.inputs import RunInputs, job_of
from napari_gem.widget.run.kept_images import KeptImages
from napari_gem.widget.state import Encoded
from napari_gem.worker.messages import Storage
from tests.tiny import write_tiny_model
from tests.widget.hand_client import HandClient

PIXELS = np.random.default_rng(0).integers(0, 255, (64, 48)).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return napari_gem.load_model(str(folder))


@pytest.fixture
def scene(model, tmp_path):
    """A viewer with one image that is on disk, and one that is not."""
    viewer = ViewerModel()
    viewer.add_image(PIXELS, name="kept", contrast_limits=(0, 255))
    viewer.add_image(PIXELS + 1, name="new", contrast_limits=(0, 255))
    inputs = {layer.name: make_inputs(viewer, layer, model) for layer in viewer.layers}
    image = inputs["kept"].image
    cache = FeatureCache(tmp_path / "cache")
    run(cache.encode_steps(model, image.read(), image.appearance))
    return viewer, inputs, Storage(disk=1, folder=str(tmp_path / "cache"))


def make_inputs(viewer, layer, model, **kwargs):
    image = layers.read_layer(layer, viewer.dims)
    job = Job(
        model=model.card.id,
        prompts=(Prompt(("a",), label=1),),
        appearance=image.appearance,
    )
    return RunInputs((layer,), image, job_of(job, image), **kwargs)


def test_what_an_earlier_session_encoded_is_known(scene, qtbot):
    viewer, inputs, storage = scene
    controller = Controller(viewer, HandClient, storage)
    try:
        assert controller.encoded(inputs["kept"]) is Encoded.NO
        controller.refresh(inputs["kept"])
        assert controller.encoded(inputs["kept"]) is Encoded.LOOKING
        with qtbot.waitSignal(controller.state_changed, timeout=20_000):
            pass
        assert controller.encoded(inputs["kept"]) is Encoded.KEPT
        with qtbot.waitSignal(controller.state_changed, timeout=20_000):
            controller.refresh(inputs["new"])
        assert controller.encoded(inputs["new"]) is Encoded.NO
        viewer.layers["kept"].data = PIXELS.copy()
        assert controller.encoded(inputs["kept"]) is Encoded.NO
    finally:
        controller.close()


def test_only_the_image_in_front_is_looked_for(scene, qtbot, model):
    _, inputs, storage = scene
    kept = KeptImages(storage)
    kept.look(inputs["new"])
    kept.look(inputs["kept"])  # another image came to the front meanwhile
    assert not kept.is_looked_for(inputs["new"])
    with qtbot.waitSignal(kept.answered, timeout=20_000):
        pass
    assert kept.is_kept(inputs["kept"])
    assert kept.is_kept(inputs["new"]) is None
    kept.forget()
    assert kept.is_kept(inputs["kept"]) is None


def test_detail_counts(scene, qtbot, model):
    viewer, _, storage = scene
    side, zoom = model.backbone.patch_size, model.card.encode.zoom
    kept = KeptImages(storage)
    for detail, answer in ((side / zoom, True), (side / zoom / 2, False)):
        asked = make_inputs(viewer, viewer.layers["kept"], model, detail=detail)
        with qtbot.waitSignal(kept.answered, timeout=20_000):
            kept.look(asked)
        assert kept.is_kept(asked) is answer


def test_without_room_on_disk_nothing_is_looked_for(scene):
    _, inputs, _ = scene
    kept = KeptImages(Storage(disk=0))
    kept.look(inputs["kept"])
    assert not kept.is_looked_for(inputs["kept"])
