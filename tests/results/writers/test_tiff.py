from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import tifffile

from napari_gem.images.files import open_scene
from napari_gem.results import pyramid
from napari_gem.results.save import save
from tests.results.writers.conftest import MICROSCOPE, PLACES, PROMPTS, scene

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.core.results import Segmentation


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "COARSEST", 40)


@pytest.mark.parametrize("place", PLACES)
def test_gdal_reads_place_colors_bands_and_overviews(
    result: Segmentation, place: str, tmp_path: Path
) -> None:
    location = PLACES[place]
    save(result, scene(location), tmp_path, write="labels,probabilities")
    with rasterio.open(tmp_path / "labels.tif") as labels:
        assert (labels.read(1) == result.labels).all()
        assert labels.crs.to_string() == location.crs
        x, y = labels.transform @ (10.5, 3.5)  # integers are corners there
        assert (y, x) == pytest.approx(location.at(3, 10))
        assert labels.nodata == 0
        assert labels.profile["tiled"]
        assert labels.overviews(1) == [2, 4]
        assert labels.colorinterp[0].name == "palette"
        assert labels.colormap(1)[7] == (0, 128, 255, 255)
    with rasterio.open(tmp_path / "labels.tif", OVERVIEW_LEVEL=1) as coarse:
        assert (coarse.read(1) == result.labels[::4, ::4]).all()
    with rasterio.open(tmp_path / "probabilities.tif") as maps:
        assert (maps.read() == result.probabilities).all()
        assert maps.descriptions == tuple(prompt.name for prompt in PROMPTS)
        assert maps.crs.to_string() == location.crs
        assert maps.transform == labels.transform
        assert maps.overviews(2) == [2, 4]
    pictures = tifffile.imread(tmp_path / "labels.tif")
    assert (pictures == result.labels).all()


def test_names_stand_beside_the_labels(result: Segmentation, tmp_path: Path) -> None:
    save(result, scene(PLACES["UTM"]), tmp_path, write="labels")
    root = ElementTree.parse(tmp_path / "labels.tif.aux.xml").getroot()
    names = [one.text for one in root.iter("Category")]
    assert names[0] == "background"
    assert names[7] == "water"
    assert names[2] == PROMPTS[1].name
    rows = [[cell.text for cell in row] for row in root.iter("Row")]
    assert rows[1] == ["7", "water", "0", "128", "255", "255"]


def test_many_classes_have_16_bit_labels(result: Segmentation, tmp_path: Path) -> None:
    prompts = (replace(PROMPTS[0], label=300), PROMPTS[1])
    labels = np.where(result.labels == 7, np.uint16(300), result.labels)
    recipe = replace(result.recipe, prompts=prompts)
    many = replace(result, labels=labels.astype(np.uint16), recipe=recipe)
    save(many, scene(PLACES["UTM"]), tmp_path, write="labels")
    with rasterio.open(tmp_path / "labels.tif") as opened:
        assert opened.dtypes == ("uint16",)
        assert (opened.read(1) == many.labels).all()
    root = ElementTree.parse(tmp_path / "labels.tif.aux.xml").getroot()
    assert not list(root.iter("Category"))
    assert len(list(root.iter("Row"))) == 3


def test_other_results_are_ome_tiff(result: Segmentation, tmp_path: Path) -> None:
    save(result, scene(MICROSCOPE), tmp_path, write="labels,probabilities")
    assert not (tmp_path / "labels.tif.aux.xml").exists()
    for name, values in (
        ("labels", result.labels),
        ("probabilities", result.probabilities),
    ):
        path = tmp_path / f"{name}.tif"
        with tifffile.TiffFile(path) as tiff:
            assert tiff.is_ome
            (series,) = tiff.series
            assert len(series.levels) == 3
            assert (series.asarray() == values).all()
        opened = open_scene(path, (0,) * (values.ndim - 2))
        assert opened.unit == "µm"
        assert opened.pixel_size == (0.5, 0.25)
    with tifffile.TiffFile(tmp_path / "labels.tif") as tiff:
        assert (tiff.series[0].levels[1].asarray() == result.labels[::2, ::2]).all()
        assert "water" in tiff.ome_metadata
    with tifffile.TiffFile(tmp_path / "probabilities.tif") as tiff:
        assert tiff.series[0].axes == "CYX"
        assert 'Name="water"' in tiff.ome_metadata
    save(result, scene(None), tmp_path / "unknown", write="labels")
    assert open_scene(tmp_path / "unknown/labels.tif").pixel_size is None
