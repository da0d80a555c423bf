r"""Names of files that every system takes, and paths that Windows finds.

Windows knows no path of more than 259 characters, unless its long paths are switched on
(``LongPathsEnabled``, for which Python's programs are made) or the path begins with
``\\?\``. It then says that there is no such file, even while one is to be made.
https://learn.microsoft.com/windows/win32/fileio/naming-a-file
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import is_command

LONGEST_ON_WINDOWS = 259
"""Characters of a path."""

LONGEST_NAME = 80
"""Characters of a name that is proposed; in UTF-8 no more than 240 bytes."""

_NEVER = re.compile(r'[<>:"/\\|?*\s]+')
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.I)


def file_name(text: str, ending: str, otherwise: str) -> str:
    """Propose the name of a file that every system takes.

    Parameters
    ----------
    text
        What it is called, by anybody.
    ending
        Of the name, with its dot.
    otherwise
        Taken if nothing of the text can be in a name.

    Returns
    -------
    str
        No folder, no device, no hidden file, and not too long.

    Examples
    --------
    >>> file_name("../CON?", ".json", "prompts")
    'CON-.json'
    """
    plain = "".join("-" if is_command(c) else c for c in text)
    parts = re.sub("-{2,}", "-", _NEVER.sub("-", plain))
    name = parts.strip("-. ")[:LONGEST_NAME]
    while len(name.encode()) > 3 * LONGEST_NAME:
        name = name[:-1]
    name = name.rstrip("-. ")
    if _DEVICES.fullmatch(name.partition(".")[0].rstrip()):
        device, dot, rest = name.partition(".")
        name = f"{device}-{dot}{rest}"
    return (name or otherwise) + ending


def longest_path() -> int | None:
    """Characters that a path may have here; None where the system tells of too long."""
    if os.name != "nt":
        return None
    system = getattr(ctypes, "windll", None)
    enabled = getattr(getattr(system, "ntdll", None), "RtlAreLongPathsEnabled", None)
    return None if enabled is not None and enabled() & 0xFF else LONGEST_ON_WINDOWS


def is_too_long(path: Path) -> bool:
    """Tell whether this system finds nothing at a path since that is too long."""
    longest = longest_path()
    whole = os.path.abspath(path)  # noqa: PTH100 (what a link leads to does not count)
    if longest is None or whole.startswith("\\\\?\\"):
        return False
    return len(whole) > longest


def check_length(folder: Path, inside: str) -> None:
    """Refuse a folder in which paths would be too long for this system.

    Parameters
    ----------
    folder
        Need not exist.
    inside
        The longest path that is to be made in it.

    Raises
    ------
    GemError
        With what to do.
    """
    if is_too_long(folder / inside):
        raise GemError(
            f"The path of the folder '{folder}' is too long: Windows allows "
            f"{longest_path()} characters for the files in it. Choose a folder with a "
            "shorter path, or switch on long paths in Windows (LongPathsEnabled)."
        )
