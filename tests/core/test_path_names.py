"""Names that every system takes, and paths that Windows finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_gem.core.errors import GemError
from napari_gem.core.path_names import check_length, file_name, is_too_long
from napari_gem.encoding.feature_cache import CacheError, FeatureCache
from napari_gem.images.files import open_scene
from napari_gem.images.read_errors import ReadError
from napari_gem.results import pyramid
from napari_gem.results.save import check_folder
from napari_gem.results.temporary import ResultFolders

pytestmark = pytest.mark.contact("foreign text")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Cell nuclei", "Cell-nuclei"),
        ("核 и ядро", "核-и-ядро"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\Windows\\x", "C-Windows-x"),
        ('a<b>c:d"e|f?g*h', "a-b-c-d-e-f-g-h"),
        ("ends. . ", "ends"),
        (".hidden", "hidden"),
        ("CON", "CON-"),
        ("nul.old", "nul-.old"),
        ("LPT¹", "LPT¹-"),
        ("console", "console"),
        ("a\x00b\nc\x1b[31m", "a-b-c-[31m"),
        ("\u202efdp.exe", "fdp.exe"),
        ("", "set"),
        (" .-. ", "set"),
        ("x" * 5000, "x" * 80),
        ("核" * 5000, "核" * 80),
        ("😀" * 100, "😀" * 60),
    ],
)
def test_a_name_is_one_of_a_file_on_every_system(text: str, name: str) -> None:
    assert file_name(text, ".json", "set") == f"{name}.json"
    assert len(f"{name}.json".encode()) <= 255


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have the system find paths of so many characters behind the folder only."""

    def allow(more: int) -> None:
        longest = len(str(tmp_path)) + more
        monkeypatch.setattr("napari_gem.core.path_names.longest_path", lambda: longest)

    return allow


def test_a_path_that_windows_does_not_find_is_told(
    tmp_path: Path, short: Callable[[int], None]
) -> None:
    assert not is_too_long(tmp_path / ("x" * 5000))
    short(30)
    assert not is_too_long(tmp_path / ("x" * 29))
    assert is_too_long(tmp_path / ("x" * 30))
    check_length(tmp_path, "x" * 29)
    for refuse in (
        lambda: check_length(tmp_path, "x" * 30),
        lambda: check_folder(tmp_path / "out"),
        lambda: check_length(tmp_path, pyramid.INSIDE),
        lambda: ResultFolders(str(tmp_path / "cache")).new(),
    ):
        with pytest.raises(GemError, match="too long"):
            refuse()
    with pytest.raises(CacheError, match="too long for Windows"):
        FeatureCache(tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []
    short(300)
    check_folder(tmp_path / "out")
    FeatureCache(tmp_path / "cache")


def test_parts_of_an_image_that_windows_does_not_find_are_not_black(
    tmp_path: Path, short: Callable[[int], None]
) -> None:
    path = tmp_path / "image.zarr"
    array = zarr.create_array(path, shape=(8, 8), chunks=(4, 4), dtype="u1")
    array[:] = np.ones((8, 8), np.uint8)
    short(len("/image.zarr/zarr.json"))
    source = open_scene(path)
    assert np.asarray(source.levels[0][:4, :4]).all()
    short(len("/image.zarr/c/0/0") - 1)
    with pytest.raises(ReadError, match="too long for Windows"):
        source.levels[0][:4, :4]
