"""Where saved layers lie: in one ``.gem`` file, or as older versions wrote them.

A ``.gem`` file is a zip file without compression: ``layers.json`` and a TIFF file for
each image or labels layer, which are compressed themselves and read where they lie.
Older versions wrote the same files beside one another: ``NAME.napari-gem.json`` and
``NAME.gem.tif``, ``NAME.2.gem.tif`` ...
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from napari_gem.core.bounds import SIDECAR_BYTES
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import read_text
from napari_gem.images.tiff_reading import open_tiff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tifffile import TiffFile

SUFFIX = ".gem"
SIDECAR = ".napari-gem.json"
DESCRIPTION = "layers.json"

LONGEST_LISTING = 1 << 20
"""Bytes of the list of a zip file's members that are read."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, then the lengths of the name and of what follows it."""


@dataclass(frozen=True)
class Storage:
    """A file of saved layers that can be read; nothing of it is trusted.

    Attributes
    ----------
    path
        The ``.gem`` file, or a sidecar with TIFF files beside it.
    members
        Offset and size of each file in a ``.gem`` file.
    """

    path: Path
    members: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_single(self) -> bool:
        """Whether all is in one file."""
        return bool(self.members)

    def text(self) -> str:
        """Read the description of the layers.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it is too long, or no text.
        """
        if not self.is_single:
            return read_text(self.path, SIDECAR_BYTES)
        offset, size = self.members[DESCRIPTION]
        if size > SIDECAR_BYTES:
            raise ValueError(f"it is larger than the {SIDECAR_BYTES >> 20} MiB")
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size).decode()

    def open_tiff(self, name: str) -> TiffFile:
        """Open the TIFF file of a layer; the caller closes it.

        Raises
        ------
        GemError
            If it is missing or no TIFF file.
        """
        if self.is_single:
            if name not in self.members:
                raise GemError(
                    f"'{self.path.name}' does not hold '{name}', which it names. Save "
                    "the layers again."
                )
            offset, size = self.members[name]
            return open_tiff(self.path, offset, size)
        path = self.path.with_name(name)
        if not path.is_file():
            raise GemError(
                f"'{name}', which '{self.path.name}' names, is missing. Put both into "
                "one folder."
            )
        return open_tiff(path)


def open_storage(path: Path) -> Storage:
    """Find the members of a ``.gem`` file; a sidecar is taken as it is.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no ``.gem`` file; the message says why.
    """
    if not path.name.lower().endswith(SUFFIX):
        return Storage(path)
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file")
    try:
        with _Listing(io.FileIO(path)) as file, ZipFile(file) as archive:
            infos = archive.infolist()
        with path.open("rb") as content:
            members = {}
            for info in infos:
                if info.compress_type != ZIP_STORED or info.flag_bits & 1:
                    raise ValueError(f"'{info.filename}' in it is compressed")
                content.seek(info.header_offset)
                header = content.read(_LOCAL_HEADER.size)
                if not header.startswith(b"PK\x03\x04"):
                    raise ValueError("it is damaged")
                _, *lengths = _LOCAL_HEADER.unpack(header)
                offset = info.header_offset + _LOCAL_HEADER.size + sum(lengths)
                members[info.filename] = offset, info.file_size
    except (BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError(f"it is no zip file, or damaged: {error}") from error
    if len(members) < len(infos):
        raise ValueError("two files in it have the same name")
    if DESCRIPTION not in members:
        raise ValueError(f"there is no '{DESCRIPTION}' in it")
    return Storage(path, members)


def write_storage(target: Path, text: str, files: Iterable[Path]) -> None:
    """Write a ``.gem`` file of a description and TIFF files, which are removed."""
    with ZipFile(target, "w", ZIP_STORED) as archive:
        archive.writestr(DESCRIPTION, text)
        for path in files:
            archive.write(path, path.name)
            path.unlink()


class _Listing(io.BufferedReader):
    """A zip file of which its list of members is read, if that is not too long."""

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(LONGEST_LISTING + 1 if size in (None, -1) else size)
        if len(content) > LONGEST_LISTING:
            raise BadZipFile("its list of files is too long")
        return content
