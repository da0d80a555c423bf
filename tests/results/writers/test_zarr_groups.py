from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from napari_gem.core.results import StoredSegmentation
from napari_gem.images.files import open_scene
from napari_gem.results import pyramid
from napari_gem.results.save import save
from tests.results.writers.conftest import MICROSCOPE, PLACES, scene

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.core.location import Location
    from napari_gem.core.results import Segmentation

NAMES = {7: "water", 2: "wälder <dense> & 'old'"}


@pytest.mark.parametrize("place", [None, MICROSCOPE, *PLACES.values()])
def test_groups_are_valid_and_say_what_they_hold(
    result: Segmentation,
    place: Location | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pyramid, "COARSEST", 40)
    save(result, scene(place), tmp_path, write="zarr")
    for name in ("labels.zarr", "probabilities.zarr"):
        yaozarrs.validate_zarr_store(str(tmp_path / name))
    labels = zarr.open_group(tmp_path / "labels.zarr", mode="r")
    assert labels["0"].metadata.dimension_names == ("y", "x")
    assert (labels["0"][:] == result.labels).all()
    assert (labels["2"][:] == result.labels[::4, ::4]).all()
    about = labels.attrs["ome"]["image-label"]
    assert {one["label-value"]: one["class"] for one in about["properties"]} == NAMES
    colors = {one["label-value"]: one["rgba"] for one in about["colors"]}
    assert colors[7] == [0, 128, 255, 255]
    maps = zarr.open_group(tmp_path / "probabilities.zarr", mode="r")
    assert maps["0"].metadata.dimension_names == ("c", "y", "x")
    assert np.abs(maps["0"][:] - result.probabilities).max() < 1e-3
    channels = maps.attrs["ome"]["omero"]["channels"]
    assert [one["label"] for one in channels] == list(NAMES.values())
    assert channels[0]["color"] == "0080FF"
    opened = open_scene(tmp_path / "labels.zarr")
    assert opened.location == (place or opened.location)
    recipe = json.loads((tmp_path / "recipe.json").read_text("utf-8"))
    assert labels.attrs["napari_gem"]["recipe"]["model"] == recipe["model"]


def test_labels_say_of_which_image_they_are(
    result: Segmentation, tmp_path: Path
) -> None:
    image = scene(MICROSCOPE)
    save(result, image, tmp_path / "cells.zarr", write="zarr")
    ome = tmp_path / "cells.zarr/probabilities.zarr"
    for path, where in (
        (ome, "../../../cells.zarr/probabilities.zarr"),
        (tmp_path / "cells.tif", None),
        (tmp_path / "cells.zarr", None),
    ):
        out = tmp_path / "results" / path.stem
        save(result, replace(image, path=path), out, write="zarr", overwrite=True)
        yaozarrs.validate_zarr_store(str(out / "labels.zarr"))
        attributes = zarr.open_group(out / "labels.zarr", mode="r").attrs
        source = attributes["ome"]["image-label"].get("source")
        assert source == (where and {"image": where})
        assert attributes["napari_gem"]["source"] == path.name
        if where:
            found = (out / "labels.zarr" / where).resolve()
            assert found == ome.resolve()


def test_a_result_on_disk_is_copied_to_another_folder(
    result: Segmentation, tmp_path: Path
) -> None:
    image = scene(MICROSCOPE)
    save(result, image, tmp_path / "first", write="zarr")
    stored = StoredSegmentation(
        labels=str(tmp_path / "first/labels.zarr"),
        probabilities=str(tmp_path / "first/probabilities.zarr"),
        shape=result.labels.shape,
        patch=1.0,
        recipe=result.recipe,
        shares=result.shares,
    )
    assert save(stored, image, tmp_path / "first") == []
    written = save(stored, image, tmp_path / "second")
    names = ["labels.zarr", "probabilities.zarr", "recipe.json"]
    assert [path.name for path in written] == names
    copied = zarr.open_group(tmp_path / "second/labels.zarr", mode="r")["0"]
    assert (copied[:] == result.labels).all()
    kinds = "zarr,labels,probabilities,table,polygons,overlay"
    more = save(stored, image, tmp_path / "first", write=kinds)
    assert [path.name for path in more] == [
        "classes.csv",
        "labels.tif",
        "overlay.png",
        "polygons.geojson",
        "probabilities.tif",
        "regions.csv",
    ]
    direct = tmp_path / "direct"
    save(result, image, direct, write=kinds)
    for name in ("labels.tif", "overlay.png"):
        one, other = ((tmp_path / folder / name) for folder in ("first", "direct"))
        assert one.read_bytes() == other.read_bytes()
    maps = tifffile.imread(tmp_path / "first/probabilities.tif")
    assert maps.dtype == np.float32
    assert np.abs(maps - result.probabilities).max() < 1e-3
