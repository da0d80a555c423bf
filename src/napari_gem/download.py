"""Fetching weights from the Hugging Face hub, with progress and a way to stop."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.types import GemError, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_gem.types import ModelCard

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names of weights in an open_clip repository, the preferred one first."""

CONFIG = "open_clip_config.json"
MODEL = ((CONFIG,), WEIGHTS)

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
"""Fetched if a repository has them."""


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
        return (yield from _download_steps(repository, groups))
    except _failures() as error:
        raise GemError(_explain(error, repository)) from error


def _download_steps(
    repository: str, groups: Sequence[Sequence[str]]
) -> Generator[Progress, None, tuple[Path, ...]]:
    from concurrent.futures import ThreadPoolExecutor

    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(repository, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = [_pick(repository, group, sizes) for group in groups]
    extra = [name for name in TOKENIZER if name in sizes] if len(groups) > 1 else []
    total = sum(sizes[name] for name in names + extra)
    meter = _Meter()
    executor = ThreadPoolExecutor(1, thread_name_prefix="download")
    try:
        # weights last: with them in the cache the model counts as complete
        for name in [*extra, *names]:
            job = executor.submit(
                hf_hub_download, repository, name, tqdm_class=meter.bar_class()
            )
            while not job.done():
                yield Progress("Downloading", min(meter.count, total), total)
                meter.changed.wait(0.25)
                meter.changed.clear()
            job.result()
    finally:
        meter.stopped.set()
        executor.shutdown(wait=False)
    return find_cached(repository, [[name] for name in names]) or ()


class _Meter:
    """Counts the bytes of several files, and ends a download from outside."""

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
                super().__init__(*args, **options | {"disable": True})

            def update(self, n: float | None = 1) -> bool | None:
                if meter.stopped.is_set():
                    raise _CancelledError
                meter.count += int(n or 0)
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
    return (OSError, RuntimeError, ValueError, _CancelledError, *bases)


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
    if isinstance(error, OSError) and error.errno == 28:
        return f"The disk of {constants.HF_HUB_CACHE} is full. Make room there."
    why = "offline mode is on" if os.environ.get("HF_HUB_OFFLINE") else str(error)
    return (
        f"{repository} could not be downloaded from {constants.ENDPOINT} ({why}). "
        "Go online, or copy the cache of a computer that has the model to "
        f"{constants.HF_HUB_CACHE}."
    )
