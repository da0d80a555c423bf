"""How large a pixel is: in its unit, or on the ground in square metres.

A coordinate system shows areas larger or smaller than they are, Web Mercator four times
at 60 degrees. So pixels on the ground are measured on the ellipsoid, by an equal-area
projection about the middle of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.core.location import Location

NODES = 129
"""Places along each axis where a pixel on the ground is measured."""

GROUND, PIXELS = "m²", "pixels"
"""Units of areas on the ground, and where the size of a pixel is not known."""


@dataclass(frozen=True, eq=False)
class PixelAreas:
    """Areas of the pixels of an image.

    Attributes
    ----------
    unit
        ``m²``, ``µm²`` ..., or ``pixels`` if their size is not known.
    shape
        (height, width) in pixels.
    nodes
        (rows, columns): areas of pixels that lie evenly, from the first to the last; a
        single one for all.
    """

    unit: str
    shape: tuple[int, int]
    nodes: NDArray[np.float64]

    def of_rows(self, rows: slice) -> NDArray[np.float64] | float:
        """Give the areas of the pixels of some rows, or the one that all have."""
        if self.nodes.size == 1:
            return float(self.nodes[0, 0])
        height, width = self.shape
        down = _weights(np.arange(rows.start, rows.stop), height, len(self.nodes))
        across = _weights(np.arange(width), width, self.nodes.shape[1])
        areas: NDArray[np.float64] = down @ self.nodes @ across.T
        return areas


def _weights(places: NDArray[np.intp], length: int, nodes: int) -> NDArray[np.float64]:
    """Weigh the nodes on both sides of pixels: (places, nodes)."""
    at = places * ((nodes - 1) / max(1, length - 1))
    apart = np.abs(at[:, None] - np.arange(nodes))
    weights: NDArray[np.float64] = np.maximum(0.0, 1.0 - apart)
    return weights


def pixel_areas(location: Location | None, shape: tuple[int, int]) -> PixelAreas:
    """Measure the pixels of an image.

    Parameters
    ----------
    location
        Where it lies; None if that is not known.
    shape
        (height, width) in pixels.

    Raises
    ------
    GemError
        If its coordinate system is not known.
    """
    if location is None or not (location.unit or location.crs):
        return PixelAreas(PIXELS, shape, np.ones((1, 1)))
    if location.crs:
        return PixelAreas(GROUND, shape, _on_the_ground(location, shape))
    (a, b), (c, d) = location.down, location.right
    return PixelAreas(f"{location.unit}²", shape, np.full((1, 1), abs(a * d - b * c)))


def _on_the_ground(location: Location, shape: tuple[int, int]) -> NDArray[np.float64]:
    from rasterio.warp import transform

    height, width = shape
    rows, columns = np.meshgrid(
        *(np.linspace(0, length - 1, min(length, NODES)) for length in shape),
        indexing="ij",
    )
    around: list[Any] = [(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)]
    corners = [location.at(rows + down, columns + right) for down, right in around]
    ys, xs = np.array(corners).swapaxes(0, 1)
    try:
        middle = location.at((height - 1) / 2, (width - 1) / 2)
        (lon,), (lat,) = transform(location.crs, "EPSG:4326", [middle[1]], [middle[0]])
        # about a point, for poles; about a meridian, for the whole earth
        about = f"laea +lat_0={lat}" if location.unit != "degree" else "cea +over"
        equal = f"+proj={about} +lon_0={lon} +datum=WGS84 +units=m"
        measured = transform(location.crs, equal, xs.ravel(), ys.ravel())
    except Exception as error:
        raise GemError(
            "Areas cannot be measured: the coordinate system of the image is not "
            f"known, or the image lies outside of it ({shown_error(error)}). Save the "
            "image in another one."
        ) from error
    x, y = np.array(measured).reshape(2, 4, *rows.shape)
    # half the cross product of the diagonals
    areas = (x[2] - x[0]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[0])
    halved: NDArray[np.float64] = np.abs(areas) / 2
    return halved
