"""Reads rasters through rasterio: JPEG 2000, VRT and ENVI.

GDAL opens whatever file a raster names. Here only the file itself is opened, by the
driver that its first bytes ask for; `vrt` checks what a VRT names.
"""

from __future__ import annotations

import tempfile
import warnings
import weakref
from importlib.util import find_spec
from math import prod
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.images.read_errors import ReadError, check_size
from napari_gem.images.readers import jpeg_2000
from napari_gem.images.readers.content import SAMPLES, Content
from napari_gem.images.readers.geotiff import read_geo_tags, read_location
from napari_gem.images.readers.planes import COLORS, Conversion
from napari_gem.images.readers.vrt import check_vrt
from napari_gem.images.scene import Band
from napari_gem.images.tiff_reading import open_tiff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rasterio import DatasetReader

    from napari_gem.core.location import GeoTags, Location

    Window = tuple[tuple[int, int], tuple[int, int]]
    Placed = tuple[GeoTags, Location | None, tuple[str, ...]]

VRT = b"<VRTDataset"
ENVI = b"ENVI"
"""How files of these kinds begin; that of ENVI is a header beside the pixels."""

MISSING = (
    "'{name}' is {kind}, which needs rasterio. Install it: pip install "
    "'napari-gem[geo]'."
)

SAFE = {
    # files that are neither named nor asked for stay closed; but ENVI has its header
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
}


def driver_of(path: Path, start: bytes) -> str:
    """Name GDAL's driver for a file; empty if it is of none of these kinds.

    Parameters
    ----------
    path
        The file.
    start
        Its first 16 bytes.
    """
    if start.startswith(jpeg_2000.MAGIC):
        return "JP2OpenJPEG"
    if start.lstrip().startswith(VRT):
        return "VRT"
    return "ENVI" if _envi_header(path) is not None else ""


def read_raster(path: Path, driver: str) -> Content:
    """Read a raster with its overviews as coarser levels.

    Parameters
    ----------
    path
        The file.
    driver
        As `driver_of` says.

    Raises
    ------
    GemError
        If rasterio is missing, or a VRT names other files than rasters beside it.
    """
    kinds = {"VRT": "a VRT", "ENVI": "an ENVI raster"}
    if find_spec("rasterio") is None:
        kind = kinds.get(driver, "a JPEG 2000 picture")
        raise GemError(MISSING.format(name=path.name, kind=kind))
    stored, opened = path.stat().st_size, str(path)
    if driver == "VRT":
        opened, sources = check_vrt(path)
        stored += sum(source.stat().st_size for source in sources)
    finest = RasterLevel(opened, driver)
    dataset = finest.dataset
    check_size(path.name, finest.shape, finest.dtype.itemsize, stored)
    if driver == "ENVI" and stored < prod(finest.shape) * finest.dtype.itemsize:
        raise ReadError(
            f"'{path.name}' is shorter than its header says: it was cut short. Copy it "
            "again."
        )
    others = len(dataset.overviews(1))
    levels = (finest, *(RasterLevel(opened, driver, n) for n in range(others)))
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    masked = "per_dataset" in flags and "alpha" not in flags  # alpha is looked at later
    colors = [one.name for one in dataset.colorinterp[:4]]
    # three bands of 8 bits that nothing is said of are a picture
    unsaid = dataset.dtypes == ("uint8",) * 3 and set(colors) <= {"undefined", "gray"}
    is_picture = unsaid or (
        colors[:3] == ["red", "green", "blue"] and dataset.count in (3, 4)
    )
    tags, location, notices = _placed(dataset)
    return Content(
        arrays=levels,
        axes=f"{COLORS if is_picture else SAMPLES}yx",
        colors=None if colors[3:] == ["alpha"] else 3 if is_picture else None,
        conversion=_palette(dataset),
        nodata=dataset.nodata,
        masks=tuple(RasterMask(level) for level in levels) if masked else (),
        locations=() if location is None else _at_levels(location, levels),
        geo_tags=tags,
        bands=_bands(dataset),
        notices=notices,
    )


class RasterLevel:
    """(bands, rows, columns) of a raster at one resolution; windows are read.

    Parameters
    ----------
    opened, driver
        Path of the file, or the text of a VRT, and how it is read.
    overview
        Number of the overview; None for the finest resolution.
    """

    def __init__(self, opened: str, driver: str, overview: int | None = None) -> None:
        import rasterio

        options = {} if overview is None else {"overview_level": overview}
        beside = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"} if driver == "ENVI" else {}
        with rasterio.Env(**{**SAFE, **beside}), _without_place_warnings():
            dataset = rasterio.open(opened, driver=driver, sharing=False, **options)
        self.dataset: DatasetReader = dataset
        self._lock = Lock()  # GDAL's datasets are for one thread at a time
        self.shape = dataset.count, dataset.height, dataset.width
        self.ndim = 3
        self.dtype = np.result_type(*dataset.dtypes)
        self.chunks = (1, *dataset.block_shapes[0])
        weakref.finalize(self, dataset.close)

    def __getitem__(self, key: Any, /) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        every: list[Any] = [*parts, *[slice(None)] * (3 - len(parts))]
        numbers = range(1, self.shape[0] + 1)[every[0]]
        none = isinstance(numbers, range) and not numbers
        wanted = [1] if none else numbers
        part = self.read(
            lambda raster, window: raster.read(
                wanted, window=window, out_dtype=self.dtype
            )
        )
        return part(every[1:])[:0] if none else part(every[1:])

    def read(self, what: Callable[[DatasetReader, Window], Any]) -> Any:
        """Make a function that reads (rows, columns) of something of the dataset."""
        import rasterio

        _, height, width = self.shape

        def part(places: Sequence[Any]) -> Any:
            rows, down = _cut(places[0], height)
            columns, right = _cut(places[1], width)
            with self._lock, rasterio.Env(**SAFE):
                return what(self.dataset, (rows, columns))[..., down, right]

        return part


class RasterMask:
    """(rows, columns) of a raster's mask, True where there is data."""

    def __init__(self, level: RasterLevel) -> None:
        self._level = level
        self.shape, self.ndim, self.dtype = level.shape[1:], 2, np.dtype(bool)

    def __getitem__(self, key: Any, /) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        places = (*parts, *(slice(None),) * (2 - len(parts)))
        mask = self._level.read(lambda raster, w: raster.dataset_mask(window=w) > 0)
        return mask(places)


def _cut(part: Any, length: int) -> tuple[tuple[int, int], Any]:
    """Give the rows that hold a part of them, and where the part lies in those."""
    if not isinstance(part, slice):
        return (part, part + 1), 0
    wanted = range(length)[part]
    if not wanted:
        return (0, 1), slice(0, 0)
    first, last = sorted((wanted[0], wanted[-1]))
    return (first, last + 1), slice(None, None, wanted.step)


def _at_levels(
    location: Location, levels: tuple[RasterLevel, ...]
) -> tuple[Location, ...]:
    _, height, width = levels[0].shape
    return tuple(
        location.coarser(height / level.shape[1], width / level.shape[2])
        for level in levels
    )


def _bands(dataset: DatasetReader) -> tuple[Band, ...]:
    """Read the names of bands: their descriptions, else the colours they stand for."""
    names = {"red", "green", "blue", "nir", "alpha"}
    return tuple(
        Band(text or (color.name if color.name in names else ""))
        for text, color in zip(dataset.descriptions, dataset.colorinterp, strict=True)
    )


def _palette(dataset: DatasetReader) -> Conversion | None:
    if dataset.count != 1 or dataset.colorinterp[0].name != "palette":
        return None
    table = np.zeros((65536, 3), np.uint8)
    for value, color in dataset.colormap(1).items():
        table[value] = color[:3]
    return Conversion(lambda values: table[values], np.dtype(np.uint8), 3)


def _placed(dataset: DatasetReader) -> Placed:
    """Say where a raster lies, as a GeoTIFF would say it."""
    points, system = dataset.gcps
    return geotiff_place(
        transform=None if points else dataset.transform,
        crs=system if points else dataset.crs,
        gcps=points,
        rpcs=dataset.rpcs,
    )


def geotiff_place(**place: Any) -> Placed:
    """Say where an image lies, as a GeoTIFF would say it.

    Parameters
    ----------
    place
        ``transform``, ``crs``, ``gcps`` and ``rpcs``, as rasterio takes them.

    Returns
    -------
    tags, location, notices
        As `napari_gem.images.readers.geotiff.read_location` and `Scene` have them.
    """
    import rasterio

    given = {name: value for name, value in place.items() if value}
    if given.get("transform") == rasterio.Affine.identity():
        given.pop("transform")
    if not given:
        return (), None, ()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "place.tif"
        kind = {"driver": "GTiff", "height": 1, "width": 1, "count": 1}
        with rasterio.Env(**SAFE), _without_place_warnings():
            with rasterio.open(path, "w", **kind, dtype="uint8", **given) as written:
                written.write(np.zeros((1, 1, 1), np.uint8))
            with open_tiff(path) as opened:
                tags = read_geo_tags(opened.pages.first)
            return (tags, *read_location(tags, path))


def _without_place_warnings() -> Any:
    """Let rasterio not warn of rasters that lie nowhere on the ground."""
    from rasterio.errors import NotGeoreferencedWarning

    return warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning)


def _envi_header(path: Path) -> Path | None:
    """Find the header of ENVI beside a file of pixels."""
    for header in (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr")):
        if header != path and header.is_file():
            with header.open("rb") as opened:
                if opened.read(len(ENVI)) == ENVI:
                    return header
    return None
