"""Lists of words and sentences, a TOML file each.

A file in ``templates/`` holds sentences with ``{}`` for the word; one in
``background/`` holds words for things that belong to no class. Each has ``about`` (one
line), ``source`` and ``lines``.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from napari_gem.core.sentences import check_known

_FOLDER = Path(__file__).parent


def list_templates() -> tuple[str, ...]:
    """Names of the template lists."""
    return _names("templates")


def read_templates(name: str) -> tuple[str, ...]:
    """Sentences of a template list, each with ``{}`` for the word."""
    return _read("templates", name)


def read_background(name: str) -> tuple[str, ...]:
    """Words of a background list."""
    return _read("background", name)


@cache
def _names(kind: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (_FOLDER / kind).glob("*.toml")))


@cache
def _read(kind: str, name: str) -> tuple[str, ...]:
    check_known(f"list of {kind}", name, _names(kind))
    text = (_FOLDER / kind / f"{name}.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["lines"])
