"""Image files from elsewhere: nothing but their own pixels is read, and only files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe, Segmentation
from napari_gem.images import tiff_reading
from napari_gem.images.files import open_scene, read_image
from napari_gem.images.read_errors import ReadError
from napari_gem.images.readers import tiff as tiff_reader
from napari_gem.images.scene import Scene
from napari_gem.results.save import save

pytestmark = pytest.mark.contact("damaged files")

OWN = np.arange(48, dtype=np.uint8).reshape(6, 8)
SIZES = {"SizeC": 1, "SizeT": 1, "SizeX": 8, "SizeY": 6, "SizeZ": 1}


def write_ome(path: Path, data: str, attributes: str = "", **sizes: int) -> Path:
    """Write the pixels OWN with a description that says anything."""
    said = " ".join(f'{name}="{size}"' for name, size in (SIZES | sizes).items())
    tifffile.imwrite(
        path,
        OWN,
        metadata=None,
        description='<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/'
        'Schemas/OME/2016-06"><Image ID="Image:0"><Pixels DimensionOrder="XYCZT" '
        f'ID="Pixels:0" Type="uint8" {said} {attributes}>{data}</Pixels></Image></OME>',
    )
    return path


def planes(path: Path, index: tuple[int, ...] = ()) -> np.ndarray:
    """Read an image as the command line does, whatever its size."""
    return np.asarray(open_scene(path, index).levels[0][:, :])


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("elsewhere", [".", "..", "/"])
def test_files_that_a_description_names_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: str, large: bool
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    secret = {".": inner, "..": tmp_path, "/": tmp_path}[elsewhere] / "secret.tif"
    tifffile.imwrite(secret, np.full((6, 8), 200, np.uint8))
    name = str(secret) if elsewhere == "/" else os.path.relpath(secret, inner)
    data = "".join(
        f'<TiffData FirstT="{time}" IFD="0"><UUID FileName="{name}">urn:uuid:{time}'
        "</UUID></TiffData>"
        for time in (0, 1)
    )
    path = write_ome(inner / "own.ome.tif", data, SizeT=2)
    if large:
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
    np.testing.assert_array_equal(planes(path), OWN)


def test_a_renamed_file_is_not_black(tmp_path: Path) -> None:
    data = '<TiffData IFD="0"><UUID FileName="old.ome.tif">urn:uuid:1</UUID></TiffData>'
    path = write_ome(tmp_path / "new.ome.tif", data)
    np.testing.assert_array_equal(planes(path), OWN)


@pytest.mark.parametrize("large", [False, True])
def test_a_plane_that_is_not_there_is_not_black(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    path = write_ome(tmp_path / "a.ome.tif", '<TiffData IFD="0"/>', SizeT=3)
    if large:
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
    np.testing.assert_array_equal(planes(path, (0,)), OWN)
    with pytest.raises(ReadError, match="planes that are not in it"):
        planes(path, (2,))
    with pytest.raises(GemError, match="--index"):
        planes(path)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("compression", ["jpeg", "jpegxr", "zlib"])
def test_a_part_that_is_cut_is_not_grey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str, large: bool
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 48, 3)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", compression=compression)
    if large:
        monkeypatch.setattr(tiff_reader, "LARGE", 1)
    assert planes(path).shape == pixels.shape
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(ReadError, match="is cut short"):
        planes(path)


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        ('<TiffData IFD="0" PlaneCount="2000000000"/>', {}),
        ('<TiffData IFD="0"/>', {"SizeT": 2_000_000_000}),
        ('<TiffData IFD="0"/>', {"SizeX": 960_000, "SizeY": 640_000}),
    ],
)
def test_a_description_that_promises_too_much(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    sizes: dict[str, int],
) -> None:
    path = write_ome(tmp_path / "a.ome.tif", data, **sizes)
    monkeypatch.delattr(tifffile.TiffFile, "series")  # it would make the lists
    with pytest.raises(ReadError, match="says that it h"):
        tiff_reading.open_tiff(path)


def test_an_index_of_ndtiff_that_names_files_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    assert tiff_reading.tiff_options(path) == tiff_reading.OWN_ALONE
    index = tmp_path / tiff_reading.INDEX
    index.write_bytes(b"\x0c\0\0\0NDTiffStack.tif")
    assert tiff_reading.tiff_options(path) == tiff_reading.OWN_ALONE
    for name in (b"/etc/other.tif", b"\\\\server\\share\\other.tif"):
        index.write_bytes(name)
        assert tiff_reading.tiff_options(path)["is_ndtiff"] is False


@pytest.mark.parametrize("size", ["nan", "inf", "0", "-1", "1e-400", "1e300", "wide"])
def test_no_pixel_has_that_size(tmp_path: Path, size: str) -> None:
    attributes = f'PhysicalSizeX="{size}" PhysicalSizeY="{size}"'
    path = write_ome(tmp_path / "a.ome.tif", '<TiffData IFD="0"/>', attributes)
    assert read_image(path).pixel_size is None
    folder = tmp_path / "a.zarr"
    write_levels(folder, [size, 1])
    source = open_scene(folder)
    assert source.pixel_size is None


TAGS: dict[str, list[tuple[Any, ...]]] = {
    "text for numbers": [(33550, "s", 0, "wide"), (34735, "s", 0, "x")],
    "numbers for text": [(34737, "H", 2, (1, 2))],
    "negative keys": [(34735, "i", 1, -5)],
}


@pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS)
def test_a_georeference_of_another_kind_is_left_out(
    tmp_path: Path, tags: list[tuple[Any, ...]], written: Callable[[Scene], Path]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, OWN, extratags=[(*tag, True) for tag in tags])
    image = read_image(path)
    assert image.geo_tags == ()
    written(image)


def test_a_georeference_of_one_number_and_of_any_script_stays(
    tmp_path: Path, written: Callable[[Scene], Path]
) -> None:
    path = tmp_path / "a.tif"
    tags = [(33550, "d", 1, (2.0,), True), (34737, "s", 0, "Größe|".encode(), True)]
    tifffile.imwrite(path, OWN, extratags=tags)
    with tifffile.TiffFile(written(read_image(path))) as file:
        assert file.pages.first.tags[33550].value == 2.0
        assert file.pages.first.tags[34737].value == "Größe|"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Scene], Path]:
    """Write a result with the tags of an image, and give the labels' file."""
    recipe = Recipe(
        version="0.1",
        model="embedded",
        revision="abc",
        prompts=(Prompt(("cell",)),),
        encode=EncodeParameters(),
        score=ScoreParameters(),
        appearance=Appearance(limits=(0, 255)),
        device="cpu",
        precision="float32",
    )

    def write(image: Scene) -> Path:
        maps = np.zeros((1, *OWN.shape), np.float32)
        result = Segmentation(maps, np.zeros(OWN.shape, np.uint8), recipe=recipe)
        save(result, image, tmp_path, overwrite=True)
        return tmp_path / "labels.tif"

    return write


def write_levels(path: Path, scale: list[Any]) -> None:
    """Write OME-Zarr of one level."""
    group = zarr.open_group(path, mode="w")
    group["0"] = OWN
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    given = [{"type": "scale", "scale": scale}]
    levels = [{"path": "0", "coordinateTransformations": given}]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": levels}]}


def write_zarr(path: Path) -> Path:
    """Write an array of one chunk, and give the chunk's file."""
    array = zarr.create_array(path, shape=OWN.shape, chunks=OWN.shape, dtype="u1")
    array[:] = OWN
    return path / "c" / "0" / "0"


def replaced(path: Path, kind: str) -> None:
    """Put something else in the place of a file."""
    if kind == "huge":
        os.truncate(path, 1 << 40)
        return
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.skipif(os.name == "nt", reason="no pipes and devices as files there")
@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
@pytest.mark.parametrize("place", ["chunk", "metadata"])
def test_what_is_no_file_of_a_zarr_is_not_read(
    tmp_path: Path, kind: str, place: str
) -> None:
    chunk = write_zarr(tmp_path / "a.zarr")
    replaced(chunk if place == "chunk" else tmp_path / "a.zarr" / "zarr.json", kind)
    with pytest.raises(ReadError, match=r"is no file|is larger than"):
        planes(tmp_path / "a.zarr")


def test_arrays_are_asked_not_what_a_group_says_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w")
    group["0"] = OWN
    with pytest.warns(UserWarning, match="onsolidated"):
        zarr.consolidate_metadata(path)
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["consolidated_metadata"]["metadata"]["0"]["shape"] = [60_000, 80_000]
    (path / "zarr.json").write_text(json.dumps(metadata))
    np.testing.assert_array_equal(planes(path), OWN)


def test_an_image_without_pixels_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 8), np.uint8))
    zarr.create_array(tmp_path / "a.zarr", shape=(6, 0), chunks=(1, 1), dtype="u1")
    for name in ("a.npy", "a.zarr"):
        with pytest.raises(GemError, match="has no pixels"):
            open_scene(tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="no pipes as files there")
@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.zarr"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(GemError, match="is a pipe or a device"):
        open_scene(tmp_path / name)


def test_two_threads_get_the_planes_that_they_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.arange(96, dtype=np.uint8).reshape(2, 6, 8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    whole = tiff_reader.WholePlanes(
        tmp_path / "a.tif", (0, 0), pixels.shape, pixels.dtype, "IYX"
    )
    read = whole._read_plane

    class Slow(tuple):
        """While it is looked at, another thread reads another plane."""

        def __getitem__(self, at: Any) -> Any:
            if at == 0:
                whole._read = (1,), read((1,))
            return super().__getitem__(at)

    whole._read = Slow(((0,), read((0,))))
    assert (whole[0] == pixels[0]).all()
