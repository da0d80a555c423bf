"""As much of the Hugging Face hub as huggingface_hub needs, and a plain web server."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789" * 4
API = "/api/models/tiny/model"
LARGE = 10_000
"""Files above this stop half-way until `Hub.go_on` is set."""


class Hub(ThreadingHTTPServer):
    """A server of the repository ``tiny/model``, and of its files below ``/web/``.

    Attributes
    ----------
    status, error
        What it answers to everything, and the code of the error, unless 200.
    asked, sent
        Requests, and bytes of files sent in the answer to each.
    go_on
        Until it is set large files stop half-way, and what is left of them at once.
    cuts
        So many answers with a large file break off half-way.
    spoiled, spoil_with
        Files of which it sends something else, and what; zeros unless told.
    token
        What users must have to get anything.
    knows_parts
        Whether it sends the rest of a file when asked for that.
    elsewhere, shown_elsewhere
        Whether it sends who asks for a large file to another host, as the hub does;
        the authorizations that were shown there.
    shown_web
        The authorizations that were shown to the web server.
    answers
        Until it is set nothing is answered at all.
    held
        Answers that wait for `go_on` or `answers` now.
    tells_size
        Whether the web server answers a HEAD.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.status = 200
        self.error = ""
        self.card_data: dict[str, object] = {"license": "cc-by-4.0"}
        self.asked: list[str] = []
        self.sent: list[tuple[str, int, int]] = []
        self.starts: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.cuts = 0
        self.spoiled: set[str] = set()
        self.spoil_with = b""
        self.token = ""
        self.knows_parts = True
        self.elsewhere = False
        self.shown_elsewhere: list[str] = []
        self.shown_web: list[str] = []
        self.tells_size = True
        self.answers = threading.Event()
        self.answers.set()
        self.held = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Clients may leave when they like."""


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        # a proxy is asked with the whole address
        path = self.path.partition("?")[0].removeprefix("http://hub.invalid")
        self.server.asked.append(f"{self.command} {path}")
        self.wait(self.server.answers)
        name = path.partition("/resolve/")[2].partition("/")[2]
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if path.startswith("/elsewhere/"):
            self.server.shown_elsewhere.append(token)
            self.send_file(path.removeprefix("/elsewhere/"))
        elif path.startswith("/web/") and self.server.status == 200:
            self.server.shown_web.append(token)
            self.send_plain(unquote(path.removeprefix("/web/")))
        elif self.server.status != 200:
            self.reply(self.server.status, b"{}", error=self.server.error)
        elif self.server.token not in ("", token):
            self.reply(401, b"{}", error="GatedRepo")
        elif self.server.elsewhere and len(self.server.files.get(name, b"")) > LARGE:
            self.send_elsewhere(name)
        elif name in self.server.files:
            self.send_file(name)
        elif path.startswith(("/api/models/tiny/model/tree/", "/tiny/model/resolve/")):
            self.reply(404, b"{}", error="EntryNotFound")
        elif path in (API, f"{API}/revision/main", f"{API}/revision/{COMMIT}"):
            self.reply(200, self.info())
        elif path.startswith(f"{API}/revision/"):
            self.reply(404, b"{}", error="RevisionNotFound")
        else:
            self.reply(404, b"{}", error="RepoNotFound")

    def info(self) -> bytes:
        sizes = {name: len(body) for name, body in self.server.files.items()}
        files = [{"rfilename": name, "size": size} for name, size in sizes.items()]
        info = {"id": "tiny/model", "sha": COMMIT, "siblings": files}
        return json.dumps(info | {"cardData": self.server.card_data}).encode()

    def send_plain(self, name: str) -> None:
        if name not in self.server.files:
            self.reply(404, b"nothing here")
        elif self.command == "HEAD" and not self.server.tells_size:
            self.reply(405, b"")
        else:
            self.send_file(name)

    def send_elsewhere(self, name: str) -> None:
        body = self.server.files[name]
        self.send_response(302)
        place = f"http://localhost:{self.server.server_port}/elsewhere/{name}?signed=1"
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(body)))
        self.send_header("X-Linked-ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.end_headers()

    def send_file(self, name: str) -> None:
        body = self.server.files[name]
        etag = hashlib.sha256(body).hexdigest()
        if name in self.server.spoiled:
            body = self.server.spoil_with or bytes(len(body))
        start = self.headers.get("Range", "").removeprefix("bytes=").rstrip("-")
        first = int(start or 0) if self.server.knows_parts else 0
        if self.command == "GET":
            self.server.starts.append(first)
        self.reply(206 if first else 200, body[first:], etag, name=name, first=first)

    def reply(
        self,
        status: int,
        body: bytes,
        etag: str = "",
        error: str = "",
        name: str = "",
        first: int = 0,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(body) // 2 if name and len(body) > LARGE else len(body)
        if first and not self.server.go_on.is_set():
            half = 0
        self.send_part(body[:half], name, first)
        if half == len(body):
            return
        if self.server.cuts:
            self.server.cuts -= 1
            self.close_connection = True
            return
        self.wait(self.server.go_on)
        self.send_part(body[half:], name, first + half)

    def wait(self, event: threading.Event) -> None:
        self.server.held += 1
        event.wait(20)
        self.server.held -= 1

    def send_part(self, part: bytes, name: str, first: int) -> None:
        self.wfile.write(part)
        self.wfile.flush()
        if name:
            self.server.sent.append((name, first, len(part)))


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Hub]:
    """Run a server while the block runs."""
    server = Hub(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def point_at(address: str, cache: Path) -> Iterator[None]:
    """Let huggingface_hub, which reads its settings on import, use this server."""
    with pytest.MonkeyPatch.context() as patch:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE
        template = template.replace(constants.ENDPOINT, address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "ENDPOINT", address)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield
