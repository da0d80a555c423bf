"""Files of a repository on the Hugging Face hub, and what the cache has of them.

The cache is laid out as huggingface_hub documents it
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache): a folder for each
repository, with ``snapshots/COMMIT/FILE`` that mostly point to ``blobs``.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from napari_gem.core.atomic import delete
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress, aside_steps
from napari_gem.models.configurations import CONFIG, check_model, longest, read_short
from napari_gem.models.download import transfer
from napari_gem.models.download.certificates import hub_http
from napari_gem.models.download.errors import explain, failures
from napari_gem.models.download.files import CachedFile, Meter, check_room
from napari_gem.models.download.transfer import SNAPSHOTS, repository_folder

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Sequence

    from napari_gem.models.card import ModelCard

WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Usual names of weights, in open_clip's order of preference."""

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
    server: ClassVar[str] = "hub"

    @property
    def cache(self) -> Path:
        """Folder of the hub's cache."""
        return repository_folder(self.repository).parent

    def find(self) -> tuple[Path, ...] | None:
        """Find a file of each group in the hub's cache; None if one is missing."""
        return find_cached(self.repository, self.groups, self.revision)

    def look_up(self, card: ModelCard) -> ModelCard:
        """Fill in the bytes still to come, page and licence, as the hub states them."""
        try:
            listing = self._list()
        except failures() as error:
            raise GemError(explain(error, self.repository)) from error
        missing = [
            size for name, size in listing.sizes.items() if not self._is_cached(name)
        ]
        return replace(
            card,
            size=None if None in missing else sum(size or 0 for size in missing),
            source=listing.page,
            licence=listing.licence or card.licence,
        )

    def read_configuration(self) -> dict[str, Any]:
        """Read the repository's ``model_cfg`` without keeping it."""
        cached = find_cached(self.repository, [[CONFIG]], self.revision)
        if cached:
            return read_config(cached[0])
        try:
            content = transfer.read_short(
                self.repository, CONFIG, self.revision, longest=longest(CONFIG)
            )
        except failures() as error:
            raise GemError(explain(error, self.repository)) from error
        config: dict[str, Any]
        config = check_model(content, f"{CONFIG} of {self.repository}")["model_cfg"]
        return config

    def fetch_steps(self) -> Generator[Progress, None, tuple[Path, ...]]:
        """Download into the hub's cache; the result is a file for each group.

        Closing the generator stops the download; what came is used the next time.

        Raises
        ------
        GemError
            If the download fails.
        """
        try:
            return (yield from self._fetch_steps())
        except failures() as error:
            raise GemError(explain(error, self.repository)) from error

    def cached_files(self) -> list[CachedFile]:
        """List what the cache has, if a file of each group is there."""
        files = [self._cached_file(path) for path in self.find() or ()]
        others = []
        for name in self.extra if files else ():
            paths = find_cached(self.repository, [[name]], files[0].revision)
            others += [self._cached_file(path) for path in paths or ()]
        return others + files

    def remove(self) -> int:
        """Remove these files of all commits from the cache; give the bytes freed.

        What other programs have of the same repository stays.
        """
        folder = repository_folder(self.repository)
        files = [path for path in folder.glob(f"{SNAPSHOTS}/**/*") if not path.is_dir()]
        names = {*self.extra, *(name for group in self.groups for name in group)}
        commits = list(folder.glob(f"{SNAPSHOTS}/*"))
        wanted = {commit / name for commit in commits for name in names}
        ours = [path for path in files if path in wanted]
        others = [path for path in files if path not in wanted]
        sizes = {b: b.stat().st_size if b.exists() else 0 for b in map(_blob, ours)}
        unused = sizes.keys() - {_blob(path) for path in others}
        # weights first: Windows removes nothing in use, and then all stays
        for blob in sorted(unused, key=lambda blob: -sizes[blob]):
            delete(blob)
        for path in ours:
            delete(path)
        if not others:
            delete(folder)  # begun downloads too
        return sum(size for blob, size in sizes.items() if not os.path.lexists(blob))

    def take_in(self, path: Path, name: str, revision: str) -> None:
        """Move a checked file into the cache; what is there stays."""
        folder = repository_folder(self.repository)
        target = folder / SNAPSHOTS / revision / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.move(path, target)  # the cache may lie on another disk
        reference = folder / "refs" / "main"
        reference.parent.mkdir(parents=True, exist_ok=True)
        if not reference.exists():
            reference.write_text(revision, encoding="utf-8")

    def _is_cached(self, name: str) -> bool:
        return find_cached(self.repository, [[name]], self.revision) is not None

    def _cached_file(self, path: Path) -> CachedFile:
        snapshot = next(p for p in path.parents if p.parent.name == SNAPSHOTS)
        name = path.relative_to(snapshot).as_posix()
        return CachedFile(self.repository, snapshot.name, name, path)

    def _list(self) -> _Listing:
        from huggingface_hub import HfApi, constants

        hub_http()  # whose session it takes
        info = HfApi().model_info(
            self.repository,
            revision=self.revision,
            files_metadata=True,
            timeout=ASK_SECONDS,
        )
        sizes = {file.rfilename: file.size for file in info.siblings or ()}
        chosen = [_pick(self.repository, group, sizes) for group in self.groups]
        # weights last: with them in the cache the model counts as complete
        names = [*(name for name in self.extra if name in sizes), *chosen]
        about: Any = info.card_data or {}
        licence = about.get("license_name") or about.get("license") or ""
        return _Listing(
            {name: sizes[name] for name in names},
            chosen,
            f"{constants.ENDPOINT}/{self.repository}",
            licence if isinstance(licence, str) else ", ".join(map(str, licence)),
        )

    def _fetch_steps(self) -> Generator[Progress, None, tuple[Path, ...]]:
        listing = yield from aside_steps("Asking the hub", self._list)
        sizes = {name: size or 0 for name, size in listing.sizes.items()}
        missing = sum(n for name, n in sizes.items() if not self._is_cached(name))
        check_room(missing, self.cache, "HF_HOME")
        meter = Meter(sum(sizes.values()))
        # also those that are cached: they may be of an older commit
        for name, size in sizes.items():
            steps = transfer.fetch_steps(self.repository, name, self.revision)
            yield from meter.steps(steps, size)
        yield Progress("Downloading", sum(sizes.values()), sum(sizes.values()))
        chosen = [[name] for name in listing.chosen]
        return find_cached(self.repository, chosen, self.revision) or ()


class _Listing(NamedTuple):
    """What the hub says of files that are wanted.

    Attributes
    ----------
    sizes
        Bytes of each file, None if the hub does not say, in the order of download.
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


def read_config(path: Path) -> dict[str, Any]:
    """Read a folder's configuration of open_clip and return its ``model_cfg``."""
    config: dict[str, Any] = check_model(read_short(path), str(path))["model_cfg"]
    return config


def find_cached(
    repository: str, groups: Sequence[Sequence[str]], revision: str | None = None
) -> tuple[Path, ...] | None:
    """Find a file of each group in the hub's cache, all of one commit.

    Without a revision it is the newest commit that was downloaded, or another one that
    has all: a repository may have grown between the downloads of two of its models.
    """
    try:
        paths = _find_at(repository, groups, revision)
        if paths is not None or revision is not None:
            return paths
        folder = repository_folder(repository) / SNAPSHOTS
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

    chosen = []
    for names in groups:
        cached = (
            try_to_load_from_cache(repository, name, revision=revision)
            for name in names
        )
        path = next((path for path in cached if isinstance(path, str)), None)
        if path is None:
            return None
        chosen.append(Path(path))
    return tuple(chosen)


def _blob(path: Path) -> Path:
    """Follow one link: what it points to may be shared in its turn."""
    with suppress(OSError):
        return Path(os.path.abspath(path.parent / path.readlink()))  # noqa: PTH100
    return path


def _pick(repository: str, names: Sequence[str], available: Container[str]) -> str:
    for name in names:
        if name in available:
            return name
    raise GemError(
        f"{repository} holds no {' or '.join(names)}, so it is no open_clip model. "
        "Choose another repository, or download a weights file and give its path and "
        "architecture."
    )
