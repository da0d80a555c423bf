"""Folders of large results come and go."""

import gc
import os
import subprocess
import sys

import pytest

from napari_gem import result_folders
from napari_gem.result_folders import PREFIX, ResultFolder, ResultFolders
from napari_gem.types import GemError


def test_a_folder_goes_with_the_last_that_holds_it(tmp_path):
    folders = ResultFolders(str(tmp_path / "features"))
    path = folders.new()
    assert path.parent.parent == tmp_path / "features-results"
    assert folders.new() != path
    path.mkdir()
    held = ResultFolder(path)
    assert path.is_dir()
    del held
    gc.collect()
    assert not path.exists()


def test_everything_goes_with_the_process(tmp_path):
    code = (
        "from napari_gem.result_folders import ResultFolders\n"
        f"folder = ResultFolders({str(tmp_path / 'f')!r}).new()\n"
        "folder.mkdir(); print(folder)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list((tmp_path / "f-results").iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path, monkeypatch):
    code = (
        "import os\nfrom napari_gem.result_folders import ResultFolders\n"
        f"ResultFolders({str(tmp_path / 'f')!r}).new().mkdir()\nos._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code])
    (left,) = (tmp_path / "f-results").glob(f"{PREFIX}*")
    mine = ResultFolders(str(tmp_path / "f")).new().parent
    assert left.is_dir()  # it is too young
    monkeypatch.setattr(result_folders, "YOUNG_SECONDS", 0.0)
    os.utime(left / "lock", (0, 0))
    ResultFolders(str(tmp_path / "f")).new()
    assert not left.exists()
    assert mine.is_dir()  # its process lives


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "f-results").write_text("")
    with pytest.raises(GemError, match="f-results' for large results cannot be"):
        ResultFolders(str(tmp_path / "f")).new()
