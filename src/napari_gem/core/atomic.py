"""Files and folders that are whole or not there: written apart, then moved.

What is not finished has a file ``NAME.lock`` beside it, which its process holds as long
as it lives, whatever way it ends. What can be locked is of a dead process, and is
removed by the next that writes there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX = ".unfinished-"
LOCK = ".lock"

PAUSES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.35)
"""Seconds between tries to move what another program holds open."""

IN_USE = (5, 32, 33, 1224)
"""Error codes of Windows for what is open, locked or mapped into memory."""

FORGOTTEN_SECONDS = 24 * 3600.0
"""What has no lock at all is taken for left over when it is older."""

_TRIES = 5
# filelock has no flock here, or an older one finds that the file system has none
_NO_LOCKS = (OSError, NotImplementedError, RuntimeError)


class Claim:
    """A name in a folder that is this process's own until it is released.

    Parameters
    ----------
    folder
        Is there; what dead processes left in it under the same prefix is removed.
    prefix
        How the name begins.

    Attributes
    ----------
    path
        Does not exist yet: a file or a folder can be made there.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, prefix: str = PREFIX) -> None:
        os.listdir(folder)  # noqa: PTH208 (a lock would make a folder that is missing)
        remove_leftovers(folder, prefix)
        self._lock: FileLock | None = None
        for _ in range(_TRIES):
            self.path = folder / f"{prefix}{secrets.token_hex(4)}"
            lock = FileLock(_lock_of(self.path), thread_local=False)
            try:
                lock.acquire(timeout=0)
            except (Timeout, NotImplementedError):
                continue  # one that looks for leftovers was faster
            self._lock = lock
            # the lock counts only if it was not removed before it was taken
            if _lock_of(self.path).exists() and not self.path.exists():
                return
            self.release()
        # a file system without locks: nobody takes it for left over there
        _lock_of(self.path).touch()

    def release(self) -> None:
        """Remove what is there."""
        remove(self.path)
        if self._lock is not None:
            with suppress(OSError):
                self._lock.release()
        # what the system does not let go of keeps its lock, for whoever looks next
        if not os.path.lexists(self.path):
            with suppress(OSError):
                _lock_of(self.path).unlink(missing_ok=True)


@contextmanager
def unfinished_path(folder: Path) -> Iterator[Path]:
    """Give a hidden name in a folder; what is there in the end is removed.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    claim = Claim(folder)
    try:
        yield claim.path
    finally:
        claim.release()


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the target's place if all goes well.

    Raises
    ------
    OSError
        If the target's folder cannot be written, or the target is in use.
    """
    with unfinished_path(target.parent) as path:
        yield path
        move(path, target)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold a folder, which is there, so that no other process does the same.

    On file systems without locks nobody is kept away.

    Raises
    ------
    GemError
        If another process holds it.
    OSError
        If it cannot be written.
    """
    path = folder / f"{PREFIX}batch{LOCK}"
    lock = FileLock(path, thread_local=False)
    for left in reversed(range(_TRIES)):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise GemError(
                f"Another process writes to '{folder}'. Wait until it ends, or choose "
                "another folder."
            ) from error
        except _NO_LOCKS as error:
            if isinstance(error, OSError) and not os.access(folder, os.W_OK):
                raise
            break
        if path.exists() or not left:
            break
        lock.release()  # who held it before has just removed it
    try:
        yield
    finally:
        with suppress(OSError):
            if os.name != "nt":  # before another takes it
                path.unlink(missing_ok=True)
            lock.release()
            if os.name == "nt":
                path.unlink(missing_ok=True)


def write_whole(target: Path, text: str) -> None:
    """Write a text file (UTF-8); what was there stays whole until the new one is.

    Raises
    ------
    OSError
        As `whole_file`.
    """
    with whole_file(target) as path:
        path.write_text(text, encoding="utf-8", newline="")


def move(source: Path, target: Path) -> None:
    """Put a file or a folder in a place, over a file that is there.

    Windows moves nothing that any program has open, such as a virus scanner for a
    moment: it is tried for a second.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    _retry(lambda: source.replace(target), f"'{target.name}'", "moved")


def delete(path: Path) -> None:
    """Remove a file or a folder if it is there, trying for a second as `move` does.

    Raises
    ------
    OSError
        If it cannot be removed; `remove` raises nothing instead.
    """
    is_folder = path.is_dir() and not path.is_symlink()
    change = partial(shutil.rmtree, path) if is_folder else path.unlink
    with suppress(FileNotFoundError):
        _retry(change, f"'{path.name}'", "removed")


def _retry(change: Callable[[], object], name: str, done: str) -> None:
    """Make a change that Windows refuses while any program has the file open."""
    for pause in (*PAUSES, None):
        try:
            change()
        except OSError as error:
            if not is_in_use(error):
                raise
            if pause is None:
                why = f"{name} is used by another program, or may not be {done}"
                raise PermissionError(error.errno, why) from error
            time.sleep(pause)
        else:
            return


def is_in_use(error: OSError) -> bool:
    """Tell whether a file may be free in a moment."""
    code = getattr(error, "winerror", None)
    return isinstance(error, PermissionError) if code is None else code in IN_USE


def remove_leftovers(folder: Path, prefix: str = PREFIX) -> None:
    """Remove what dead processes left in a folder; nothing is raised."""
    with suppress(OSError):
        names = [path.name.removesuffix(LOCK) for path in folder.glob(f"{prefix}*")]
        for name in dict.fromkeys(names):
            remove_leftover(folder / name)


def remove_leftover(path: Path) -> bool:
    """Remove one path and its lock if its process is dead; tell whether they are gone.

    Nothing is raised.
    """
    lock = _lock_of(path)
    with suppress(*_NO_LOCKS):
        if not all(_is_ours(each) for each in (path, lock)):
            return False
        if lock.exists():
            with FileLock(lock, timeout=0):
                remove(path)
                if os.name != "nt" and not os.path.lexists(path):
                    # before another takes the lock
                    lock.unlink(missing_ok=True)
        elif _is_forgotten(path):
            remove(path)
        if not os.path.lexists(path):
            lock.unlink(missing_ok=True)
    return not (os.path.lexists(path) or os.path.lexists(lock))


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + LOCK)


def _is_ours(path: Path) -> bool:
    """Tell whether it is this user's and no link; so is what is not there."""
    if not os.path.lexists(path):
        return True
    ours = not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
    return ours and not path.is_symlink()


def _is_forgotten(path: Path) -> bool:
    """Tell whether something without a lock was not touched for long."""
    inside = list(path.iterdir()) if path.is_dir() else []
    touched = max(each.lstat().st_mtime for each in (path, *inside))
    return time.time() - touched > FORGOTTEN_SECONDS


def remove(path: Path) -> None:
    """Remove a file or a folder as far as that is possible; nothing is raised."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
