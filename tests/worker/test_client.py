"""The worker with real processes, real files and a small real model."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_gem.core.appearance import Appearance
from napari_gem.core.atomic import remove_leftovers
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job
from napari_gem.worker import client, process
from napari_gem.worker.client import FOLDER_PREFIX, WorkerClient
from napari_gem.worker.messages import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Progressed,
    Request,
)
from tests.change_request import change
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
pytestmark = pytest.mark.slow

ENCODE = EncodeParameters(tile=4, overlap=2)
SCORE = ScoreParameters(background=("sky",), templates=("{}",), near=2.0)
RGB = Appearance(rgb=True, limits=(0.0, 255.0))


def picture(size: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (size, size, 3)).astype(np.uint8)


SMALL = picture(60)
LARGE = picture(1000)  # thousands of tiles


class Listener:
    """A client and what it said."""

    def __init__(self, model: Path) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.client = WorkerClient(self.events.put)
        self.model = str(model)

    def submit(self, pixels: object = SMALL, *words: str, **asked: object) -> int:
        prompts = tuple(Prompt((word,)) for word in words or ("cat", "dog"))
        job = Job(
            appearance=RGB,
            prompts=prompts,
            model=self.model,
            encode=ENCODE,
            score=SCORE,
        )
        return self.client.submit(pixels, change(Request(0, job), **asked))

    def wait(
        self, wanted: Callable[[Event], object], seconds: float = 200
    ) -> tuple[Event, list[Event]]:
        before = []
        end = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(0.01, end - time.monotonic()))
            if wanted(event):
                return event, before
            before.append(event)

    def end(self, run: int, seconds: float = 200) -> Event:
        """The run's last event; no event of an earlier run may come before it."""
        event, before = self.wait(lambda e: not isinstance(e, Progressed), seconds)
        assert event.run == run
        assert {e.run for e in before} <= {0, run}
        assert not self.client.running
        return event

    def encoding(self, done: int = 2) -> None:
        """Wait until some tiles are done."""
        self.wait(
            lambda e: (
                isinstance(e, Progressed)
                and e.progress.stage == "Encoding"
                and e.progress.done >= done
            )
        )

    def files(self) -> set[str]:
        assert self.client._folder
        return {p.name for p in self.client._folder.iterdir()} - {"log.txt"}


def gone(pid: int, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # killed, and its parent too: nobody in a container may wait for it
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and ") Z " in state.read_text():
            return True
        time.sleep(0.05)
    return False


def write_maps(listener: Listener, run: int) -> None:
    """Put maps where a worker that ends while it writes them leaves them."""
    assert listener.client._folder
    for name in ("probabilities", "labels"):
        (listener.client._folder / f"{name}-{run}.npy").touch()


def run_files(listener: Listener, run: int) -> set[str]:
    return {name for name in listener.files() if name.endswith(f"-{run}.npy")}


def run_folders(temporary: Path) -> set[Path]:
    return set(temporary.glob(f"{FOLDER_PREFIX}*"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for temporary files, with nothing of ours in it at the end."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("TMPDIR", str(folder))
        # two threads on a busy computer wait for each other
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder
    assert not run_folders(folder)


@contextmanager
def new_listener(model: Path) -> Iterator[Listener]:
    listener = Listener(model)
    try:
        yield listener
    finally:
        listener.client.close(wait=5)


@pytest.fixture(scope="module")
def listener(model: Path, temporary: Path) -> Iterator[Listener]:
    with new_listener(model) as shared:
        shared.client.start()
        yield shared


def test_maps_are_those_of_the_pipeline(listener: Listener, model: Path) -> None:
    from napari_gem import load_model
    from napari_gem.segmentation.pipeline import encode, segment

    run = listener.submit(SMALL, "cat", "dog")
    assert listener.client.running
    finished = listener.end(run)
    assert isinstance(finished, Finished)
    assert finished.is_new
    probabilities, labels = listener.client.load_maps(finished)
    assert listener.files() == set()
    loaded = load_model(str(model))
    features = encode(SMALL, loaded, appearance=RGB, parameters=ENCODE)
    expected = segment(features, ["cat", "dog"], loaded, parameters=SCORE)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities, expected.probabilities, atol=1e-5)
    assert (labels == expected.labels).mean() > 0.999
    assert finished.result.recipe == expected.recipe


def test_new_words_encode_nothing_and_a_lazy_image_is_read(listener: Listener) -> None:
    listener.end(listener.submit(SMALL))
    listener.submit(lambda: SMALL.copy(), "tree")
    finished, before = listener.wait(lambda e: not isinstance(e, Progressed))
    assert isinstance(finished, Finished)
    assert not finished.is_new
    stages = {e.progress.stage for e in before if isinstance(e, Progressed)}
    assert not stages & {"Loading model", "Encoding"}
    assert [p.name for p in finished.result.recipe.prompts] == ["tree"]
    listener.client.load_maps(finished)


def test_a_large_image_on_disk_is_read_where_it_lies(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = zarr.create_array(tmp_path / "scene.zarr", data=SMALL)
    rows = SimpleNamespace(
        shape=SMALL.shape, dtype=SMALL.dtype, ndim=SMALL.ndim, whole=scene
    )
    monkeypatch.setattr(client, "save_array", None)  # nothing is copied
    prompts = (Prompt(("cat",)),)
    job = Job(
        appearance=RGB,
        prompts=prompts,
        model=listener.model,
        encode=ENCODE,
        score=SCORE,
    )
    request = Request(0, job)
    finished = listener.end(listener.client.submit(rows, request, large=True))
    assert isinstance(finished, Finished)
    labels = zarr.open_group(f"{finished.folder}/labels.zarr")["0"]
    assert labels.shape == SMALL.shape[:2]
    client.discard(finished)


@pytest.mark.parametrize(
    "changed",
    [
        {"pixels": picture(60, seed=1)},
        {"appearance": Appearance(rgb=True, limits=(0.0, 200.0))},
        {"encode": EncodeParameters(tile=4, overlap=2, zoom=1.5)},
        {"precision": "bfloat16"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_decides_features_is_encoded_anew(
    listener: Listener, changed: dict
) -> None:
    listener.end(listener.submit(SMALL))
    pixels = changed.get("pixels", SMALL)
    asked = {k: v for k, v in changed.items() if k != "pixels"}
    finished = listener.end(listener.submit(pixels, **asked))
    assert isinstance(finished, Finished)
    assert finished.is_new


def test_a_cancelled_run_is_taken_up(listener: Listener) -> None:
    run = listener.submit(LARGE)
    listener.encoding(done=30)
    listener.client.cancel()
    pid = listener.client.process_id
    assert listener.end(run) == Cancelled(run)
    run = listener.submit(LARGE)
    first, _ = listener.wait(
        lambda e: isinstance(e, Progressed) and e.progress.stage == "Encoding"
    )
    assert isinstance(first, Progressed)
    assert first.progress.done >= 30
    assert listener.client.process_id == pid
    listener.client.cancel()
    listener.end(run)


def test_cancelled_before_it_is_sent(listener: Listener) -> None:
    read = threading.Event()

    def slow() -> np.ndarray:
        read.wait(60)
        return SMALL

    run = listener.submit(slow)
    listener.client.cancel()
    assert listener.end(run, seconds=50) == Cancelled(run)
    read.set()
    assert isinstance(listener.end(listener.submit(SMALL)), Finished)


def test_cancel_without_a_run_is_nothing(listener: Listener) -> None:
    listener.client.cancel()
    with pytest.raises(Empty):
        listener.events.get(timeout=0.1)


def test_a_newer_run_replaces_the_older(listener: Listener) -> None:
    listener.submit(LARGE)
    listener.encoding()
    listener.submit(LARGE, "tree")
    newest = listener.submit(SMALL, "house")
    finished, _ = listener.wait(
        lambda e: not isinstance(e, Progressed) and e.run == newest
    )
    assert isinstance(finished, Finished)
    assert [p.name for p in finished.result.recipe.prompts] == ["house"]
    with pytest.raises(Empty):
        listener.wait(lambda e: e.run != newest, seconds=0.3)
    assert all(f"-{newest}." in name for name in listener.files() if "pixels" in name)


@pytest.mark.parametrize(
    ("pixels", "asked", "words"),
    [
        (np.zeros((3, 4, 5, 6)), {}, "shape"),
        (np.array([[None]]), {}, "type object"),
        (SMALL[..., 0], {}, "RGB"),
        (SMALL, {"model": "no such model"}, "There is no model"),
        (SMALL, {"appearance": Appearance(True, (0.0, float("nan")))}, "limits"),
        (lambda: 1 / 0, {}, "ZeroDivisionError"),
    ],
    ids=["axes", "objects", "grey", "model", "limits", "unreadable"],
)
def test_bad_input_is_told_and_the_model_is_kept(
    listener: Listener, pixels: object, asked: dict, words: str
) -> None:
    listener.end(listener.submit(SMALL))
    run = listener.submit(pixels, **asked)
    failed = listener.end(run)
    assert isinstance(failed, Failed)
    assert words in failed.message
    assert not run_files(listener, run)
    run = listener.submit(SMALL)
    finished, before = listener.wait(lambda e: isinstance(e, Finished))
    assert finished.run == run
    stages = {e.progress.stage for e in before if isinstance(e, Progressed)}
    assert "Loading model" not in stages


def test_an_error_of_the_listener_does_not_end_the_client(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(event: Event) -> None:
        listener.events.put(event)
        raise RuntimeError("broken")

    monkeypatch.setattr(listener.client, "_on_event", broken)
    assert isinstance(listener.end(listener.submit(SMALL)), Finished)


@posix
def test_a_stuck_worker_is_replaced(listener: Listener) -> None:
    run = listener.submit(LARGE)
    listener.encoding()
    pid = listener.client.process_id
    assert pid
    os.kill(pid, signal.SIGSTOP)
    write_maps(listener, run)
    listener.client.cancel()
    assert listener.end(run) == Cancelled(run)
    assert gone(pid)
    assert isinstance(listener.end(listener.submit(SMALL)), Finished)
    assert not run_files(listener, run)


@posix
def test_a_killed_worker_is_told_and_replaced(listener: Listener) -> None:
    run = listener.submit(LARGE)
    listener.encoding()
    assert listener.client.process_id
    write_maps(listener, run)
    os.kill(listener.client.process_id, signal.SIGKILL)
    failed = listener.end(run)
    assert isinstance(failed, Failed)
    assert "SIGKILL" in failed.message
    assert "Press Run again" in failed.message
    assert not run_files(listener, run)
    assert isinstance(listener.end(listener.submit(SMALL)), Finished)


def test_closing_in_the_middle(model: Path) -> None:
    with new_listener(model) as listener:
        listener.submit(LARGE)
        listener.encoding()
        pid, folder = listener.client.process_id, listener.client._folder
        assert pid
        assert folder
        listener.client.close()
        listener.client.close()
        listener.client.close(wait=20)
        assert gone(pid)
        assert not folder.exists()
        assert not listener.client.running
        with pytest.raises(RuntimeError, match="closed"):
            listener.submit()


def test_closing_unused_makes_nothing(model: Path, temporary: Path) -> None:
    with new_listener(model):
        before = run_folders(temporary)
    assert run_folders(temporary) == before


def test_a_worker_that_does_not_start_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_command", lambda *_: [str(tmp_path / "none")])
    with new_listener(model) as listener:
        failed = listener.end(listener.submit(SMALL))
        assert isinstance(failed, Failed)
        assert "could not be started" in failed.message
        monkeypatch.setattr(
            process,
            "_command",
            lambda *_: [sys.executable, "-c", "print('what?'); exit(3)"],
        )
        failed = listener.end(listener.submit(SMALL))
        assert isinstance(failed, Failed)
        assert "ended unexpectedly" in failed.message
        assert failed.lost


def test_a_frozen_application_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(
        process.multiprocessing.spawn, "get_executable", lambda: sys.executable
    )
    with pytest.raises(GemError, match="no Python interpreter"):
        process._command(Path("folder"), 1)


@pytest.mark.contact("leftovers")
def test_leftovers_are_removed_and_the_living_stay(
    listener: Listener, temporary: Path
) -> None:
    listener.end(listener.submit(SMALL))
    living = listener.client._folder
    assert living
    dead = temporary / f"{FOLDER_PREFIX}dead"
    dead.mkdir()
    (dead / "pixels-1.npy").touch()
    dead.with_name(f"{dead.name}.lock").touch()
    remove_leftovers(Path(tempfile.gettempdir()), FOLDER_PREFIX)
    assert run_folders(temporary) == {living, living.with_name(f"{living.name}.lock")}


SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
print("script starts", flush=True)
from napari_gem.worker.client import WorkerClient
from napari_gem import Appearance, EncodeParameters, Prompt
from napari_gem.core.results import Job
from napari_gem.worker.messages import Request

def on_event(event):
    print(type(event).__name__, event.run, flush=True)

client = WorkerClient(on_event)
image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
request = Request(
    0,
    Job(
        appearance=Appearance(True, (0, 255)),
        prompts=(Prompt(("cat",)),),
        model=sys.argv[1],
        encode=EncodeParameters(tile=4, overlap=2),
    ),
)
client.submit(image, request)
while client.running:
    time.sleep(0.05)
    if client.process_id and SIZE > 60:
        print("pid", client.process_id, flush=True)
print("torch" in sys.modules, flush=True)
"""


def test_a_script_without_guard_runs_once(model: Path, tmp_path: Path) -> None:
    """It ends without `close`, and files beside it are not taken for modules."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.replace("SIZE", "60")))
    (tmp_path / "torch.py").write_text("raise SystemExit(1)")
    done = subprocess.run(
        [sys.executable, script, model],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=200,
    )
    lines = done.stdout.splitlines()
    assert lines.count("script starts") == 1, done.stderr
    assert "Finished 1" in lines
    assert lines[-1] == "False"
    assert done.returncode == 0
    assert not done.stderr


@posix
def test_the_worker_ends_with_a_killed_viewer(model: Path, temporary: Path) -> None:
    before = run_folders(temporary)
    code = SCRIPT.replace("SIZE", "1000")
    with subprocess.Popen(
        [sys.executable, "-c", code, model], stdout=subprocess.PIPE, text=True
    ) as viewer:
        assert viewer.stdout
        pid = 0
        count = 0
        for line in viewer.stdout:
            count += line.startswith("Progressed 1")
            pid = int(line.split()[1]) if line.startswith("pid") else pid
            if count > 8 and pid:
                break
        assert pid
        assert run_folders(temporary) > before
        viewer.kill()
    assert gone(pid)
    end = time.monotonic() + 30
    while run_folders(temporary) != before and time.monotonic() < end:
        time.sleep(0.05)
    assert run_folders(temporary) == before


# --- whatever a job raises


@contextmanager
def no_temporary_folder(broken: str, folder: Path) -> Iterator[None]:
    """Let the system have no usable folder for temporary files."""

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        if broken == "none is usable":
            patch.setattr(tempfile, "tempdir", None)
            patch.setattr(tempfile, "_candidate_tempdir_list", list)
        elif broken == "full":
            patch.setattr(client, "Claim", full)
        else:
            folder.joinpath("file").write_text("")
            patch.setattr(tempfile, "tempdir", str(folder / broken))
        yield


@pytest.mark.contact("remembered state")
def test_without_a_temporary_folder_a_run_ends_and_the_next_one_works(
    model: Path, tmp_path: Path
) -> None:
    with new_listener(model) as listener:
        for broken in ("none is usable", "full", "gone", "file"):
            with no_temporary_folder(broken, tmp_path):
                for _ in range(2):
                    failed = listener.end(listener.submit())
                    assert isinstance(failed, Failed)
                    assert "could not be started" in failed.message
                    assert "press Run again" in failed.message
                    listener.client.cancel()  # does no harm
        assert isinstance(listener.end(listener.submit()), Finished)


class OddError(Exception):
    def __str__(self) -> str:
        return "odd \ud800"


@pytest.mark.contact("remembered state")
def test_the_client_survives_a_job_that_fails(model: Path) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise OddError

    with new_listener(model) as listener:
        for name in ("_begin", "_prepared", "_need_process", "_cancel"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(listener.client, name, fail)
                run = listener.submit()
                if name == "_cancel":
                    listener.client.cancel()
                failed = listener.end(run)
            assert isinstance(failed, Failed)
            assert "unexpected" in failed.message
            assert "OddError" in failed.message
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "to_line", fail)
            failed = listener.end(listener.submit(None, encoded="x"))
        assert isinstance(failed, Failed)
        listener.client.cancel()
        assert isinstance(listener.end(listener.submit()), Finished)


@pytest.mark.contact("remembered state")
def test_without_threads_a_run_is_refused_in_a_sentence(model: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        listener = Listener(model)  # is made nevertheless
        with pytest.raises(GemError, match="no more threads"):
            listener.submit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.WorkerProcess, "__init__", fail)
        failed = listener.end(listener.submit())
    listener.client.close(60)
    assert isinstance(failed, Failed)
    assert "no more threads" in failed.message
