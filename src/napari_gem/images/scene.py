"""One image plane as a file holds it: its pixels, and where they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.location import Location, coarser_tags, location_of
from napari_gem.core.region import Region
from napari_gem.images.levels import coarsest_that_shows, factor_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.location import GeoTags


@dataclass(frozen=True)
class Band:
    """A channel or a spectral band of an image.

    Attributes
    ----------
    name
        As its file names it; empty if it does not.
    color
        Red, green and blue, 0 to 1, in which its file wants it shown; None if it does
        not say.
    """

    name: str = ""
    color: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """What the pixels of an image plane are and where they lie.

    Every reader makes one, and all that segments or writes results takes one.

    Attributes
    ----------
    levels
        The plane at its resolutions, the finest first: (height, width), or (height,
        width, 3 or 4) for RGB and RGBA, or with the chosen bands as last axis; parts
        are read when they are sliced.
    locations
        Where each level lies; empty if the file does not say.
    geo_tags
        The TIFF tags of its georeference at the finest level, to be written to results
        as they are; ground control points and RPCs are among them.
    valid
        (height, width) bool for each level: where it holds data. Where it does not,
        levels are black. Empty if data is everywhere.
    bands
        The channels or bands that were chosen, in the order of the last axis, if there
        are several. Empty for grey images, RGB and RGBA.
    notices
        Sentences for the user: what could not be kept, and what was assumed.
    path, index
        The file, and the positions along the axes that are neither rows nor columns
        nor bands; None and empty for an array.
    """

    levels: tuple[LazyArray, ...]
    locations: tuple[Location, ...] = ()
    geo_tags: GeoTags = ()
    valid: tuple[LazyArray, ...] = ()
    bands: tuple[Band, ...] = ()
    notices: tuple[str, ...] = ()
    path: Path | None = None
    index: tuple[int, ...] = ()

    @property
    def pixels(self) -> NDArray[Any]:
        """The finest level, read into memory."""
        finest = self.levels[0]
        return finest if isinstance(finest, np.ndarray) else np.asarray(finest[:, :])

    @property
    def mask(self) -> LazyArray | None:
        """Where the finest level holds data, (height, width); None for everywhere."""
        return self.valid[0] if self.valid else None

    @property
    def location(self) -> Location | None:
        """Where the finest level lies; None if the file does not say."""
        return self.locations[0] if self.locations else None

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """(height, width) of a pixel of the finest level; None if it is not known."""
        return (
            self.location.pixel_size if self.location and self.location.unit else None
        )

    @property
    def unit(self) -> str:
        """The unit of the pixel size: ``µm``, ``m``, ``degree`` ...; or empty."""
        return self.location.unit if self.location else ""

    def at(self, level: int) -> Scene:
        """Give the scene with one of its levels alone."""
        rows, columns = self.factors(level)
        return replace(
            self,
            levels=self.levels[level : level + 1],
            locations=self.locations[level : level + 1],
            valid=self.valid[level : level + 1],
            geo_tags=coarser_tags(self.geo_tags, rows, columns),
        )

    def in_memory(self) -> Scene:
        """Give the scene with its finest level alone, read into memory."""
        valid = tuple(np.asarray(one[:, :]) for one in self.valid[:1])
        return replace(self.at(0), levels=(self.pixels,), valid=valid)

    def factors(self, level: int) -> tuple[float, float]:
        """Count the rows and columns of the finest level for a pixel of a level."""
        finest, shape = self.levels[0].shape, self.levels[level].shape
        return finest[0] / shape[0], finest[1] / shape[1]

    def factor(self, level: int) -> float:
        """Count the pixels of the finest level, along a side, for one of a level."""
        return factor_of(self.levels[0].shape, self.levels[level].shape)

    def choose(self, wanted: float | None) -> int:
        """Choose the coarsest level that still shows a detail.

        ``wanted`` is the number of pixels of the finest level, along a side, for one
        wanted pixel; None takes the finest level.
        """
        if wanted is None:
            return 0
        return coarsest_that_shows(wanted, [level.shape for level in self.levels])

    def nearest(self, factor: float) -> int:
        """Choose the level whose pixels are about so many of the finest level."""
        factors = [self.factor(level) for level in range(len(self.levels))]
        return min(
            range(len(factors)), key=lambda n: abs(math.log(factors[n] / factor))
        )

    def check_level(self, level: int) -> None:
        """Refuse a level that there is not.

        Raises
        ------
        GemError
            With those there are.
        """
        if level >= len(self.levels):
            name = self.path.name if self.path else "the image"
            raise GemError(
                f"There is no level {level}; '{name}' has levels 0 to "
                f"{len(self.levels) - 1}."
            )

    def scale_region(self, region: Region, level: int) -> Region:
        """Turn a region of the finest level into one of another level."""
        (top, bottom), (left, right) = (
            (int(first / factor), min(math.ceil(end / factor), length))
            for (first, end), factor, length in zip(
                (region.rows, region.columns),
                self.factors(level),
                self.levels[level].shape[:2],
                strict=True,
            )
        )
        rows, columns = self.factors(level)
        corners = tuple(
            ((row + 0.5) / rows - 0.5, (column + 0.5) / columns - 0.5)
            for row, column in region.polygon
        )
        return Region((top, bottom), (left, right), corners)


def scene_of(
    pixels: LazyArray, pixel_size: tuple[float, float] | None = None, unit: str = ""
) -> Scene:
    """Make a scene of an array.

    Parameters
    ----------
    pixels
        (height, width), or (height, width, 3 or 4) for RGB and RGBA.
    pixel_size, unit
        (height, width) of a pixel, and their unit; None and empty if not known.
    """
    location = location_of(pixel_size, unit)
    return Scene((pixels,), (location,) if location else ())
