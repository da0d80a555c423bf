"""Models that the user puts on the list: a weights file, or its address on the web."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_gem.core.errors import GemError
from napari_gem.models.architectures import activation_of, check_architecture_of
from napari_gem.models.card import ModelCard
from napari_gem.models.catalogue import list_models, make_card
from napari_gem.models.download.web import WebFile
from napari_gem.models.find import find_model
from napari_gem.models.first_bytes import check_begin
from napari_gem.models.own_list import add_own
from napari_gem.models.weight_sources import FileWeights, weight_source


def add_file(
    path: str | Path, architecture: str, *, name: str = "", domain: str = "general"
) -> ModelCard:
    """Put a weights file on the user's own list of models.

    Parameters
    ----------
    path
        The file, which stays where it is.
    architecture
        Of open_clip; it decides the activation.
    name, domain
        What lists show; an empty name is that of the file.

    Returns
    -------
    ModelCard
        Its id is the name with ``-`` for spaces.

    Raises
    ------
    GemError
        If there is no such file or architecture, the file is none of weights, another
        model has the name, or the list cannot be written.
    """
    card = find_model(str(path), architecture)
    source = weight_source(card)
    if not isinstance(source, FileWeights):
        raise GemError(f"'{path}' is no weights file. Give one, such as model.pt.")
    check_begin(source.own_path)
    entry = {
        "good_for": f"what '{source.own_path.name}' was trained for",
        "architecture": architecture,
        "weights": card.weights,
        "size": 0,
        "licence": "your own file",
        "activation": activation_of(architecture),
    }
    return _add(name or card.name, domain, entry)


def add_address(
    url: str,
    sha256: str,
    architecture: str,
    *,
    name: str = "",
    domain: str = "general",
    licence: str = "",
    source: str = "",
) -> ModelCard:
    """Put weights at an address of the web on the user's own list; fetch nothing.

    Parameters
    ----------
    url
        With ``https``; a part of its path names the file.
    sha256
        Of the file, 64 hexadecimal digits.
    architecture
        Of open_clip; it decides the activation.
    name, domain
        What lists show; an empty name is that of the file.
    licence, source
        What the user reads before the download: as far as known, and a page.

    Returns
    -------
    ModelCard
        Its id is the name with ``-`` for spaces.

    Raises
    ------
    GemError
        If there is no such architecture, the address or the hash is none, another
        model has the name, or the list cannot be written.
    """
    url, sha256 = url.strip(), sha256.strip().lower().removeprefix("sha256:")
    file = WebFile(url, sha256)
    check_architecture_of(file.path.name, architecture)
    entry = {
        "good_for": f"what '{file.path.name}' was trained for",
        "architecture": architecture,
        "weights": url,
        "sha256": sha256,
        "licence": " ".join(licence.split()) or "see the page of the weights",
        "source": source.strip() or url,
        "activation": activation_of(architecture),
    }
    return _add(name or file.path.stem, domain, entry)


def _add(name: str, domain: str, entry: dict[str, Any]) -> ModelCard:
    """Put an entry on the user's own list under a name that is free."""
    name = " ".join(name.split())
    id_ = name.replace(" ", "-")
    if any(id_.casefold() == card.id.casefold() for card in list_models()):
        raise GemError(f"There is a model '{id_}' already. Give another name.")
    domain = " ".join(domain.split()) or "general"
    entry = {"id": id_, "name": name, "domain": domain} | entry
    card = make_card(**entry)
    add_own(entry)
    return card
