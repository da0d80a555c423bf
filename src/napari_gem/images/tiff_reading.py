"""Opens TIFF files so that nothing but their own pixels is read.

The description in a TIFF file may name other files, which tifffile would open wherever
they are: on this computer, or on a server, which a path can name on Windows. Planes in
such files are refused as missing; tifffile would make them black.
"""

from __future__ import annotations

import logging
import math
import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_gem.images.read_errors import ReadError, check_size, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

MOST_FRAMES = 10_000_000
"""Largest number of planes that a description may name."""

INDEX, LARGEST_INDEX = "NDTiff.index", 1 << 28
"""File beside NDTiff files that names all of them, and its largest size in bytes."""

OWN_ALONE = {"_multifile": False}
"""Option of tifffile: files that a description names are not opened."""


def open_tiff(path: Path, offset: int = 0, size: int | None = None) -> TiffFile:
    """Open a TIFF file; the caller closes it.

    Parameters
    ----------
    path
        The file, or one that holds it.
    offset, size
        Where it begins in ``path``, and its bytes; None for all that follow.

    Raises
    ------
    ReadError
        If it cannot be read, or its description promises more than there can be.
    """
    from tifffile import TiffFile

    with reading(path.name):
        tiff = TiffFile(path, offset=offset, size=size, **tiff_options(path))
        try:
            _check_description(tiff, path)
        except BaseException:
            tiff.close()
            raise
    return tiff


@contextmanager
def without_nodata_warnings() -> Iterator[None]:
    """Let tifffile not say what it cannot parse of GDAL's value of no data.

    It expects '0' for whole numbers, where '0.0' is written as well; we parse it.
    """

    def other(record: logging.LogRecord) -> bool:
        return "GDAL_NODATA" not in record.getMessage()

    logger = logging.getLogger("tifffile")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def tiff_options(path: Path) -> dict[str, Any]:
    """Choose options that keep tifffile from opening other files."""
    index = path.parent / INDEX
    if not index.exists():
        return OWN_ALONE
    ours = index.is_file() and index.stat().st_size <= LARGEST_INDEX
    # it holds names of files and of axes, which need no separator of folders
    if ours and not any(sign in index.read_bytes() for sign in (b"/", b"\\")):
        return OWN_ALONE
    return {**OWN_ALONE, "is_ndtiff": False}


def read_series(tiff: TiffFile, path: Path, index: Sequence[int] = ()) -> NDArray[Any]:
    """Read the first image of a file, if the file can hold it.

    Parameters
    ----------
    tiff, path
        The open file.
    index
        Positions of the wanted plane along the axes that are neither rows nor columns
        nor colours; None wants all planes.

    Raises
    ------
    ReadError
        If its header promises too much, or a wanted plane is missing.
    """
    series = tiff.series[0]
    size = tiff.filehandle.size
    check_size(path.name, series.shape, series.dtype.itemsize, size)
    check_plane(series, index, path.name)
    pixels: NDArray[Any] = series.asarray()
    return pixels


def check_plane(series: TiffPageSeries, index: Sequence[int] | None, name: str) -> None:
    """Refuse a plane that is missing in the file, or cut short.

    Its missing pixels would be black or grey. ``index`` is that of `read_series`; one
    that does not fit the axes passes.
    """
    pages = list(series.pages)
    lengths = [
        length
        for length, axis in zip(series.shape, series.axes, strict=True)
        if axis not in "YXS"
    ]
    if index is not None:
        if len(index) != len(lengths) or not all(map(operator.lt, index, lengths)):
            return
        if len(pages) == math.prod(lengths):
            number = 0
            for at, length in zip(index, lengths, strict=True):
                number = number * length + at
            pages = pages[number : number + 1]
    if any(page is None for page in pages):
        raise ReadError(
            f"'{name}' tells of planes that are not in it. They may be in other files: "
            "open those alone, choose another plane, or save the image as one file."
        )
    size = series.parent.filehandle.size
    if any(_is_cut(page, size) for page in pages):
        raise ReadError(
            f"'{name}' cannot be read: it is cut short, and parts are missing. Copy it "
            "again."
        )


def _is_cut(page: TiffPage | TiffFrame, size: int) -> bool:
    """Tell whether compressed parts lie behind the end: some decoders fill with grey.

    For uncompressed parts tifffile raises itself.
    """
    parts = zip(page.dataoffsets, page.databytecounts, strict=False)
    return page.compression != 1 and any(at + count > size for at, count in parts)


def _check_description(tiff: TiffFile, path: Path) -> None:
    """Refuse OME-XML by which tifffile would make lists of gigabytes."""
    if not (tiff.is_ome and tiff.ome_metadata):
        return
    from tifffile import xml2dict

    try:
        description = xml2dict(tiff.ome_metadata)
    except Exception:  # noqa: BLE001 (tifffile leaves out what it cannot parse)
        return
    for pixels in _elements(description, "Pixels"):
        sizes = {name: _whole(pixels.get(f"Size{name}", 1)) for name in "TCZYX"}
        frames = math.prod(sizes[name] for name in "TCZ")
        counts = [frames]
        for data in _elements(pixels, "TiffData"):
            counts += [_whole(data.get(name, 0)) for name in _COUNTS]
        if max(counts) > MOST_FRAMES:
            raise ReadError(
                f"'{path.name}' says that it has {max(counts):,} planes, which no "
                "image has. It may be damaged: copy or save it again."
            )
        check_size(path.name, list(sizes.values()), 1, tiff.filehandle.size)


_COUNTS = ("PlaneCount", "NumPlanes")


def _elements(tree: Any, name: str) -> Iterator[dict[str, Any]]:
    """Find the elements of a name in what `tifffile.xml2dict` gives."""
    parts = tree.items() if isinstance(tree, dict) else ()
    for key, part in parts:
        for one in part if isinstance(part, list) else [part]:
            if key == name and isinstance(one, dict):
                yield one
            yield from _elements(one, name)


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and value == value // 1 else 1
