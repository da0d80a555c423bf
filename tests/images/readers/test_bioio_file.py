"""Files of microscopes; a CZI file is written by Zeiss's own library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_gem.core.errors import GemError
from napari_gem.images.files import open_scene
from napari_gem.images.readers import bioio_file

STACK = np.random.default_rng(0).integers(0, 60_000, (2, 3, 120, 160)).astype(np.uint16)


@pytest.fixture
def microscope_file(tmp_path: Path) -> Path:
    pytest.importorskip("bioio_czi", reason="bioio is not installed")
    from pylibCZIrw import czi

    path = tmp_path / "renamed.dat"
    with czi.create_czi(str(tmp_path / "a.czi")) as made:
        for channel, planes in enumerate(STACK):
            for depth, plane in enumerate(planes):
                where = {"C": channel, "Z": depth, "T": 0}
                made.write(data=plane[..., None], plane=where)
        made.write_metadata(
            document_name="a",
            channel_names={0: "DAPI", 1: "GFP"},
            scale_x=0.25e-6,
            scale_y=0.5e-6,
            scale_z=1e-6,
        )
    return (tmp_path / "a.czi").rename(path)


def test_planes_place_and_channels_of_a_czi_file(microscope_file: Path) -> None:
    scene = open_scene(microscope_file, [0, 1, 2])
    assert np.array_equal(scene.pixels, STACK[1, 2])
    assert np.array_equal(scene.levels[0][10:20, 5:9], STACK[1, 2, 10:20, 5:9])
    assert (scene.pixel_size, scene.unit) == ((0.5, 0.25), "µm")
    both = open_scene(microscope_file, [0, 1], bands="GFP=green,DAPI=blue")
    assert np.array_equal(both.pixels, np.moveaxis(STACK[::-1, 1], 0, -1))
    assert [band.name for band in both.bands] == ["GFP", "DAPI"]
    with pytest.raises(GemError, match="1 DAPI, 2 GFP"):
        open_scene(microscope_file)


@pytest.mark.parametrize("magic", bioio_file.KINDS)
def test_a_missing_plugin_and_a_damaged_file_are_sentences(
    tmp_path: Path, magic: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(magic + b"\0" * 100)
    monkeypatch.setattr(bioio_file, "find_spec", lambda _name: None)
    with pytest.raises(GemError, match=r"needs bioio\. Install it: pip"):
        open_scene(path)
    monkeypatch.undo()
    if magic == b"ZISRAWFILE":
        pytest.importorskip("bioio_czi", reason="bioio is not installed")
        with pytest.raises(GemError, match=r"'a\.tif' cannot be read"):
            open_scene(path)
