"""What a file is by its first bytes, where weights were expected."""

from __future__ import annotations

LOOKED_AT = 512
"""Bytes that are enough to tell."""

_POINTER = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")


def what_instead(begin: bytes) -> str:
    """Say what came in the place of weights, and what to do; empty if unknown.

    Parameters
    ----------
    begin
        The first `LOOKED_AT` bytes of the file.

    Returns
    -------
    str
        Goes on after the file's name.
    """
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
