"""The catalogue: cards of models, as ``models.toml`` and the user's own file have them.

Neither torch nor open_clip is imported, and no network is asked.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_json
from napari_gem.core.parameters import GENERAL
from napari_gem.models.architectures import configuration, shipped_catalogue
from napari_gem.models.card import ModelCard
from napari_gem.models.configurations import check_revision
from napari_gem.models.own_list import count_nameless, own_path, read_own
from napari_gem.models.weight_sources import weight_source
from napari_gem.prompts.domains import domain_named, read_domain
from napari_gem.prompts.word_lists import read_background, read_templates

logger = logging.getLogger(__name__)

DOMAINS = (
    "demonstration",
    "general",
    "histology",
    "biomedical",
    "electron microscopy",
    "remote sensing",
)
"""In the order in which lists show them; a user's own ones follow."""

_PATCH = re.compile(r"patch(\d+)")
"""How timm names the patches of a tower."""
_LARGE = re.compile(r"(vit|pe-core|eva0\d)[-_](so400m|l|h|g|bigg|e)[-_]", re.IGNORECASE)


def list_models() -> tuple[ModelCard, ...]:
    """Cards of the catalogue, the embedded model first, the user's own models last.

    What is wrong in the own catalogue is left out: see `own_errors`.
    """
    return _shipped() + _own()[0]


def own_errors() -> tuple[str, ...]:
    """Say what of the user's own catalogue cannot be read, a sentence each."""
    return _own()[1]


def group_models() -> dict[str, list[ModelCard]]:
    """Cards of the catalogue by their domain."""
    groups: dict[str, list[ModelCard]] = {domain: [] for domain in DOMAINS}
    for card in list_models():
        groups.setdefault(card.domain, []).append(card)
    return {domain: cards for domain, cards in groups.items() if cards}


def is_own(card: ModelCard) -> bool:
    """Tell whether a model stands in the user's own catalogue."""
    return any(own.id == card.id for own in _own()[0])


def make_card(id: str, name: str, **entry: Any) -> ModelCard:  # noqa: A002 (as in files)
    """Make a card from an entry of a catalogue, filled up with defaults.

    Raises
    ------
    GemError
        If a field is not known or its value does not fit.
    """
    unknown = entry.keys() - ModelCard.__dataclass_fields__.keys()
    if unknown:
        raise GemError(
            f"The model {id} has a field '{min(unknown)}', which no model has. "
            "Correct the catalogue."
        )
    try:
        filled = _filled_up(id, name, entry)
    except (AttributeError, TypeError) as error:
        raise _wrong_field(id, error) from error
    try:
        card = from_json(ModelCard, json.dumps(filled))
    except GemError as error:
        raise _wrong_field(id, error) from error
    check_revision(card.revision)
    source = weight_source(card)
    source.check()
    return replace(card, known_words=source.known_words() or card.known_words)


def _wrong_field(id_: str, error: Exception) -> GemError:
    return GemError(
        f"The model {id_} has a field of the wrong kind ({error}). Correct the "
        "catalogue."
    )


def _filled_up(id_: str, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Lay an entry over the defaults of the catalogue."""
    catalogue = shipped_catalogue()
    architecture, slash, tag = id_.partition("/")
    if ":" not in id_ and slash and "weights" not in entry:
        entry |= {"architecture": architecture, "weights": f"open_clip:{tag}"}
    defaults = catalogue["defaults"]
    if _LARGE.search(f"{entry.get('architecture', '')} {id_}-"):
        defaults = _merge(defaults, catalogue["large"])
    domain = domain_named(str(entry.get("domain", "")))
    if domain and domain != GENERAL:
        lists = read_domain(domain)
        words = {"templates": lists.templates, "background": lists.background}
        defaults = _merge(defaults, {"score": words})
    least = {"id": id_, "name": name, "architecture": "", "weights": id_}
    entry = _merge(defaults, least | entry)
    score = entry["score"]
    entry["score"] = score | {
        "templates": read_templates(score["templates"]),
        "background": read_background(score["background"]),
    }
    return entry


def patch_size(card: ModelCard) -> int | None:
    """Tell the side of a model's patches in pixels.

    Returns
    -------
    int or None
        As the configuration says; None while that is not on this computer.
    """
    try:
        config = configuration(card) or weight_source(card).stated_configuration()
    except GemError:  # loading it tells
        return None
    tower = config.get("vision_cfg", {})
    stated = tower.get("patch_size")
    named = _PATCH.search(str(tower.get("timm_model_name") or ""))
    size = named[1] if named else np.max(stated) if stated else None
    return None if size is None else int(size)


def _own() -> tuple[tuple[ModelCard, ...], tuple[str, ...]]:
    """Cards of the user's own catalogue, and what is wrong with others."""
    try:
        entries = read_own()
    except GemError as error:
        return (), (str(error),)
    cards, errors = [], []
    nameless = count_nameless()
    if nameless:
        errors.append(
            f"Your list of models '{own_path()}': {nameless} of its entries cannot be "
            "read: each needs an id and a name."
        )
    taken = {card.id for card in _shipped()}
    for entry in entries:
        try:
            card = make_card(**entry)
            if card.id in taken:
                raise GemError(f"There are two models '{card.id}'. Rename one.")
            weight_source(card).remote_files()  # what it names can be looked for
            taken.add(card.id)
            cards.append(card)
        except GemError as error:
            errors.append(f"Your list of models '{own_path()}': {error}")
        # one entry, whatever is in it, does not take the others with it
        except Exception as error:
            logger.warning("The model %s cannot be read", entry["id"], exc_info=True)
            errors.append(
                f"Your list of models '{own_path()}': The model {entry['id']} cannot "
                f"be read ({error}). Correct it, or take it out."
            )
    return tuple(cards), tuple(errors)


@cache
def _shipped() -> tuple[ModelCard, ...]:
    return tuple(make_card(**entry) for entry in shipped_catalogue()["model"])


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay nested tables over others."""
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict):
            merged[key] = _merge(below[key], above[key])
    return merged
