"""Opens image files of any kind as scenes; each kind has its reader in `readers`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.read_errors import Readable, reading
from napari_gem.images.readers import (
    bioio_file,
    npy,
    picture,
    raster,
    tiff,
    zarr_folder,
)
from napari_gem.images.readers.content import choose_plane
from napari_gem.images.readers.world_file import with_world_file
from napari_gem.images.valid import nodata_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.images.readers.content import Content
    from napari_gem.images.scene import Scene

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""How names of pictures end that are looked for in a folder."""

MOST_VALUES = 1 << 42
"""Of one level."""


def open_scene(
    path: Path | str,
    index: Sequence[int] = (),
    *,
    bands: str = "",
    nodata: str = "",
    values: bool = False,
) -> Scene:
    """Open an image of which parts are read when they are sliced.

    What kind of file it is its first bytes tell, not its name.

    Parameters
    ----------
    path
        File of the TIFF family, PNG, JPEG, JPEG 2000, VRT, ENVI, CZI, ND2, LIF or npy
        file, or
        folder (or zip file) of a zarr array or group (version 2 or 3, OME-Zarr 0.4 or
        0.5).
    index
        Positions along axes that are neither rows nor columns nor colours: slices,
        channels, times.
    bands
        The bands or channels that are taken: numbers from 1 or names with commas
        between, or ``true-color`` or ``color-infrared``. Empty for a picture's colours.
    nodata
        The value that stands for no data: a number, or ``none``; empty for the one that
        the file names.
    values
        Take the values that are stored, such as labels, not the colours that a palette
        gives them.

    Raises
    ------
    GemError
        If the file is missing, of another kind, damaged, or holds more planes than
        ``index`` chooses from.
    """
    path = Path(path)
    content = read_content(path, index, nodata=nodata)
    if values:
        content = replace(content, conversion=None)
    return open_plane(content, path, index, bands)


def read_content(path: Path, index: Sequence[int] = (), *, nodata: str = "") -> Content:
    """Say what planes a file holds; parameters and errors as `open_scene`."""
    name = path.name or str(path)
    if not path.exists():
        raise GemError(f"There is no file '{path}'.")
    if not path.is_dir() and not path.is_file():
        raise GemError(f"'{name}' is a pipe or a device. Choose a file.")
    with reading(name):
        return _with_nodata(_read(path, name, index), nodata)


def open_plane(
    content: Content, path: Path, index: Sequence[int] = (), bands: str = ""
) -> Scene:
    """Open one of the planes of a file; parameters and errors as `open_scene`."""
    name = path.name or str(path)
    with reading(name):
        return _checked(choose_plane(content, index, name, bands), path, name)


def is_image(path: Path) -> bool:
    """Tell by its beginning whether a file, or a folder, may be an image."""
    if path.is_dir():
        return any((path / mark).exists() for mark in zarr_folder.MARKS)
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as opened:
            start = opened.read(16)
    except OSError:
        return False
    # other programs' documents are zip files, too
    is_zip = start.startswith(zarr_folder.ZIP) and ".zarr" in path.name.lower()
    known = (*tiff.MAGIC, *npy.MAGIC, *picture.MAGIC, *bioio_file.KINDS)
    return is_zip or start.startswith(known) or bool(raster.driver_of(path, start))


def read_image(
    path: Path | str,
    index: Sequence[int] = (),
    *,
    bands: str = "",
    nodata: str = "",
    factor: float = 1.0,
) -> Scene:
    """Read one image plane into memory; parameters and errors as `open_scene`.

    Of several resolutions the one is read whose pixels are about ``factor`` of the
    finest along a side.
    """
    path = Path(path)
    try:
        scene = open_scene(path, index, bands=bands, nodata=nodata)
        return scene.at(scene.nearest(factor)).in_memory()
    except MemoryError as error:
        raise GemError(f"'{path.name}' is too large for the memory.") from error


def _read(path: Path, name: str, index: Sequence[int]) -> Content:
    """Have the reader of this kind of file read it."""
    if path.is_dir():
        zarr_folder.check_is_zarr(path, name)
        return zarr_folder.read_zarr(path, index)
    with path.open("rb") as opened:
        start = opened.read(16)
    if start.startswith(tiff.MAGIC):
        return with_world_file(tiff.read_tiff(path, index), path)
    if start.startswith(npy.MAGIC):
        return npy.read_npy(path)
    if start.startswith(zarr_folder.ZIP):
        return zarr_folder.read_zarr(path, index)
    if start.startswith(picture.MAGIC):
        return with_world_file(picture.read_picture(path), path, picture.orientation_of)
    kind, plugin = bioio_file.plugin_of(start)
    if plugin:
        return bioio_file.read_bioio(path, kind, plugin, index)
    driver = raster.driver_of(path, start)
    if driver:
        return raster.read_raster(path, driver)
    raise GemError(
        f"'{name}' cannot be read: it is no TIFF, PNG, JPEG, JPEG 2000, VRT, ENVI or "
        "npy file and no zarr folder, or it is damaged. Save it as one of them."
    )


def _with_nodata(content: Content, nodata: str) -> Content:
    """Take another value for no data than the file's; ``none`` leaves masks out, too.

    NaN and transparent pixels stay without data.
    """
    if not nodata:
        return content
    if nodata == "none":
        return replace(content, nodata=None, masks=())
    return replace(content, nodata=nodata_value(nodata, np.dtype(np.float64)))


def _checked(scene: Scene, path: Path, name: str) -> Scene:
    """Refuse wrong sizes, and let reading a part raise sentences, too."""
    for level in scene.levels:
        size = math.prod(level.shape)
        if not size:
            raise GemError(
                f"'{name}' has no pixels: its shape is {tuple(level.shape)}. Choose "
                "another image."
            )
        if size > MOST_VALUES:
            values = " x ".join(map(str, level.shape))
            raise GemError(
                f"'{name}' says that it has {values} values, which no image has. It "
                "may be damaged: copy or save it again."
            )
    levels, valid = (
        tuple(Readable(one, name) for one in arrays)
        for arrays in (scene.levels, scene.valid)
    )
    return replace(scene, levels=levels, valid=valid, path=path)
