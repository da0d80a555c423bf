"""What the hub or the system refused, in sentences."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from napari_gem.models.download.certificates import explain_certificate

if TYPE_CHECKING:
    from pathlib import Path

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""Disk full, file larger than allowed, quota used up."""


def transport_errors() -> tuple[type[Exception], ...]:
    """Give the errors of the HTTP library below huggingface_hub.

    That library changes now and then; a base class of the hub's own error tells which.
    """
    from huggingface_hub.errors import HfHubHTTPError

    bases = HfHubHTTPError.__mro__
    return tuple(base for base in bases if base.__name__ == "HTTPError")


def failures() -> tuple[type[Exception], ...]:
    """Exceptions that a request to the hub, or writing what it sends, may raise."""
    return (OSError, RuntimeError, ValueError, *transport_errors())


def explain(error: Exception, repository: str) -> str:
    """Say in a sentence what went wrong with a repository, and what to do."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repository}"
    login = "log in with 'hf auth login', or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repository} wants its terms accepted. Do so on {page}, then {login}, "
            "and download again."
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return (
            f"The hub has no repository '{repository}', or it is private. Check the "
            f"spelling on {page}; for a private one {login}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{repository} has lost the version that is wanted. See {page}; its newest "
            f"one is the model hf-hub:{repository} if open_clip can read it."
        )
    if isinstance(error, errors.EntryNotFoundError):
        return f"{repository} lacks a file of the model. See {page} for what it holds."
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        return _explain_status(error.response.status_code, repository)
    return explain_connection(
        error,
        f"{repository} could not be downloaded from {constants.ENDPOINT}",
        constants.ENDPOINT,
        constants.HF_HUB_CACHE,
        "HF_HOME",
    )


def explain_connection(
    error: Exception, failure: str, server: str, folder: Path | str, variable: str
) -> str:
    """Say why a download failed where no answer of the server tells it.

    ``failure`` is how the sentence begins; ``variable`` is the environment variable
    that names another folder than ``folder``.
    """
    from huggingface_hub import constants

    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return (
            f"The disk of {folder} is full ({error.strerror}). Make room there and "
            "download again; what came is kept."
        )
    if isinstance(error, PermissionError):
        return (
            f"{folder} cannot be written to ({error.strerror}). Give yourself the "
            f"right to, or set {variable} to another folder."
        )
    certificate = explain_certificate(error, server)
    if certificate:
        return certificate
    why = str(error).partition("\n")[0] or type(error).__name__
    if constants.HF_HUB_OFFLINE:
        why = "offline mode is on"
    return (
        f"{failure} ({why}). Go online and download again; what came is kept. Without "
        "a network, bring the model from another computer ('napari-gem models export' "
        f"there, 'napari-gem models import' here); it is looked for in {folder}."
    )


def _explain_status(status: int, repository: str) -> str:
    if status in (401, 403):
        return (
            f"The hub answered {status} for {repository}: this login may not read it. "
            "Log in with 'hf auth login', or set HF_TOKEN."
        )
    return f"The hub answered {status} for {repository}. Try again later."
