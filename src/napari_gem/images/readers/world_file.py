"""Where a picture lies by files beside it: a world file, and its coordinate system.

GIS programs write ``map.pgw`` beside ``map.png``: six numbers, a line each. The system
is in ``map.prj``, or in GDAL's ``map.png.aux.xml``, as WKT.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_gem.core.location import LARGEST, Location

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_gem.images.readers.content import Content

LARGEST_TEXT = 1 << 20
"""Bytes of the files beside a picture."""

NEEDS_GEO = (
    "A world file says where '{name}' lies, in a coordinate system that needs "
    "napari-gem[geo] to be read: results do not name the system."
)
NO_SYSTEM = (
    "A world file says where '{name}' lies, but not in which coordinate system and "
    "unit: areas are in pixels."
)


def with_world_file(
    content: Content, path: Path, orientation: Callable[[Path], int] = lambda _: 1
) -> Content:
    """Say where a picture lies that does not say it itself.

    Parameters
    ----------
    content
        Of the file.
    path
        The file, beside which the others are.
    orientation
        Tells how its pixels were turned when they were read, as EXIF does: a world
        file is about the pixels that the file holds.

    Returns
    -------
    Content
        The same if there is no world file, or a damaged one. A world file counts more
        than the size of a pixel in print, which programs write into every TIFF.
    """
    if content.locations and content.geo_tags:
        return content
    location = _read_world_file(path)
    if location is None:
        return content
    height, width = (content.length(axis) for axis in "yx")
    location = _turned(location, orientation(path), height, width)
    system = _system_beside(path)
    notices: tuple[str, ...] = ()
    tags = content.geo_tags
    can_read = find_spec("rasterio") is not None
    if can_read:
        from napari_gem.images.readers.raster import geotiff_place

        place = {"transform": _affine(location), "crs": _crs(system)}
        tags, placed, notices = geotiff_place(**place)
        location = placed or location
    if not location.unit:
        notice = NEEDS_GEO if system and not can_read else NO_SYSTEM
        notices = (*notices, notice.format(name=path.name))
    down, right = (content.axes.index(axis) for axis in "yx")
    return replace(
        content,
        locations=tuple(
            location.coarser(height / one.shape[down], width / one.shape[right])
            for one in content.arrays
        ),
        geo_tags=tags,
        notices=(*content.notices, *notices),
    )


def _turned(location: Location, orientation: int, height: int, width: int) -> Location:
    """Say where a turned picture of this size lies, by the place of what is stored."""
    from_right, from_below = orientation in (2, 3, 7, 8), orientation in (3, 4, 6, 7)
    if orientation > 4:  # its rows are columns of what is stored
        height, width = width, height

    def at(row: int, column: int) -> tuple[float, float]:
        if orientation > 4:
            row, column = column, row
        row = height - 1 - row if from_below else row
        return location.at(row, width - 1 - column if from_right else column)

    (y, x), below, beside = at(0, 0), at(1, 0), at(0, 1)
    return replace(
        location,
        origin=(y, x),
        down=(below[0] - y, below[1] - x),
        right=(beside[0] - y, beside[1] - x),
    )


def files_beside(path: Path) -> list[Path]:
    """List the files beside a picture that say where it lies."""
    systems = path.with_suffix(".prj"), path.with_name(f"{path.name}.aux.xml")
    return [each for each in (*_world_files(path), *systems) if each.is_file()]


def _world_files(path: Path) -> list[Path]:
    """Name the world files that a picture may have."""
    suffix = path.suffix or "."
    short = f"{suffix[:2]}{suffix[-1:]}w"  # .pgw for .png
    endings = (short, f"{suffix}w", ".wld")
    every = (*endings, *map(str.upper, endings))
    return [path.with_name(f"{path.stem}{ending}") for ending in every]


def _read_world_file(path: Path) -> Location | None:
    """Read the six numbers; None if there is no such file or it holds others."""
    for world in _world_files(path):
        text = _text_of(world)
        if not text:
            continue
        try:
            numbers = [float(number) for number in text.split()]
        except ValueError:
            return None
        if len(numbers) != 6 or not all(abs(n) < LARGEST for n in numbers):
            return None
        right_x, right_y, down_x, down_y, x, y = numbers
        if right_x * down_y == right_y * down_x:
            return None
        return Location((y, x), (down_y, down_x), (right_y, right_x))
    return None


def _system_beside(path: Path) -> str:
    """Read the WKT in the files beside a picture; empty if no file has it."""
    text = _text_of(path.with_suffix(".prj"))
    if text:
        return text
    text = _text_of(path.with_name(f"{path.name}.aux.xml"))
    if not text or "<!" in text:
        return ""
    try:
        return ElementTree.fromstring(text).findtext("SRS") or ""  # noqa: S314
    except ElementTree.ParseError:
        return ""


def _text_of(path: Path) -> str:
    """Read a small text file; empty if it is missing or too large."""
    if not path.is_file() or path.stat().st_size > LARGEST_TEXT:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _crs(text: str) -> object:
    """Make a coordinate system of WKT; None if the text cannot be read as WKT."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_wkt(text) if text else None
    except CRSError:
        return None


def _affine(location: Location) -> object:
    """Give the transform from corners of pixels, as rasterio has it."""
    from rasterio import Affine

    (y, x) = location.at(-0.5, -0.5)
    (down_y, down_x), (right_y, right_x) = location.down, location.right
    return Affine(right_x, down_x, x, right_y, down_y, y)
