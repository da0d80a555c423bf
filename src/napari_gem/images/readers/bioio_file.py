"""Reads the files of microscopes through bioio: CZI, ND2 and LIF.

The plugin of bioio for each kind is named, so that bioio asks no other package.
A file may hold several images, of which the first position chooses one.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.core.location import location_of
from napari_gem.core.sentences import some_of
from napari_gem.images.read_errors import check_size
from napari_gem.images.readers.content import Content
from napari_gem.images.readers.tiff_size import usable_size
from napari_gem.images.scene import Band

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KINDS = {
    b"ZISRAWFILE": ("a CZI file", "bioio_czi"),
    b"\xda\xce\xbe\x0a": ("an ND2 file", "bioio_nd2"),
    b"\x70\x00\x00\x00": ("a LIF file", "bioio_lif"),
}
"""How files begin, what they are called, and the plugin that reads them."""

IMAGES = "n"
"""Letter of the axis of the images in a file."""


def plugin_of(start: bytes) -> tuple[str, str]:
    """Name the kind of a file and its plugin by its first bytes; empty for others."""
    known = (kind for magic, kind in KINDS.items() if start.startswith(magic))
    return next(known, ("", ""))


def read_bioio(path: Path, kind: str, plugin: str, index: Sequence[int]) -> Content:
    """Read a file of a microscope.

    Parameters
    ----------
    path
        The file.
    kind, plugin
        As `plugin_of` says.
    index
        Positions of the wanted plane; the first chooses the image if there are several.

    Raises
    ------
    GemError
        If the plugin is missing, or if an image has to be chosen.
    """
    if find_spec("bioio") is None or find_spec(plugin) is None:
        package = plugin.replace("_", "-")
        raise GemError(
            f"'{path.name}' is {kind}, which needs bioio. Install it: pip install "
            f"bioio {package}."
        )
    from bioio import BioImage

    image = BioImage(path, reader=import_module(plugin).Reader)
    several = len(image.scenes) > 1
    if several:
        if not index or not 0 <= index[0] < len(image.scenes):
            names = some_of([shown(name) for name in image.scenes])
            raise GemError(
                f"'{path.name}' holds {len(image.scenes)} images: {names}. Choose one "
                f"with the first number of --index, from 0 to {len(image.scenes) - 1}."
            )
        image.set_scene(int(index[0]))
    levels: list[Any] = []
    for number in image.resolution_levels:
        image.set_resolution_level(number)
        levels.append(image.dask_data)
    image.set_resolution_level(image.resolution_levels[0])
    for level in levels:
        check_size(path.name, level.shape, level.dtype.itemsize, path.stat().st_size)
    size = image.physical_pixel_sizes
    location = (
        location_of((float(size.Y), float(size.X)), "µm")
        if size.Y and size.X and usable_size(float(size.Y), float(size.X))
        else None
    )
    axes = image.dims.order.lower()
    finest = [levels[0].shape[axes.index(axis)] for axis in "yx"]
    before = (len(image.scenes),) if several else ()
    return Content(
        arrays=tuple(DaskLevel(level, before) for level in levels),
        axes=f"{IMAGES if several else ''}{axes}",
        locations=()
        if location is None
        else tuple(
            location.coarser(
                finest[0] / level.shape[axes.index("y")],
                finest[1] / level.shape[axes.index("x")],
            )
            for level in levels
        ),
        bands=tuple(Band(str(name)) for name in image.channel_names or ()),
    )


class DaskLevel:
    """An image at one resolution, of which parts are computed when it is sliced.

    Parameters
    ----------
    array
        Of dask.
    before
        Length of the axis of images, if there is one; the array is that of one image.
    """

    def __init__(self, array: Any, before: tuple[int, ...] = ()) -> None:
        self._array, self._before = array, len(before)
        self.shape = (*before, *(int(n) for n in array.shape))
        self.ndim = len(self.shape)
        self.dtype = np.dtype(array.dtype)
        self.chunks = (*(1 for _ in before), *array.chunksize)

    def __getitem__(self, key: Any, /) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        # that of images always has a number: a file is read one image at a time
        return self._array[parts[self._before :]].compute(scheduler="synchronous")
