"""``labels.tif`` and ``probabilities.tif``.

Where the image lies on the ground they are tiled GeoTIFF files with overviews: labels
with colours and, in a file beside them, names; probabilities with a described band a
class. Other results are OME-TIFF, with a channel a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

import numpy as np

from napari_gem.core.location import coarser_tags
from napari_gem.core.progress import Progress
from napari_gem.core.units import UNITS
from napari_gem.results.classes import result_classes
from napari_gem.results.pyramid import level_shapes, mean_of_four
from napari_gem.results.recipe import recipe_text
from napari_gem.results.writers.gdal import (
    METADATA,
    NODATA,
    described_bands,
    geo_tags_of,
    palette,
    write_names,
)
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffWriter

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.results.writers.maps import ResultMaps

LABELS_NAME, PROBABILITIES_NAME = "labels.tif", "probabilities.tif"
NAMES_NAME = f"{LABELS_NAME}.aux.xml"

CLASSIC_BYTES = 2**32 - 2**25
"""Larger arrays are written as BigTIFF; tifffile chooses so only if uncompressed."""

TILE = 512
"""Rows and columns of a tile."""

REDUCED = 1
"""TIFF 6.0 NewSubfileType of a coarser level."""


def _labels_steps(
    maps: ResultMaps, folder: Path, _: OutlineParameters
) -> Iterator[Progress]:
    """Write the labels and their coarser levels, a row of tiles at a time."""
    classes = result_classes(maps.recipe.prompts)
    geo_tags = geo_tags_of(maps.scene)
    dtype = maps.labels[0].dtype
    tags: list[tuple[int, str, int, Any, bool]] = []
    look: dict[str, Any] = {"photometric": "minisblack"}
    if geo_tags:
        tags = [*_extra(geo_tags), _text_tag(NODATA, "0")]
        write_names(folder / NAMES_NAME, classes)
        if dtype == np.uint8:
            look = {"photometric": "palette", "colormap": palette(classes)}
    size = int(np.prod(maps.shape)) * dtype.itemsize
    with _open(folder / LABELS_NAME, size, ome=not geo_tags) as tiff:
        for level, labels in enumerate(maps.labels):
            yield Progress("Writing labels", level, len(maps.labels))
            tiff.write(
                _tiles([labels]),
                shape=labels.shape,
                dtype=dtype,
                metadata=None if geo_tags or level else _ome(maps, "YX"),
                extratags=[] if level else tags,
                **look,
                **_common(maps, level, len(maps.labels), geo=bool(geo_tags)),
            )


def _probabilities_steps(
    maps: ResultMaps, folder: Path, _: OutlineParameters
) -> Iterator[Progress]:
    """Write the probabilities and their coarser levels, a class at a time."""
    names = [each.name for each in result_classes(maps.recipe.prompts)]
    patch = maps.patch
    geo_tags = coarser_tags(geo_tags_of(maps.scene), patch, patch)
    tags: list[tuple[int, str, int, Any, bool]] = []
    if geo_tags:
        tags = [*_extra(geo_tags), _text_tag(METADATA, described_bands(names))]
    count, *sides = maps.probabilities.shape
    shapes = level_shapes((int(sides[0]), int(sides[1])))
    size = 4 * int(np.prod(maps.probabilities.shape))
    with _open(folder / PROBABILITIES_NAME, size, ome=not geo_tags) as tiff:
        for level, shape in enumerate(shapes):
            yield Progress("Writing probabilities", level, len(shapes))
            layout = {"planarconfig": "separate"} if geo_tags and count > 1 else {}
            tiff.write(
                _tiles(_planes(maps.probabilities, level)),
                shape=(count, *shape),
                dtype=np.float32,
                photometric="minisblack",
                metadata=None if geo_tags or level else _ome(maps, "CYX", names),
                extratags=[] if level else tags,
                **layout,
                **_common(maps, level, len(shapes), geo=bool(geo_tags)),
            )


def _open(path: Path, size: int, *, ome: bool) -> TiffWriter:
    from tifffile import TiffWriter

    return TiffWriter(path, bigtiff=size > CLASSIC_BYTES, ome=ome)


def _planes(probabilities: LazyArray, level: int) -> Iterator[NDArray[np.float32]]:
    """Read the plane of each class, a level at a time coarser."""
    for number in range(probabilities.shape[0]):
        plane = np.asarray(probabilities[number], np.float32)
        for _ in range(level):
            plane = mean_of_four(plane)
        yield plane


def _tiles(planes: Iterable[LazyArray]) -> Iterator[NDArray[Any]]:
    """Cut each plane into tiles, reading a row of them at a time."""
    for plane in planes:
        height, width = plane.shape
        for row in range(0, height, TILE):
            band = np.asarray(plane[row : row + TILE, :])
            for column in range(0, width, TILE):
                yield np.ascontiguousarray(band[:, column : column + TILE])


def _common(maps: ResultMaps, level: int, levels: int, *, geo: bool) -> dict[str, Any]:
    """Say what is the same for labels and probabilities.

    GDAL looks for overviews beside the finest level, OME-TIFF below it.
    """
    below = {} if geo or level else {"subifds": levels - 1}
    return {
        "tile": (TILE, TILE),
        "compression": "zlib",
        "software": f"napari-gem {maps.recipe.version}",
        "subfiletype": REDUCED if level else 0,
        **_resolution(maps, 2**level),
        **below,
    }


def _extra(tags: Sequence[tuple[int, str, Any]]) -> list[Any]:
    return [
        (code, letter, 0 if letter == "s" else len(value), value, True)
        for code, letter, value in tags
    ]


def _text_tag(code: int, text: str) -> tuple[int, str, int, str, bool]:
    # TIFF's text is bytes; GDAL takes them for UTF-8
    return code, "s", 0, text.encode(), True  # type: ignore[return-value]


def _ome(maps: ResultMaps, axes: str, channels: Sequence[str] = ()) -> dict[str, Any]:
    """Say what OME-TIFF says of axes, channels and the size of a pixel."""
    # not at random: the same result gives the same bytes
    checksum = crc32(np.asarray(maps.labels[-1][:, :]).tobytes())
    content = f"{recipe_text(maps.recipe)} {axes} {maps.shape} {checksum}"
    named: dict[str, Any] = {"axes": axes, "UUID": str(uuid5(NAMESPACE_URL, content))}
    if channels:
        named["Channel"] = {"Name": list(channels)}
    else:
        classes = result_classes(maps.recipe.prompts)
        named["MapAnnotation"] = {str(each.label): each.name for each in classes}
    scene = maps.scene
    if scene.pixel_size is None or scene.unit not in UNITS:
        return named
    factor = maps.patch if channels else 1.0
    for axis, size in zip("YX", scene.pixel_size, strict=True):
        named[f"PhysicalSize{axis}"] = size * factor
        named[f"PhysicalSize{axis}Unit"] = scene.unit
    return named


def _resolution(maps: ResultMaps, factor: float) -> dict[str, Any]:
    """Say TIFF 6.0's pixels per centimetre."""
    scene = maps.scene
    if scene.pixel_size is None or scene.unit not in UNITS:
        return {}
    unit = UNITS[scene.unit].centimetres
    rows, columns = (1 / (size * unit * factor) for size in scene.pixel_size)
    return {"resolution": (columns, rows), "resolutionunit": "CENTIMETER"}


LABELS = Writer(
    "labels as GeoTIFF or OME-TIFF", (LABELS_NAME, NAMES_NAME), _labels_steps
)
PROBABILITIES = Writer(
    "probabilities as GeoTIFF or OME-TIFF", (PROBABILITIES_NAME,), _probabilities_steps
)
