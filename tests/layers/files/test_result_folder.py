"""A folder of results opens in napari by its recipe."""

from __future__ import annotations

import shutil

import npe2
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

import napari_gem
from napari_gem import Prompt
from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.images.samples import read_sample
from napari_gem.layers import KEY
from napari_gem.layers.files.files import get_reader
from napari_gem.results import pyramid
from napari_gem.segmentation.large import segment_large_steps


@pytest.fixture(scope="module")
def image():
    return read_sample("fluorescence")[0]


@pytest.fixture(scope="module")
def prompts():
    return [Prompt(("nuclei",), label=7, color=(1.0, 0.5, 0.0)), Prompt(("filaments",))]


@pytest.fixture(scope="module")
def written(image, prompts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "cells"
    result = napari_gem.segment(image.pixels, prompts)
    napari_gem.save(result, image, folder)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "cells")


def read(folder):
    path = str(folder / "recipe.json")
    return get_reader(path)(path)


def test_labels_open_with_names_colors_place_and_recipe(folder, image):
    npe2.PluginManager.instance().discover()
    viewer = ViewerModel()
    viewer.open(str(folder / "recipe.json"), plugin=None)
    (labels,) = viewer.layers
    assert labels.name == "labels · cells"
    assert np.array_equal(labels.data, tifffile.imread(folder / "labels.tif"))
    assert list(labels.features["index"]) == [0, 7, 1]
    assert list(labels.features["class"]) == ["background", "nuclei", "filaments"]
    assert labels.get_color(7) == pytest.approx((1, 0.5, 0, 1))
    assert labels.scale == pytest.approx(image.pixel_size)
    assert [str(unit) for unit in labels.units] == ["micrometer", "micrometer"]
    assert labels.metadata[KEY]["recipe"]["model"] == "embedded"


def test_large_labels_are_read_where_they_are_shown(
    image, prompts, tmp_path, monkeypatch
):
    monkeypatch.setattr(pyramid, "COARSEST", 64)  # smaller arrays have levels, too
    pixels = image.pixels[:200, :256]
    folder = tmp_path / "large"
    model = napari_gem.load_model("embedded")
    features = napari_gem.encode(pixels, model)
    run(segment_large_steps(model, features, prompts, folder))
    ((data, kwargs, kind),) = read(folder)
    assert (kind, kwargs["multiscale"]) == ("labels", True)
    assert data[0].shape == pixels.shape[:2]
    layer = ViewerModel().add_labels(data, **kwargs)
    assert np.asarray(layer.data[0][:10, :20]).shape == (10, 20)


def test_a_recipe_alone_is_told(folder):
    (folder / "labels.tif").unlink()
    npe2.PluginManager.instance().discover()
    viewer = ViewerModel()
    with pytest.warns(UserWarning, match="choose Open recipe in the GEM widget"):
        viewer.open(str(folder / "recipe.json"), plugin=None)
    assert not viewer.layers


def test_what_is_no_recipe_and_no_labels_is_told(folder):
    tifffile.imwrite(folder / "labels.tif", np.zeros((4, 4), np.float32))
    with pytest.raises(GemError, match="holds no labels"):
        read(folder)
    (folder / "labels.tif").write_bytes(b"II*\0")
    with pytest.raises(GemError, match="cannot be read"):
        read(folder)
    (folder / "recipe.json").write_text('{"of": "another program"}')
    with pytest.raises(GemError, match="cannot be used"):
        read(folder)
