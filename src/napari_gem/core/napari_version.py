"""Whether the napari that is installed is new enough; asks without importing it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from napari_gem.core.errors import GemError

OLDEST = "0.9"
"""The oldest napari with all that the dock, samples and saved layers need."""


def too_old() -> str:
    """Say that napari is too old.

    Returns
    -------
    str
        A sentence with both versions; empty if napari is new enough, or if there is
        none.
    """
    try:
        installed = version("napari")
    except PackageNotFoundError:
        return ""
    if _numbers(installed) >= _numbers(OLDEST):
        return ""
    return (
        f"GEM works with napari {OLDEST} or newer; this is napari {installed}. "
        f'Update it: pip install --upgrade "napari>={OLDEST}", or install the newest '
        "napari in an environment of its own."
    )


def check_napari() -> None:
    """Refuse a napari that is too old.

    Raises
    ------
    GemError
        With both versions and what to do.
    """
    sentence = too_old()
    if sentence:
        raise GemError(sentence)


def _numbers(text: str) -> tuple[int, int]:
    """Read the first two numbers: pre-releases count as the release."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
