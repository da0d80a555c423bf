"""From what the user names to a model.

Making a `ModelCard` imports neither torch nor open_clip; `load_model` does.
"""

from __future__ import annotations

import difflib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.backbones import check_tower
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress, aside_steps, run
from napari_gem.core.validation import check_device, check_precision
from napari_gem.models import describe as describing
from napari_gem.models.card import ModelCard
from napari_gem.models.catalogue import (
    PACKAGE,
    activation_of,
    list_models,
    make_card,
    remote_files,
)
from napari_gem.models.catalogue import open_clip_architectures as _architectures
from napari_gem.models.configurations import CONFIG
from napari_gem.models.configurations.names import check_repository
from napari_gem.models.download import hub as downloads
from napari_gem.models.download.hub import DownloadNeeded
from napari_gem.models.download.web import SUFFIXES, WebFile, is_address
from napari_gem.models.own_list import add_own, check_begin
from napari_gem.models.used_list import note_used

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_gem.backbones import Backbone

__all__ = [
    "DownloadNeeded",
    "Model",
    "add_address",
    "add_file",
    "check_there",
    "describe",
    "download_steps",
    "find_model",
    "is_available",
    "list_models",
    "load_model",
    "load_model_steps",
    "readable_architectures",
]

_TAGGED = re.compile(r"[\w.-]+/[\w.-]+")
"""``ARCHITECTURE/TAG``."""

_PLACE = re.compile(r"[/~.\\]|[A-Za-z]:[/\\]")
"""How a path begins that is no other kind of name."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model.

    Attributes
    ----------
    card
        What is known of it, with its defaults.
    revision
        First 16 digits of the SHA-256 of the weights file.
    device, precision
        Where and how it computes: ``cpu``, ``cuda:0`` ...; ``float32`` ...
    backbone
        Reads images and texts.
    notice
        A sentence for the user if the memory did not suffice for what was asked for.
    texts
        Text embeddings made so far; whoever embeds words adds to it.
    """

    card: ModelCard
    revision: str
    device: str
    precision: str
    backbone: Backbone
    notice: str = ""
    texts: dict[tuple[str, tuple[str, ...]], NDArray[np.float32]] = field(
        default_factory=dict, repr=False
    )


def find_model(name: str, architecture: str = "") -> ModelCard:
    """Turn what the user typed into a model's card, without loading anything.

    Parameters
    ----------
    name
        Id of the catalogue, ``ARCHITECTURE/TAG`` of open_clip,
        ``hf-hub:OWNER/REPOSITORY``, or the path of a folder with
        ``open_clip_config.json`` or of a weights file.
    architecture
        open_clip architecture of a weights file.

    Raises
    ------
    GemError
        If it is none of these; the message names what comes near. If the image tower
        of an architecture or a folder cannot be read.
    """
    name = name.strip()
    for card in list_models():
        if name.casefold() in (card.id.casefold(), _plain(card.id)):
            return card
    if is_address(name):
        raise GemError(
            f"'{name}' is not on the list of models. Put it there first, with its "
            "SHA-256 and architecture: 'napari-gem models add', or More, Add address "
            "in the widget."
        )
    repository = name.removeprefix("hf-hub:")
    if repository != name and "/" in repository:
        check_repository(repository)
        source = f"https://huggingface.co/{repository}"
        return make_card(name, repository, source=source)
    path = Path(os.path.expanduser(name))  # noqa: PTH111 (Path's raises for ~nobody)
    try:
        folder, file = bool(name) and path.is_dir(), path.is_file()
    except OSError as error:  # too long a name, no right to look
        raise GemError(
            f"The model '{name[:200]}' cannot be looked for ({error.strerror}). Check "
            "the name, or the rights of the folders that it names."
        ) from error
    if folder:
        return _folder_card(path.absolute())
    if file:
        return _file_card(path.absolute(), architecture)
    if _is_path(name):
        raise GemError(
            f"There is no file or folder '{name}'. Expected a weights file "
            f"({', '.join(SUFFIXES)}) or a folder with {CONFIG}."
        )
    known = name.partition("/")[0]
    if _TAGGED.fullmatch(name) and known in _architectures():
        check_tower(known, _architectures()[known])
        return make_card(name, name.replace("/", " "))
    raise GemError(_unknown(name))


def is_available(card: ModelCard) -> bool:
    """Tell whether a model can be loaded without a download.

    Neither the network nor open_clip is asked. An open_clip tag that is not in the
    catalogue counts as not available, since only open_clip knows its repository.
    """
    kind, _, value = card.weights.partition(":")
    if kind == "package":
        return (PACKAGE / value / CONFIG).is_file()
    if kind in ("file", "folder"):
        with suppress(OSError):  # too long a name, no right to look
            return Path(value).exists()
        return False
    files = remote_files(card)
    return bool(files) and all(part.find() for part in files)


def check_there(card: ModelCard) -> None:
    """Refuse a model of the user's own whose file or folder is gone.

    Raises
    ------
    GemError
        With its place.
    """
    kind, _, place = card.weights.partition(":")
    if kind in ("file", "folder") and not is_available(card):
        raise GemError(
            f"{card.name} is to be in '{place}', which is not there. Put it back, or "
            "take the model off the list and add it again."
        )


def describe(card: ModelCard) -> ModelCard:
    """Say what a download of a model would bring, before anybody agrees to it.

    The hub is asked for models outside the catalogue. Torch and open_clip are imported
    for tags of open_clip outside the catalogue.

    Parameters
    ----------
    card
        From `find_model`.

    Returns
    -------
    ModelCard
        With size (bytes still to come), source and licence as the hub states them; as
        it came for the catalogue and for models that need no download.

    Raises
    ------
    GemError
        If open_clip or the hub knows no such model, if its image tower cannot be
        read, or if the hub cannot be asked. If a file of the user's own is gone.
    """
    check_there(card)
    files = remote_files(card)
    if files:
        return describing.describe(card, files[0])
    from napari_gem.models.load import describe as ask

    return ask(card)


def load_model(
    name: str | ModelCard = "embedded",
    *,
    device: str = "auto",
    precision: str = "auto",
    architecture: str = "",
    download: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> Model:
    """Load a model.

    Parameters
    ----------
    name
        As for `find_model`, or a card.
    device
        ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision
        ``auto`` (float16 on CUDA, else float32), ``float32``, ``bfloat16``,
        ``float16``.
    architecture
        open_clip architecture of a weights file.
    download
        Whether the weights may be downloaded if they are not on this computer.
    progress
        Called with a `Progress` now and then.

    Raises
    ------
    DownloadNeeded
        If it is not on this computer and ``download`` is False; its ``card`` tells
        size, source and licence.
    GemError
        If there is no such model or it does not load.
    """
    steps = load_model_steps(
        name,
        device=device,
        precision=precision,
        architecture=architecture,
        download=download,
    )
    return run(steps, progress)


def load_model_steps(
    name: str | ModelCard = "embedded",
    *,
    device: str = "auto",
    precision: str = "auto",
    architecture: str = "",
    download: bool = False,
    exact: bool = False,
) -> Generator[Progress, None, Model]:
    """Load a model step by step; closing the generator cancels a download.

    Parameters, result and errors are those of `load_model`; ``exact`` loads it nowhere
    else if the memory does not suffice, but raises `memory.NoMemoryError`.
    """
    # torch, which knows what is there, takes seconds to load
    check_device(device)
    check_precision(precision)
    card = name if isinstance(name, ModelCard) else find_model(name, architecture)
    from napari_gem.models.load import load_steps

    loaded = yield from load_steps(
        card, device, precision, download=download, exact=exact
    )
    note_used(card)
    return Model(card, **loaded._asdict())


def download_steps(card: ModelCard) -> Generator[Progress, None, None]:
    """Download a model without loading it; closing the generator cancels that.

    Neither torch nor open_clip is imported, but for open_clip's tags outside of the
    catalogue.

    Raises
    ------
    GemError
        If the download fails, or if what comes could not be loaded.
    """
    parts = remote_files(card)
    if not parts:
        yield from load_model_steps(card, device="cpu", download=True)
        return
    check = partial(describing.check_readable, card, parts[0])
    yield from aside_steps("Asking the hub", check)
    yield from downloads.fetch_steps(parts[0])
    # its configuration, which is here now, may name more
    for part in remote_files(card)[1:]:
        if not part.find():
            yield from downloads.fetch_steps(part)


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
    found = find_model(str(path), architecture)
    kind, _, place = found.weights.partition(":")
    if kind != "file":
        raise GemError(f"'{path}' is no weights file. Give one, such as model.pt.")
    check_begin(Path(place))
    entry = {
        "good_for": f"what '{Path(place).name}' was trained for",
        "architecture": architecture,
        "weights": found.weights,
        "size": 0,
        "licence": "your own file",
        "activation": activation_of(architecture),
    }
    return _add(name or found.name, domain, entry)


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
    _check_architecture(file.path.name, architecture)
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
    told = {"id": id_, "name": name, "domain": " ".join(domain.split()) or "general"}
    card = make_card(**told, **entry)
    add_own(told | entry)
    return card


def _folder_card(folder: Path) -> ModelCard:
    if not (folder / CONFIG).is_file():
        raise GemError(
            f"The folder '{folder}' holds no {CONFIG}, so open_clip cannot "
            "read it. Choose one that does, or a weights file and its architecture."
        )
    check_tower(folder.name, downloads.read_config(folder / CONFIG))
    return make_card(str(folder), folder.name, weights=f"folder:{folder}", size=0)


def _file_card(path: Path, architecture: str) -> ModelCard:
    _check_architecture(path.name, architecture)
    return make_card(
        str(path),
        path.stem,
        architecture=architecture,
        weights=f"file:{path}",
        size=0,
    )


def _check_architecture(file: str, architecture: str) -> None:
    """Refuse an architecture of a weights file that is missing or cannot be read."""
    near = difflib.get_close_matches(architecture, readable_architectures(), cutoff=0.5)
    if not architecture:
        raise GemError(
            f"'{file}' is a single file. Name its open_clip architecture too, "
            "such as ViT-B-16, or ViT-B-16-quickgelu if it was trained on from "
            "OpenAI's weights."
        )
    if architecture not in _architectures():
        raise GemError(
            f"open_clip has no architecture '{architecture}'. "
            f"Near it: {', '.join(near) or 'nothing; an example is ViT-B-16'}."
        )
    check_tower(architecture, _architectures()[architecture])


def _unknown(name: str) -> str:
    """Say so, and what was perhaps meant: what holds the words, or is spelt so."""
    near = [
        card.id
        for card in list_models()
        if name and name.casefold() in f"{card.id} {card.name}".casefold()
    ][:4]
    if not near:
        tag = name.partition("/")[2]
        names = [card.id for card in list_models()]
        names += [f"{known}/{tag}" for known in readable_architectures()]
        near = difflib.get_close_matches(name, names, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"There is no model '{name}'.{hint} Give an id of the list of models, "
        "ARCHITECTURE/TAG of open_clip, hf-hub:OWNER/REPOSITORY, or the path of a "
        "folder or weights file."
    )


def _is_path(name: str) -> bool:
    many = name.count("/") > 1 or "\\" in name
    return many or bool(_PLACE.match(name)) or name.lower().endswith(SUFFIXES)


def _plain(id_: str) -> str:
    """Id without the activation: the tag alone decides it."""
    return id_.casefold().replace("-quickgelu/", "/")


def readable_architectures() -> list[str]:
    """Architectures of open_clip whose image tower can be read, by name."""
    found = []
    for name, config in _architectures().items():
        with suppress(GemError):
            check_tower(name, config)
            found.append(name)
    return found
