"""Where the pixels of an image lie in the world: their size, origin, unit, CRS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Pair = tuple[float, float]

PIXEL_SCALE, TIEPOINTS, TRANSFORMATION = 33550, 33922, 34264
GEO_KEYS, RPC = 34735, 50844
"""Codes of TIFF tags: GeoTIFF 1.1 (OGC 19-008r4, section 7) and RPCs in GeoTIFF."""

RASTER_TYPE, PIXEL_IS_POINT = 1025, 2
"""GeoTIFF key, and its value if integers are the middles of pixels, not corners."""

LARGEST = 1e15
"""No coordinate in a file is larger."""

GeoTags = tuple[tuple[int, str, Any], ...]
"""(code, type, value) of the TIFF tags of a georeference."""


@dataclass(frozen=True)
class Location:
    """An affine transform from pixels to the world.

    The middle of the pixel in row r and column c lies at ``origin + r * down + c *
    right``, each (y, x) in the unit.

    Attributes
    ----------
    origin
        Middle of the first pixel.
    down, right
        Steps from a row, and from a column, to the next.
    unit
        Its symbol: ``µm``, ``m``, ``degree`` ...; empty if it is not known.
    crs
        Coordinate reference system: ``EPSG:26914``, or WKT where it has no such
        number; empty for images that do not lie on the ground.
    """

    origin: tuple[float, float] = (0.0, 0.0)
    down: tuple[float, float] = (1.0, 0.0)
    right: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    crs: str = ""

    @property
    def pixel_size(self) -> tuple[float, float]:
        """(height, width) of a pixel."""
        return hypot(*self.down), hypot(*self.right)

    @property
    def is_straight(self) -> bool:
        """Whether rows run along y and columns along x, so that scales tell all."""
        return self.down[1] == self.right[0] == 0

    def at(self, row: float, column: float) -> tuple[float, float]:
        """Tell where (row, column) lies; whole numbers are middles of pixels."""
        y, x = (
            start + row * down + column * right
            for start, down, right in zip(
                self.origin, self.down, self.right, strict=True
            )
        )
        return y, x

    def pixel_of(self, y: float, x: float) -> tuple[float, float]:
        """Tell which (row, column) lies at a place; the opposite of `at`."""
        (down_y, down_x), (right_y, right_x) = self.down, self.right
        y, x = y - self.origin[0], x - self.origin[1]
        area = down_y * right_x - down_x * right_y
        return (y * right_x - x * right_y) / area, (x * down_y - y * down_x) / area

    def coarser(self, rows: float, columns: float) -> Location:
        """Give the place of a level whose pixels cover so many rows and columns."""
        if rows == columns == 1:
            return self
        return replace(
            self,
            origin=self.at((rows - 1) / 2, (columns - 1) / 2),
            down=(self.down[0] * rows, self.down[1] * rows),
            right=(self.right[0] * columns, self.right[1] * columns),
        )

    def corners(self, shape: Sequence[int]) -> tuple[Pair, Pair, Pair, Pair]:
        """Tell where the outer corners lie: upper left, upper right, lower ones."""
        bottom, end = shape[0] - 0.5, shape[1] - 0.5
        return (
            self.at(-0.5, -0.5),
            self.at(-0.5, end),
            self.at(bottom, -0.5),
            self.at(bottom, end),
        )


def location_of(
    pixel_size: tuple[float, float] | None, unit: str = ""
) -> Location | None:
    """Give the place of pixels of this (height, width); None if it is None."""
    if pixel_size is None:
        return None
    height, width = pixel_size
    return Location(down=(height, 0.0), right=(0.0, width), unit=unit)


def read_location(content: object) -> Location | None:
    """Make a location of its fields as JSON has them; None if they are not valid."""
    if not isinstance(content, dict):
        return None
    pairs = [content.get(name) for name in ("origin", "down", "right")]
    texts = [content.get(name) for name in ("unit", "crs")]
    usable = all(isinstance(text, str) for text in texts) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(n, int | float) and abs(n) < LARGEST for n in pair)
        for pair in pairs
    )
    if not usable:
        return None
    origin, down, right = ((float(y), float(x)) for y, x in pairs)  # type: ignore[misc]
    unit, crs = map(str, texts)
    return Location(origin, down, right, unit, crs)


def coarser_tags(tags: GeoTags, rows: float, columns: float) -> GeoTags:
    """Give the tags of a level whose pixels cover so many rows and columns.

    Levels begin at the same corner. The tags of the same level are left as they are.
    """
    if rows == columns == 1:
        return tags
    values = {code: value for code, _, value in tags}
    if not all(_has_its_length(code, value) for code, value in values.items()):
        return ()
    # integers are corners of pixels, or middles, half a pixel further
    shift = 0.5 if _is_point(values.get(GEO_KEYS, ())) else 0.0

    def scaled(code: int, value: Any) -> Any:
        if code == PIXEL_SCALE:
            return (value[0] * columns, value[1] * rows, *value[2:])
        if code == TIEPOINTS:
            points = list(value)
            for axis, factor in ((0, columns), (1, rows)):
                points[axis::6] = [
                    (one + shift) / factor - shift for one in points[axis::6]
                ]
            return tuple(points)
        if code == TRANSFORMATION:
            return _scaled_matrix(value, rows, columns, shift)
        if code == RPC:
            return _scaled_rpc(value, rows, columns)
        return value

    return tuple((code, letter, scaled(code, value)) for code, letter, value in tags)


def _has_its_length(code: int, value: Sequence[Any]) -> bool:
    lengths = {PIXEL_SCALE: 2, TIEPOINTS: 6, TRANSFORMATION: 16, RPC: 12}
    return len(value) >= lengths.get(code, 0)


def _is_point(keys: Sequence[int]) -> bool:
    entries = zip(keys[4::4], keys[7::4], strict=False)
    return dict(entries).get(RASTER_TYPE) == PIXEL_IS_POINT


def _scaled_matrix(
    matrix: Sequence[float], rows: float, columns: float, shift: float
) -> tuple[float, ...]:
    """Scale the 4 x 4 numbers from (column, row, height, 1) to (x, y, z, 1)."""
    lines = []
    for at in range(0, 16, 4):
        right, down, deep, start = matrix[at : at + 4]
        start += right * shift * (columns - 1) + down * shift * (rows - 1)
        lines += [right * columns, down * rows, deep, start]
    return tuple(lines)


def _scaled_rpc(
    values: Sequence[float], rows: float, columns: float
) -> tuple[float, ...]:
    """Scale offsets and scales of lines and samples, at 2, 3 and 7, 8."""
    scaled = list(values)
    for offset, scale, factor in ((2, 7, rows), (3, 8, columns)):
        # their integers are middles of pixels
        scaled[offset] = (scaled[offset] + 0.5) / factor - 0.5
        scaled[scale] /= factor
    return tuple(scaled)
