"""Folders of large results come and go."""

import gc
import subprocess
import sys

import pytest

from napari_gem.core.errors import GemError
from napari_gem.results.temporary import ResultFolder, ResultFolders


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
        "from napari_gem.results.temporary import ResultFolders\n"
        f"folder = ResultFolders({str(tmp_path / 'f')!r}).new()\n"
        "folder.mkdir(); print(folder)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list((tmp_path / "f-results").iterdir()) == []


@pytest.mark.contact("leftovers")
def test_what_a_killed_process_left_is_removed(tmp_path):
    code = (
        "import os\nfrom napari_gem.results.temporary import ResultFolders\n"
        f"ResultFolders({str(tmp_path / 'f')!r}).new().mkdir()\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code])
    base = tmp_path / "f-results"
    assert len(list(base.iterdir())) == 2  # a folder and its lock
    mine = ResultFolders(str(tmp_path / "f")).new().parent
    ResultFolders(str(tmp_path / "f")).new()
    assert mine.is_dir()  # its process lives
    assert len([path for path in base.iterdir() if path.is_dir()]) == 2


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "f-results").write_text("")
    with pytest.raises(GemError, match="f-results' for large results cannot be"):
        ResultFolders(str(tmp_path / "f")).new()
