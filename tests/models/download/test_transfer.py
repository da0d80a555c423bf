"""The whole matrix of downloads, over real HTTP and, where it matters, processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants

from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress, run
from napari_gem.models.download import transfer
from napari_gem.models.download.hub import HubFiles, find_cached
from tests.hub import Hub, point_at, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTS = "weights.safetensors"
CONTENT = bytes(range(251)) * 8000
HALF = len(CONTENT) // 2
FILES = HubFiles("tiny/model", ((WEIGHTS,),))
# what a program of its own does: nothing is set but the environment
CHILD = """
import sys
from napari_gem.models.download.hub import HubFiles
from napari_gem.core.errors import GemError
try:
    for step in HubFiles("tiny/model", (("weights.safetensors",),)).fetch_steps():
        pass
except GemError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.05)
    files = {WEIGHTS: CONTENT}
    with serve(files) as server, point_at(server.address, tmp_path / "hub"):
        yield server


def fetch() -> tuple[Path, list[Progress]]:
    seen: list[Progress] = []
    (path,) = run(FILES.fetch_steps(), seen.append)
    return path, seen


def parts(hub: Hub) -> list[tuple[int, int]]:
    return [(first, size) for _, first, size in hub.sent]


def left_over(folder: Path) -> list[str]:
    """Files of content in the cache."""
    return sorted(path.name for path in folder.glob("hub/models--tiny--model/blobs/*"))


def cancel_half_way(hub: Hub) -> None:
    hub.go_on.clear()
    steps = FILES.fetch_steps()
    while next(steps).done < HALF or not hub.held:
        pass
    steps.close()
    assert hub.held  # it was not waited for
    assert find_cached(FILES.repository, FILES.groups) is None
    hub.go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(10)


def test_a_file_comes_whole(hub: Hub, tmp_path: Path) -> None:
    path, seen = fetch()
    assert path.read_bytes() == CONTENT
    assert sum(size for _, size in parts(hub)) == len(CONTENT)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].done == seen[-1].total == len(CONTENT)
    assert len(left_over(tmp_path)) == 1


def test_time_left_is_told(hub: Hub) -> None:
    hub.go_on.clear()
    steps = FILES.fetch_steps()
    while (step := next(steps)).done < HALF:
        pass
    time.sleep(0.3)
    step = next(steps)
    assert step.stage == "Downloading"
    assert step.seconds_left is not None
    assert step.seconds_left > 0.1
    hub.go_on.set()
    run(steps)


def test_a_broken_connection_goes_on_where_it_broke(hub: Hub) -> None:
    hub.cuts = 1
    path, _ = fetch()
    assert path.read_bytes() == CONTENT
    assert parts(hub)[:2] == [(0, HALF), (HALF, HALF // 2)]
    assert sum(size for _, size in parts(hub)) == len(CONTENT)


def test_what_came_before_a_cancel_is_not_fetched_again(hub: Hub) -> None:
    cancel_half_way(hub)
    path, seen = fetch()
    assert path.read_bytes() == CONTENT
    before, after = hub.starts
    assert before == 0
    assert after >= HALF
    assert next(p.done for p in seen if p.stage == "Downloading") >= HALF


def test_a_server_that_knows_no_parts_sends_all_again(hub: Hub) -> None:
    cancel_half_way(hub)
    hub.knows_parts = False
    assert fetch()[0].read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [True, False], ids=["resumed", "at once"])
def test_other_content_than_the_hub_states_is_not_kept(
    hub: Hub, tmp_path: Path, kept: bool
) -> None:
    if kept:
        cancel_half_way(hub)
    hub.spoiled.add(WEIGHTS)
    with pytest.raises(GemError, match=f"{WEIGHTS} of tiny/model came damaged"):
        fetch()
    assert left_over(tmp_path) == []
    assert find_cached(FILES.repository, FILES.groups) is None
    hub.spoiled.clear()
    assert fetch()[0].read_bytes() == CONTENT


def test_a_silent_server_times_out(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(transfer, "TRIES", 1)
    hub.go_on.clear()
    with pytest.raises(GemError, match=r"timed out.*what came is kept"):
        fetch()
    hub.go_on.set()
    (left,) = left_over(tmp_path)
    assert left.endswith(".incomplete")
    assert fetch()[0].read_bytes() == CONTENT


def test_a_silent_server_is_left_at_once(hub: Hub) -> None:
    cancel_half_way(hub)
    hub.go_on.clear()
    steps = FILES.fetch_steps()
    while next(steps).stage != "Downloading" or not hub.held:
        pass
    steps.close()
    assert hub.held  # it was not waited for


def test_a_hub_that_says_nothing_is_left_at_once(hub: Hub) -> None:
    hub.answers.clear()
    steps = FILES.fetch_steps()
    for _ in range(3):
        assert next(steps).stage == "Asking the hub"
    steps.close()
    assert hub.held  # it was not waited for
    hub.answers.set()


def test_a_disk_without_room_is_told_before(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(GemError, match=r"needs about 2 MB.* has about 2 MB.*HF_HOME"):
        fetch()
    assert not hub.sent


def child(
    hub: Hub, home: Path, before: str = "", **environment: str
) -> subprocess.Popen:
    values = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", before + CHILD],
        env=os.environ | values,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen) -> str:
    return process.communicate(timeout=60)[1].strip()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_is_told_and_what_came_is_kept(hub: Hub, tmp_path: Path) -> None:
    limit = (
        "import resource as r\n"
        f"r.setrlimit(r.RLIMIT_FSIZE, ({HALF}, r.RLIM_INFINITY))\n"
    )
    message = said(child(hub, tmp_path, limit))
    assert f"The disk of {tmp_path / 'hub'} is full" in message
    (left,) = left_over(tmp_path)
    assert left.endswith(".incomplete")
    hub.sent.clear()
    # the same folder, now without a limit
    assert fetch()[0].read_bytes() == CONTENT
    assert parts(hub)[0][0] > HALF - (2 << 20)


# another program takes what is left of the disk while the weights come, and gives it
# back after the download has failed
FILLED = f"""
import os, sys
from pathlib import Path
from napari_gem.models.download.hub import HubFiles
from napari_gem.core.errors import GemError
files = HubFiles("tiny/model", (("{WEIGHTS}",),))
home = Path(os.environ["HF_HOME"])
other = home / "other"
try:
    for step in files.fetch_steps():
        if step.done >= {HALF} and not other.exists():
            free = os.statvfs(home)
            other.write_bytes(bytes(free.f_bavail * free.f_frsize))
            print("full", flush=True)
except GemError as error:
    sys.stderr.write(str(error))
(left,) = home.glob("hub/models--tiny--model/blobs/*")
other.unlink()
first = next(s.done for s in files.fetch_steps() if s.stage == "Downloading")
print(left.name.endswith(".incomplete"), first, flush=True)
"""


def small_disk(folder: Path) -> list[str]:
    """Begin a command that sees a disk of 3 MB there; empty if that is not allowed."""
    mount = 'mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@"'
    begin = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    begin.append(str(folder))
    try:
        subprocess.run([*begin, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return begin


def test_a_disk_that_fills_up_is_told_and_what_came_is_kept(
    hub: Hub, tmp_path: Path
) -> None:
    begin = small_disk(tmp_path)
    if not begin:
        pytest.skip("this system lets no user mount a disk")
    hub.go_on.clear()
    process = subprocess.Popen(
        [*begin, sys.executable, "-c", FILLED],
        env=os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "full\n"
    hub.go_on.set()
    out, errors = process.communicate(timeout=60)
    assert "is full (No space left on device)" in errors
    kept, first = out.split()
    assert kept == "True"
    assert int(first) >= HALF


def test_two_programs_fetch_a_file_once_with_their_token(
    hub: Hub, tmp_path: Path
) -> None:
    hub.token = "secret"
    assert "terms accepted" in said(child(hub, tmp_path, HF_TOKEN="other"))
    hub.go_on.clear()
    children = [child(hub, tmp_path, HF_TOKEN="secret") for _ in range(2)]
    # each asks the hub for the file, and one of them has half of it
    deadline = time.monotonic() + 30
    while sum(WEIGHTS in line and "HEAD" in line for line in hub.asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    hub.go_on.set()
    assert [said(process) for process in children] == ["", ""]
    assert sum(size for _, size in parts(hub)) == len(CONTENT)
    assert len(left_over(tmp_path)) == 1


def test_weights_come_from_another_host_that_never_sees_the_token(
    hub: Hub, tmp_path: Path
) -> None:
    hub.token, hub.elsewhere, hub.cuts = "secret", True, 1
    assert said(child(hub, tmp_path, HF_TOKEN="secret")) == ""
    assert hub.shown_elsewhere == ["", ""]  # the second after the connection broke
    assert parts(hub)[:2] == [(0, HALF), (HALF, HALF // 2)]
    (path,) = find_cached(FILES.repository, FILES.groups) or ()
    assert path.read_bytes() == CONTENT


def test_a_proxy_is_used(hub: Hub, tmp_path: Path) -> None:
    names = ("HTTP_PROXY", "http_proxy")
    proxy = dict.fromkeys(names, hub.address)
    process = child(hub, tmp_path, HF_ENDPOINT="http://hub.invalid", **proxy)
    assert said(process) == ""
    assert len(left_over(tmp_path)) == 1


def test_offline_mode_of_the_environment_is_told(hub: Hub, tmp_path: Path) -> None:
    message = said(child(hub, tmp_path, HF_HUB_OFFLINE="1"))
    for part in ("offline mode is on", "models import", str(tmp_path / "hub")):
        assert part in message
    assert not hub.asked


def test_the_table_of_downloads_names_every_test() -> None:
    file = Path(__file__)
    page = (file.parents[3] / "docs/downloads.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    own, *others = (
        set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M))
        for path in (
            file,
            *(
                file.with_name(f"test_{name}.py")
                for name in ("certificates", "hub", "web")
            ),
        )
    )
    assert named <= own.union(*others)
    assert own - named == {"test_the_table_of_downloads_names_every_test"}


@pytest.mark.contact("leftovers")
def test_what_came_of_a_former_content_goes_when_the_new_one_is_there(
    hub: Hub, tmp_path: Path
) -> None:
    cancel_half_way(hub)
    (former,) = left_over(tmp_path)
    hub.files[WEIGHTS] = CONTENT[::-1]
    assert fetch()[0].read_bytes() == CONTENT[::-1]
    assert former.endswith(".incomplete")
    (content,) = left_over(tmp_path)
    assert not content.endswith(".incomplete")
