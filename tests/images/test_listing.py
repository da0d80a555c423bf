from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.images.listing import list_images, names_several


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, one in a folder below, a zarr folder, and what is no image."""
    for name in ("image 10.png", "image 2.png", "below/deep.png", ".hidden.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(path)
    zarr.save_array(tmp_path / "images/plane.zarr", np.zeros((4, 5), np.uint8))
    (tmp_path / "images/notes.txt").write_text("none")
    (tmp_path / "images/table.xlsx").write_bytes(b"PK\x03\x04")
    return tmp_path / "images"


def names(*places: object, pattern: str = "") -> list[str]:
    return [path.name for path in list_images(map(str, places), pattern).paths]


def test_a_folder_has_the_images_in_it_by_their_content(folder: Path) -> None:
    assert names(folder) == ["image 2.png", "image 10.png", "plane.zarr"]
    below = names(folder, pattern="**/*.png")
    assert below == [".hidden.png", "deep.png", "image 2.png", "image 10.png"]
    # chunks of a zarr folder are no images
    assert "c" not in names(folder, pattern="**/*")


def test_globs_lists_and_paths_are_joined_without_twins(folder: Path) -> None:
    (folder / "list.txt").write_bytes(
        b"\xef\xbb\xbfbelow/deep.png\r\n\r\nimage 2.png\r\n"
    )
    listing = list_images([str(folder / "*2.png"), f"@{folder / 'list.txt'}"])
    assert [path.name for path in listing.paths] == ["image 2.png", "deep.png"]
    assert listing.notices == ("Images that were named twice: 1.",)
    assert not names_several(str(folder / "plane.zarr"))
    assert names_several(str(folder))
    assert names_several(f"@{folder / 'list.txt'}")
    assert not names_several("none.png")


def test_missing_images_of_a_list_are_told(folder: Path) -> None:
    (folder / "list.txt").write_text("image 2.png\nnone.png\n")
    (notice,) = list_images([f"@{folder / 'list.txt'}"]).notices
    assert "2 images in the list 'list.txt' some are missing: 'none.png'" in notice


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("empty", "holds no image"),
        ("*.none", "No image matches"),
        ("@none.txt", "cannot be read"),
        ("@blank.txt", "is empty"),
        ("@missing.txt", "None of the 1 images"),
        ("@latin.txt", "no text in UTF-8"),
    ],
)
def test_nothing_to_do_is_refused(
    folder: Path, place: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path("empty").mkdir()
    Path("blank.txt").write_text("\n \n")
    Path("missing.txt").write_text("none.png")
    Path("latin.txt").write_bytes(b"\xe9.png")
    with pytest.raises(GemError, match=said):
        list_images([place])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    assert "pipe.png" not in names(folder)
