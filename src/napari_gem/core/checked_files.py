"""Small files that tell by a hash in them whether they are as they were written."""

from __future__ import annotations

import hashlib
from stat import S_ISREG
from typing import TYPE_CHECKING

from napari_gem.core.atomic import move
from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from pathlib import Path

_LENGTH = hashlib.blake2b().digest_size


LARGEST, LARGEST_HASHED = 1 << 34, 1 << 26
"""Bytes of a file that is read."""


class DamagedError(GemError):
    """What is kept on disk is not what was written."""


def write_checked(path: Path, content: bytes) -> None:
    """Write a file with the hash of its content in front.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_bytes(hashlib.blake2b(content).digest() + content)
    move(unfinished, path)


def read_checked(path: Path) -> bytes:
    """Read what `write_checked` wrote.

    Raises
    ------
    DamagedError
        If it is something else.
    OSError
        If it cannot be read.
    """
    _check_is_file(path, LARGEST)
    whole = path.read_bytes()
    content = whole[_LENGTH:]
    if hashlib.blake2b(content).digest() != whole[:_LENGTH]:
        raise DamagedError(f"'{path}' is damaged.")
    return content


def hash_file(path: Path) -> str:
    """Hash a small file; 128 hexadecimal digits.

    Raises
    ------
    DamagedError
        If it is no file, or a large one.
    OSError
        If it cannot be read.
    """
    _check_is_file(path, LARGEST_HASHED)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _check_is_file(path: Path, largest: int) -> None:
    """Refuse a pipe and a device, which would be read for ever."""
    state = path.stat()
    if not S_ISREG(state.st_mode) or state.st_size > largest:
        raise DamagedError(f"'{path}' is damaged.")
