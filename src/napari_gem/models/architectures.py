"""Configurations of open_clip by the name of an architecture, without importing it."""

from __future__ import annotations

import difflib
import json
import tomllib
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.backbones import check_tower
from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard

PACKAGE = Path(__file__).parent
"""Folder of the catalogue and of the models that come with the package."""


@cache
def shipped_catalogue() -> dict[str, Any]:
    """Read the tables of ``models.toml``."""
    return tomllib.loads((PACKAGE / "models.toml").read_text(encoding="utf-8"))


@cache
def open_clip_architectures() -> dict[str, dict[str, Any]]:
    """Read the configurations that lie in the package open_clip, by name."""
    package = find_spec("open_clip")
    folders = (package.submodule_search_locations if package else None) or []
    paths = [
        path
        for folder in folders
        for path in sorted(Path(folder, "model_configs").glob("*.json"))
    ]
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def carried(architecture: str) -> dict[str, Any] | None:
    """Give a configuration that the catalogue carries since open_clip has none."""
    config: dict[str, Any] | None
    config = shipped_catalogue()["architecture"].get(architecture)
    return config


def configuration(card: ModelCard) -> dict[str, Any] | None:
    """Give the configuration of a card's architecture; None if it is not known."""
    name = card.architecture
    return carried(name) or open_clip_architectures().get(name)


def activation_of(architecture: str) -> str:
    """Activation that an architecture of open_clip has."""
    quick = open_clip_architectures().get(architecture, {}).get("quick_gelu", False)
    return "QuickGELU" if quick else "GELU"


def readable_architectures() -> list[str]:
    """List the architectures of open_clip whose image tower can be read."""
    readable = []
    for name, config in open_clip_architectures().items():
        with suppress(GemError):
            check_tower(name, config)
            readable.append(name)
    return readable


def check_architecture_of(file: str, architecture: str) -> None:
    """Refuse an architecture of a weights file that is missing or cannot be read."""
    if not architecture:
        raise GemError(
            f"'{file}' is a single file. Name its open_clip architecture too, "
            "such as ViT-B-16, or ViT-B-16-quickgelu if it was trained on from "
            "OpenAI's weights."
        )
    config = open_clip_architectures().get(architecture)
    if config is None:
        near = difflib.get_close_matches(
            architecture, readable_architectures(), cutoff=0.5
        )
        raise GemError(
            f"open_clip has no architecture '{architecture}'. "
            f"Near it: {', '.join(near) or 'nothing; an example is ViT-B-16'}."
        )
    check_tower(architecture, config)
