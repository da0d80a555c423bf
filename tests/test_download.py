from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants

from napari_gem import download
from napari_gem.models import find_model, is_available, load_model, load_model_steps
from napari_gem.steps import run
from napari_gem.types import GemError, Progress
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "hf-hub:tiny/model"
COMMIT = "0123456789" * 4


class Hub(ThreadingHTTPServer):
    """As much of the Hugging Face hub as one repository needs."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.status = 200
        self.error = ""
        self.asked: list[str] = []
        # weights stop half-way until this is set
        self.go_on = threading.Event()
        self.go_on.set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        name = path.removeprefix("/tiny/model/resolve/main/")
        if self.server.status != 200:
            self.reply(self.server.status, b"{}", "")
        elif path.startswith("/api/models/tiny/model"):
            sizes = {name: len(body) for name, body in self.server.files.items()}
            files = [{"rfilename": name, "size": size} for name, size in sizes.items()]
            info = {"id": "tiny/model", "sha": COMMIT, "siblings": files}
            self.reply(200, json.dumps(info).encode(), "")
        elif name in self.server.files:
            body = self.server.files[name]
            self.reply(200, body, hashlib.sha256(body).hexdigest())
        else:
            self.server.error = "RepoNotFound"
            self.reply(404, b"{}", "")

    def reply(self, status: int, body: bytes, etag: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        if self.server.error:
            self.send_header("X-Error-Code", self.server.error)
        self.end_headers()
        if self.command == "GET":
            half = len(body) // 2
            self.wfile.write(body[:half])
            self.wfile.flush()
            if "model/resolve" in self.path and len(body) > 10_000:
                self.server.go_on.wait(20)
            self.wfile.write(body[half:])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_tiny_model(tmp_path_factory.mktemp("model"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {"README.md": b"# tiny", "vocab.txt": b"a\nb\n"}


@contextmanager
def point_at(address: str, cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE
        template = template.replace(constants.ENDPOINT, address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "ENDPOINT", address)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path) -> Iterator[Hub]:
    server = Hub(dict(files))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with point_at(server.address, tmp_path / "cache"):
        yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_fetched_once_and_loads(hub: Hub, files: dict[str, bytes]) -> None:
    card = find_model(NAME)
    assert not is_available(card)
    seen: list[Progress] = []
    model = load_model(NAME, download=True, progress=seen.append)
    weights = files["open_clip_model.safetensors"]
    assert model.revision == hashlib.sha256(weights).hexdigest()[:16]
    got = [step for step in seen if step.stage == "Downloading"]
    assert got[-1].done == got[-1].total == sum(map(len, files.values())) - 6
    assert [step.done for step in got] == sorted(step.done for step in got)
    assert is_available(card)

    hub.asked.clear()
    assert load_model(NAME).revision == model.revision
    assert not hub.asked


def test_nothing_is_asked_without_permission(hub: Hub) -> None:
    for name in (NAME, "ViT-B-16-quickgelu/openai"):
        with pytest.raises(GemError, match="not on this computer") as caught:
            load_model(name)
        assert "Allow the download" in str(caught.value)
    assert "about 598 MB" in str(caught.value)
    assert "licence MIT" in str(caught.value)
    assert not hub.asked


def test_older_weights_are_taken_where_there_are_no_others(hub: Hub) -> None:
    hub.files["open_clip_pytorch_model.bin"] = hub.files.pop(
        "open_clip_model.safetensors"
    )
    with pytest.raises(GemError, match="no weights file"):
        load_model(NAME, download=True)
    assert any("pytorch_model.bin" in line for line in hub.asked)


def test_closing_the_steps_stops_the_download(hub: Hub, tmp_path: Path) -> None:
    hub.go_on.clear()
    steps = load_model_steps(NAME, download=True)
    while not any("safetensors" in line for line in hub.asked):
        next(steps)
    steps.close()
    hub.go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(10)
    assert not is_available(find_model(NAME))

    assert run(load_model_steps(NAME, download=True)).device


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, "RepoNotFound", "no repository 'tiny/model'"),
        (401, "RepoNotFound", "or it is private"),
        (401, "", "no repository|answered 401"),
        (403, "GatedRepo", "terms accepted"),
        (418, "", "answered 418"),
    ],
)
def test_refusals_are_told(hub: Hub, status: int, error: str, message: str) -> None:
    hub.status, hub.error = status, error
    with pytest.raises(GemError, match=message):
        load_model(NAME, download=True)


def test_a_repository_of_something_else_is_told(hub: Hub) -> None:
    del hub.files[download.CONFIG]
    with pytest.raises(GemError, match="holds no open_clip_config"):
        load_model(NAME, download=True)


def test_no_network_is_told(tmp_path: Path) -> None:
    with Hub({}) as server:
        address = server.address
    with (
        point_at(address, tmp_path / "cache"),
        pytest.raises(GemError, match=re.escape(str(tmp_path / "cache"))) as caught,
    ):
        load_model(NAME, download=True)
    assert address in str(caught.value)


def test_offline_mode_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(GemError, match="offline mode is on"):
        load_model(NAME, download=True)
    assert not hub.asked
