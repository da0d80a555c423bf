"""From what the user names to a model.

Making a `ModelCard` imports neither torch nor open_clip; `load_model` does.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.backbones import check_tower
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress, run
from napari_gem.core.validation import check_device, check_precision
from napari_gem.models.architectures import (
    check_architecture_of,
    open_clip_architectures,
    readable_architectures,
)
from napari_gem.models.card import ModelCard
from napari_gem.models.catalogue import list_models, make_card
from napari_gem.models.configurations import CONFIG, check_repository
from napari_gem.models.download.hub import read_config
from napari_gem.models.download.web import SUFFIXES, is_address
from napari_gem.models.model import Model
from napari_gem.models.used_list import note_used
from napari_gem.models.weight_sources import weight_source

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


_TAGGED = re.compile(r"[\w.-]+/[\w.-]+")
"""``ARCHITECTURE/TAG``."""

_PLACE = re.compile(r"[/~.\\]|[A-Za-z]:[/\\]")
"""How a path begins that is no other kind of name."""


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
    if _TAGGED.fullmatch(name) and known in open_clip_architectures():
        check_tower(known, open_clip_architectures()[known])
        return make_card(name, name.replace("/", " "))
    raise GemError(_unknown(name))


def is_available(card: ModelCard) -> bool:
    """Tell whether a model can be loaded without a download.

    Neither the network nor open_clip is asked. An open_clip tag that is not in the
    catalogue counts as not available, since only open_clip knows its repository.
    """
    return weight_source(card).is_on_disk()


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
        A card, or an id; see `find_model`.
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

    model = yield from load_steps(
        card, device, precision, download=download, exact=exact
    )
    note_used(card)
    return model


def _folder_card(folder: Path) -> ModelCard:
    if not (folder / CONFIG).is_file():
        raise GemError(
            f"The folder '{folder}' holds no {CONFIG}, so open_clip cannot "
            "read it. Choose one that does, or a weights file and its architecture."
        )
    check_tower(folder.name, read_config(folder / CONFIG))
    return make_card(str(folder), folder.name, weights=f"folder:{folder}", size=0)


def _file_card(path: Path, architecture: str) -> ModelCard:
    check_architecture_of(path.name, architecture)
    return make_card(
        str(path),
        path.stem,
        architecture=architecture,
        weights=f"file:{path}",
        size=0,
    )


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
