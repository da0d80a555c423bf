"""Regions for training detectors: ``coco.json``, and a folder for YOLO.

Both count in pixels of the image that was segmented.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.progress import Progress
from napari_gem.results.classes import result_classes
from napari_gem.results.writers.areas import pixel_areas
from napari_gem.results.writers.polygons import read_regions
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from shapely import MultiPolygon, Polygon

    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.results.writers.maps import ResultMaps

COCO_NAME, YOLO_NAME = "coco.json", "yolo"


def _coco_steps(
    maps: ResultMaps, folder: Path, outlines: OutlineParameters
) -> Iterator[Progress]:
    """Write an annotation for each region, one a line.

    COCO's polygons have no holes: a region with holes is cut into parts without.
    """
    height, width = maps.shape
    image = {"id": 1, "file_name": _file(maps), "width": width, "height": height}
    classes = result_classes(maps.recipe.prompts)
    head = {
        "info": {"description": f"napari-gem {maps.recipe.version}"},
        "images": [image],
        "categories": [{"id": one.label, "name": one.name} for one in classes],
    }
    number, between = 0, "\n"
    path = folder / COCO_NAME
    # what is no text in a file's name is written as JSON escapes it
    how: Any = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    with path.open("w", **how) as file:
        start = json.dumps(head, ensure_ascii=False)
        file.write(f'{start[:-1]}, "annotations": [')
        for regions, _, progress in read_regions(maps, outlines):
            for region in regions:
                number += 1
                top, left, bottom, right = region.box
                content = {
                    "id": number,
                    "image_id": 1,
                    "category_id": region.about.label,
                    "segmentation": [
                        _flat(part.exterior.coords)
                        for polygon in _each(region.outline)
                        for part in without_holes(polygon)
                    ],
                    "area": region.pixels,
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                    "score": round(region.probability, 6),
                }
                file.write(between + json.dumps(content))
                between = ",\n"
            yield progress
        file.write("\n]}\n")


def _yolo_steps(
    maps: ResultMaps, folder: Path, outlines: OutlineParameters
) -> Iterator[Progress]:
    """Write a line for each region: the class from 0, and a ring from 0 to 1.

    Holes are joined to the outer ring by cuts, as YOLO's own converters do.
    """
    height, width = maps.shape
    classes = result_classes(maps.recipe.prompts)
    numbers = {one.label: number for number, one in enumerate(classes)}
    labels = folder / YOLO_NAME / "labels"
    labels.mkdir(parents=True)
    names = "".join(
        f"  {number}: {json.dumps(one.name, ensure_ascii=False)}\n"
        for number, one in enumerate(classes)
    )
    (folder / YOLO_NAME / "data.yaml").write_text(
        f"path: .\ntrain: images\nval: images\nnames:\n{names}", encoding="utf-8"
    )
    stem = _file(maps).rpartition(".")[0] or _file(maps)
    path = labels / f"{stem}.txt"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for regions, _, progress in read_regions(maps, outlines):
            for region in regions:
                for polygon in _each(region.outline):
                    ring = one_ring(polygon) / (width, height)
                    places = " ".join(f"{value:.7g}" for value in ring.ravel())
                    file.write(f"{numbers[region.about.label]} {places}\n")
            yield progress


def _file(maps: ResultMaps) -> str:
    path = maps.scene.path
    return path.name if path else "image.tif"


def _each(outline: Any) -> list[Polygon]:
    """List the polygons of a region, or of a class."""
    several: MultiPolygon | None = getattr(outline, "geoms", None)
    return [outline] if several is None else list(outline.geoms)


def without_holes(polygon: Polygon) -> list[Polygon]:
    """Cut a polygon along rows and columns of pixels into parts without holes."""
    import shapely

    left, top, right, bottom = polygon.bounds
    if not polygon.interiors:
        return [polygon]
    hole = polygon.interiors[len(polygon.interiors) // 2]
    is_box = shapely.Polygon(hole).area == shapely.box(*hole.bounds).area
    x, y = (_through(*hole.bounds[at::2], is_box=is_box) for at in (0, 1))
    if right - left > bottom - top:
        halves = (left, top, x, bottom), (x, top, right, bottom)
    else:
        halves = (left, top, right, y), (left, y, right, bottom)
    parts: list[Polygon] = []
    for half in halves:
        cut = shapely.intersection(polygon, shapely.box(*half))
        for part in _each(cut):
            if part.geom_type == "Polygon":
                parts += without_holes(part)
    return parts


def _through(first: float, last: float, *, is_box: bool) -> float:
    """Choose where to cut a hole: between pixels if that opens it."""
    middle = round((first + last) / 2)
    return middle if is_box or first < middle < last else (first + last) / 2


def one_ring(polygon: Polygon) -> NDArray[np.float64]:
    """Join the holes of a polygon to its outer ring: (corners, 2), not closed."""
    import shapely

    # holes run the other way round than the outer ring
    polygon = shapely.orient_polygons(polygon)
    ring = np.asarray(polygon.exterior.coords)[:-1]
    for hole in polygon.interiors:
        inner = np.asarray(hole.coords)[:-1]
        # there and back by one line, which has no area wherever it runs
        nearest = int(((ring - inner[0]) ** 2).sum(axis=1).argmin())
        before, after = ring[: nearest + 1], ring[nearest:]
        ring = np.concatenate([before, inner, inner[:1], after])
    return ring


def _flat(coords: Any) -> list[float]:
    values = np.asarray(coords)[:-1].ravel().tolist()
    return [int(value) if value == int(value) else value for value in values]


_NEEDS = ("rasterio", "shapely")

COCO = Writer(
    "regions for training in COCO's format",
    (COCO_NAME,),
    _coco_steps,
    _NEEDS,
    check_place=pixel_areas,
)
YOLO = Writer(
    "regions for training YOLO",
    (YOLO_NAME,),
    _yolo_steps,
    _NEEDS,
    check_place=pixel_areas,
)
