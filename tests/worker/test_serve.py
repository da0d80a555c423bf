from __future__ import annotations

import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from napari_gem.core import bounds
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.memory import NO_MEMORY, NoMemoryError, is_out_of_memory
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.progress import Progress, run
from napari_gem.core.prompts import Prompt
from napari_gem.core.region import Region
from napari_gem.core.results import Job
from napari_gem.core.word_comparison import WordOrder
from napari_gem.encoding import interim
from napari_gem.images.references import reference_to_array, reference_to_plane
from napari_gem.images.stack import FilePlane
from napari_gem.segmentation.image_cache import ImageCache
from napari_gem.worker import arrays
from napari_gem.worker.arrays import load_array, save_array
from napari_gem.worker.messages import (
    Cancel,
    Failed,
    Finished,
    Interim,
    Progressed,
    Request,
    Storage,
    from_line,
    to_line,
)
from napari_gem.worker.serve import Worker
from napari_gem.worker.session import LostImageError, Session
from tests.change_request import change
from tests.tiny import write_tiny_model

RGB = Appearance(rgb=True, limits=(0.0, 255.0))
REQUEST = Request(
    1,
    Job(
        appearance=RGB,
        prompts=(Prompt(("cat",)),),
        encode=EncodeParameters(tile=6, overlap=2),
        score=ScoreParameters(background=("sky",), near=2.0),
    ),
    "pixels.npy",
)


@pytest.mark.parametrize(
    "message",
    [
        REQUEST,
        Cancel(3),
        Progressed(2, Progress("Encoding", 1, 5, 0.5)),
        Failed(1, 'two\nlines \u2028 and ”quotes"', "é"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_are_one_line_and_come_back(message: arrays.Message) -> None:
    line = to_line(message)
    assert line.count(b"\n") == 1
    assert from_line(line) == message


@pytest.mark.parametrize(
    "line", [b"", b"what?", b"{}", b"[1]", b'{"Other": {}}', b'{"Cancel": {}}', b"\xff"]
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(GemError):
        from_line(line)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=10)
    monkeypatch.setattr(arrays.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(GemError, match="TMPDIR"):
        save_array(tmp_path / "a.npy", np.zeros(100))


def test_damaged_pixels_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    save_array(path, np.zeros((50, 50)))
    path.write_bytes(path.read_bytes()[:200])
    for content in (path, tmp_path / "none.npy"):
        with pytest.raises(GemError, match="could not be read"):
            load_array(content, mapped=True)


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    cache = ImageCache(limit=250)
    tile = (np.zeros(20, np.float32), np.zeros(5, np.float32))
    for key in "ab":
        cache.get(key).partial[0] = tile
    cache.get("a")
    cache.get("c").partial[0] = tile
    cache.trim()
    assert len(cache) == 2
    assert [bool(cache.get(key).partial) for key in "acb"] == [True, True, False]
    cache.get("d").partial = dict.fromkeys(range(9), tile)
    cache.trim()
    assert len(cache) == 1
    assert len(cache.get("d").partial) == 9


def test_memory_errors_are_known() -> None:
    import torch

    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (...)"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.fixture
def request_of_tiny(tmp_path: Path) -> Request:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    save_array(tmp_path / "pixels.npy", pixels)
    model = write_tiny_model(tmp_path / "tiny")
    return change(REQUEST, pixels=str(tmp_path / "pixels.npy"), model=str(model))


def test_new_weights_in_the_same_place_are_loaded(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    session = Session(tmp_path)
    first = run(session.steps(request_of_tiny))
    again = run(session.steps(request_of_tiny))
    write_tiny_model(tmp_path / "tiny", seed=1)
    other = run(session.steps(request_of_tiny))
    assert [r.is_new for r in (first, again, other)] == [True, False, True]
    assert (
        first.result.recipe.revision
        == again.result.recipe.revision
        != other.result.recipe.revision
    )


def test_words_are_compared_on_an_encoded_image_alone(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    session = Session(tmp_path)
    first = run(session.steps(request_of_tiny))
    classes = (Prompt(("cat",), 3),)
    asked = change(request_of_tiny, pixels="", encoded=first.encoded, prompts=classes)
    asked = replace(asked, order=WordOrder(3, ("kitten", "cat")))
    assert from_line(to_line(asked)) == asked
    compared = run(session.steps(asked))
    assert from_line(to_line(compared)) == compared
    assert {word.word for word in compared.compared.words} == {"kitten", "cat"}
    assert load_array(Path(compared.maps)).shape[:2] == (2, 2)
    with pytest.raises(GemError, match="not in the table"):
        run(session.steps(replace(asked, order=WordOrder(4, ("cat",)))))
    with pytest.raises(LostImageError):
        run(session.steps(replace(asked, encoded="other")))


def test_another_model_comes_when_the_former_is_gone(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    other = write_tiny_model(tmp_path / "other", seed=1)
    session = Session(tmp_path)
    first = run(session.steps(request_of_tiny))
    model = session._model
    assert model is not None
    former = weakref.ref(next(model.backbone._clip.parameters()))
    del model
    steps = session.steps(change(request_of_tiny, model=str(other)))
    while next(steps).stage != "Loading model":
        assert former() is not None
    assert former() is None
    run(steps)
    # the features of the former are of no use to the words of this one
    asked = change(request_of_tiny, pixels="", encoded=first.encoded)
    with pytest.raises(GemError, match="Press Run"):
        run(session.steps(asked))
    # but they are kept for when it is chosen again
    assert not run(session.steps(request_of_tiny)).is_new


def test_a_model_that_does_not_load_leaves_none(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    session = Session(tmp_path)
    run(session.steps(request_of_tiny))
    with pytest.raises(GemError, match="holds no"):
        (tmp_path / "empty").mkdir()
        run(session.steps(change(request_of_tiny, model=str(tmp_path / "empty"))))
    assert run(session.steps(request_of_tiny)).result.labels


def test_an_encoded_image_is_scored_without_its_pixels(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    session = Session(tmp_path)
    first = run(session.steps(request_of_tiny))
    assert first.encoded
    assert first.result.patch == 8
    Path(request_of_tiny.pixels).unlink()
    words = (Prompt(("cat",)), Prompt(("dog",), label=7))
    asked = change(
        request_of_tiny, run=2, pixels="", encoded=first.encoded, prompts=words
    )
    again = run(session.steps(asked))
    assert not again.is_new
    assert len(again.result.shares) == 2
    assert set(np.unique(load_array(Path(again.result.labels)))) <= {0, 1, 7}
    session.forget()
    with pytest.raises(LostImageError, match="Press Run"):
        run(session.steps(asked))
    with pytest.raises(LostImageError, match="Press Run"):
        run(session.steps(change(asked, encoded="other")))


@pytest.mark.parametrize(("memory", "again"), [(1, False), (0, True)])
def test_slices_of_a_stack_are_encoded_once_if_they_fit(
    tmp_path: Path, request_of_tiny: Request, memory: int, again: bool
) -> None:
    rng = np.random.default_rng(0)
    session, asked = Session(tmp_path, Storage(memory)), []
    for number in range(3):
        path = tmp_path / f"slice-{number}.npy"
        save_array(path, rng.integers(0, 255, (40, 40, 3)).astype(np.uint8))
        asked.append(change(request_of_tiny, pixels=str(path)))
    rounds = []
    for _ in range(2):
        for request in asked:
            rounds.append(run(session.steps(request)))
            session.images.trim()
    assert [finished.is_new for finished in rounds] == [*[True] * 3, *[again] * 3]
    assert len({finished.encoded for finished in rounds}) == 3


def test_a_preview_is_small(tmp_path: Path, request_of_tiny: Request) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 1100)).astype(np.uint8)
    save_array(Path(request_of_tiny.pixels), pixels)
    grey = change(request_of_tiny, appearance=Appearance(limits=(0.0, 255.0)))
    session = Session(tmp_path)
    finished = run(session.steps(replace(grey, preview=True)))
    assert finished.step == 3
    assert load_array(Path(finished.result.labels)).shape == (14, 367)
    assert load_array(Path(finished.result.probabilities)).shape == (1, 14, 367)


def test_a_large_image_is_told_row_by_row_and_written_to_its_folder(
    tmp_path: Path, request_of_tiny: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interim, "FIRST", 0.0)
    monkeypatch.setattr(interim, "MORE", 0.0)
    pixels = np.random.default_rng(0).integers(0, 255, (150, 60, 3)).astype(np.uint8)
    save_array(Path(request_of_tiny.pixels), pixels)
    small = run(Session(tmp_path).steps(request_of_tiny))
    labels = load_array(Path(small.result.labels))
    progress: list[Progress | Interim] = []
    session = Session(tmp_path)
    folder = tmp_path / "result"
    asked = change(request_of_tiny, folder=str(folder), pixel_size=(2.0, 3.0))
    finished = run(session.steps(change(asked, unit="nm")), progress.append)
    assert (finished.folder, finished.step) == (str(folder), 1)
    assert finished.result.labels == str(folder / "labels.zarr")
    assert finished.result.shares == pytest.approx(small.result.shares)
    stored = zarr.open_group(store=str(folder / "labels.zarr"), mode="r")
    np.testing.assert_array_equal(np.asarray(stored["0"]), labels)
    assert dict(stored.attrs)["ome"]["multiscales"][0]["axes"][0]["unit"] == (
        "nanometer"
    )
    looks = [event.preview.result for event in progress if isinstance(event, Interim)]
    assert len(looks) > 1
    rows = [look.recipe.region.rows[1] for look in looks if look.recipe.region]
    assert rows == sorted(set(rows))
    assert rows[-1] < 150
    for look in looks:
        maps = load_array(Path(look.probabilities))
        end = look.recipe.region.rows[1]
        assert maps.shape == (1, 150, 60)
        assert maps[:, :end].any(axis=(0, 2)).all()
        assert not maps[:, end:].any()
    # what is encoded is scored again, as a preview as well
    again = run(session.steps(change(asked, encoded=finished.encoded, preview=True)))
    assert (again.folder, load_array(Path(again.result.labels)).shape) == (
        "",
        (150, 60),
    )


@pytest.mark.parametrize("kind", ["reference", "NaN", "mask"])
def test_previews_of_large_images_have_no_labels_where_there_is_no_data(
    kind: str, tmp_path: Path, request_of_tiny: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_HELD", 1)
    for name in ("FIRST", "MORE"):
        monkeypatch.setattr(interim, name, 0.0)
    hole = np.zeros((1100, 40), bool)
    hole[200:500, 10:30] = True
    pixels = np.random.default_rng(0).integers(1, 255, hole.shape).astype(np.float32)
    pixels[hole] = np.nan if kind == "NaN" else 0
    asked = change(request_of_tiny, folder=str(tmp_path / "result"))
    asked = change(asked, appearance=Appearance(limits=(0.0, 255.0)))
    if kind == "reference":
        np.save(tmp_path / "image.npy", pixels)
        plane = FilePlane(str(tmp_path / "image.npy"), nodata="0")
        asked = change(asked, pixels="", reference=reference_to_plane(plane))
    else:
        save_array(Path(asked.pixels), pixels)
    if kind == "mask":
        save_array(tmp_path / "valid.npy", ~hole)
        asked = replace(asked, valid=str(tmp_path / "valid.npy"))
    events: list[Progress | Interim] = []
    session = Session(tmp_path)
    finished = run(session.steps(asked), events.append)
    labels = zarr.open_group(store=finished.result.labels, mode="r")["0"][:]
    assert not labels[hole].any()
    assert labels.any()
    again = change(asked, encoded=finished.encoded, preview=True)
    previews = [event.preview for event in events if isinstance(event, Interim)]
    previews.append(run(session.steps(replace(again, pixels="", reference=None))))
    assert len(previews) > 1
    for preview in previews:
        assert preview.step == 3
        small = load_array(Path(preview.result.labels))
        maps = load_array(Path(preview.result.probabilities))
        assert not small[hole[::3, ::3]].any()
        assert not maps[:, hole[::3, ::3]].any()
    counted = (small > 0).sum() / (~hole[::3, ::3]).sum()
    assert sum(preview.result.shares) == pytest.approx(counted)


def test_an_image_is_read_where_it_lies_and_told_if_it_is_another(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    pixels = load_array(Path(request_of_tiny.pixels))
    stored = zarr.create_array(tmp_path / "scene.zarr", data=pixels)
    asked = change(request_of_tiny, pixels="", reference=reference_to_array(stored))
    assert from_line(to_line(asked)) == asked
    session = Session(tmp_path)
    finished = [run(session.steps(each)) for each in (request_of_tiny, asked)]
    assert [each.is_new for each in finished] == [True, False]  # the same pixels
    stored[:] = 0
    with pytest.raises(GemError, match=r"scene\.zarr' is not what was shown"):
        run(session.steps(asked))


def test_detail_is_image_pixels_per_patch(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    finished = run(Session(tmp_path).steps(change(request_of_tiny, detail=5.0)))
    assert finished.result.patch == pytest.approx(5)
    assert finished.result.recipe.encode.zoom == pytest.approx(8 / 5)


def test_the_whole_image_goes_on_from_a_region(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (150, 150, 3)).astype(np.uint8)
    save_array(Path(request_of_tiny.pixels), pixels)
    session, progress = Session(tmp_path), []

    def tiles(request: Request) -> int:
        progress.clear()
        run(session.steps(request), progress.append)
        done = [step.done for step in progress if step.stage == "Encoding"]
        return done[-1] - done[0] if done else 0

    first = change(request_of_tiny, region=Region((0, 40), (0, 40)))
    part = tiles(first)
    assert tiles(first) == 0
    rest = tiles(request_of_tiny)
    assert part > 0
    assert rest > 0
    assert tiles(change(first, region=Region((60, 90), (60, 90)))) == 0
    whole = run(Session(tmp_path).steps(request_of_tiny))
    assert part + rest == 25
    assert whole.result.recipe.region is None


class Pipe:
    """The worker's end of a pipe, in memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "smaller detail"),
        (NoMemoryError(NO_MEMORY), "smaller detail"),
        (KeyError("x"), "unexpected"),
        (GemError("Do this."), "Do this."),
    ],
    ids=["memory", "no memory", "unexpected", "bad input"],
)
def test_errors_become_sentences(
    tmp_path: Path,
    request_of_tiny: Request,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    worker = Worker(tmp_path, Pipe(), Pipe())  # type: ignore[arg-type]
    worker._wanted = request_of_tiny.run
    with monkeypatch.context() as patch:
        patch.setattr("napari_gem.segmentation.job.segment_steps", fail)
        failed = worker._answer(request_of_tiny)
    assert isinstance(failed, Failed)
    assert words in failed.message
    assert ("Traceback" in failed.details) == (not isinstance(error, GemError))
    finished = worker._answer(request_of_tiny)
    assert isinstance(finished, Finished)
    # the memory was given back, else the features are still there
    assert finished.is_new == isinstance(error, (MemoryError, NoMemoryError))


def test_the_process_keeps_the_pipe_clean_and_ends_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    code = (
        "import os, sys; from napari_gem.worker import serve\n"
        "def heavy(): print('noise'); os.system('echo more noise')\n"
        "serve._import_heavy = heavy; serve.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        input=b"",
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert b"noise" not in done.stdout
    assert not folder.exists()


def test_a_later_session_finds_the_image_on_disk(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    storage = Storage(disk=1, folder=str(tmp_path / "encoded"))
    first = run(Session(tmp_path, storage).steps(request_of_tiny))
    assert first.is_new
    maps = load_array(Path(first.result.probabilities))
    stages: list[str] = []
    later = run(
        Session(tmp_path, storage).steps(request_of_tiny),
        lambda progress: stages.append(progress.stage),
    )
    assert not later.is_new
    assert "Encoding" not in stages
    np.testing.assert_array_equal(load_array(Path(later.result.probabilities)), maps)
    kept_none = run(Session(tmp_path).steps(request_of_tiny))
    np.testing.assert_array_equal(
        load_array(Path(kept_none.result.probabilities)), maps
    )


def test_a_folder_that_cannot_be_used_is_told_and_the_run_goes_on(
    tmp_path: Path, request_of_tiny: Request
) -> None:
    (tmp_path / "file").touch()
    storage = Storage(disk=1, folder=str(tmp_path / "file" / "encoded"))
    finished = run(Session(tmp_path, storage).steps(request_of_tiny))
    assert finished.is_new
    assert any("kept in memory only" in notice for notice in finished.result.notices)


@pytest.mark.contact("damaged caches")
def test_features_that_are_damaged_while_they_are_used_are_encoded_anew(
    tmp_path: Path, request_of_tiny: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_gem.encoding.feature_cache.IN_MEMORY", 0)
    storage = Storage(disk=1, folder=str(tmp_path / "encoded"))
    worker = Worker(tmp_path, Pipe(), Pipe(), storage)  # type: ignore[arg-type]
    worker._wanted = request_of_tiny.run
    first = worker._answer(request_of_tiny)
    assert isinstance(first, Finished)
    (chunk,) = (tmp_path / "encoded").glob("*/features/c/0/0/0")
    content = chunk.read_bytes()
    chunk.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    words = change(request_of_tiny, encoded=first.encoded, prompts=(Prompt(("dog",)),))
    failed = worker._answer(words)
    assert isinstance(failed, Failed)
    assert failed.lost
    assert "Run again" in failed.message
    again = worker._answer(request_of_tiny)
    assert isinstance(again, Finished)
    assert again.is_new
    assert any("encoded anew" in notice for notice in again.result.notices)
    maps = [load_array(Path(each.result.probabilities)) for each in (first, again)]
    np.testing.assert_array_equal(*maps)
