"""Names of repositories on the hub, and of files and commits in them."""

from __future__ import annotations

import re

from napari_gem.core.errors import GemError

_PART = r"(?![.-])[A-Za-z0-9._-]{1,96}(?<![.-])"
_REPOSITORY = re.compile(rf"(?!.*(?:--|\.\.))(?:{_PART}/)?{_PART}(?<!\.git)")
_FILE = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][\w.-]*)*")
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")


def is_repository(name: str, *, with_owner: bool = True) -> bool:
    """Tell whether the hub could have a repository of this name.

    The rules are those of huggingface_hub, which raises errors of its own for others.
    A few old repositories have no owner.
    """
    fits = _REPOSITORY.fullmatch(name) is not None
    return fits and ("/" in name or not with_owner)


def check_repository(name: str) -> None:
    """Refuse what is no name of a repository."""
    if not is_repository(name):
        raise GemError(
            f"{name[:120]!r} is no name of a repository on the hub. Correct it to "
            "OWNER/REPOSITORY of Latin letters, digits, '-', '_' and '.'."
        )


def check_file_name(name: str) -> None:
    """Refuse what is no path of a file inside a repository."""
    if not (_FILE.fullmatch(name) and name.isascii()):
        raise GemError(
            f"{name[:120]!r} is no file of a repository. Correct it to a path such as "
            "weights/model.pt."
        )


def check_revision(name: str) -> None:
    """Refuse what is neither empty nor a commit or branch."""
    if name and not _REVISION.fullmatch(name):
        raise GemError(
            f"{name[:120]!r} is no commit of a repository. Correct it to 40 digits "
            "and letters a to f, or leave it out."
        )
