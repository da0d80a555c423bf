"""What a file is by its first bytes, where weights were expected."""

from __future__ import annotations

import re
from stat import S_ISREG
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from pathlib import Path

LOOKED_AT = 512
"""Bytes that are enough to tell."""

_POINTER = b"version https://git-lfs"
_BEGINS = re.compile(rb"PK\x03\x04|\x80[\x02-\x05]", re.DOTALL)
"""How files of `torch.save` begin: a zip, or a pickle of older versions."""

_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")


def what_instead(begin: bytes) -> str:
    """Say what came in the place of weights, and what to do; empty if unknown."""
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not begin:
        return "is empty. Copy or download it again."
    if text.startswith(_POINTER):
        return (
            "is a pointer of git-lfs, not the weights themselves. Run 'git lfs pull' "
            "in its folder, or download the file from its page."
        )
    if text.startswith(_PAGES):
        return (
            "is a web page, such as one to sign in, not the weights themselves. Sign "
            "in with a browser, and download the file itself."
        )
    if text.startswith((b'{"', b"{\n", b"[")):
        return (
            "is a text, such as the message of a server, not the weights themselves. "
            "Download the file again."
        )
    return ""


def check_begin(path: Path) -> None:
    """Refuse a file that does not begin as weights do; the rest is read when it loads.

    The message names web pages and pointers of git-lfs that came instead.
    """
    try:
        size, mode = path.stat().st_size, path.stat().st_mode
        if not S_ISREG(mode):  # a pipe would be waited for
            raise GemError(f"'{path}' is no file. Give a weights file.")
        with path.open("rb") as file:
            begin = file.read(LOOKED_AT)
    except OSError as error:
        raise GemError(f"'{path}' cannot be read ({error.strerror}).") from error
    if path.suffix == ".safetensors":
        # the length of the header, then the header
        fits = begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") < size
    else:
        fits = bool(_BEGINS.match(begin))
    instead = "" if fits else what_instead(begin)
    if instead:
        raise GemError(f"'{path}' {instead}")
    if not fits:
        raise GemError(
            f"'{path}' is no weights file of torch or safetensors. Give such a file; "
            "if it should be one, download it again, the file itself and not its page."
        )
