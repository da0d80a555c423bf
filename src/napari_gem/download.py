"""Fetching weights from the Hugging Face hub, with progress and a way to stop."""

from __future__ import annotations

import errno
import threading
from contextlib import closing
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.types import GemError, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

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


class _CancelledError(Exception):
    """Raised inside the download's thread to end it."""


def find_cached(
    repository: str, groups: Sequence[Sequence[str]]
) -> tuple[Path, ...] | None:
    """Find files of a repository in the hub's cache, without asking the network.

    Parameters
    ----------
    repository
        ``OWNER/REPOSITORY``.
    groups
        One file of each is looked for; the first of a group that is there is taken.

    Returns
    -------
    tuple[Path, ...] or None
        A file for each group; None if one is missing.
    """
    from huggingface_hub import try_to_load_from_cache

    found = []
    for names in groups:
        cached = [try_to_load_from_cache(repository, name) for name in names]
        paths = [Path(path) for path in cached if isinstance(path, str)]
        if not paths:
            return None
        found.append(paths[0])
    return tuple(found)


def fetch_steps(
    card: ModelCard,
    repository: str,
    groups: Sequence[Sequence[str]],
    extra: Sequence[str] = (),
    *,
    allowed: bool,
) -> Generator[Progress, None, tuple[Path, ...]]:
    """Find files of a repository in the hub's cache, or download them into it.

    Parameters
    ----------
    card
        The model, to say what is asked for.
    repository, groups
        As for `find_cached`.
    extra
        Files that a download brings too, if the repository has them.
    allowed
        Whether the network may be used.

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
        If a download is needed and not allowed, or if it fails.
    """
    found = find_cached(repository, groups)
    if found:
        return found
    if not allowed:
        raise GemError(_permission_needed(card, repository))
    yield Progress("Asking the hub")
    try:
        return (yield from _download_steps(repository, groups, extra))
    except _failures() as error:
        raise GemError(_explain(error, repository)) from error


def _download_steps(
    repository: str, groups: Sequence[Sequence[str]], extra: Sequence[str]
) -> Generator[Progress, None, tuple[Path, ...]]:
    from huggingface_hub import HfApi

    info = HfApi().model_info(repository, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = [_pick(repository, group, sizes) for group in groups]
    there = [name for name in extra if name in sizes]
    total = sum(sizes[name] for name in names + there)
    done = 0
    # weights last: with them in the cache the model counts as complete
    for name in [*there, *names]:
        with closing(_fetch(repository, name)) as counts:
            for count in counts:
                yield Progress("Downloading", done + min(count, sizes[name]), total)
        done += sizes[name]
    yield Progress("Downloading", total, total)
    return find_cached(repository, [[name] for name in names]) or ()


def _fetch(repository: str, name: str) -> Generator[int, None, None]:
    """Download one file in a thread and yield the bytes that have come."""
    from concurrent.futures import ThreadPoolExecutor

    from huggingface_hub import hf_hub_download

    meter = _Meter()
    options: dict[str, Any] = {"tqdm_class": meter.bar_class()}
    if "tqdm_class" not in signature(hf_hub_download).parameters:
        options = {}  # huggingface_hub before 1.3
    executor = ThreadPoolExecutor(1, thread_name_prefix="download")
    job = executor.submit(lambda: hf_hub_download(repository, name, **options))
    try:
        while not job.done():
            yield meter.count
            meter.changed.wait(0.25)
            meter.changed.clear()
        job.result()
    finally:
        meter.stopped.set()
        executor.shutdown(wait=False)


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


def _pick(repository: str, names: Sequence[str], there: dict[str, int]) -> str:
    for name in names:
        if name in there:
            return name
    raise GemError(
        f"{repository} holds no {' or '.join(names)}, so it is no open_clip model. "
        "Choose another repository, or download a weights file and give its path and "
        "architecture."
    )


def _permission_needed(card: ModelCard, repository: str) -> str:
    size = "of unknown size" if card.size is None else f"about {card.size / 1e6:.0f} MB"
    page = card.source or f"https://huggingface.co/{repository}"
    return (
        f"The model {card.name} is not on this computer: {size} from {page}, licence "
        f"{card.licence}. Allow the download to get it (--download, download=True)."
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
