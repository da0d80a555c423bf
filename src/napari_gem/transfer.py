"""One file of the Hugging Face hub: resumed where it stopped, checked, then cached.

huggingface_hub finds the file, signs the request and keeps the cache. It throws away
what came when a download stops (its pull request 4228), so the bytes are taken here.
The file goes to where huggingface_hub keeps content
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache), which then links it.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

TRIES = 4
"""A transfer from which nothing more comes is tried so often."""

PAUSE_SECONDS = 1
"""Between two tries, and between two looks whether another process is ready."""

SNAPSHOTS = "snapshots"
"""Folder of a repository in the cache that has a folder for each commit."""

_PIECE = 1 << 20
_SHA256, _SHA1 = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


class Come(NamedTuple):
    """How far a transfer is: what is being done, and the bytes that are here."""

    stage: str
    received: int


class _Stopped(Exception):  # noqa: N818 (no error: the user wants it)
    """Ends the transfer's thread."""


@dataclass
class _Transfer:
    """What the thread of a transfer and the one that waits for it share."""

    stage: str = "Asking the hub"
    received: int = 0
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.changed = threading.Event()
        self.stopped = threading.Event()

    def tell(self, stage: str, received: int) -> None:
        """Note how far it is; raise if nobody wants it any more."""
        if self.stopped.is_set():
            raise _Stopped
        self.stage, self.received = stage, received
        self.changed.set()


@dataclass(frozen=True)
class _File:
    """A file on the hub, and where its content goes."""

    repository: str
    name: str
    url: str
    etag: str
    size: int | None
    folder: Path

    @property
    def blob(self) -> Path:
        return self.folder / "blobs" / self.etag

    @property
    def partial(self) -> Path:
        return self.blob.with_name(f"{self.etag}.napari-gem.incomplete")

    @property
    def lock(self) -> Path:
        # huggingface_hub's own: whoever comes second finds the file
        locks = self.folder.parent / ".locks" / self.folder.name
        return locks / f"{self.etag}.lock"


def fetch_steps(
    repository: str, name: str, revision: str | None = None
) -> Generator[Come, None, None]:
    """Bring one file of a repository into the hub's cache.

    Parameters
    ----------
    repository, name, revision
        ``OWNER/REPOSITORY``, the file, and the commit or branch (default: ``main``).

    Yields
    ------
    Come
        At least four times a second. Closing the generator stops the transfer at once;
        what came is used the next time.

    Raises
    ------
    GemError
        If the content is not what the hub says it is; then it is not kept.
    Exception
        What huggingface_hub and the system raise: `napari_gem.download` explains it.
    """
    transfer = _Transfer()

    def work() -> None:
        try:
            _bring(repository, name, revision, transfer)
        except Exception as error:  # noqa: BLE001 (raised by the thread that waits)
            transfer.error = error

    # a daemon: what waits for a silent server must not hold up the end of the program
    thread = threading.Thread(target=work, name=f"download {name}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            yield Come(transfer.stage, transfer.received)
            transfer.changed.wait(0.25)
            transfer.changed.clear()
    finally:
        transfer.stopped.set()
    if transfer.error is not None:
        raise transfer.error


def repository_folder(repository: str) -> Path:
    """Where the hub's cache has a repository, or would have it."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE, name)


def read_text(repository: str, name: str, revision: str | None = None) -> str:
    """Read a small text file of a repository without keeping it."""
    from huggingface_hub import constants, hf_hub_url

    http = _http()
    answer = http.get_session().get(
        hf_hub_url(repository, name, revision=revision),
        headers=http.build_hf_headers(),
        follow_redirects=True,
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    http.hf_raise_for_status(answer)
    return str(answer.text)


def _http() -> Any:
    """Give huggingface_hub's session, headers and errors, public and without types."""
    return import_module("huggingface_hub.utils")


def _bring(
    repository: str, name: str, revision: str | None, transfer: _Transfer
) -> None:
    from huggingface_hub import hf_hub_download

    file = _find(repository, name, revision)
    if re.fullmatch(r"[\w.-]+", file.etag):
        file.blob.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file, transfer):
            if not file.blob.exists():
                _receive(file, transfer)
                _check(file, transfer)
                os.replace(file.partial, file.blob)  # noqa: PTH105 (over what is there)
    # with the content there it only links it
    hf_hub_download(repository, name, revision=revision)


def _find(repository: str, name: str, revision: str | None) -> _File:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, name, revision=revision)
    stated = get_hf_file_metadata(url, headers=_http().build_hf_headers())
    return _File(
        repository,
        name,
        url,
        stated.etag or "",
        stated.size,
        repository_folder(repository),
    )


@contextmanager
def _alone(file: _File, transfer: _Transfer) -> Iterator[None]:
    """Wait until no other process, or an earlier try, fetches the same file."""
    from filelock import FileLock, Timeout

    file.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.lock)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=PAUSE_SECONDS, poll_interval=0.05)
        except Timeout:
            come = file.partial.stat().st_size if file.partial.exists() else 0
            transfer.tell("Waiting for another download", come)
    try:
        yield
    finally:
        lock.release()


def _receive(file: _File, transfer: _Transfer) -> None:
    """Append what is missing, and go on where a connection broke."""
    tries = TRIES
    with file.partial.open("ab") as partial:
        transfer.tell("Downloading", partial.tell())
        while file.size is None or partial.tell() < file.size:
            start = partial.tell()
            try:
                _stream(file, partial, transfer)
                broken = None
            except _transport_errors() as error:
                if _is_final(error):
                    raise
                broken = error
            if broken is None and file.size is None:
                return
            tries = TRIES if partial.tell() > start else tries - 1
            if not tries:
                raise broken or OSError("the connection ended too early")
            if broken and transfer.stopped.wait(PAUSE_SECONDS):
                raise _Stopped


def _stream(file: _File, partial: BinaryIO, transfer: _Transfer) -> None:
    from huggingface_hub import constants

    http = _http()
    headers = http.build_hf_headers() | {"Accept-Encoding": "identity"}
    if partial.tell():
        headers["Range"] = f"bytes={partial.tell()}-"
    with http.get_session().stream(
        "GET",
        file.url,
        headers=headers,
        follow_redirects=True,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    ) as answer:
        if answer.status_code == 416:  # what is here is no part of the file
            partial.truncate(0)
            return
        http.hf_raise_for_status(answer)
        if answer.status_code != 206:  # the server knows no parts
            partial.truncate(0)
        partial.seek(0, os.SEEK_END)
        for piece in answer.iter_bytes():
            partial.write(piece)
            partial.flush()
            transfer.tell("Downloading", partial.tell())


def _transport_errors() -> tuple[type[Exception], ...]:
    """Errors of the library below huggingface_hub, which changes now and then."""
    from huggingface_hub.errors import HfHubHTTPError

    bases = HfHubHTTPError.__mro__
    return tuple(base for base in bases if base.__name__ == "HTTPError")


def _is_final(error: Exception) -> bool:
    """Tell whether trying again would bring the same answer."""
    answer: Any = getattr(error, "response", None)
    if answer is None:
        return False
    return answer.status_code < 500 and answer.status_code not in (408, 429)


def _check(file: _File, transfer: _Transfer) -> None:
    """Compare the content with the hash that the hub states, if it states one.

    It is the SHA-256 of a large file and git's SHA-1 of a small one; some mirrors give
    the plain SHA-1.
    """
    if _SHA256.fullmatch(file.etag):
        hashes = [hashlib.sha256()]
    elif _SHA1.fullmatch(file.etag):
        head = f"blob {file.partial.stat().st_size}\0".encode()
        hashes = [
            hashlib.sha1(head, usedforsecurity=False),
            hashlib.sha1(usedforsecurity=False),
        ]
    else:
        return
    done = 0
    with file.partial.open("rb") as content:
        while piece := content.read(_PIECE):
            for found in hashes:
                found.update(piece)
            done += len(piece)
            transfer.tell("Checking", done)
    if file.etag not in [found.hexdigest() for found in hashes]:
        file.partial.unlink()
        raise GemError(
            f"{file.name} of {file.repository} came damaged: its hash is not the one "
            "that the hub states. It was not kept. Download it again, and choose "
            "another network or mirror if that does not help."
        )
