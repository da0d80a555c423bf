"""What is whole or not there, and what killed processes left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_gem.core import atomic
from napari_gem.core.appearance import Appearance
from napari_gem.core.atomic import (
    LOCK,
    PREFIX,
    Claim,
    delete,
    move,
    remove_leftover,
    remove_leftovers,
    unfinished_path,
    whole_file,
    write_whole,
)
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe
from napari_gem.evaluation import store
from napari_gem.layers.files.files import write_layers
from napari_gem.models import own_list
from napari_gem.prompts.sets import PromptSet, write_set
from napari_gem.results import save
from napari_gem.results.recipe import write_recipe
from napari_gem.results.table import write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.contact("leftovers")

CHILD = """
import sys
from pathlib import Path
from napari_gem.core.atomic import Claim
folder, kind = Path(sys.argv[1]), sys.argv[2]
claim = Claim(folder)
path = claim.path
if kind == "folder":
    path.mkdir()
    path = path / "labels"
if kind != "nothing":
    path.write_bytes(b"x" * 1000)
print(path, flush=True)
sys.stdin.read()
"""


@contextmanager
def child(folder: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to write in a folder."""
    command = [sys.executable, "-c", CHILD, str(folder), kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout
        assert process.stdout.readline()
        yield process
        process.kill()


def kill_in(folder: Path, kind: str) -> None:
    with child(folder, kind) as process:
        process.send_signal(signal.SIGKILL)
    names = {path.name for path in folder.iterdir()}
    assert any(name.endswith(LOCK) for name in names)
    assert kind == "nothing" or any(not name.endswith(LOCK) for name in names)


def save_result(folder: Path) -> None:
    with save.unfinished(folder) as part:
        (part / "it").mkdir()
        save.move_up(part, folder)


def layer(folder: Path) -> None:
    data = np.zeros((3, 3), np.uint8)
    from napari.layers import Points

    points = Points(data[:2, :2], name="it")
    write_layers(folder / "it", [points.as_layer_data_tuple()])


RECIPE = Recipe(
    model="embedded",
    revision="1",
    prompts=(Prompt(("cat",)),),
    encode=EncodeParameters(),
    score=ScoreParameters(),
    label=LabelParameters(),
    appearance=Appearance(rgb=True, limits=(0.0, 255.0)),
    device="cpu",
    precision="float32",
    version="1",
)

WRITERS: dict[str, Callable[[Path], object]] = {
    "results": save_result,
    "table": lambda folder: write_table({"a": [1]}, folder / "it.csv"),
    "layers": layer,
    "prompt set": lambda folder: write_set(
        folder / "it", PromptSet("a", prompts=(Prompt(("a",)),))
    ),
    "recipe": lambda folder: write_recipe(RECIPE, folder / "it.json"),
    "measurement": lambda folder: store.write_whole(folder / "it", b"1"),
    "own models": lambda _: own_list.add_own({"id": "a", "name": "a"}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_next_that_writes_removes_what_a_killed_process_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path))
    kill_in(tmp_path, "folder")
    kill_in(tmp_path, "file")
    with child(tmp_path, "folder") as living:
        WRITERS[writer](tmp_path)
        left = {path.name for path in tmp_path.iterdir() if path.name[0] == "."}
        assert len(left) == 2  # the other process and its lock
        living.kill()
    remove_leftovers(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name[0] == "."]


@pytest.mark.parametrize("kind", ["folder", "file", "nothing"])
def test_a_living_process_is_left_alone_and_a_dead_one_is_not(
    tmp_path: Path, kind: str
) -> None:
    with child(tmp_path, kind):
        before = sorted(tmp_path.rglob("*"))
        with unfinished_path(tmp_path) as path:
            path.mkdir()
        assert sorted(tmp_path.rglob("*")) == before
    with unfinished_path(tmp_path) as path:
        assert {each.name for each in tmp_path.iterdir()} == {path.name + LOCK}
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "it"
    write_whole(target, "old\n")
    with pytest.raises(ZeroDivisionError), whole_file(target) as path:
        path.write_text("new")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old\n"
    with pytest.raises(OSError), whole_file(target):
        pass  # nothing was written
    assert target.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [target]


def test_what_has_no_lock_is_left_alone_for_a_day(tmp_path: Path) -> None:
    young, old, fresh_inside = (tmp_path / f"{PREFIX}{n}" for n in range(3))
    for path in (young, old, fresh_inside):
        path.mkdir()
        (path / "it").touch()
    for path in (old, old / "it", fresh_inside):
        os.utime(path, (1, 1))
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {young, fresh_inside}


def test_links_are_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photograph").write_text("it")
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / f"{PREFIX}a").symlink_to(mine)
    (folder / f"{PREFIX}a{LOCK}").touch()
    (folder / f"{PREFIX}b{LOCK}").symlink_to(mine / "photograph")
    remove_leftovers(folder)
    assert (mine / "photograph").read_text() == "it"


def test_a_name_is_another_one_if_its_lock_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that looks for leftovers may come between the lock's file and the lock."""
    names = iter(["taken", "free"])
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda _: next(names))
    with atomic.FileLock(tmp_path / f"{PREFIX}taken{LOCK}"):
        claim = Claim(tmp_path)
        assert claim.path.name == f"{PREFIX}free"
        claim.release()


def test_a_file_system_without_locks_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(atomic.FileLock, "acquire", refuse)
    with unfinished_path(tmp_path) as path:
        path.mkdir()
        remove_leftovers(tmp_path)
        assert path.is_dir()  # nobody knows whether its process lives
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], list[Path]]:
    """Refuse to move to a name for a number of times, as Windows does what is open."""
    monkeypatch.setattr(atomic, "PAUSES", (0.0, 0.0, 0.0))

    def hold(name: str, times: int) -> list[Path]:
        refused: list[Path] = []
        replace = Path.replace

        def try_to(path: Path, target: Path) -> Path:
            if name in (path.name, Path(target).name) and len(refused) < times:
                refused.append(path)
                raise PermissionError(13, "Access is denied", str(path), 5)
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", try_to)
        return refused

    return hold


@pytest.mark.parametrize(("times", "moves"), [(3, True), (4, False)])
def test_what_is_held_open_for_a_moment_is_moved(
    tmp_path: Path, windows: Callable[[str, int], list[Path]], times: int, moves: bool
) -> None:
    (tmp_path / "source").write_text("new")
    (tmp_path / "target").write_text("old")
    refused = windows("target", times)
    if moves:
        move(tmp_path / "source", tmp_path / "target")
    else:
        with pytest.raises(
            PermissionError, match="'target' is used by another program"
        ):
            move(tmp_path / "source", tmp_path / "target")
    assert len(refused) == times
    assert (tmp_path / "target").read_text() == ("new" if moves else "old")


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize(("times", "goes"), [(3, True), (4, False)])
def test_what_is_held_open_for_a_moment_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, times: int, goes: bool
) -> None:
    monkeypatch.setattr(atomic, "PAUSES", (0.0, 0.0, 0.0))
    path, unlink = tmp_path / "model", Path.unlink
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text("weights")
    refused: list[object] = []

    def refuse_often(*arguments: object) -> None:
        if len(refused) < times:
            refused.append(arguments)
            raise PermissionError(13, "Access is denied", str(path), 5)
        path.rmdir() if kind == "folder" else unlink(path)

    monkeypatch.setattr(Path, "unlink", refuse_often)
    monkeypatch.setattr(atomic.shutil, "rmtree", refuse_often)
    if goes:
        delete(path)
    else:
        with pytest.raises(PermissionError, match="'model' is used by another program"):
            delete(path)
    assert path.exists() != goes
    monkeypatch.undo()
    delete(path)
    delete(path)  # what is not there is no error


@pytest.mark.parametrize("error", [FileNotFoundError(2, ""), OSError(28, "full")])
def test_what_no_time_heals_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    tried: list[Path] = []

    def fail(path: Path, _: Path) -> None:
        tried.append(path)
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(type(error)):
        move(tmp_path / "a", tmp_path / "b")
    assert len(tried) == 1


@pytest.mark.parametrize("held", ["labels.zarr", "probabilities.zarr"])
def test_results_that_are_open_elsewhere_stay_as_they_were(
    tmp_path: Path, windows: Callable[[str, int], list[Path]], held: str
) -> None:
    names = ["labels.zarr", "probabilities.zarr"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "it").write_text("old")

    def write() -> None:
        with save.unfinished(tmp_path) as part:
            for name in names:
                (part / name).mkdir()
                (part / name / "it").write_text("new")
            save.move_up(part, tmp_path)

    windows(held, 4)
    with pytest.raises(GemError, match=f"'{held}' is used by another program"):
        write()
    assert [(tmp_path / name / "it").read_text() for name in names] == ["old", "old"]
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    write()
    assert [(tmp_path / name / "it").read_text() for name in names] == ["new", "new"]


def test_what_the_system_holds_open_keeps_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Claim(tmp_path)
    claim.path.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(atomic.shutil, "rmtree", lambda *_, **__: None)
        claim.release()
        assert len(list(tmp_path.iterdir())) == 2
        assert not remove_leftover(claim.path)
    assert remove_leftover(claim.path)
    assert list(tmp_path.iterdir()) == []
