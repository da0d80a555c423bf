"""Models that this user has used: no other one is loaded because a recipe names it.

Models of the catalogue count as used: we ship it, and the user put their own models on
it. What else was loaded once is noted in the folder of settings.
"""

from __future__ import annotations

import json
import logging
import os

from napari_gem.core.atomic import write_whole
from napari_gem.core.json_records import parse_json, read_text
from napari_gem.models.card import ModelCard
from napari_gem.models.catalogue import list_models
from napari_gem.models.own_list import FRESH, config_folder
from napari_gem.models.weight_sources import weight_source

logger = logging.getLogger(__name__)

FILE_NAME = "used_models.json"

MOST = 1000
"""Names that are kept; of more the oldest are forgotten, and asked about once more."""


def was_used(card: ModelCard) -> bool:
    """Tell whether this user has loaded a model before, or has it on the list."""
    return _is_listed(card) or card.id in _read()


def note_used(card: ModelCard) -> None:
    """Note that a model was loaded; if that fails, only the log tells."""
    if os.environ.get(FRESH) or _is_listed(card):
        return
    known = _read()
    if card.id in known:
        return
    text = json.dumps([*known, card.id][-MOST:], indent=1, ensure_ascii=False)
    folder = config_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE_NAME, text)
    except (OSError, ValueError) as error:
        logger.warning("That '%s' was used cannot be kept (%s)", card.id, error)


def place_of(card: ModelCard) -> str:
    """Say where a model comes from, for whoever decides whether to trust it."""
    return weight_source(card).origin


def _is_listed(card: ModelCard) -> bool:
    return any(
        (known.id, known.weights) == (card.id, card.weights) for known in list_models()
    )


def _read() -> list[str]:
    path = config_folder() / FILE_NAME
    try:
        names = parse_json(read_text(path))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        logger.warning("'%s' cannot be read and is left out (%s)", path, error)
        return []
    names = names if isinstance(names, list) else []
    return [name for name in names if isinstance(name, str)]
