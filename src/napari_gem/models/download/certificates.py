"""Whom connections to the web are trusted by: a company may have its own authority."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_gem.core.errors import GemError

OWN = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The HTTP library of huggingface_hub reads these variables by itself."""

OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that other programs read; the first that is set counts."""


def hub_http() -> Any:
    """Give huggingface_hub's session, headers and errors, public and without types.

    What `OTHERS` name is trusted where none of `OWN` is set.
    """
    if not any(os.environ.get(name) for name in OWN):
        for name in OTHERS:
            place = os.environ.get(name)
            if place:
                _trust(name, place)
                break
    return import_module("huggingface_hub.utils")


@lru_cache(maxsize=1)
def _trust(name: str, place: str) -> None:
    """Give huggingface_hub's session the certificates of a file or folder.

    Its way for that is a factory of sessions, of which it makes a new one after an
    error of the network.
    """
    try:
        folder = Path(place).is_dir()
        context = ssl.create_default_context(
            cafile=None if folder else place, capath=place if folder else None
        )
    except OSError as error:  # also what is no certificate
        raise GemError(
            f"{name} names '{place}', where no certificates can be read "
            f"({error.strerror or error}). Correct it, or set SSL_CERT_FILE."
        ) from error
    http: Any = import_module("huggingface_hub.utils")
    usual = http.get_session()
    kind, hooks = type(usual), usual.event_hooks

    def make() -> Any:
        return kind(
            verify=context, event_hooks=hooks, follow_redirects=True, timeout=None
        )

    import_module("huggingface_hub").set_client_factory(make)


def explain_certificate(error: BaseException, place: str) -> str:
    """Say that a server's certificate is not trusted; empty for other errors."""
    seen: BaseException | None = error
    for _ in range(10):  # the HTTP library wraps what ssl says
        if seen is None:
            return ""
        if isinstance(seen, ssl.SSLCertVerificationError):
            break
        if "CERTIFICATE_VERIFY_FAILED" in str(seen):
            break
        seen = seen.__cause__ or seen.__context__
    else:
        return ""
    reason = getattr(seen, "verify_message", "") or "the check failed"
    return (
        f"The certificate of {place} is of an authority that this computer does not "
        f"know ({reason}). Networks of companies often have their own. Set "
        "SSL_CERT_FILE to the file with the authority's certificates, which your "
        "administrator has (REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE count as well), and "
        "download again."
    )
