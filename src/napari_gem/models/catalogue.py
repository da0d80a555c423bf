"""The catalogue: cards of models, as ``models.toml`` and the user's own file have them.

Neither torch nor open_clip is imported, and no network is asked.
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_json
from napari_gem.models.card import ModelCard
from napari_gem.models.configurations import CONFIG
from napari_gem.models.configurations.names import (
    check_file_name,
    check_repository,
    check_revision,
    is_repository,
)
from napari_gem.models.download import hub as downloads
from napari_gem.models.download.hub import Files, HubFiles
from napari_gem.models.download.web import WebFile, is_address
from napari_gem.models.own_list import count_nameless, own_path, read_own
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

PACKAGE = Path(__file__).parent
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
        return _make_card(id, name, entry)
    except (AttributeError, TypeError) as error:
        raise GemError(
            f"The model {id} has a field of the wrong kind ({error}). Correct the "
            "catalogue."
        ) from error


def _make_card(id_: str, name: str, entry: dict[str, Any]) -> ModelCard:
    catalogue = _catalogue()
    architecture, slash, tag = id_.partition("/")
    if ":" not in id_ and slash and "weights" not in entry:
        entry |= {"architecture": architecture, "weights": f"open_clip:{tag}"}
    defaults = catalogue["defaults"]
    if _LARGE.search(f"{entry.get('architecture', '')} {id_}-"):
        defaults = _merge(defaults, catalogue["large"])
    told = {"id": id_, "name": name, "architecture": "", "weights": id_}
    entry = _merge(defaults, told | entry)
    score = entry["score"]
    entry["score"] = score | {
        "templates": read_templates(score["templates"]),
        "background": read_background(score["background"]),
    }
    if entry["weights"].startswith("package:"):
        _check_package(id_, entry["weights"])
        folder = PACKAGE / entry["weights"].removeprefix("package:")
        entry["known_words"] = _words(folder / "words.json")
    card = from_json(ModelCard, json.dumps(entry))
    _check_place(card)
    if is_address(card.weights):
        WebFile(card.weights, card.sha256)  # refuses what is none
        if not card.architecture:
            raise GemError(
                f"The model {id_} names no architecture, which weights at an address "
                "need. Correct the catalogue."
            )
    return card


def _check_place(card: ModelCard) -> None:
    """Refuse a place of weights that leads out of a repository of the hub."""
    kind, _, place = card.weights.partition(":")
    check_revision(card.revision)
    if kind == "hf-hub":
        owner, _, rest = place.partition("/")
        name, slash, file = rest.partition("/")
        check_repository(f"{owner}/{name}")
        if slash:
            check_file_name(file)


def _check_package(id_: str, weights: str) -> None:
    if not weights.removeprefix("package:").isidentifier():
        raise GemError(
            f"The model {id_} has {weights[:120]!r} for weights, which is no folder of "
            "napari-gem. Correct the catalogue."
        )


@cache
def open_clip_architectures() -> dict[str, dict[str, Any]]:
    """Give open_clip's model configurations by name, without importing it and torch."""
    package = find_spec("open_clip")
    folders = (package.submodule_search_locations if package else None) or []
    paths = [
        path
        for folder in folders
        for path in sorted(Path(folder, "model_configs").glob("*.json"))
    ]
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def configuration(card: ModelCard) -> dict[str, Any] | None:
    """Give the configuration of a card's architecture, as open_clip has them.

    Returns
    -------
    dict or None
        Of open_clip, or the one that the catalogue carries where open_clip has none;
        None if the card names no architecture.
    """
    name = card.architecture
    return carried(name) or open_clip_architectures().get(name)


def carried(architecture: str) -> dict[str, Any] | None:
    """Give a configuration that the catalogue carries since open_clip has none."""
    found: dict[str, Any] | None = _catalogue()["architecture"].get(architecture)
    return found


def remote_files(
    card: ModelCard, stated: dict[str, Any] | None = None
) -> tuple[Files, ...]:
    """Say which files of the hub or the web a model of the catalogue needs.

    Parameters
    ----------
    card
        The model.
    stated
        Configuration in its repository; None takes what the cache has of it.

    Returns
    -------
    tuple[Files, ...]
        The model's own first; then what its text tower needs besides weights. Empty
        for models on this computer and for open_clip's tags outside the catalogue,
        whose repository open_clip alone knows.
    """
    kind, _, value = card.weights.partition(":")
    revision = card.revision or None
    config = configuration(card) or stated
    if not config:
        try:
            config = _cached_configuration(card)
        except GemError:  # loading it tells, and it can still be removed
            config = {}
    text = config.get("text_cfg", {})
    whole = (downloads.MODEL, downloads.TOKENIZER, revision)
    # of the hub's address or a mirror's, as HF_ENDPOINT says
    page = "/".join(card.source.split("/")[-2:])
    found: list[Files]
    if is_address(card.weights):
        found = [WebFile(card.weights, card.sha256)]
    elif kind == "hf-hub":
        parts = value.split("/", maxsplit=2)
        file = tuple(parts[2:])
        groups = ((file,), (), revision) if file else whole
        found = [HubFiles("/".join(parts[:2]), *groups)]
    elif kind == "open_clip" and is_repository(page):
        alone = ((downloads.WEIGHTS,), (), revision)
        found = [HubFiles(page, *(whole if "hf_tokenizer_name" in text else alone))]
    else:
        return ()
    if text.get("hf_model_name"):
        found.append(HubFiles(text["hf_model_name"], (("config.json",),)))
    return tuple(found)


def _cached_configuration(card: ModelCard) -> dict[str, Any]:
    """Read what the cache has of a repository outside the catalogue.

    Raises
    ------
    GemError
        If it does not pass `napari_gem.models.configurations`.
    """
    kind, _, repository = card.weights.partition(":")
    if kind != "hf-hub" or not is_repository(repository):
        return {}
    found = downloads.find_cached(repository, [[CONFIG]])
    return downloads.read_config(found[0]) if found else {}


def patch_size(card: ModelCard) -> int | None:
    """Tell the side of a model's patches in pixels.

    Returns
    -------
    int or None
        As the configuration says; None while that is not on this computer.
    """
    try:
        config = configuration(card) or _own_configuration(card)
    except GemError:  # loading it tells
        return None
    tower = config.get("vision_cfg", {})
    stated = tower.get("patch_size")
    named = _PATCH.search(str(tower.get("timm_model_name") or ""))
    size = named[1] if named else np.max(stated) if stated else None
    return None if size is None else int(size)


def _own_configuration(card: ModelCard) -> dict[str, Any]:
    """Read what lies beside the weights of a model without an architecture."""
    kind, _, place = card.weights.partition(":")
    if kind in ("package", "folder"):
        folder = PACKAGE / place  # which is the place alone if that is absolute
        return downloads.read_config(folder / CONFIG)
    return _cached_configuration(card)


def activation_of(architecture: str) -> str:
    """Activation that an architecture of open_clip has."""
    quick = open_clip_architectures().get(architecture, {}).get("quick_gelu", False)
    return "QuickGELU" if quick else "GELU"


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
            remote_files(card)  # what it names can be looked for
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
    return tuple(make_card(**entry) for entry in _catalogue()["model"])


@cache
def _catalogue() -> dict[str, Any]:
    return tomllib.loads((PACKAGE / "models.toml").read_text(encoding="utf-8"))


def _words(path: Path) -> list[str]:
    if not path.is_file():
        return []
    words: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return words


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay nested tables over others."""
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict):
            merged[key] = _merge(below[key], above[key])
    return merged
