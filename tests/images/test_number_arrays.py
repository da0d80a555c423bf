"""Arrays of anything but numbers are refused before a part of them is read."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_gem.core.errors import GemError
from napari_gem.encoding.stored_features import StoredFeatures
from napari_gem.images.files import open_scene
from napari_gem.images.number_arrays import check_numbers
from napari_gem.images.references import reference_to_array

pytestmark = [
    pytest.mark.contact("numbers"),
    # zarr says that these types have no specification yet
    pytest.mark.filterwarnings("ignore:The data type"),
]

DTYPES = [
    "str",
    "U5",
    "S4",
    "datetime64[s]",
    np.dtype([("a", "int32"), ("b", "float32")]),
]


class Planted:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def write_v2(folder: Path, **changes: Any) -> Path:
    """Write the metadata of an array of zarr's version 2."""
    folder.mkdir(parents=True)
    metadata = {
        "zarr_format": 2,
        "shape": [4, 4],
        "chunks": [4, 4],
        "dtype": "|u1",
        "compressor": None,
        "fill_value": None,
        "filters": None,
        "order": "C",
    }
    (folder / ".zarray").write_text(json.dumps(metadata | changes))
    return folder


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("group", [False, True])
@pytest.mark.filterwarnings("ignore:The codec `vlen-utf8`:UserWarning")
def test_texts_and_tables_of_zarr(tmp_path: Path, dtype: Any, group: bool) -> None:
    path = tmp_path / "image.zarr"
    dtype = str if dtype == "str" else dtype
    if group:
        root = zarr.create_group(store=str(path))
        root.create_array("0", shape=(8, 8), dtype="uint8")
        root.create_array("1", shape=(4, 4), dtype=dtype)
    else:
        zarr.create_array(store=str(path), shape=(4, 4), dtype=dtype)
    with pytest.raises(GemError, match="is no image of numbers"):
        open_scene(path)


@pytest.mark.parametrize("place", ["filters", "compressor"])
@pytest.mark.parametrize("dtype", ["|O", "|u1"])
def test_a_pickle_in_zarr_is_not_run(tmp_path: Path, place: str, dtype: str) -> None:
    codec: Any = {"id": "pickle", "protocol": 4}
    metadata = {place: [codec] if place == "filters" else codec, "dtype": dtype}
    path, mark = write_v2(tmp_path / "image.zarr", **metadata), tmp_path / "mark"
    (path / "0.0").write_bytes(pickle.dumps(Planted(mark)))
    with pytest.raises(GemError, match=r"'image\.zarr'"):
        open_scene(path)
    assert not mark.exists()
    pickle.loads((path / "0.0").read_bytes())  # which would have left it
    assert mark.exists()


@pytest.mark.parametrize(
    "codec",
    [
        {"id": "base64"},
        {"id": "categorize", "labels": ["a"], "dtype": "|O"},
        {"id": "astype", "encode_dtype": "|u1", "decode_dtype": "|V1000000"},
    ],
    ids=lambda codec: codec["id"],
)
def test_codecs_that_give_no_numbers(tmp_path: Path, codec: dict[str, Any]) -> None:
    path = write_v2(tmp_path / "image.zarr", filters=[codec])
    with pytest.raises(GemError, match=f"compressed by '{codec['id']}"):
        open_scene(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": [{"id": "delta", "dtype": "|u1"}], "compressor": {"id": "lz4"}},
        {"compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}},
        {"compressor": {"id": "zlib", "level": 1}},
    ],
    ids=str,
)
def test_usual_codecs_of_version_2(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write_v2(tmp_path / "image.zarr", **changes)
    zarr.open_array(store=str(path), mode="r+")[:] = np.arange(16).reshape(4, 4)
    scene = open_scene(path)
    np.testing.assert_array_equal(scene.levels[0][:], np.arange(16).reshape(4, 4))


@pytest.mark.parametrize(
    "options",
    [
        {"shards": (4, 4), "chunks": (2, 2)},
        {"compressors": zarr.codecs.BloscCodec()},
        {"compressors": [zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()]},
        {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]},
        {"dtype": "float16"},
        {"dtype": "bool"},
        {"dtype": "complex64"},
    ],
    ids=["shards", "blosc", "gzip", "transposed", "float16", "bool", "complex64"],
)
def test_usual_codecs_and_numbers_of_version_3(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "image.zarr"
    array = zarr.create_array(
        store=str(path), **({"dtype": "u2"} | options), shape=(4, 4)
    )
    array[:] = np.eye(4)
    scene = open_scene(path)
    np.testing.assert_array_equal(scene.levels[0][:], np.eye(4))


def test_more_axes_than_any_image(tmp_path: Path) -> None:
    path = write_v2(tmp_path / "b.zarr", shape=[1] * 40, chunks=[1] * 40)
    with pytest.raises(GemError, match="has 40 axes"):
        open_scene(path)


def test_a_group_of_a_thousand_arrays(tmp_path: Path) -> None:
    for number in range(100):
        write_v2(tmp_path / "many.zarr" / str(number))
    (tmp_path / "many.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(GemError, match="holds 100 arrays"):
        open_scene(tmp_path / "many.zarr")


@pytest.mark.parametrize("dtype", ["U5", "S4", "M8[s]", [("a", "i4")]], ids=str)
def test_texts_and_tables_of_npy(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "image.npy"
    np.save(path, np.zeros((4, 4), dtype))
    with pytest.raises(GemError, match="is no image of numbers"):
        open_scene(path)


def test_objects_of_npy_are_not_unpickled(tmp_path: Path) -> None:
    path, mark = tmp_path / "image.npy", tmp_path / "mark"
    objects = np.empty((2, 2), object)
    objects[:] = [[Planted(mark)] * 2] * 2
    np.save(path, objects, allow_pickle=True)
    with pytest.raises(GemError, match=r"'image\.npy'"):
        open_scene(path)
    assert not mark.exists()


def test_a_header_of_npy_that_takes_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "image.npy"
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"1," * 10**6
    head += b"), }\n"
    path.write_bytes(b"\x93NUMPY\x02\x00" + len(head).to_bytes(4, "little") + head)
    with pytest.raises(GemError, match=r"'image\.npy'"):
        open_scene(path)


def test_features_are_real_numbers(tmp_path: Path) -> None:
    path = tmp_path / "features"
    zarr.create_array(store=str(path), shape=(4, 4, 2), dtype="int8")
    with pytest.raises(GemError, match="'features' holds int8"):
        StoredFeatures(path)


def test_texts_have_no_place() -> None:
    assert reference_to_array(np.zeros((4, 4), "U5")) is None
    with pytest.raises(GemError, match="holds object"):
        check_numbers(np.zeros((4, 4), object), "x")
