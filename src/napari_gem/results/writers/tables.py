"""``classes.csv``, a line a class, and ``regions.csv``, a line a region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_gem.core.progress import Progress
from napari_gem.results.classes import result_classes
from napari_gem.results.table import open_table
from napari_gem.results.writers.areas import pixel_areas
from napari_gem.results.writers.regions import LabelRegion, Regions
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.results.writers.maps import ResultMaps

CLASSES, REGIONS = "classes.csv", "regions.csv"

_REGION_COLUMNS = ("region", "class", "label", "pixels", "area", "unit", "probability")
_PLACES = ("row", "column", "first row", "first column", "end row", "end column")
_CLASS_COLUMNS = ("class", "label", "regions", "pixels", "area", "unit", "share")


def _steps(
    maps: ResultMaps, folder: Path, outlines: OutlineParameters
) -> Iterator[Progress]:
    """Write both tables; regions of less than the minimum area are in none."""
    regions, height = Regions(maps, outlined=False), maps.shape[0]
    located = maps.scene.location is not None
    classes = result_classes(maps.recipe.prompts)
    totals = {each.label: [0, 0, 0.0, 0.0] for each in classes}
    columns = (*_REGION_COLUMNS, *_PLACES, *(("x", "y") if located else ()))
    number = 0
    with open_table(folder / REGIONS, columns) as write:
        for band in regions.bands():
            for region in band.regions:
                if region.area < outlines.minimum_area:
                    continue
                number += 1
                write([number, *_row(region, regions.unit), *_place(maps, region)])
                total = totals[region.about.label]
                total[0] += 1
                total[1] += region.pixels
                total[2] += region.area
                total[3] += region.probability * region.pixels
            yield Progress("Writing tables", band.rows, height)
    shares = maps.outcome.shares or (None,) * len(classes)
    with open_table(
        folder / CLASSES, (*_CLASS_COLUMNS, "probability", "absent")
    ) as write:
        prompts = maps.recipe.prompts
        for each, prompt, share in zip(classes, prompts, shares, strict=True):
            count, pixels, area, probability = totals[each.label]
            mean = probability / pixels if pixels else None
            said = each.name, each.label, count, pixels, area, regions.unit
            absent = "probably" if prompt.name in maps.outcome.absent else ""
            write([*said, share, mean, absent])


def _row(region: LabelRegion, unit: str) -> list[Any]:
    about = region.about
    known = about.name, about.label, region.pixels, region.area, unit
    return [*known, region.probability]


def _place(maps: ResultMaps, region: LabelRegion) -> list[Any]:
    location = maps.scene.location
    if location is None:
        return [*region.middle, *region.box]
    y, x = location.at(*region.middle)
    return [*region.middle, *region.box, x, y]


TABLE = Writer(
    "tables of classes and regions",
    (CLASSES, REGIONS),
    _steps,
    needs_on_ground=("rasterio",),
    check_place=pixel_areas,
)
