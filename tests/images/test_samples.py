"""The sample images and what comes with them."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from napari_gem.core.errors import GemError
from napari_gem.images import samples
from napari_gem.models.find import find_model
from napari_gem.prompts.parsing import parse_prompts


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_sample(name):
    image, lines = samples.read_sample(name)
    assert image.pixels.shape == (512, 512, 3)
    assert image.pixels.dtype == np.uint8
    if name == samples.REAL:  # its pixel size is not known
        assert (image.pixel_size, image.unit) == (None, "")
    else:
        assert image.unit in ("µm", "m")
    prompts = parse_prompts(lines)
    assert (2 if name == samples.REAL else 3) <= len(prompts) <= 8
    known = find_model("embedded").known_words
    for prompt in prompts:
        for word in prompt.words:
            assert set(word.split()) <= known, word


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_sample_as_layer(name):
    (data,) = getattr(samples, f"load_{name}")()
    layer = Layer.create(*data)
    image, lines = samples.read_sample(name)
    assert layer.rgb
    assert tuple(layer.scale) == (image.pixel_size or (1, 1))
    assert layer.metadata["napari_gem"]["prompts"] == list(lines)


def test_samples_side_by_side():
    viewer = ViewerModel()
    for name in samples.SAMPLES:
        (data,) = getattr(samples, f"load_{name}")()
        viewer.add_layer(Layer.create(*data))
    assert max(viewer.dims.nsteps) < 10_000


def test_the_real_sample_is_the_one_of_scikit_image():
    from skimage.data import immunohistochemistry

    pixels = samples.read_sample(samples.REAL)[0].pixels
    assert np.array_equal(pixels, immunohistochemistry())


def test_a_scikit_image_without_its_picture(monkeypatch, tmp_path):
    monkeypatch.setattr(samples, "_scikit_image_folder", lambda: tmp_path)
    with pytest.raises(GemError, match=r"ihc\.png is missing"):
        samples.read_sample(samples.REAL)


def test_there_is_no_such_sample():
    with pytest.raises(GemError, match="fluorescence, histology, aerial"):
        samples.read_sample("cats")
