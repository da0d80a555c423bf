"""Small files that tell by a hash in them whether they are as they were written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_gem.types import GemError

if TYPE_CHECKING:
    from pathlib import Path

_LENGTH = hashlib.blake2b().digest_size


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
    unfinished.replace(path)


def read_checked(path: Path) -> bytes:
    """Read what `write_checked` wrote.

    Raises
    ------
    DamagedError
        If it is something else.
    OSError
        If it cannot be read.
    """
    whole = path.read_bytes()
    content = whole[_LENGTH:]
    if hashlib.blake2b(content).digest() != whole[:_LENGTH]:
        raise DamagedError(f"'{path}' is damaged.")
    return content


def hash_file(path: Path) -> str:
    """Hash a file; 128 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
