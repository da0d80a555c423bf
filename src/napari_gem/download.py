"""Fetching weights from the Hugging Face hub, with progress and a way to stop."""

from __future__ import annotations

import errno
import json
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from napari_gem.types import GemError, Progress

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Sequence

    from napari_gem.types import ModelCard

CONFIG = "open_clip_config.json"
"""File that makes a folder or repository of weights a model of open_clip."""

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


def read_config(path: Path) -> dict[str, Any]:
    """Read a folder's configuration of open_clip and return its ``model_cfg``.

    Raises
    ------
    GemError
        If it is no such file.
    """
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        parts = stated["vision_cfg"], stated["text_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GemError(
            f"'{path}' is no configuration of open_clip ({error!r}). It needs "
            "'model_cfg' with 'vision_cfg' and 'text_cfg'."
        ) from error
    if not all(isinstance(part, dict) for part in parts):
        raise GemError(
            f"'{path}' is no configuration of open_clip: 'vision_cfg' and 'text_cfg' "
            "must be tables."
        )
    config: dict[str, Any] = stated
    return config


class _CancelledError(Exception):
    """Raised inside the download's thread to end it."""


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
        Commit; None is the newest that was downloaded.

    Returns
    -------
    tuple[Path, ...] or None
        A file for each group; None if one is missing.
    """
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


def describe(card: ModelCard, files: HubFiles) -> ModelCard:
    """Ask the hub for what a user wants to know before a download.

    Parameters
    ----------
    card
        The model.
    files
        What it needs.

    Returns
    -------
    ModelCard
        With the bytes that are still to come, the page, and the licence that the
        repository states.

    Raises
    ------
    GemError
        If the hub cannot be asked or lacks the files.
    """
    try:
        listing = _list_files(files)
    except _failures() as error:
        raise GemError(_explain(error, files.repository)) from error
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


def look_at_config(repository: str) -> dict[str, Any]:
    """Read a repository's configuration without keeping it.

    Raises
    ------
    GemError
        If it cannot be had, or is no configuration of open_clip.
    """
    from huggingface_hub import hf_hub_download

    found = find_cached(repository, [[CONFIG]])
    if found:
        return read_config(found[0])
    with TemporaryDirectory(prefix="napari-gem-") as folder:
        try:
            options = _bar_options(_Meter())
            hf_hub_download(repository, CONFIG, local_dir=folder, **options)
        except _failures() as error:
            raise GemError(_explain(error, repository)) from error
        return read_config(Path(folder, CONFIG))


def fetch_steps(files: HubFiles) -> Generator[Progress, None, tuple[Path, ...]]:
    """Download files of a repository into the hub's cache.

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
    yield Progress("Asking the hub")
    try:
        return (yield from _download_steps(files))
    except _failures() as error:
        raise GemError(_explain(error, files.repository)) from error


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
    listing = _list_files(files)
    sizes = {name: size or 0 for name, size in listing.sizes.items()}
    done, total = 0, sum(sizes.values())
    for name, size in sizes.items():
        with closing(_fetch(files, name)) as counts:
            for count in counts:
                yield Progress("Downloading", done + min(count, size), total)
        done += size
    yield Progress("Downloading", total, total)
    chosen = [[name] for name in listing.chosen]
    return find_cached(files.repository, chosen, files.revision) or ()


def _fetch(files: HubFiles, name: str) -> Generator[int, None, None]:
    """Download one file in a thread and yield the bytes that have come."""
    from concurrent.futures import ThreadPoolExecutor

    from huggingface_hub import hf_hub_download

    meter = _Meter()
    options = _bar_options(meter) | {"revision": files.revision}
    executor = ThreadPoolExecutor(1, thread_name_prefix="download")
    job = executor.submit(lambda: hf_hub_download(files.repository, name, **options))
    try:
        while not job.done():
            yield meter.count
            meter.changed.wait(0.25)
            meter.changed.clear()
        job.result()
    finally:
        meter.stopped.set()
        executor.shutdown(wait=False)


def _bar_options(meter: _Meter) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download

    if "tqdm_class" not in signature(hf_hub_download).parameters:
        return {}  # huggingface_hub before 1.3
    return {"tqdm_class": meter.bar_class()}


class _Meter:
    """Counts the bytes of one file, and ends its download from outside."""

    def __init__(self) -> None:
        self.count = 0
        self.changed = threading.Event()
        self.stopped = threading.Event()

    def bar_class(self) -> type[Any]:
        """Make a progress bar that shows nothing, counts, and stops when told to."""
        from tqdm.auto import tqdm

        meter = self

        class Silent(tqdm):  # type: ignore[misc]
            def __init__(self, *args: Any, **options: Any) -> None:
                options.pop("name", None)
                self.come = int(options.get("initial") or 0)
                super().__init__(*args, **options | {"disable": True})

            def update(self, n: float | None = 1) -> bool | None:
                if meter.stopped.is_set():
                    raise _CancelledError
                self.come += int(n or 0)
                # two bars may show one file: what came and what was put together
                meter.count = max(meter.count, self.come)
                meter.changed.set()
                return None

        return Silent


def _pick(repository: str, names: Sequence[str], there: Container[str]) -> str:
    for name in names:
        if name in there:
            return name
    raise GemError(
        f"{repository} holds no {' or '.join(names)}, so it is no open_clip model. "
        "Choose another repository, or download a weights file and give its path and "
        "architecture."
    )


def _failures() -> tuple[type[Exception], ...]:
    from huggingface_hub.errors import HfHubHTTPError

    # the hub's client library changes its HTTP library; the base class tells which
    bases = [base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError"]
    return (OSError, RuntimeError, ValueError, *bases)


def _explain(error: Exception, repository: str) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repository} wants its terms accepted. Do so on "
            f"https://huggingface.co/{repository}, then log in with 'hf auth login'."
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return (
            f"The hub has no repository '{repository}', or it is private. Check the "
            "spelling; for a private one log in with 'hf auth login'."
        )
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        return f"The hub answered {status} for {repository}. Try again later."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk of {constants.HF_HUB_CACHE} is full. Make room there."
    why = str(error).partition("\n")[0]
    if constants.HF_HUB_OFFLINE:
        why = "offline mode is on"
    return (
        f"{repository} could not be downloaded from {constants.ENDPOINT} ({why}). "
        "Go online, or copy the cache of a computer that has the model to "
        f"{constants.HF_HUB_CACHE}."
    )
