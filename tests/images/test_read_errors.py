"""Files of others, damaged: opened and read, on the command line and in parts."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.images import read_errors
from napari_gem.images.bounded_zarr import check_chunk
from napari_gem.images.files import open_scene, read_image
from napari_gem.images.read_errors import ReadError, check_size, reading
from napari_gem.images.rendering import stretch
from napari_gem.images.tile_reading import hash_steps, read_tile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.contact("damaged files")

PIXELS = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
V3: dict[str, Any] = {
    "gzip": zarr.codecs.GzipCodec(),
    "zstd": zarr.codecs.ZstdCodec(),
    "blosc": zarr.codecs.BloscCodec(),
    "none": None,
}
V2: dict[str, Any] = {
    "gzip": numcodecs.GZip(),
    "zlib": numcodecs.Zlib(),
    "zstd": numcodecs.Zstd(),
    "blosc": numcodecs.Blosc(),
    "lz4": numcodecs.LZ4(),
    "bz2": numcodecs.BZ2(),
    "lzma": numcodecs.LZMA(),
    "none": None,
}
ALL = [(3, name) for name in V3] + [(2, name) for name in V2]
BOMB = 40 << 20


def write_zarr(path: Path, version: int, codec: str) -> Path:
    """Write an array of four chunks and give the path of one."""
    metadata = V3 if version == 3 else V2
    array = zarr.create_array(
        str(path),
        shape=PIXELS.shape,
        chunks=(32, 32),
        dtype=PIXELS.dtype,
        zarr_format=version,
        compressors=metadata[codec],
        filters=None,
    )
    array[:] = PIXELS
    return path / ("c/0/0" if version == 3 else "0.0")


def bomb(codec: str) -> bytes:
    """Compress zeros that are many times a chunk."""
    return b"\0" * BOMB if codec == "none" else bytes(V2[codec].encode(b"\0" * BOMB))


def all_of(path: Path) -> np.ndarray:
    return np.asarray(open_scene(path).levels[0][:, :])


def check_refused(path: Path) -> None:
    with pytest.raises(GemError) as caught:
        all_of(path)
    sentence = str(caught.value)
    assert f"'{path.name}'" in sentence
    assert "save it again" in sentence or "damaged" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(("version", "codec"), ALL)
def test_a_whole_array_is_read(tmp_path: Path, version: int, codec: str) -> None:
    write_zarr(tmp_path / "a.zarr", version, codec)
    assert (all_of(tmp_path / "a.zarr") == PIXELS).all()


def test_a_whole_array_of_shards_is_read_and_a_bomb_in_it_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.zarr"
    sharding = zarr.codecs.ShardingCodec(
        chunk_shape=(16, 16),
        codecs=(zarr.codecs.BytesCodec(), V3["gzip"]),
        index_codecs=(zarr.codecs.BytesCodec(),),
    )
    array = zarr.create_array(
        str(path),
        shape=(64, 64),
        chunks=(32, 32),
        dtype="u1",
        serializer=sharding,
        compressors=None,
    )
    array[:] = PIXELS
    assert (all_of(path) == PIXELS).all()
    chunk = path / "c/0/0"
    data = gzip.compress(b"\0" * BOMB)
    index = struct.pack("<QQ", 0, len(data)) * 4
    chunk.write_bytes(data + index)
    check_refused(path)


@pytest.mark.parametrize(("version", "codec"), ALL)
@pytest.mark.parametrize("damage", ["short", "long", "flipped", "empty", "bomb"])
def test_a_damaged_chunk_is_told_when_it_is_read(
    tmp_path: Path, version: int, codec: str, damage: str
) -> None:
    chunk = write_zarr(tmp_path / "a.zarr", version, codec)
    data = chunk.read_bytes()
    if damage == "short":
        data = data[: len(data) // 2]
    elif damage == "long":
        longer = PIXELS.tobytes() * 2
        data = longer if codec == "none" else bytes(V2[codec].encode(longer))
    elif damage == "flipped":
        data = bytes(255 - b for b in data[:40]) + data[40:]
    elif damage == "empty":
        data = b""
    else:
        data = bomb(codec)
    chunk.write_bytes(data)
    if damage == "flipped" and codec == "none":
        all_of(tmp_path / "a.zarr")  # other pixels, which nobody can see
    else:
        check_refused(tmp_path / "a.zarr")


@pytest.mark.parametrize("codec", sorted(set(V2) - {"none"}))
def test_a_bomb_is_not_decoded(codec: str) -> None:
    whole = bytes(V2[codec].encode(PIXELS.tobytes()))
    check_chunk(codec, whole, PIXELS.size)
    check_chunk(f"numcodecs.{codec}", whole, PIXELS.size)
    with pytest.raises(ValueError, match="larger than its shape"):
        check_chunk(codec, whole, PIXELS.size - 1)
    with pytest.raises(ValueError, match="larger than its shape"):
        check_chunk(codec, bomb(codec), 1 << 20)


def test_members_of_gzip_are_counted_together() -> None:
    data = gzip.compress(b"a" * 600) * 2
    check_chunk("gzip", data, 1200)
    with pytest.raises(ValueError, match="larger"):
        check_chunk("gzip", data, 1199)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "fields",
    [
        {"shape": [10**9, 10**9]},
        {"shape": [10**6, 10**6], "chunks": [10**6, 10**6]},
        {"shape": [-1, 5]},
        {"shape": ["a", 5]},
        {"shape": [64]},
        {"fill_value": []},
        {"zarr_format": 9},
    ],
)
def test_metadata_that_promise_too_much_are_refused(
    tmp_path: Path, version: int, fields: dict[str, Any]
) -> None:
    path = tmp_path / "a.zarr"
    write_zarr(path, version, "none")
    file = path / ("zarr.json" if version == 3 else ".zarray")
    metadata = json.loads(file.read_text())
    fields = dict(fields)
    if version == 3 and "chunks" in fields:
        chunks = fields.pop("chunks")
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    file.write_text(json.dumps({**metadata, **fields}))
    with pytest.raises(GemError):
        all_of(path)


def write_tiff(path: Path, **options: Any) -> None:
    tifffile.imwrite(path, PIXELS, photometric="minisblack", **options)


def promise(path: Path, height: int, width: int) -> None:
    """Let the header of a TIFF say that it is larger."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(height, dtype="I")
        tiff.pages[0].tags["ImageWidth"].overwrite(width, dtype="I")


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib"}])
@pytest.mark.parametrize("side", [10**9, 10**6, 70_000])
def test_a_header_that_promises_too_much(
    tmp_path: Path, options: dict[str, Any], side: int
) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, metadata=None, **options)
    promise(path, side, side)
    check_refused(path)


def damaged_pictures() -> dict[str, Callable[[Path], None]]:
    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def begin(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:20])

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[8:200] = bytes(255 - b for b in data[8:200])
        path.write_bytes(data)

    def empty(path: Path) -> None:
        path.write_bytes(b"")

    return {f.__name__: f for f in (cut, begin, flip, empty)}


@pytest.mark.parametrize("damage", damaged_pictures())
@pytest.mark.parametrize("name", ["a.tif", "z.tif", "a.png", "a.jpg", "a.npy"])
def test_the_command_line_tells_a_damaged_file(
    tmp_path: Path,
    call: Callable[..., tuple[int, str, str]],
    name: str,
    damage: str,
) -> None:
    path = tmp_path / name
    if name.endswith("tif"):
        write_tiff(path, compression="zlib" if name == "z.tif" else None)
    elif name == "a.npy":
        np.save(path, PIXELS)
    else:
        Image.fromarray(PIXELS).save(path)
    damaged_pictures()[damage](path)
    status, _, said = call("segment", path, "-p", "cell", "-o", tmp_path / "out")
    assert status == 2, said
    assert said.startswith("Error: ")
    assert f"'{name}'" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_the_command_line_tells_a_damaged_chunk(
    tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    chunk = write_zarr(tmp_path / "a.zarr", 3, "zstd")
    chunk.write_bytes(bomb("zstd"))
    status, _, said = call(
        "segment", tmp_path / "a.zarr", "-p", "cell", "-o", tmp_path / "out"
    )
    assert status == 2
    assert said.count("\n") == 1
    assert "'a.zarr' cannot be read" in said


def png_of(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    part = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(head))
        + part
        + struct.pack(">I", zlib.crc32(part))
    )


@pytest.mark.parametrize("side", [10_000, 20_000, 2**31 - 1])
def test_a_picture_that_promises_too_much(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.png").write_bytes(png_of(side, side))
    with pytest.raises(GemError, match=r"'a\.png'"):
        read_image(tmp_path / "a.png")


def test_parts_are_read_behind_the_border(tmp_path: Path) -> None:
    chunk = write_zarr(tmp_path / "a.zarr", 3, "gzip")
    source = open_scene(tmp_path / "a.zarr")
    (pixels,) = source.levels
    appearance = stretch(pixels)
    chunk.write_bytes(b"nonsense")
    for read in (
        lambda: stretch(pixels),
        lambda: run(hash_steps(pixels)),
        lambda: read_tile(pixels, appearance, 1, 8, np.s_[0:8, 0:8]),
        lambda: read_tile(pixels, appearance, 2, 8, np.s_[0:8, 0:8]),
    ):
        with pytest.raises(ReadError, match=r"'a\.zarr' cannot be read"):
            read()
    shutil.rmtree(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("x" * 9999), "…"),
        (struct.error("odd\nlines"), "odd lines"),
        (zlib.error(), "error"),
        (RecursionError("deep"), "deep"),
        (OSError(24, "Too many open files"), "Too many files are open"),
        (RuntimeError("can't start new thread"), "no more threads"),
    ],
)
def test_any_exception_becomes_one_sentence(error: Exception, message: str) -> None:
    with pytest.raises(ReadError) as raised, reading("a.tif"):
        raise error
    assert message in str(raised.value)
    assert str(raised.value).startswith("'a.tif' cannot be read")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_lack_of_memory_and_a_sentence_go_through() -> None:
    for error in (MemoryError(), GemError("A sentence.")):
        with pytest.raises(type(error)) as raised, reading("a.tif"):
            raise error
        assert raised.value is error


def test_sizes_are_checked_before_anything_is_allocated() -> None:
    check_size("a", (10_000, 10_000), 1, 10)
    check_size("a", (100_000, 100_000), 2, 2_000_000)
    with pytest.raises(ReadError, match="100000 x 100000 values"):
        check_size("a", (100_000, 100_000), 2, 2_000)
    with pytest.raises(ReadError, match="cannot"):
        check_size("a", (10**9, 10**9), 1, read_errors.LARGEST)
