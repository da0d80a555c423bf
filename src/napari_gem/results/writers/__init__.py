"""What results are written as: a `Writer` for each name that ``--write`` takes.

A writer is a constant of the module of its format. To add one, write its steps and list
it in `WRITERS`; the command line, the library and batches then know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import some_of
from napari_gem.results.writers import (
    overlay,
    polygons,
    region,
    tables,
    tiff,
    training_sets,
    zarr_groups,
)
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable

WRITERS: dict[str, Writer] = {
    "labels": tiff.LABELS,
    "probabilities": tiff.PROBABILITIES,
    "zarr": zarr_groups.ZARR,
    "polygons": polygons.POLYGONS,
    "geojson": polygons.GEOJSON,
    "lonlat": polygons.LONLAT_GEOJSON,
    "qupath": polygons.QUPATH,
    "region": region.REGION,
    "coco": training_sets.COCO,
    "yolo": training_sets.YOLO,
    "table": tables.TABLE,
    "overlay": overlay.OVERLAY,
}
"""By the names that users give."""

USUAL: tuple[str, ...] = ("labels", "probabilities", "overlay")
"""What is written of a result in memory unless it is said."""

USUAL_OF_LARGE: tuple[str, ...] = ("zarr",)
"""What is written of a large result; all other files are made of it."""


def parse_kinds(
    kinds: str | Iterable[str], on_ground: bool | None = None
) -> tuple[str, ...]:
    """Read names of `WRITERS`; nothing stands for the usual ones.

    Parameters
    ----------
    kinds
        Names, or one text of names with commas between.
    on_ground
        Whether the image lies on the ground; None if that is not known yet.

    Raises
    ------
    GemError
        If one is not known or does not suit the image, or what it needs is not
        installed.
    """
    names = kinds.split(",") if isinstance(kinds, str) else kinds
    chosen = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    unknown = [name for name in chosen if name not in WRITERS]
    if unknown:
        raise GemError(
            f"Results cannot be written as {some_of(unknown, quoted=True)}. Choose "
            f"from {', '.join(WRITERS)}, with commas between."
        )
    for name in chosen:
        WRITERS[name].check(name, on_ground)
    return chosen
