"""One file of the Hugging Face hub, or of the web: resumed, checked, then cached.

huggingface_hub finds the file, signs the request and keeps the cache. It throws away
what came when a download stops (its pull request 4228), so the bytes are taken here.
The file goes to where huggingface_hub keeps content
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache), which then links it.
A file of the web comes the same way, by the same session, but without the hub's token.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock, Timeout

from napari_gem.core.atomic import move, remove
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress, aside_steps
from napari_gem.models.download.certificates import hub_http
from napari_gem.models.download.errors import transport_errors
from napari_gem.models.first_bytes import LOOKED_AT, what_instead

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

TRIES = 4
"""A transfer from which nothing more comes is tried so often."""

PAUSE_SECONDS = 1
"""Between two tries, and while another process fetches the same file."""

SNAPSHOTS = "snapshots"
"""Folder of a repository in the cache that has a folder for each commit."""

MOST_BYTES = 100 << 30
"""Of a file of which the server does not tell how large it is: twice the largest."""

LEFT_BYTES = 1 << 30
"""So much of the disk such a file leaves to others."""

_PIECE = 1 << 20
_PLAIN = {"Accept-Encoding": "identity"}
"""Headers for the bytes as they are: a part of something compressed is of no use."""
_INCOMPLETE = ".napari-gem.incomplete"
_SHA256, _SHA1 = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


class _Stopped(Exception):  # noqa: N818 (no error: the user wants it)
    """Ends the transfer's thread."""


@dataclass
class _Transfer:
    """What the thread of a transfer and the one that waits for it share."""

    stage: str = "Asking the hub"
    received: int = 0
    news: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)

    def report(self, stage: str, received: int) -> None:
        """Note how far it is; raise if it was stopped."""
        if self.stopped.is_set():
            raise _Stopped
        self.stage, self.received = stage, received
        self.news.set()

    def progress(self) -> Progress:
        return Progress(self.stage, self.received)


@dataclass(frozen=True)
class _File:
    """A file on a server, and where its content goes."""

    name: str
    """What the user reads."""
    url: str
    headers: dict[str, str]
    digest: str
    """Hash that the content is to have: see `_check`."""
    size: int | None
    """Bytes; None if the server does not tell."""
    target: Path
    lock: Path
    """One process at a time holds it while the content comes."""
    ending: str = _INCOMPLETE
    """The same for all contents that a name had in the course of time."""

    @property
    def partial(self) -> Path:
        """What came so far."""
        return self.target.with_name(f"{self.target.name}{self.ending}")


def fetch_steps(
    repository: str, name: str, revision: str | None = None
) -> Generator[Progress, None, None]:
    """Bring one file of a repository into the hub's cache.

    Closing the generator stops the transfer at once; what came is used the next time.
    Content that is not what the hub says is not kept (`GemError`). What huggingface_hub
    and the system raise is explained by the caller.
    """
    return _run_steps(
        name, lambda transfer: _bring(repository, name, revision, transfer)
    )


def fetch_url_steps(
    url: str, sha256: str, target: Path
) -> Generator[Progress, None, None]:
    """Bring a file of the web to a place; it is there once it is whole and checked."""
    return _run_steps(target.name, lambda to: _bring_url(url, sha256, target, to))


def _run_steps(
    name: str, bring: Callable[[_Transfer], None]
) -> Generator[Progress, None, None]:
    """Bring a file in a thread, and tell how far that is."""
    transfer = _Transfer()
    call = partial(bring, transfer)
    try:
        yield from aside_steps(
            f"download {name}", call, report=transfer.progress, news=transfer.news
        )
    finally:
        transfer.stopped.set()


def repository_folder(repository: str) -> Path:
    """Where the hub's cache has a repository, or would have it."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE, name)


def read_short(
    repository: str, name: str, revision: str | None = None, *, longest: int
) -> bytes:
    """Read a small file of a repository without keeping it.

    Of a file with more than ``longest`` bytes a little more than these are read.
    """
    from huggingface_hub import constants, hf_hub_url

    http = hub_http()
    content = b""
    with http.get_session().stream(
        "GET",
        hf_hub_url(repository, name, revision=revision),
        headers=http.build_hf_headers(),
        follow_redirects=True,
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    ) as answer:
        http.hf_raise_for_status(answer)
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > longest:
                break
    return content


def url_size(url: str) -> int | None:
    """Bytes of a file of the web, without fetching it; None if the server hides it."""
    from huggingface_hub import constants

    http = hub_http()
    answer = http.get_session().head(
        url,
        headers=_PLAIN,
        follow_redirects=True,
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    # no HEAD is answered, or the address is signed for a GET only
    if answer.status_code in (403, 405, 501):
        return None
    http.hf_raise_for_status(answer)
    length = answer.headers.get("Content-Length", "")
    # some servers answer a HEAD with a length of nothing
    return (int(length) or None) if length.isdecimal() else None


def _bring(
    repository: str, name: str, revision: str | None, transfer: _Transfer
) -> None:
    from huggingface_hub import hf_hub_download

    file = _find(repository, name, revision)
    if re.fullmatch(r"[\w.-]+", file.digest):
        _bring_content(file, transfer)
    # with the content there it only links it
    hf_hub_download(repository, name, revision=revision)


def _bring_url(url: str, sha256: str, target: Path, transfer: _Transfer) -> None:
    transfer.stage = "Asking the server"
    lock = target.with_name(f"{target.name}.lock")
    size = url_size(url)
    file = _File(target.name, url, _PLAIN, sha256, size, target, lock)
    _bring_content(file, transfer)


def _bring_content(file: _File, transfer: _Transfer) -> None:
    file.target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file, transfer):
        if file.target.exists():  # another program brought it
            remove(file.partial)
        else:
            _receive(file, transfer)
            _check(file, transfer)
            move(file.partial, file.target)
        _drop_former(file)


def _drop_former(file: _File) -> None:
    """Remove what came of contents that the file had before: nobody asks for it."""
    if file.ending == _INCOMPLETE:
        return
    for path in file.target.parent.glob(f"*{file.ending}"):
        lock = file.lock.with_name(f"{path.name.removesuffix(file.ending)}.lock")
        with suppress(OSError), FileLock(lock, timeout=0):
            remove(path)


def _find(repository: str, name: str, revision: str | None) -> _File:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, name, revision=revision)
    headers = hub_http().build_hf_headers()
    stated = get_hf_file_metadata(url, headers=headers)
    folder, digest = repository_folder(repository), stated.etag or ""
    return _File(
        f"{name} of {repository}",
        url,
        headers | _PLAIN,
        digest,
        stated.size,
        folder / "blobs" / digest,
        # huggingface_hub's own: whoever comes second finds the file
        folder.parent / ".locks" / folder.name / f"{digest}.lock",
        f".{hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:8]}"
        f"{_INCOMPLETE}",
    )


@contextmanager
def _alone(file: _File, transfer: _Transfer) -> Iterator[None]:
    """Wait until no other process, or an earlier try, fetches the same file."""
    file.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.lock)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=PAUSE_SECONDS, poll_interval=0.05)
        except Timeout:
            received = file.partial.stat().st_size if file.partial.exists() else 0
            transfer.report("Waiting for another download", received)
    try:
        yield
    finally:
        lock.release()


def _receive(file: _File, transfer: _Transfer) -> None:
    """Append what is missing, and go on where a connection broke."""
    tries = TRIES
    with file.partial.open("ab") as partial:
        transfer.report("Downloading", partial.tell())
        while file.size is None or partial.tell() < file.size:
            start = partial.tell()
            try:
                whole, broken = _stream(file, partial, transfer), None
            except transport_errors() as error:
                if _is_final(error):
                    raise
                whole, broken = False, error
            if whole and file.size is None:
                return
            tries = TRIES if partial.tell() > start else tries - 1
            if not tries:
                raise broken or OSError("the connection ended too early")
            if broken and transfer.stopped.wait(PAUSE_SECONDS):
                raise _Stopped


def _stream(file: _File, partial: BinaryIO, transfer: _Transfer) -> bool:
    """Append what one answer brings; tell whether it was of the file."""
    from huggingface_hub import constants

    http = hub_http()
    headers = dict(file.headers)
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
            return False
        http.hf_raise_for_status(answer)
        if answer.status_code != 206:  # the server knows no parts
            partial.truncate(0)
        partial.seek(0, os.SEEK_END)
        most = _most_bytes(file, partial.tell())
        for piece in answer.iter_bytes():
            if partial.tell() + len(piece) > most:
                partial.truncate(0)
                raise GemError(_too_much(file, most))
            partial.write(piece)
            partial.flush()
            transfer.report("Downloading", partial.tell())
    return True


def _most_bytes(file: _File, received: int) -> int:
    """Say where a transfer is stopped: an answer may have no end."""
    if file.size is not None:
        return file.size
    free = shutil.disk_usage(file.partial.parent).free
    return min(MOST_BYTES, max(0, received + free - LEFT_BYTES))


def _too_much(file: _File, most: int) -> str:
    if file.size is not None:
        return (
            f"The server sends more of {file.name} than the {most} bytes that it "
            "announced. Nothing was kept. Choose another network or mirror."
        )
    return (
        f"The server does not tell how large {file.name} is, and sends more than the "
        "disk has room for. Nothing was kept. Make room, or download it with a browser."
    )


def _is_final(error: Exception) -> bool:
    """Tell whether trying again would bring the same answer."""
    answer: Any = getattr(error, "response", None)
    if answer is None:
        return False
    return answer.status_code < 500 and answer.status_code not in (408, 429)


def _check(file: _File, transfer: _Transfer) -> None:
    """Compare the content with the hash that is stated, if there is one.

    On the hub it is the SHA-256 of a large file and git's SHA-1 of a small one; some
    mirrors give the plain SHA-1.
    """
    if _SHA256.fullmatch(file.digest):
        hashes = [hashlib.sha256()]
    elif _SHA1.fullmatch(file.digest):
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
            for digest in hashes:
                digest.update(piece)
            done += len(piece)
            transfer.report("Checking", done)
    if file.digest not in [digest.hexdigest() for digest in hashes]:
        with file.partial.open("rb") as content:
            instead = what_instead(content.read(LOOKED_AT))
        file.partial.unlink()
        if instead:
            raise GemError(f"What came as {file.name} {instead} It was not kept.")
        raise GemError(
            f"{file.name} came damaged: its hash is not the one that is stated. It "
            "was not kept. Download it again, and choose another network or mirror if "
            "that does not help."
        )
