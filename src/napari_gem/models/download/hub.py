"""Fetching weights from the hub or the web, with progress and a way to stop."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.core.progress import Clock, Progress, aside_steps
from napari_gem.models.configurations import CONFIG, check_model, longest, read_short
from napari_gem.models.download import transfer
from napari_gem.models.download.certificates import hub_http
from napari_gem.models.download.errors import explain, failures
from napari_gem.models.download.web import FOLDER_VARIABLE, WebFile, weights_folder

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Sequence

    from napari_gem.models.card import ModelCard

WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Usual names of its weights, in open_clip's order of preference."""

MODEL = ((CONFIG,), WEIGHTS)

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
)
"""Files that tokenizers of the transformers package are read from."""


ASK_SECONDS = 10
"""The hub has this long to say what a repository holds."""


class DownloadNeeded(GemError):  # noqa: N818 (an answer that is missing, no error)
    """A model is not on this computer, and nobody agreed to its download yet.

    Attributes
    ----------
    card
        The model with size, source and licence, as far as they can be known.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(
            f"The model {card.name} is not on this computer: {size_text(card.size)} "
            f"from {card.source}, licence {card.licence}. Allow the download to get "
            "it (--download, download=True)."
        )
        self.card = card


def size_text(size: int | None) -> str:
    """Say how large a download is, for the user."""
    if size is None:
        return "size not known"
    return f"about {size / 1e6:,.0f} MB" if size >= 1e6 else "less than 1 MB"


@dataclass(frozen=True)
class HubFiles:
    """Files of a repository on the hub.

    Attributes
    ----------
    repository
        ``OWNER/REPOSITORY``.
    groups
        One file of each is needed; the first of a group that is there is taken.
    extra
        Files that a download brings too, if the repository has them.
    revision
        Commit; None is the newest.
    """

    repository: str
    groups: tuple[tuple[str, ...], ...]
    extra: tuple[str, ...] = ()
    revision: str | None = None

    def find(self) -> tuple[Path, ...] | None:
        """Find a file of each group in the hub's cache; None if one is missing."""
        return find_cached(self.repository, self.groups, self.revision)


Files = HubFiles | WebFile
"""What a model is downloaded from."""


def read_config(path: Path) -> dict[str, Any]:
    """Read a folder's configuration of open_clip and return its ``model_cfg``.

    Raises
    ------
    GemError
        If it is no such file, or does not pass `napari_gem.models.configurations`.
    """
    config: dict[str, Any] = check_model(read_short(path), str(path))["model_cfg"]
    return config


def find_cached(
    repository: str, groups: Sequence[Sequence[str]], revision: str | None = None
) -> tuple[Path, ...] | None:
    """Find files of a repository in the hub's cache, without asking the network.

    Parameters
    ----------
    repository
        ``OWNER/REPOSITORY``.
    groups
        One file of each is looked for; the first of a group that is there is taken.
    revision
        Commit; None is the newest that was downloaded, or another one that has all:
        a repository may have grown between the downloads of two of its models.

    Returns
    -------
    tuple[Path, ...] or None
        A file for each group, all of one commit; None if one is missing.
    """
    try:
        found = _find_at(repository, groups, revision)
        if found is not None or revision is not None:
            return found
        folder = transfer.repository_folder(repository) / transfer.SNAPSHOTS
        commits = sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime_ns)
        others = (_find_at(repository, groups, path.name) for path in reversed(commits))
        return next((paths for paths in others if paths is not None), None)
    # a name that the hub's client refuses, or a cache that cannot be read
    except (ValueError, OSError):
        return None


def _find_at(
    repository: str, groups: Sequence[Sequence[str]], revision: str | None
) -> tuple[Path, ...] | None:
    from huggingface_hub import try_to_load_from_cache

    found = []
    for names in groups:
        cached = [
            try_to_load_from_cache(repository, name, revision=revision)
            for name in names
        ]
        paths = [Path(path) for path in cached if isinstance(path, str)]
        if not paths:
            return None
        found.append(paths[0])
    return tuple(found)


def describe(card: ModelCard, files: Files) -> ModelCard:
    """Ask the hub, or another server, what users want to know before a download.

    Parameters
    ----------
    card
        The model.
    files
        What it needs.

    Returns
    -------
    ModelCard
        With the bytes that are still to come; from the hub also the page, and the
        licence that the repository states.

    Raises
    ------
    GemError
        If it cannot be asked or lacks the files.
    """
    if isinstance(files, WebFile):
        size = 0 if files.find() else files.size()
        return replace(card, size=size, source=card.source or files.url)
    try:
        listing = _list_files(files)
    except failures() as error:
        raise GemError(explain(error, files.repository)) from error
    missing = [
        size
        for name, size in listing.sizes.items()
        if find_cached(files.repository, [[name]], files.revision) is None
    ]
    return replace(
        card,
        size=None if None in missing else sum(size or 0 for size in missing),
        source=listing.page,
        licence=listing.licence or card.licence,
    )


def look_at_config(repository: str, revision: str | None = None) -> dict[str, Any]:
    """Read a repository's configuration without keeping it.

    Raises
    ------
    GemError
        If it cannot be had, or does not pass `napari_gem.models.configurations`.
    """
    found = find_cached(repository, [[CONFIG]], revision)
    if found:
        return read_config(found[0])
    try:
        most = longest(CONFIG)
        content = transfer.read_short(repository, CONFIG, revision, longest=most)
    except failures() as error:
        raise GemError(explain(error, repository)) from error
    stated = check_model(content, f"{CONFIG} of {repository}")
    config: dict[str, Any] = stated["model_cfg"]
    return config


def fetch_steps(files: Files) -> Generator[Progress, None, tuple[Path, ...]]:
    """Download files of a repository into the hub's cache, or a file of the web.

    Yields
    ------
    Progress
        Bytes downloaded. Closing the generator stops the download; what is there
        already is used the next time.

    Returns
    -------
    tuple[Path, ...]
        A file for each group.

    Raises
    ------
    GemError
        If the download fails.
    """
    if isinstance(files, WebFile):
        return (yield from _download_web_steps(files))
    try:
        return (yield from _download_steps(files))
    except failures() as error:
        raise GemError(explain(error, files.repository)) from error


@dataclass(frozen=True)
class _Listing:
    """What the hub says of files that are wanted.

    Attributes
    ----------
    sizes
        Bytes of each file, None if not told, in the order of download.
    chosen
        The file of each group.
    page
        Where people read about the repository.
    licence
        As the repository states it; may be empty.
    """

    sizes: dict[str, int | None]
    chosen: list[str]
    page: str
    licence: str


def _list_files(files: HubFiles) -> _Listing:
    from huggingface_hub import HfApi, constants

    hub_http()  # whose session it takes
    info = HfApi().model_info(
        files.repository,
        revision=files.revision,
        files_metadata=True,
        timeout=ASK_SECONDS,
    )
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    chosen = [_pick(files.repository, group, sizes) for group in files.groups]
    # weights last: with them in the cache the model counts as complete
    names = [*(name for name in files.extra if name in sizes), *chosen]
    told: Any = info.card_data or {}
    licence = told.get("license_name") or told.get("license") or ""
    return _Listing(
        {name: sizes[name] for name in names},
        chosen,
        f"{constants.ENDPOINT}/{files.repository}",
        licence if isinstance(licence, str) else ", ".join(map(str, licence)),
    )


def _download_steps(files: HubFiles) -> Generator[Progress, None, tuple[Path, ...]]:
    from huggingface_hub import constants

    listing = yield from aside_steps("Asking the hub", lambda: _list_files(files))
    sizes = {name: size or 0 for name, size in listing.sizes.items()}
    here = [n for n in sizes if find_cached(files.repository, [[n]], files.revision)]
    done, total = 0, sum(sizes.values())
    _check_room(
        total - sum(sizes[name] for name in here),
        Path(constants.HF_HUB_CACHE),
        "HF_HOME",
    )
    clock = None
    # also those that are here: they may be of an older commit
    for name, size in sizes.items():
        with closing(
            transfer.fetch_steps(files.repository, name, files.revision)
        ) as steps:
            for come in steps:
                count = size if come.stage == "Checking" else min(come.done, size)
                if come.stage != "Downloading":
                    yield Progress(come.stage, done + count, total)
                    continue
                # what an earlier try left took no time
                clock = clock or Clock(total, skipped=done + count)
                yield clock.progress(come.stage, done + count)
        done += size
    yield Progress("Downloading", total, total)
    chosen = [[name] for name in listing.chosen]
    return find_cached(files.repository, chosen, files.revision) or ()


def _download_web_steps(file: WebFile) -> Generator[Progress, None, tuple[Path, ...]]:
    if not file.find():
        size = yield from aside_steps("Asking the server", file.size)
        _check_room(size or 0, weights_folder(), FOLDER_VARIABLE)
        clock = None
        with closing(file.fetch_steps()) as steps:
            for come in steps:
                count = size if size and come.stage == "Checking" else come.done
                if come.stage == "Downloading" and size:
                    clock = clock or Clock(size, skipped=count)
                    yield clock.progress(come.stage, count)
                else:
                    yield Progress(come.stage, count, size or 0)
        if size:
            yield Progress("Downloading", size, size)
    return (file.path,)


def _check_room(needed: int, cache: Path, variable: str) -> None:
    """Refuse a download for which the disk has no room."""
    there = next((path for path in (cache, *cache.parents) if path.exists()), None)
    if there is None:
        return
    free = shutil.disk_usage(there).free
    if free < needed:
        raise GemError(
            f"The download needs {size_text(needed)}; the disk of {cache} has "
            f"{size_text(free)} left. Make room there, or set {variable} to a folder "
            "of another disk."
        )


def _pick(repository: str, names: Sequence[str], there: Container[str]) -> str:
    for name in names:
        if name in there:
            return name
    raise GemError(
        f"{repository} holds no {' or '.join(names)}, so it is no open_clip model. "
        "Choose another repository, or download a weights file and give its path and "
        "architecture."
    )
