"""Connected regions of the labels: how large, how probable, and their outlines.

Labels are read in bands of rows, so that memory is bounded by a band and by the
outlines of regions that go on in the next one. Pixels that only touch at a corner are
not connected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_gem.results.classes import ResultClass, result_classes
from napari_gem.results.writers.areas import PixelAreas, pixel_areas

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from shapely import Polygon
    from shapely.geometry.base import BaseGeometry

    from napari_gem.results.writers.maps import ResultMaps

    Box = tuple[int, int, int, int]

BAND_PIXELS = 1 << 22
"""Pixels of a band, if a row has not more."""


@dataclass(frozen=True, eq=False)
class LabelRegion:
    """Pixels of one class that are connected, or all pixels of it.

    Attributes
    ----------
    about
        The class.
    pixels
        How many it has.
    area
        In the unit of `Regions.unit`.
    probability
        Mean of the probability of the class over the pixels.
    middle
        (row, column): mean over the pixels.
    box
        First row, first column, row behind the last, column behind the last.
    outline
        (x, y) are (column, row) of corners of pixels; None if it was not asked for.
    """

    about: ResultClass
    pixels: int
    area: float
    probability: float
    middle: tuple[float, float]
    box: Box
    outline: BaseGeometry | None = None


class Band(NamedTuple):
    """Regions that end in a band of rows, and the rows that are read so far."""

    regions: list[LabelRegion]
    rows: int


@dataclass(frozen=True, eq=False)
class _Part:
    """The pixels of a region that were read so far."""

    label: int
    sums: NDArray[np.float64]
    box: Box
    pieces: tuple[Polygon, ...] = ()

    def joined(self, other: _Part) -> _Part:
        sums, pieces = self.sums + other.sums, self.pieces + other.pieces
        return _Part(self.label, sums, _around(self.box, other.box), pieces)


def _around(one: Box, other: Box) -> Box:
    top, left = min(one[0], other[0]), min(one[1], other[1])
    return top, left, max(one[2], other[2]), max(one[3], other[3])


class Regions:
    """The regions of a result.

    Parameters
    ----------
    maps
        The result.
    outlined
        Whether outlines are wanted, which takes rasterio and shapely.
    simplify
        See `napari_gem.core.parameters.OutlineParameters`.

    Attributes
    ----------
    unit
        Of areas.
    """

    def __init__(
        self, maps: ResultMaps, *, outlined: bool = True, simplify: float = 0.0
    ) -> None:
        self._maps = maps
        self._outlined, self._simplify = outlined, simplify
        classes = result_classes(maps.recipe.prompts)
        self._classes = {each.label: each for each in classes}
        self._numbers = {each.label: number for number, each in enumerate(classes)}
        self._areas: PixelAreas = pixel_areas(maps.scene.location, maps.shape)
        self.unit = self._areas.unit

    def bands(self) -> Iterator[Band]:
        """Yield the regions, band by band; none is there twice."""
        height, width = self._maps.shape
        step = max(1, BAND_PIXELS // width)
        open_parts: dict[int, _Part] = {}
        above: NDArray[np.intp] = np.zeros(width, np.intp)
        for first in range(0, height, step):
            rows = slice(first, min(first + step, height))
            parts, ids = self._parts(rows)
            ended, parts = _merge(open_parts, parts, above, ids[0])
            above = ids[-1] if rows.stop < height else np.zeros(width, np.intp)
            open_parts = {int(n): parts[int(n)] for n in np.unique(above) if n}
            still_open = set(map(id, open_parts.values()))
            ended += [part for part in _different(parts) if id(part) not in still_open]
            yield Band([self._region(part) for part in ended], rows.stop)

    def _region(self, part: _Part) -> LabelRegion:
        pixels, area, probability, row, column = map(float, part.sums)
        outline: Any = None
        if part.pieces:
            import shapely

            outline = part.pieces[0]
            if len(part.pieces) > 1:
                joined = shapely.union_all(part.pieces)
                outline = joined if self._simplify else shapely.simplify(joined, 0)
        return LabelRegion(
            self._classes[part.label],
            int(pixels),
            area,
            probability / pixels,
            (row / pixels, column / pixels),
            part.box,
            outline,
        )

    def _parts(self, rows: slice) -> tuple[dict[int, _Part], NDArray[np.intp]]:
        """Measure the connected pixels of a band; numbers of them, from 1, by pixel."""
        from scipy.ndimage import find_objects
        from skimage.measure import label

        labels = np.asarray(self._maps.labels[0][rows, :])
        ids: NDArray[np.intp] = label(labels, background=0, connectivity=1)
        count = int(ids.max(initial=0))
        at_row, at_column = np.nonzero(ids)
        inside = ids[at_row, at_column]
        of_pixels = labels[at_row, at_column]
        of_regions = np.zeros(count + 1, labels.dtype)
        of_regions[inside] = of_pixels
        areas = self._areas.of_rows(rows)
        if isinstance(areas, np.ndarray):
            areas = areas[at_row, at_column]
        probabilities = self._probabilities(rows, at_row, at_column, of_pixels)
        sums = np.empty((count + 1, 5))
        sums[:, 0] = np.bincount(inside, minlength=count + 1)
        weights = (areas, probabilities, at_row + rows.start, at_column)
        for number, values in enumerate(weights, 1):
            if isinstance(values, float):
                sums[:, number] = values * sums[:, 0]
            else:
                sums[:, number] = np.bincount(inside, values, count + 1)
        pieces = self._pieces(ids, rows.start) if self._outlined else {}
        parts = {}
        for number, (down, across) in enumerate(find_objects(ids), 1):
            box = down.start, across.start, down.stop, across.stop
            box = box[0] + rows.start, box[1], box[2] + rows.start, box[3]
            piece = (pieces[number],) if number in pieces else ()
            parts[number] = _Part(int(of_regions[number]), sums[number], box, piece)
        return parts, ids

    def _probabilities(
        self,
        rows: slice,
        at_row: NDArray[np.intp],
        at_column: NDArray[np.intp],
        labels: NDArray[Any],
    ) -> NDArray[np.float64]:
        """Read the probability of the own class of some pixels."""
        maps, patch = self._maps.probabilities, self._maps.patch
        first = int(rows.start / patch)
        stop = min(int((rows.stop - 1) / patch) + 1, maps.shape[1])
        down = np.minimum(((at_row + rows.start) / patch).astype(np.intp), stop - 1)
        across = np.minimum((at_column / patch).astype(np.intp), maps.shape[2] - 1)
        own = np.zeros(len(labels))
        for label_id in np.unique(labels):
            of_class = labels == label_id
            values = np.asarray(maps[self._numbers[int(label_id)], first:stop, :])
            own[of_class] = values[down[of_class] - first, across[of_class]]
        return own

    def _pieces(self, ids: NDArray[np.intp], first: int) -> dict[int, Polygon]:
        """Outline each region of a band."""
        import shapely

        # borders with the background are made simpler, too
        wanted = None if self._simplify else ids > 0
        numbers, polygons = _traced(ids, wanted)
        if self._simplify and len(polygons):
            # corners of neighbours are corners of both
            polygons = shapely.transform(shapely.segmentize(polygons, 1.0), np.round)
            polygons = shapely.coverage_simplify(
                polygons, self._simplify, simplify_boundary=False
            )
        shift = np.array([0, first])
        moved = shapely.transform(polygons, lambda points: points + shift)
        pairs = zip(numbers, moved, strict=True)
        return {number: polygon for number, polygon in pairs if number}


def _traced(
    ids: NDArray[np.intp], wanted: NDArray[np.bool_] | None
) -> tuple[list[int], NDArray[Any]]:
    """Outline connected pixels of the same number; those of 0 may be in many parts."""
    import shapely
    from rasterio.features import shapes

    traced = list(shapes(ids.astype(np.int32), mask=wanted, connectivity=4))
    rings = [ring for shape, _ in traced for ring in shape["coordinates"]]
    if not rings:
        return [], np.array([], object)
    lengths = [len(ring) for ring in rings]
    points = np.array(list(chain.from_iterable(rings)), float)
    lines = shapely.linearrings(points, indices=np.repeat(range(len(rings)), lengths))
    counts = np.array([len(shape["coordinates"]) for shape, _ in traced])
    firsts = np.cumsum(counts) - counts
    polygons = shapely.polygons(lines[firsts])
    for at in np.flatnonzero(counts > 1):
        first = firsts[at]
        holes = lines[first + 1 : first + counts[at]]
        polygons[at] = shapely.polygons(lines[first], holes)
    return [int(value) for _, value in traced], polygons


def _different(parts: Mapping[int, _Part]) -> Iterator[_Part]:
    """List parts once that have several numbers."""
    yield from {id(part): part for part in parts.values()}.values()


def _merge(
    above: Mapping[int, _Part],
    below: Mapping[int, _Part],
    last: NDArray[np.intp],
    first: NDArray[np.intp],
) -> tuple[list[_Part], dict[int, _Part]]:
    """Join parts on both sides of a seam.

    Parameters
    ----------
    above, below
        Parts by their numbers; those above may have several.
    last, first
        Numbers by column, on both sides.

    Returns
    -------
    tuple[list, dict]
        Parts above that do not go on; and those below, joined, by their numbers.
    """
    both = (last > 0) & (first > 0)
    pairs = np.unique(np.stack([last[both], first[both]]), axis=1).T.tolist()
    upper = list(_different(above))
    places = {id(part): at for at, part in enumerate(upper)}
    touching = sorted({lower for _, lower in pairs})
    for at, lower in enumerate(touching, len(upper)):
        places[id(below[lower])] = at
    members = [*upper, *(below[lower] for lower in touching)]
    edges = [
        (places[id(above[one])], places[id(below[other])])
        for one, other in pairs
        if above[one].label == below[other].label
    ]
    if not edges:
        return upper, dict(below)
    groups = _connected(len(members), edges)
    joined: dict[int, _Part] = {}
    for group, part in zip(groups, members, strict=True):
        joined[group] = joined[group].joined(part) if group in joined else part
    goes_on = set(groups[len(upper) :])
    ended = [
        part for group, part in zip(groups, upper, strict=False) if group not in goes_on
    ]
    merged = dict(below)
    for at, lower in enumerate(touching, len(upper)):
        merged[lower] = joined[groups[at]]
    return ended, merged


def _connected(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Give the number of the connected component of each node of a graph."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = np.array(edges).T
    graph = coo_array((np.ones(len(edges)), (one, other)), (count, count))
    groups: list[int] = connected_components(graph, directed=False)[1].tolist()
    return groups


def grouped(regions: Sequence[LabelRegion]) -> list[LabelRegion]:
    """Make one of all regions of a class."""
    import shapely

    by_label: dict[int, list[LabelRegion]] = {}
    for region in regions:
        by_label.setdefault(region.about.label, []).append(region)
    merged = []
    for parts in by_label.values():
        pixels = np.array([part.pixels for part in parts], float)
        box = parts[0].box
        for part in parts[1:]:
            box = _around(box, part.box)
        middle = np.average([part.middle for part in parts], 0, pixels)
        outline = shapely.multipolygons([part.outline for part in parts])
        whole = replace(
            parts[0],
            pixels=int(pixels.sum()),
            area=sum(part.area for part in parts),
            probability=float(
                np.average([part.probability for part in parts], None, pixels)
            ),
            middle=(float(middle[0]), float(middle[1])),
            box=box,
            outline=outline,
        )
        merged.append(whole)
    return sorted(merged, key=lambda region: region.about.label)
