"""The command line's image: read at once, or opened to be read in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.bounds import LARGEST_MAPS
from napari_gem.core.errors import GemError
from napari_gem.core.terminal import say
from napari_gem.core.validation import check_within
from napari_gem.images.files import ImageFile, read_image
from napari_gem.images.lazy_files import LARGE, LazyImage, open_lazy_image
from napari_gem.images.references import ImageReference, make_reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.region import Region


@dataclass(frozen=True, eq=False)
class View:
    """One resolution of an image.

    Attributes
    ----------
    pixels
        (height, width) or (height, width, 3 or 4); a part is read when it is sliced.
    large
        Whether results are to be written in parts.
    file
        The image with what its file tells; without pixels if it is large.
    factor
        Pixels of the finest resolution for one of this.
    level
        Its number.
    source
        What was opened; None for a file that was read at once.
    path, index
        See `napari_gem.images.lazy_files.open_lazy_image`.
    """

    pixels: LazyArray
    large: bool
    file: ImageFile
    factor: float = 1.0
    level: int = 0
    source: LazyImage | None = None
    path: Path | None = None
    index: tuple[int, ...] = ()

    @property
    def reference(self) -> ImageReference | None:
        """Where other processes may find the same pixels; None if it was read."""
        if self.path is None or self.source is None:
            return None
        return make_reference(self.pixels, self.path, self.index, self.level)

    def place(self, region: Region | None) -> Region | None:
        """Turn a region of the finest resolution to one of this."""
        if region is None or self.source is None:
            return region
        return self.source.scale_region(region, self.level)


def check_small(view: View, preset: str) -> None:
    """Refuse a large image for a preset that looks at the whole at once."""
    if view.large:
        raise GemError(
            f"The preset {preset} squashes the whole image, which is too large for it. "
            "Take another preset."
        )


class Opened:
    """An image file or one of its planes, and how many maps will be made of it."""

    def __init__(self, path: Path, index: Sequence[int], classes: int) -> None:
        self._path, self._index = path, tuple(index)
        self._name = path.name
        self._classes = classes
        self._source = open_lazy_image(path, index)
        self._file = read_image(path, index) if self._source is None else None

    def check(self, level: int | None, region: Region | None) -> None:
        """Refuse a level or a region that the image does not have.

        Raises
        ------
        GemError
            With those it has.
        """
        count = 1 if self._source is None else len(self._source.levels)
        if level is not None and level >= count:
            raise GemError(
                f"There is no level {level}; '{self._name}' has levels 0 to "
                f"{count - 1}."
            )
        if region is not None:
            finest = self._source.levels[0] if self._source else None
            pixels = self._file.pixels if finest is None and self._file else finest
            assert pixels is not None  # noqa: S101 (for the type checker)
            check_within(region, pixels.shape)

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
        source = self._source
        count = 1 if source is None else len(source.levels)
        if source is None:
            assert self._file is not None  # noqa: S101 (for the type checker)
            pixels: LazyArray = self._file.pixels
            return View(pixels, self._is_large(pixels), self._file)
        if level is None:
            level = source.choose(detail / patch if detail else None)
        pixels = source.levels[level]
        factor = source.factor(level)
        large = self._is_large(pixels)
        if not large:
            pixels = np.asarray(pixels[:, :])
        size = source.pixel_size and tuple(n * factor for n in source.pixel_size)
        file = ImageFile(
            np.zeros((0, 0)) if large else np.asarray(pixels),
            None if size is None else (size[0], size[1]),
            source.unit,
        )
        if count > 1:
            shape = " x ".join(map(str, pixels.shape[:2]))
            say(f"Level {level} of 0 to {count - 1} is used: {shape} pixels.")
        place = self._path, self._index
        return View(pixels, large, file, factor, level, source, *place)

    def _is_large(self, pixels: LazyArray) -> bool:
        count = pixels.shape[0] * pixels.shape[1]
        return count > LARGE or 4 * count * self._classes > LARGEST_MAPS
