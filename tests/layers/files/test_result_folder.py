"""A folder of results opens in napari by its recipe."""

from __future__ import annotations

import os
import shutil

import npe2
import numpy as np
import pytest
import tifffile
import zarr
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
from tests.results.writers.conftest import (
    MICROSCOPE,
    PLACES,
    blobs,
    scene,
    segmentation,
)


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


@pytest.mark.parametrize("place", [PLACES["UTM"], PLACES["turned"], MICROSCOPE])
@pytest.mark.parametrize(
    ("write", "name"),
    [
        ("labels", "recipe.json"),
        ("zarr", "recipe.json"),
        ("labels,polygons,geojson", "polygons.geojson"),
        ("labels,qupath", "polygons-pixels.geojson"),
        ("zarr,coco", "coco.json"),
    ],
)
def test_every_output_opens_as_labels_on_their_image(place, write, name, tmp_path):
    result = segmentation(blobs(0))
    napari_gem.save(result, scene(place), tmp_path / "field", write=write)
    npe2.PluginManager.instance().discover()
    viewer = ViewerModel()
    viewer.open(str(tmp_path / "field" / name), plugin=None)
    (labels,) = viewer.layers
    assert labels.name == "labels · field"
    assert np.array_equal(np.asarray(labels.data), result.labels)
    assert list(labels.features["class"])[1:] == [
        "water",
        "wälder \u2039dense> & 'old'",
    ]
    assert labels.get_color(7) == pytest.approx((0, 0.5, 1, 1))
    # a map's y runs up, and napari's down
    y, x = place.at(40, 30)
    unit = "meter" if place.crs else "micrometer"
    assert [str(each) for each in labels.units] == [unit, unit]
    world = labels.data_to_world((40, 30))
    assert world == pytest.approx((-y if place.crs else y, x))


def test_files_of_results_elsewhere_are_none_of_ours(folder, tmp_path):
    for name in ("polygons.geojson", "coco.json"):
        alone = tmp_path / "elsewhere" / name
        alone.parent.mkdir(exist_ok=True)
        alone.write_text("{}")
        assert get_reader(str(alone)) is None
    assert get_reader(str(folder / "labels.tif")) is not None


def test_labels_that_were_written_last_are_read(folder, image, prompts):
    result = napari_gem.segment(image.pixels, prompts)
    napari_gem.save(result, image, folder, write="zarr", overwrite=True)
    zarr.open_group(folder / "labels.zarr")["0"][:] = 7
    os.utime(folder / "labels.tif", (0, 0))
    ((data, _, _),) = read(folder)
    assert (np.asarray(data) == 7).all()
