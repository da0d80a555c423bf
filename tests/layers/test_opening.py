"""Files as layers: place, bands and colours, and the command line's labels."""

from __future__ import annotations

import json
from dataclasses import replace
from queue import Queue
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import tifffile
from napari.components import ViewerModel
from napari.layers import Layer
from PIL import Image
from rasterio.transform import Affine

from napari_gem.core import bounds
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job
from napari_gem.images.files import open_scene
from napari_gem.images.stack import Stack, StackView
from napari_gem.layers import opening
from napari_gem.layers.opening import KEY, file_layers, file_of, view_of
from napari_gem.layers.reading.view import read_layers
from napari_gem.results import write_recipe
from napari_gem.widget.run.inputs import job_of
from napari_gem.worker.client import WorkerClient
from napari_gem.worker.messages import Finished, Progressed, Request
from tests.cli.test_scenes import CASES, PIXELS, WORDS
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

RNG = np.random.default_rng(5)
PROMPTS = (Prompt(("cat", "kitten"), label=1), Prompt(("dog",), label=2))
COLORED = {"Channel": {"Name": ["DAPI", "GFP"], "Color": [0x0000FFFF, 0x00FF00FF]}}


def opened(path: Path | str, **how: str) -> tuple[ViewerModel, list[Any]]:
    viewer = ViewerModel()
    layers = [Layer.create(*one) for one in file_layers(path, **how)]
    return viewer, [viewer.add_layer(layer) for layer in layers]


def fluorescence(folder: Path) -> Path:
    path = folder / "cells.ome.tif"
    cells = RNG.integers(0, 4000, (3, 2, 60, 44)).astype(np.uint16)
    told = {"axes": "ZCYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, **COLORED}
    tifffile.imwrite(path, cells, metadata=told, photometric="minisblack")
    return path


def multispectral(folder: Path, bands: int = 5, names: tuple[str, ...] = ()) -> Path:
    path = folder / "bands.tif"
    values = RNG.integers(1, 4000, (bands, 96, 64)).astype(np.uint16)
    values[:, 20:50, 10:40] = 0
    size = {"width": 64, "height": 96, "count": bands, "dtype": "uint16", "nodata": 0}
    place = {"crs": "EPSG:32633", "transform": Affine(2, 0, 500000, 0, -2, 5000000)}
    with rasterio.open(
        path, "w", driver="GTiff", photometric="minisblack", **size, **place
    ) as made:
        made.write(values)
        for number, name in enumerate(names, 1):
            made.set_band_description(number, name)
    return path


@pytest.mark.parametrize("name", CASES)
def test_layers_lie_where_their_file_says(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    _, (layer,) = opened(case.write(tmp_path))
    assert layer.rgb
    assert layer.multiscale == (case.levels > 1)
    shape = PIXELS.shape[:2]
    first = layer.data_to_world((-0.5, -0.5))
    last = layer.data_to_world((shape[0] - 0.5, shape[1] - 0.5))
    up = -1 if case.crs else 1  # the y of maps runs up
    found = tuple((up * y, x) for y, x in (first, last))
    assert found == tuple(map(pytest.approx, case.corners))
    image = read_layers([layer], ViewerModel().dims)
    assert image.pixel_size[1] == case.unit
    location = layer.metadata[KEY]["location"]
    assert (location or {"crs": ""})["crs"] == case.crs
    assert (np.asarray(image.read()) == PIXELS).all()
    json.dumps(layer.metadata)  # what others may write


def test_channels_become_layers_in_their_colours(tmp_path: Path) -> None:
    path = fluorescence(tmp_path)
    viewer, layers = opened(path)
    assert [layer.name for layer in layers] == [
        f"{n} · {path.name}" for n in ("DAPI", "GFP")
    ]
    assert [layer.colormap.name for layer in layers] == ["blue", "green"]
    assert [str(layer.blending) for layer in layers] == [
        "translucent_no_depth",
        "additive",
    ]
    assert layers[0].axis_labels == ("z", "y", "x")
    assert tuple(layers[0].scale) == (1, 0.5, 0.5)
    viewer.dims.set_point(0, 2)
    image = read_layers(layers, viewer.dims)
    plane = image.file_plane
    assert plane is not None
    assert (plane.index, plane.bands) == ((2,), "1,2")
    cells = tifffile.imread(path)
    assert (image.read() == np.moveaxis(cells[2], 0, -1)).all()
    alone = read_layers(layers[1:], viewer.dims).file_plane
    assert alone is not None
    assert alone.bands == "2"
    assert file_of(layers[0]) == str(path)
    # of what another layer shows beside them nothing is known
    other = viewer.add_image(cells[:, 0], scale=layers[0].scale, units=layers[0].units)
    assert read_layers([other], viewer.dims).file_plane is None
    assert view_of(other) is None


def test_bands_are_chosen_by_name_number_or_as_the_file_names_them(
    tmp_path: Path,
) -> None:
    path = multispectral(tmp_path, 5, ("blue", "green", "red", "red edge", "NIR"))
    _, usual = opened(path)
    assert [layer.name.partition(" · ")[0] for layer in usual] == [
        "red",
        "green",
        "blue",
    ]
    assert [layer.colormap.name for layer in usual] == ["red", "green", "blue"]
    _, infrared = opened(path, bands="color-infrared")
    assert [view_of(layer).bands for layer in infrared] == ["5", "3", "2"]  # type: ignore[union-attr]
    _, one = opened(path, bands="4")
    assert [layer.colormap.name for layer in one] == ["gray"]
    with pytest.raises(GemError, match="no band '7'"):
        file_layers(path, bands="7")
    for layer in usual:
        low, high = layer.contrast_limits
        assert low > 0  # of what holds data
        assert high < 4000
    unnamed = multispectral(tmp_path)
    _, (first,) = opened(unnamed)
    assert view_of(first).bands == "1"  # type: ignore[union-attr]
    assert "5 bands" in first.metadata[KEY]["notices"][0]


def test_pictures_are_turned_and_made_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif, quality=95)
    _, (layer,) = opened(tmp_path / "a.jpg")
    assert layer.rgb
    assert layer.data.shape == (64, 96, 3)
    wide = PIXELS.astype(np.uint16) * 200
    tifffile.imwrite(tmp_path / "wide.tif", wide, photometric="rgb")
    _, layers = opened(tmp_path / "wide.tif")
    assert [layer.colormap.name for layer in layers] == ["red", "green", "blue"]
    assert len({tuple(layer.contrast_limits) for layer in layers}) == 1


def test_a_view_is_sliced_as_an_array(tmp_path: Path) -> None:
    path = fluorescence(tmp_path)
    cells = tifffile.imread(path)[:, 1]
    view = StackView(Stack(path), "2")
    assert (view.shape, view.dtype, view.ndim) == (cells.shape, cells.dtype, 3)
    for key in np.s_[1], np.s_[:, 4, 5:9], np.s_[..., 3], np.s_[0:2, ::7], np.s_[-1, 2]:
        assert (view[key] == cells[key]).all()
        assert view[key].shape == cells[key].shape
    assert (np.asarray(view) == cells).all()
    assert view.valid() is None


# --- the same labels in the dock as on the command line


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


class Worker:
    """The dock's worker, asked for one result after the other."""

    def __init__(self) -> None:
        self._events: Queue[Any] = Queue()
        self.client = WorkerClient(self._events.put)

    def labels(self, layers: list[Any], viewer: ViewerModel, model: Path) -> Any:
        image = read_layers(layers, viewer.dims)
        job = job_of(
            Job(prompts=PROMPTS, model=str(model), appearance=image.appearance), image
        )
        number = self.client.submit(image.rows, Request(run=0, job=job))
        while True:
            event = self._events.get(timeout=300)
            if isinstance(event, Progressed) or event.run != number:
                continue
            assert isinstance(event, Finished), event
            return event.result, *self.client.load_maps(event)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.client.close(20)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, "fluorescence", "bands", "no data"])
def test_the_dock_makes_the_labels_of_the_command_line(
    name: str, worker: Worker, tiny: Path, call: Call, tmp_path: Path
) -> None:
    more: tuple[object, ...] = ()
    how: dict[str, str] = {}
    point = 0
    if name == "fluorescence":
        path, point = fluorescence(tmp_path), 1
        more = ("--bands", "DAPI,GFP", "--index", point)
    elif name == "bands":
        path, how = multispectral(tmp_path), {"bands": "5,1,2"}
        more = ("--bands", "5,1,2")
    elif name == "no data":
        path, how = multispectral(tmp_path, 1), {"nodata": "0"}
        more = ("--nodata", 0)
    else:
        path = CASES[name].write(tmp_path)
    viewer, layers = opened(path, **how)
    if point:
        viewer.dims.set_point(0, point)
    out, again = tmp_path / "out", tmp_path / "again"
    assert call("segment", path, *WORDS, "-m", tiny, "-o", out, *more)[0] == 0
    expected = tifffile.imread(out / "labels.tif")
    result, _, labels = worker.labels(layers, viewer, tiny)
    assert (labels == expected).all()
    told = json.loads((out / "recipe.json").read_text())
    assert result.recipe.unit == told["unit"]
    assert (result.recipe.pixel_size is None) == (told["pixel_size"] is None)
    if told["pixel_size"]:
        assert result.recipe.pixel_size == pytest.approx(told["pixel_size"])
    if name in ("bands", "no data"):
        assert not labels[20:50, 10:40].any()
        assert labels.any()
        within = sum(share for share in result.shares)
        assert within == pytest.approx((labels > 0).sum() / (96 * 64 - 30 * 30))
    # and the recipe of the dock is replayed on the file

    write_recipe(result.recipe, tmp_path / "recipe.json")
    assert (
        call("replay", tmp_path / "recipe.json", path, "-m", tiny, "-o", again)[0] == 0
    )
    assert (tifffile.imread(again / "labels.tif") == expected).all()


def test_a_value_for_no_data_counts_beside_a_mask(tmp_path: Path) -> None:
    viewer, (layer,) = opened(multispectral(tmp_path, 1))
    image = read_layers([layer], viewer.dims)
    mask = image.valid()
    assert mask is not None
    value = int(image.read()[60, 60])
    both = replace(image, nodata=str(value)).valid()
    assert both is not None
    expected = mask[0:96] & (image.read() != value)
    assert not expected[60, 60]
    assert (both[0:96] == expected).all()
    assert replace(image, nodata="none").valid() is None


@pytest.mark.slow
def test_a_value_for_no_data_of_any_layer(worker: Worker, tiny: Path) -> None:
    pixels = RNG.integers(10, 250, (96, 64)).astype(np.uint8)
    pixels[20:50, 10:40] = 255
    viewer = ViewerModel()
    layer = viewer.add_image(pixels, contrast_limits=(0, 250))
    image = replace(read_layers([layer], viewer.dims), nodata="255")
    assert not image.read()[20:50, 10:40].any()
    valid = image.valid()
    assert valid is not None
    assert (valid[0:96] == (pixels != 255)).all()
    job = job_of(
        Job(prompts=PROMPTS, model=str(tiny), appearance=image.appearance), image
    )
    assert job.nodata == "255"
    number = worker.client.submit(image.rows, Request(run=0, job=job))
    while True:
        event = worker._events.get(timeout=300)
        if not isinstance(event, Progressed) and event.run == number:
            break
    _, labels = worker.client.load_maps(event)
    assert not labels[20:50, 10:40].any()
    assert labels.any()


def test_channels_have_the_colours_that_are_named(tmp_path: Path) -> None:
    pixels = np.arange(2 * 40 * 30, dtype=np.uint16).reshape(2, 40, 30)
    path = tmp_path / "a.ome.tif"
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=names)
    layers = file_layers(path, bands="GFP=magenta,DAPI")
    assert layers[0][1]["colormap"] == "magenta"


def test_a_large_image_without_levels_is_shown_coarser_and_segmented_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_HELD", 1000)
    monkeypatch.setattr(opening, "OVERVIEW_SIDE", 20)
    path = multispectral(tmp_path, 1)
    viewer, (layer,) = opened(path)
    assert layer.multiscale
    scene = open_scene(path)
    # the pixel in the middle of those that the viewer draws one over
    down, right = ((np.arange(n) + 0.5) * size / n for n, size in ((20, 96), (13, 64)))
    expected = scene.pixels[down.astype(int)[:, None], right.astype(int)]
    assert (np.asarray(layer.data[1]) == expected).all()
    for wanted in (None, 8.0):
        image = read_layers([layer], viewer.dims, wanted=wanted)
        assert image.shape == (96, 64)
        assert image.coarsest == 1
        plane = image.file_plane
        assert plane is not None
        assert plane.level == 0
    layer.locked_data_level = 1
    assert read_layers([layer], viewer.dims).shape == (96, 64)
    # what only looks at it may take less
    layer.locked_data_level = None
    assert read_layers([layer], viewer.dims, largest=400).shape == (20, 13)
