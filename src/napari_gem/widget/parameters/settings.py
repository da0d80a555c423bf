"""What the user chose: napari's Preferences, and what was used last."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.atomic import write_whole
from napari_gem.core.fields import parameters_of, values_of
from napari_gem.core.json_records import to_dict
from napari_gem.core.parameters import (
    GemParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Prompt
from napari_gem.models.own_list import FRESH, config_folder
from napari_gem.widget.results.map_layers import MapChoice
from napari_gem.worker.messages import Storage

if TYPE_CHECKING:
    from napari_gem.core.results import Recipe

logger = logging.getLogger(__name__)

PLUGIN = "napari-gem"
CATEGORY = "gemcompute"
"""Key of the category in ``napari.yaml``."""

SCHEMA = 1
SCHEMA_KEY = "napari_gem_last"
FILE_NAME = "last.json"


SHOWN = {
    each.name: each
    for record in (GemParameters, ScoreParameters, LabelParameters)
    for each in parameters_of(record)
    if each.about.control is not None
}
"""Parameters that the dock shows."""


@dataclass(frozen=True)
class Settings:
    """Of napari's Preferences.

    Attributes
    ----------
    device, precision
        As in `Request`.
    storage
        Room that encoded images may take.
    """

    device: str = "auto"
    precision: str = "auto"
    storage: Storage = field(default_factory=lambda: Storage(disk=5))


@dataclass(frozen=True)
class LastUsed:
    """What the widget starts with.

    Attributes
    ----------
    model, architecture, device
        As in `Request`.
    prompts
        Classes; examples only as far as they are kept as vectors.
    background
        Background words; None is as the model's card says.
    domain
        Kind of images that the user chose; empty is automatic.
    templates
        Sentences of the prompt set that was loaded; None is as the model's card says.
    detail
        Image pixels per patch; None is as the model's card says.
    advanced
        Values of the advanced panel that the user changed, by name: of parameters in
        `SHOWN`, and names of templates, a precision and a preset.
    unfolded
        Names of the parts of the dock that are not folded away.
    maps
        Which maps have a layer.
    """

    model: str = "embedded"
    architecture: str = ""
    device: str = "auto"
    prompts: tuple[Prompt, ...] = ()
    background: tuple[str, ...] | None = None
    domain: str = ""
    templates: tuple[str, ...] | None = None
    detail: float | None = None
    advanced: dict[str, Any] = field(default_factory=dict)
    unfolded: tuple[str, ...] = ()
    maps: MapChoice = "current"


def advanced_of(recipe: Recipe) -> dict[str, Any]:
    """Say what the advanced panel shows of a recipe."""
    records = (recipe.encode, recipe.score, recipe.label)
    values = {name: v for each in records for name, v in values_of(each).items()}
    return {name: values[name] for name in SHOWN}


def read_settings() -> Settings:
    """Read napari's Preferences; where they cannot be read, the defaults."""
    from napari.settings import get_plugin_settings

    try:
        chosen = getattr(get_plugin_settings(PLUGIN), CATEGORY)
        storage = Storage(chosen.memory, chosen.disk, chosen.cache_folder.strip())
        return Settings(chosen.device, chosen.precision, storage)
    # a file that the user edited may raise what pydantic or YAML raise
    except Exception:  # logged
        logger.warning("The settings of GEM could not be read", exc_info=True)
        return Settings()


def save_last(last: LastUsed) -> None:
    """Write what was used last; if that fails, only the log tells."""
    if os.environ.get(FRESH):
        return
    prompts = tuple(_kept(prompt) for prompt in last.prompts)
    content = {SCHEMA_KEY: SCHEMA, **to_dict(replace(last, prompts=prompts))}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    folder = config_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE_NAME, text)
    except OSError as error:
        logger.warning("What was used last cannot be kept (%s)", error)


def _kept(prompt: Prompt) -> Prompt:
    """Leave out places: they belong to an image."""
    examples = tuple(
        replace(example, point=None) for example in prompt.examples if example.vector
    )
    return replace(prompt, examples=examples)
