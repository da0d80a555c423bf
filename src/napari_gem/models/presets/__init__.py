"""Sets of parameters for kinds of images: one TOML file each, found by its name.

A file has ``about`` (one line) and ``source``, and tables ``encode`` and ``score`` with
what it changes of a model's own parameters; ``templates`` and ``background`` name lists
of `napari_gem.prompts.word_lists`. ``squash`` and ``protocol`` are for what was
published so. Why each value is what it is: docs/decisions/0012-presets.md.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.core.json_records import from_dict, to_dict
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.sentences import check_known
from napari_gem.prompts.word_lists import read_background, read_templates

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Preset:
    """What is changed of a model's own parameters.

    Attributes
    ----------
    about, source
        A line for the user, and where its values come from.
    encode, score
        Fields of `EncodeParameters` and `ScoreParameters`.
    squash
        The image is squashed to so many pixels along each axis, and maps are stretched
        from minimum to maximum (`napari_gem.segmentation.squashed`); 0 for neither.
    protocol
        Of ``napari-gem evaluate``; empty for the usual one.
    domain
        Of the images that it is for; empty if it is for several.
    """

    about: str = ""
    source: str = ""
    encode: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] = field(default_factory=dict)
    squash: int = 0
    protocol: str = ""
    domain: str = ""


def list_presets() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def read_preset(name: str) -> Preset:
    """Read a preset.

    Raises
    ------
    GemError
        If there is none of this name.
    """
    check_known("preset", name, list_presets())
    text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return from_dict(Preset, tomllib.loads(text))


def with_preset(card: ModelCard, name: str) -> ModelCard:
    """Lay a preset over a model's own parameters; an empty name leaves them.

    Raises
    ------
    GemError
        If there is no preset of this name.
    """
    if not name:
        return card
    preset = read_preset(name)
    gem = preset.encode.get("gem", {})
    own = to_dict(card.encode)
    encode = own | preset.encode | {"gem": own["gem"] | gem}
    score = to_dict(card.score) | preset.score
    for key, read in (("templates", read_templates), ("background", read_background)):
        if isinstance(score[key], str):
            score[key] = read(score[key])
    return replace(
        card,
        encode=from_dict(EncodeParameters, encode),
        score=from_dict(ScoreParameters, score),
    )
