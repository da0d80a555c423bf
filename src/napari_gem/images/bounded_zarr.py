"""Zarr arrays whose chunks may not become larger than their metadata say.

A few kilobytes of gzip, zstd, blosc ... may decode to gigabytes. The size is therefore
read from the header of a chunk, or counted without keeping the bytes, before the chunk
is decoded. Files that are larger than the metadata allow are refused too, and so are
pipes and devices, which would be read for ever.
"""

from __future__ import annotations

import bz2
import lzma
import math
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any

import numcodecs.abc
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.codecs import ShardingCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, StorePath, ZipStore

from napari_gem.core.errors import GemError
from napari_gem.core.path_names import is_too_long

if TYPE_CHECKING:
    from collections.abc import Callable

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

SLACK = 1 << 16
"""Bytes beyond the chunk's own: checksums, an index of a shard."""

LARGEST_CHUNK = 16 << 30
"""No computer reads larger chunks, in bytes."""

LARGEST_METADATA = 1 << 26
"""Largest file of metadata, in bytes."""

_PIECE = 1 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class BoundedStore(LocalStore):
    """A folder of which only regular files are read, up to a limit of bytes."""

    def __init__(self, root: Path | str, limit: int = LARGEST_METADATA) -> None:
        super().__init__(root, read_only=True)
        self._limit = limit

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read as `LocalStore` does, within the limit."""
        path = Path(self.root) / key
        with suppress(FileNotFoundError, NotADirectoryError):
            if is_too_long(path):
                # there may be a file, and zarr would take it for an empty part
                raise ValueError(f"the path of '{key}' is too long for Windows")
            status = path.stat()
            if not (S_ISREG(status.st_mode) or S_ISDIR(status.st_mode)):
                raise ValueError(f"'{key}' is no file")
            _check_size(key, byte_range, status.st_size, self._limit)
        return await super().get(key, prototype, byte_range)

    def with_limit(self, limit: int) -> BoundedStore:
        """Give the same folder with another limit."""
        return BoundedStore(self.root, limit)


class BoundedZip(ZipStore):
    """A zip file of which no more bytes than a limit are read, or unpacked, at once."""

    def __init__(self, path: Path | str, limit: int = LARGEST_METADATA) -> None:
        super().__init__(path, mode="r")
        self._limit = limit

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read as `ZipStore` does, within the limit."""
        if not self._is_open:
            self._sync_open()
        with suppress(KeyError):
            info = self._zf.getinfo(key)
            whole = info.compress_type != zipfile.ZIP_STORED
            wanted = None if whole else byte_range
            _check_size(key, wanted, info.file_size, self._limit)
        prototype = prototype or default_buffer_prototype()
        return await super().get(key, prototype, byte_range)

    def with_limit(self, limit: int) -> BoundedZip:
        """Give the same file with another limit."""
        return BoundedZip(self.path, limit)


def _check_size(key: str, wanted: ByteRequest | None, size: int, limit: int) -> None:
    """Refuse to read more bytes of a file than there may be."""
    if _count_bytes(wanted, size) > limit:
        raise ValueError(f"'{key}' is larger than the image says")


def _count_bytes(wanted: ByteRequest | None, size: int) -> int:
    """Count the bytes that are read of a file."""
    if isinstance(wanted, RangeByteRequest):
        return int(min(wanted.end, size) - wanted.start)
    if isinstance(wanted, SuffixByteRequest):
        return int(min(wanted.suffix, size))
    return size - (wanted.offset if wanted is not None else 0)


def open_folder(path: Path, inside: str = "") -> zarr.Array | zarr.Group:
    """Open a zarr folder, or a zip file of one; pass its arrays to `bounded`.

    In a zip file the image may lie in a folder ``inside``.

    What a group says about its arrays (consolidated metadata) is not trusted.

    Raises
    ------
    Exception
        What zarr raises, if it is damaged.
    """
    store = BoundedZip(path) if path.is_file() else BoundedStore(path)
    return zarr.open(store=store, path=inside, mode="r", use_consolidated=False)


def bounded(array: zarr.Array) -> zarr.Array:
    """Return the same array, which refuses chunks that would become too large.

    Raises
    ------
    GemError
        If its chunks are too large as their shape says.
    """
    shape = getattr(array, "shards", None) or array.chunks
    size = math.prod(shape) * array.dtype.itemsize
    if size > LARGEST_CHUNK:
        raise GemError(
            f"The image has chunks of {size / 2**30:,.0f} GiB; at most "
            f"{LARGEST_CHUNK >> 30} GiB can be read. Save it with smaller chunks."
        )
    limit = size + size // 4 + SLACK
    metadata = array.metadata
    if metadata.zarr_format == 3:
        codecs = tuple(_bound(codec, limit) for codec in metadata.codecs)
        metadata = replace(metadata, codecs=codecs)
    else:
        compressor = metadata.compressor
        filters = metadata.filters and [BoundedV2(f, limit) for f in metadata.filters]
        metadata = replace(
            metadata,
            compressor=compressor and BoundedV2(compressor, limit),
            filters=filters,
        )
    place = array.store_path
    if isinstance(place.store, BoundedStore | BoundedZip):
        store = place.store.with_limit(2 * limit + LARGEST_METADATA)
        place = StorePath(store, place.path)
    return zarr.Array(zarr.AsyncArray(metadata, place))


def check_chunk(codec: str, data: bytes, limit: int) -> None:
    """Refuse compressed bytes that would become more bytes than a limit.

    Raises
    ------
    ValueError
        If there would be more, or if they cannot be decoded.
    """
    size = _SIZES.get(codec.removeprefix("numcodecs."))
    if size is not None and size(data, limit) > limit:
        raise ValueError("a chunk would become larger than its shape says")


@dataclass(frozen=True)
class Bounded(BytesBytesCodec):
    """A codec of zarr 3 that looks at what bytes become before it decodes them."""

    inner: BytesBytesCodec
    limit: int
    is_fixed_size = False

    def to_dict(self) -> dict[str, Any]:
        """Return the description of the inner codec."""
        description: dict[str, Any] = self.inner.to_dict()
        return description

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        """Return the answer of the inner codec."""
        return int(self.inner.compute_encoded_size(input_byte_length, chunk_spec))

    def evolve_from_array_spec(self, array_spec: Any) -> Bounded:
        """Let the inner codec adapt itself to the array."""
        return Bounded(self.inner.evolve_from_array_spec(array_spec), self.limit)

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check_chunk(str(self.to_dict()["name"]), chunk_bytes.to_bytes(), self.limit)
        (decoded,) = await self.inner.decode([(chunk_bytes, chunk_spec)])
        return decoded


class BoundedV2(numcodecs.abc.Codec):
    """A codec of zarr 2, which takes those of numcodecs, that does the same."""

    codec_id = "bounded"  # zarr asks the class for one

    def __init__(self, inner: Any, limit: int) -> None:
        self._inner = inner
        self._limit = limit
        self.codec_id = inner.codec_id

    def encode(self, buf: Any) -> Any:
        """Encode as the codec does."""
        return self._inner.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode as the codec does."""
        check_chunk(self.codec_id, bytes(memoryview(buf).cast("B")), self._limit)
        return self._inner.decode(buf, out)

    def get_config(self) -> dict[str, Any]:
        """Return the answer of the inner codec."""
        config: dict[str, Any] = self._inner.get_config()
        return config


def _bound(codec: Any, limit: int) -> Any:
    if isinstance(codec, ShardingCodec):
        inside = tuple(_bound(one, limit) for one in codec.codecs)
        return replace(codec, codecs=inside)
    return Bounded(codec, limit) if isinstance(codec, BytesBytesCodec) else codec


def _blosc(data: bytes, _limit: int) -> int:
    if int.from_bytes(data[12:16], "little") > len(data):
        # blosc would read what lies behind it in memory
        raise ValueError("a chunk is cut short")
    return int.from_bytes(data[4:8], "little")


def _counted(make: Callable[[], Any]) -> Callable[[bytes, int], int]:
    """Count what comes out of a decoder, and stop beyond the limit."""

    def count(data: bytes, limit: int) -> int:
        total, left = 0, data
        while left:
            decoder = make()
            fed, left = left, b""
            while total <= limit:
                decoded = decoder.decompress(fed, _PIECE)
                total += len(decoded)
                if decoder.eof:
                    left = decoder.unused_data.lstrip(b"\0")
                    break
                # zlib hands back what it did not take; others keep it
                fed = getattr(decoder, "unconsumed_tail", b"")
                if not decoded and not fed:
                    return total  # cut short: decoding it will raise
        return total

    return count


def _zstd(data: bytes, limit: int) -> int:
    """Read the size in a frame's header; decode within the limit if it has none."""
    if data[:4] != _ZSTD_MAGIC or len(data) < 18:
        return 0  # small, or no zstd: decoding it will raise
    flags = data[4]
    kind, single = flags >> 6, flags >> 5 & 1
    at = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    if kind or single:
        stated = int.from_bytes(data[at : at + (1, 2, 4, 8)[kind]], "little")
        return stated + 256 * (kind == 1)
    from imagecodecs import ZstdError, zstd_decode

    try:
        return len(zstd_decode(data, out=limit))
    except ZstdError as error:
        raise ValueError(str(error)) from error


_SIZES: dict[str, Callable[[bytes, int], int]] = {
    "blosc": _blosc,
    "lz4": lambda data, _limit: int.from_bytes(data[:4], "little"),
    "zstd": _zstd,
    "gzip": _counted(lambda: zlib.decompressobj(31)),
    "zlib": _counted(lambda: zlib.decompressobj(15)),
    "bz2": _counted(bz2.BZ2Decompressor),
    "lzma": _counted(lzma.LZMADecompressor),
}
