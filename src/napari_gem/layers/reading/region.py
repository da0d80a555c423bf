"""Part of an image that is visible, or that a shape in the viewer marks.

napari's pixel (i, j) covers i - 0.5 to i + 0.5 and so on in the coordinates of its
data: its middle is at whole numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.region import Region
from napari_gem.layers.reading.source import unit_factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_gem.layers.reading.source import LayerImage

AREAS = ("rectangle", "polygon", "ellipse")
ELLIPSE_CORNERS = 64

NEAR = 1e-4
"""Pixels: coordinates that differ by less are the same."""

SMALL = 64
"""Only shapes of at most so many pixels each way may lie between pixels' middles."""


def visible_region(
    layer: Any, image: LayerImage, dims: Any, corners: Sequence[Sequence[float]]
) -> Region:
    """Say which part of an image the canvas shows.

    Parameters
    ----------
    layer
        The image layer.
    image
        As it was read.
    dims
        The viewer's ``dims``.
    corners
        (down, right) of the canvas's upper left and lower right corner, in the
        world's coordinates.

    Returns
    -------
    Region
        Pixels of the image that are at least partly visible; for a rotated layer the
        rectangle around them.

    Raises
    ------
    GemError
        If none is.
    """
    (top, left), (bottom, right) = np.asarray(corners, np.float64)
    around = [(top, left), (top, right), (bottom, right), (bottom, left)]
    world = np.tile(np.asarray(dims.point, np.float64), (4, 1))
    world[:, list(dims.order[-2:])] = around
    points = _to_pixels(world, layer, image, dims)
    region = _around(points, image.shape)
    if region is None:
        raise GemError(
            f"Nothing of '{layer.name}' is visible. Move the view to it, or choose the "
            "whole image."
        )
    return region


def shapes_region(shapes: Any, layer: Any, image: LayerImage, dims: Any) -> Region:
    """Say which part of an image a shape marks.

    Parameters
    ----------
    shapes
        A Shapes layer: its only shape, or the one that is selected, is taken.
    layer
        The image layer.
    image
        As it was read.
    dims
        The viewer's ``dims``.

    Returns
    -------
    Region
        Without polygon for a rectangle along the image's rows and columns: the pixels
        whose middle lies in it. Else with the polygon and the pixels around it; an
        ellipse becomes a polygon.

    Raises
    ------
    GemError
        If there is no such shape, or it does not lie on the image.
    """
    outline = _outline(shapes)
    data = np.asarray(shapes.data_to_world(outline[0]), np.float64)
    world = np.tile(np.asarray(dims.point, np.float64), (len(outline), 1))
    count = min(world.shape[1], len(data))
    for row, corner in zip(world, outline, strict=True):
        place = np.asarray(shapes.data_to_world(corner)) / unit_factors(shapes, dims)
        row[-count:] = place[-count:]
    points = _to_pixels(world, layer, image, dims)
    if _is_upright(points):
        region = _inside(points, image.shape)
    else:
        region = _around(points, image.shape, polygon=True)
    if region is None or not _has_pixels(region):
        raise GemError(
            f"The shape in '{shapes.name}' holds no pixel of '{layer.name}'. Draw it "
            "on the image, or choose the whole image."
        )
    return region


def patch_in_view(
    layer: Any, image: LayerImage, dims: Any, patch: float
) -> tuple[float, float]:
    """Tell how large a patch is on the screen.

    Parameters
    ----------
    layer
        The image layer.
    image
        As it was read.
    dims
        The viewer's ``dims``.
    patch
        Pixels of the image along each side.

    Returns
    -------
    tuple[float, float]
        (down, right) in the world's coordinates; of a patch that is turned, the sides
        of about as large an upright one.
    """
    count = len(image.factors)
    steps = np.zeros((2, count))
    for row, axis in enumerate(image.geometry.displayed):
        steps[row, axis] = patch * image.factors[axis]
    origin = np.asarray(layer.data_to_world(np.zeros(count)))
    sides = np.array([layer.data_to_world(step) - origin for step in steps])
    sides = (sides / unit_factors(layer, dims))[:, list(image.geometry.displayed)]
    down, right = np.sqrt((sides**2).sum(axis=0))
    return float(down), float(right)


def _outline(shapes: Any) -> NDArray[np.float64]:
    """Corners of the only or the selected shape, in its layer's data coordinates."""
    count = len(shapes.data)
    chosen = sorted(shapes.selected_data) or list(range(count))
    if not count:
        raise GemError(
            f"'{shapes.name}' has no shape. Draw a rectangle, polygon or ellipse in "
            "it, or choose the whole image."
        )
    if len(chosen) > 1:
        raise GemError(
            f"'{shapes.name}' has {count} shapes and {len(shapes.selected_data)} are "
            "selected. Select only the one in which to segment."
        )
    corners = np.asarray(shapes.data[chosen[0]], np.float64)
    kind = str(shapes.shape_type[chosen[0]])
    if kind not in AREAS:
        raise GemError(
            f"The shape in '{shapes.name}' is a {kind}, which has no inside. Draw a "
            "rectangle, polygon or ellipse."
        )
    if kind != "ellipse":
        return corners
    middle = corners.mean(axis=0)
    along, across = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(middle + along * np.cos(angles) + across * np.sin(angles))


def _to_pixels(
    world: NDArray[np.float64], layer: Any, image: LayerImage, dims: Any
) -> NDArray[np.float64]:
    """(row, column) in the image of points in the viewer's world."""
    count = len(image.factors)
    own = world[:, -count:] * unit_factors(layer, dims)
    data = np.array([layer.world_to_data(point) for point in own])
    shown = list(image.geometry.displayed)
    factors = np.asarray(image.factors)[shown]
    return np.asarray((data[:, shown] + 0.5) / factors - 0.5, np.float64)


def _is_upright(points: NDArray[np.float64]) -> bool:
    """Tell whether corners make a rectangle along rows and columns."""
    if len(points) != 4:
        return False
    low, high = points.min(axis=0), points.max(axis=0)
    at_corner = np.minimum(np.abs(points - low), np.abs(points - high)) < NEAR
    sides = np.abs(points - np.roll(points, 1, axis=0)) > NEAR
    return bool(at_corner.all() and (sides.sum(axis=1) == 1).all())


def _inside(points: NDArray[np.float64], shape: tuple[int, int]) -> Region | None:
    """Pixels whose middle lies in an upright rectangle."""
    first = np.ceil(points.min(axis=0) - NEAR)
    end = np.floor(points.max(axis=0) + NEAR) + 1
    return _clipped(first, end, shape)


def _around(
    points: NDArray[np.float64], shape: tuple[int, int], polygon: bool = False
) -> Region | None:
    """Pixels that the rectangle around points touches."""
    first = np.floor(points.min(axis=0) + 0.5 + NEAR)
    end = np.ceil(points.max(axis=0) + 0.5 - NEAR)
    return _clipped(first, end, shape, points if polygon else ())


def _clipped(
    first: NDArray[np.float64],
    end: NDArray[np.float64],
    shape: tuple[int, int],
    polygon: Any = (),
) -> Region | None:
    if not (np.isfinite(first).all() and np.isfinite(end).all()):
        return None
    rows, columns = (
        (max(0, int(first[axis])), min(shape[axis], int(end[axis]))) for axis in (0, 1)
    )
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return None
    corners = tuple((float(row), float(column)) for row, column in polygon)
    return Region(rows, columns, corners)


def _has_pixels(region: Region) -> bool:
    """Tell whether the middle of a pixel lies in a region."""
    size = region.rows[1] - region.rows[0], region.columns[1] - region.columns[0]
    if not region.polygon or min(size) > SMALL:
        return True
    from skimage.draw import polygon2mask

    start = region.rows[0], region.columns[0]
    return bool(polygon2mask(size, np.asarray(region.polygon) - start).any())
