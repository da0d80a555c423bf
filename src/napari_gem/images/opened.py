"""An image file that is to be segmented, and the resolution of it that is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.bounds import needs_zarr
from napari_gem.core.errors import GemError
from napari_gem.core.validation import check_within
from napari_gem.images.files import open_scene
from napari_gem.images.references import ImageReference, make_reference
from napari_gem.images.region_file import read_region

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.region import Region
    from napari_gem.core.results import Recipe
    from napari_gem.images.region_file import FileRegion
    from napari_gem.images.scene import Scene


@dataclass(frozen=True, eq=False)
class View:
    """One resolution of an image.

    Attributes
    ----------
    scene
        Of this resolution alone; in memory if it is small.
    large
        Whether results are to be written in parts.
    source
        With all resolutions.
    level
        Its number.
    bands, nodata
        With which the file was opened.
    """

    scene: Scene
    large: bool
    source: Scene
    level: int = 0
    bands: str = ""
    nodata: str = ""

    @property
    def pixels(self) -> LazyArray:
        """(height, width) or (height, width, 3 or 4)."""
        return self.scene.levels[0]

    @property
    def valid(self) -> LazyArray | None:
        """(height, width) bool: where there is data; None for everywhere."""
        return self.scene.valid[0] if self.scene.valid else None

    @property
    def factor(self) -> float:
        """Pixels of the finest resolution for one of this."""
        return self.source.factor(self.level)

    @property
    def sentence(self) -> str:
        """Say which level of several this is; empty for an image of one."""
        count = len(self.source.levels)
        if count == 1:
            return ""
        height, width = self.pixels.shape[:2]
        size = f"{height} x {width} pixels"
        return f"Level {self.level} of 0 to {count - 1} is used: {size}."

    @property
    def reference(self) -> ImageReference | None:
        """Where other processes may find the same pixels."""
        path, index = self.source.path, self.source.index
        if path is None:
            return None
        how = {"bands": self.bands, "nodata": self.nodata}
        return make_reference(self.pixels, path, index, self.level, **how)

    def place(self, region: Region | None) -> Region | None:
        """Turn a region of the finest resolution to one of this."""
        return region and self.source.scale_region(region, self.level)


def check_small(view: View, preset: str) -> None:
    """Refuse a large image for a preset that looks at the whole at once."""
    if view.large:
        raise GemError(
            f"The preset {preset} squashes the whole image, which is too large for it. "
            "Take another preset."
        )


class Opened:
    """An image file or one of its planes, and how many maps will be made of it."""

    def __init__(
        self,
        path: Path,
        index: Sequence[int],
        classes: int,
        *,
        bands: str = "",
        nodata: str = "",
    ) -> None:
        self._scene = open_scene(path, index, bands=bands, nodata=nodata)
        self._bands, self._nodata = bands, nodata
        self._classes = classes

    def check(self, level: int | None, region: Region | None) -> None:
        """Refuse a level or a region that the image does not have.

        Raises
        ------
        GemError
            With those it has.
        """
        self._scene.check_level(level or 0)
        if region is not None:
            check_within(region, self._scene.levels[0].shape)

    def read_region(self, path: Path) -> FileRegion:
        """Read a region in a GeoJSON file: see `napari_gem.images.region_file`."""
        return read_region(path, self._scene)

    def view(self, level: int | None, detail: float | None, patch: int) -> View:
        """Choose a resolution, and read it if it is small.

        Parameters
        ----------
        level
            The one wanted; None takes the coarsest that shows the detail.
        detail
            Pixels of the finest resolution for a patch; None for no wish.
        patch
            Side of the model's patches in pixels.
        """
        self.check(level, None)
        if level is None:
            level = self._scene.choose(detail / patch if detail else None)
        return self._view(level)

    def view_like(self, recipe: Recipe) -> View:
        """Choose the resolution that a recipe was made with, and read it if small."""
        return self._view(self._scene.nearest(recipe.factor))

    def _view(self, level: int) -> View:
        source, scene = self._scene, self._scene.at(level)
        height, width = scene.levels[0].shape[:2]
        large = needs_zarr((height, width), self._classes)
        if not large:
            scene = scene.in_memory()
            if scene.valid and not np.asarray(scene.valid[0]).any():
                name = source.path.name if source.path else "The image"
                raise GemError(
                    f"'{name}' holds no data: all of its pixels are marked as such. "
                    "Look at its value for no data, and give another with --nodata."
                )
        return View(scene, large, source, level, self._bands, self._nodata)
