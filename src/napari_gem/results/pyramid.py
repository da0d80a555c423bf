"""Labels and probabilities of large images as zarr groups with coarser levels.

The groups follow OME-NGFF 0.5 (https://ngff.openmicroscopy.org/0.5/): level ``0`` is
the finest, each next one has half its size, and ``multiscales`` tells where they lie.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.atomic import PREFIX
from napari_gem.core.json_records import to_dict
from napari_gem.core.location import Location
from napari_gem.core.units import UNITS
from napari_gem.results.classes import result_classes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import zarr
    from numpy.typing import DTypeLike, NDArray

    from napari_gem.core.results import Recipe

LABELS, PROBABILITIES = "labels.zarr", "probabilities.zarr"
NAMES: tuple[str, ...] = (LABELS, PROBABILITIES)

INSIDE = f"{PREFIX}12345678/{PROBABILITIES}/0/c/100/100/100.{'0' * 32}.partial"
"""The longest path in a folder that these are written to."""

CHUNK = 1024
"""Rows and columns of a chunk of labels."""

COARSEST = 1024
"""Levels are added until none is longer."""


def level_shapes(finest: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of each level: half of those of the one before, rounded up."""
    shapes = [finest]
    while max(shapes[-1]) > COARSEST:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


class Pyramid:
    """A zarr group of levels, the finest to be filled by whoever makes it.

    Parameters
    ----------
    path
        The group; its folder is made.
    shape
        Of the finest level; the last two axes are rows and columns.
    dtype
        Of all levels.
    chunk
        Rows and columns of a chunk; None for `CHUNK`.
    """

    def __init__(
        self,
        path: Path,
        shape: Sequence[int],
        dtype: DTypeLike,
        chunk: int | None = None,
    ) -> None:
        import zarr

        self.path = path
        self._group = zarr.create_group(store=str(path))
        self._lead = (slice(None),) * (len(shape) - 2)
        self.levels: list[zarr.Array[Any]] = []
        self._dtype = np.dtype(dtype)
        self._chunk = chunk or CHUNK
        self._add(tuple(shape))

    @property
    def finest(self) -> zarr.Array[Any]:
        """The level to be filled."""
        return self.levels[0]

    def bands(self, level: int = 0, rows: slice | None = None) -> list[slice]:
        """Rows of a level that are best read and written together.

        Those that touch none of ``rows`` are left out.
        """
        length, step = self.levels[level].shape[-2], self._chunk
        first, end = (0, length) if rows is None else (rows.start, rows.stop)
        starts = range(first - first % step, min(end, length), step)
        return [slice(at, min(at + step, length)) for at in starts]

    def coarser(
        self, box: tuple[slice, slice] | None = None
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Make the coarser levels; labels take one pixel of four, others their mean.

        Parameters
        ----------
        box
            Rows and columns of the finest level beyond which all is 0, so that it need
            not be read; None for all.

        Yields
        ------
        tuple[int, NDArray]
            A level and a band of it that was read, the finest first.
        """
        height, width = self.finest.shape[-2:]
        for level, shape in enumerate(level_shapes((height, width))):
            if level:
                self._add((*self.finest.shape[:-2], *shape))
        rows, columns = box or (slice(0, height), slice(0, width))
        for level, source in enumerate(self.levels):
            coarser = self.levels[level + 1 : level + 2]
            # whole chunks, which begin at an even column
            across = slice(columns.start - columns.start % self._chunk, columns.stop)
            for band in self.bands(level, rows):
                part = np.asarray(source[(*self._lead, band, across)])
                for target in coarser:
                    down, right = (
                        slice(one.start // 2, -(-(one.start + length) // 2))
                        for one, length in zip(
                            (band, across), part.shape[-2:], strict=True
                        )
                    )
                    target[(*self._lead, down, right)] = self._halved(part)
                yield level, part
            rows, columns = (
                slice(one.start // 2, -(-one.stop // 2)) for one in (rows, columns)
            )

    def describe(
        self,
        name: str,
        axes: Sequence[dict[str, str]],
        scale: Sequence[float],
        offset: Sequence[float],
        more: dict[str, Any],
    ) -> None:
        """Write where the levels lie.

        Parameters
        ----------
        name
            Of the image.
        axes
            Name, type and unit of each.
        scale, offset
            Size of a pixel of the finest level, and where the middle of its first lies.
        more
            Further attributes of the group.
        """
        datasets = []
        for level in range(len(self.levels)):
            factors = np.ones(len(scale))
            factors[-2:] = 2.0**level
            # a mean of pixels lies in their middle, a pixel of labels in its own
            middle = (factors - 1) / 2 if self._dtype.kind == "f" else factors * 0
            translation = np.asarray(offset) + np.asarray(scale) * middle
            transforms = [
                {"type": "scale", "scale": (np.asarray(scale) * factors).tolist()},
                {"type": "translation", "translation": translation.tolist()},
            ]
            datasets.append(
                {"path": str(level), "coordinateTransformations": transforms}
            )
        scales = [{"name": name, "axes": list(axes), "datasets": datasets}]
        ome = {"version": "0.5", "multiscales": scales} | more.pop("ome", {})
        self._group.attrs.update({"ome": ome} | more)

    def _add(self, shape: tuple[int, ...]) -> None:
        chunks = (*(1,) * len(self._lead), *(min(self._chunk, n) for n in shape[-2:]))
        array = self._group.create_array(
            str(len(self.levels)),
            shape=shape,
            chunks=chunks,
            dtype=self._dtype,
            dimension_names=("c", "y", "x")[-len(shape) :],
        )
        self.levels.append(array)

    def _halved(self, part: NDArray[Any]) -> NDArray[Any]:
        if self._dtype.kind != "f":
            return part[..., ::2, ::2]
        return mean_of_four(part).astype(self._dtype)


def mean_of_four(part: NDArray[Any]) -> NDArray[np.float32]:
    """Halve the last two axes, rounding up: each pixel is the mean of four."""
    rows, columns = part.shape[-2:]
    pad = [(0, 0)] * (part.ndim - 2) + [(0, rows % 2), (0, columns % 2)]
    even = np.pad(part.astype(np.float32), pad, "edge")
    total = even[..., ::2, ::2] + even[..., 1::2, ::2]
    total += even[..., ::2, 1::2] + even[..., 1::2, 1::2]
    halved: NDArray[np.float32] = (total / 4).astype(np.float32, copy=False)
    return halved


def describe_labels(
    pyramid: Pyramid,
    recipe: Recipe,
    location: Location | None,
    source: Path | None = None,
    folder: Path | None = None,
) -> None:
    """Write what labels mean, where they lie, and of which image they are.

    Parameters
    ----------
    pyramid
        Of the labels, all levels filled.
    recipe, location
        How they were made, and where they lie; None if that is not known.
    source
        File of the image; None if there is none.
    folder
        Where the group will lie in the end; None if it stays.
    """
    classes = result_classes(recipe.prompts)
    colors = [{"label-value": one.label, "rgba": [*one.rgb, 255]} for one in classes]
    names = [{"label-value": one.label, "class": one.name} for one in classes]
    meaning = {"colors": colors, "properties": names}
    place = (folder or pyramid.path.parent) / pyramid.path.name
    ome = {"image-label": {"version": "0.5", **meaning, **_source(source, place)}}
    own = {"recipe": to_dict(recipe), **_own(location)}
    if source is not None:
        own["source"] = source.name
    more = {"ome": ome, "napari_gem": own}
    space = location or Location()
    pyramid.describe(
        "labels", _space(space.unit), space.pixel_size, _origin(space), more
    )


def describe_probabilities(
    pyramid: Pyramid,
    recipe: Recipe,
    patch: float,
    location: Location | None,
) -> None:
    """Write which classes the probabilities are of and where they lie."""
    # the value of a patch stands in its middle
    space = (location or Location()).coarser(patch, patch)
    axes = [{"name": "c", "type": "channel"}, *_space(space.unit)]
    if space.crs or not space.is_straight:
        # they lie beside the labels, which begin at 0
        half = tuple((patch - 1) / 2 / patch * size for size in space.pixel_size)
    else:
        half = _origin(space)
    own = _own(location and space)
    classes = result_classes(recipe.prompts)
    names = [each.name for each in classes]
    window = {"start": 0.0, "end": 1.0, "min": 0.0, "max": 1.0}
    channels = [
        {
            "label": each.name,
            "color": "".join(f"{part:02X}" for part in each.rgb),
            "active": True,
            "window": window,
        }
        for each in classes
    ]
    more = {
        "ome": {"omero": {"channels": channels}},
        "napari_gem": {"recipe": to_dict(recipe), "classes": names, **own},
    }
    scale, offset = (1.0, *space.pixel_size), (0.0, *half)
    pyramid.describe("probabilities", axes, scale, offset, more)


def _origin(location: Location) -> tuple[float, float]:
    """Where OME-Zarr says that pixels begin.

    Maps run up from their origin and pictures down, so that an image on the ground
    begins at 0 there, and `_own` says the rest.
    """
    return (0.0, 0.0) if location.crs or not location.is_straight else location.origin


def _own(location: Location | None) -> dict[str, Any]:
    """Say all of a location in attributes of our own: its CRS, and how it is turned."""
    if location is None or not (location.crs or not location.is_straight):
        return {}
    return {"location": asdict(location)}


def _source(source: Path | None, group: Path) -> dict[str, Any]:
    """Say where the image lies as seen from the labels, if it is OME-Zarr, too."""
    if source is None or not _is_ome(source):
        return {}
    try:
        image = os.path.relpath(source.resolve(), group.resolve())
    except ValueError:  # another drive of Windows
        return {}
    return {"source": {"image": image.replace(os.sep, "/")}}


def _is_ome(source: Path) -> bool:
    files = [source / name for name in ("zarr.json", ".zattrs")]
    return any(
        file.is_file() and "multiscales" in file.read_text("utf-8", "replace")
        for file in files
    )


def _space(unit: str) -> list[dict[str, str]]:
    name = UNITS[unit].ngff_name if unit in UNITS else ""
    known = {"unit": name} if name else {}
    return [{"name": name, "type": "space"} | known for name in "yx"]
