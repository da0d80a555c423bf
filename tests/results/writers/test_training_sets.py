from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from pycocotools.coco import COCO
from rasterio.features import rasterize

from napari_gem.core.parameters import OutlineParameters
from napari_gem.results.save import save
from napari_gem.results.writers.maps import result_maps
from napari_gem.results.writers.regions import Regions
from napari_gem.results.writers.training_sets import one_ring, without_holes
from tests.results.writers.conftest import MICROSCOPE, blobs, scene, segmentation

if TYPE_CHECKING:
    from napari_gem.core.results import Segmentation

HOLED = shapely.Polygon(
    [(0, 0), (20, 0), (20, 12), (0, 12)],
    [
        [(x, y), (x + 1, y), (x + 1, y + 2), (x, y + 2)]
        for x, y in ((2, 2), (5, 2), (5, 6), (10, 9), (17, 1))
    ],
)


# pycocotools under numpy 2
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("width", [0, 2])
def test_pycocotools_reads_the_labels(
    width: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = segmentation(blobs(5, width))
    save(result, scene(MICROSCOPE), tmp_path, write="coco")
    coco = COCO(str(tmp_path / "coco.json"))
    back = np.zeros_like(result.labels)
    holed = 0
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation).astype(bool)
        assert mask.sum() == annotation["area"]
        left, top, right, bottom = annotation["bbox"]
        assert mask[top : top + bottom, left : left + right].sum() == mask.sum()
        assert not back[mask].any()
        back[mask] = annotation["category_id"]
        holed += len(annotation["segmentation"]) > 1
    assert (back == result.labels).all()
    assert holed
    assert {one["id"]: one["name"] for one in coco.dataset["categories"]}[7] == "water"
    image = coco.loadImgs(1)[0]
    assert (image["height"], image["width"]) == result.labels.shape


def test_yolo_lists_a_ring_for_each_region(
    result: Segmentation, tmp_path: Path
) -> None:
    save(result, scene(MICROSCOPE), tmp_path, write="yolo")
    about = (tmp_path / "yolo/data.yaml").read_text("utf-8")
    assert '  0: "water"\n' in about
    height, width = result.labels.shape
    pairs = []
    for line in (tmp_path / "yolo/labels/image.txt").read_text().splitlines():
        number, *places = line.split()
        ring = np.array(places, float).reshape(-1, 2)
        assert ((ring >= 0) & (ring <= 1)).all()
        # turned into pixels again, up to what seven digits leave
        corners = np.round(ring * (width, height)).tolist()
        shape = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        pairs.append((shape, (7, 2)[int(number)]))
    drawn = rasterize(pairs, out_shape=(height, width), dtype=np.uint8)
    assert (drawn == result.labels).mean() > 0.97


def test_cut_parts_and_one_ring_are_the_whole_region() -> None:
    parts = without_holes(HOLED)
    assert len(parts) > 1
    assert not any(part.interiors for part in parts)
    assert shapely.union_all(parts).equals(HOLED)
    assert sum(part.area for part in parts) == HOLED.area
    ring = one_ring(HOLED)
    assert len(ring) == 4 + 5 * (4 + 2)
    x, y = ring.T
    enclosed = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert enclosed == HOLED.area


@pytest.mark.parametrize("seed", range(4))
def test_simpler_outlines_with_holes_are_cut_too(seed: int, tmp_path: Path) -> None:
    result = segmentation(blobs(seed, 1))
    outlines = OutlineParameters(simplify=1)
    save(result, scene(None), tmp_path, write="coco,yolo", outlines=outlines)
    maps = result_maps(result, scene(None))
    bands = Regions(maps, simplify=1).bands()
    for region in (region for band in bands for region in band.regions):
        parts = without_holes(region.outline)
        assert not any(part.interiors for part in parts)
        area = sum(part.area for part in parts)
        assert area == pytest.approx(region.outline.area)


def test_a_file_gives_its_name(result: Segmentation, tmp_path: Path) -> None:
    image = replace(scene(MICROSCOPE), path=(tmp_path / "Zellen 1.ome.tif"))
    save(result, image, tmp_path, write="coco,yolo")
    content = json.loads((tmp_path / "coco.json").read_text("utf-8"))
    assert content["images"][0]["file_name"] == "Zellen 1.ome.tif"
    assert (tmp_path / "yolo/labels/Zellen 1.ome.txt").is_file()


@pytest.mark.skipif(os.name == "nt", reason="names are text")
def test_a_file_whose_name_is_no_text_is_named(
    result: Segmentation, tmp_path: Path
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/cells\xff.png"))
    save(result, replace(scene(MICROSCOPE), path=path), tmp_path, write="coco,yolo")
    content = json.loads((tmp_path / "coco.json").read_text("utf-8"))
    assert content["images"][0]["file_name"] == path.name
    assert (tmp_path / "yolo/labels" / f"{path.stem}.txt").is_file()
