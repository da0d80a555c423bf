"""What a model has in the caches, and taking it out again.

Those of the hub are laid out as huggingface_hub documents it
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache): a folder a
repository, with ``snapshots/COMMIT/FILE`` that mostly point to ``blobs``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.core.atomic import delete
from napari_gem.core.errors import GemError
from napari_gem.models.catalogue import remote_files
from napari_gem.models.download.hub import find_cached
from napari_gem.models.download.transfer import SNAPSHOTS, repository_folder
from napari_gem.models.download.web import WebFile

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard
    from napari_gem.models.download.hub import Files


@dataclass(frozen=True)
class CachedFile:
    """A file of a repository in the cache.

    Attributes
    ----------
    repository
        ``OWNER/REPOSITORY``, or the address of a file of the web.
    revision
        Its commit, or its SHA-256.
    name
        Path inside the repository, with ``/``.
    path
        Where it is.
    """

    repository: str
    revision: str
    name: str
    path: Path


def cached_files(card: ModelCard) -> tuple[CachedFile, ...]:
    """Files of a model that are in the cache and that loading it takes.

    The configuration comes first, weights last; one file of alternative ones.
    """
    files = []
    for part in reversed(remote_files(card)):
        found = [_describe(part, path) for path in part.find() or ()]
        for name in part.extra if found else ():
            paths = find_cached(part.repository, [[name]], found[0].revision)
            files += [_describe(part, path) for path in paths or ()]
        files += found
    return tuple(files)


def cached_bytes(card: ModelCard) -> int:
    """Bytes that removing a model would free, at most."""
    return sum(
        file.path.stat().st_size
        for file in cached_files(card)
        if file.repository == remote_files(card)[0].repository
    )


def remove_cached(card: ModelCard) -> int:
    """Remove a model's files from its cache and nothing else; tell the bytes freed.

    The small configuration of a text tower stays, since models share it. What other
    programs have of the same repository stays too.

    Raises
    ------
    GemError
        If a file cannot be removed.
    """
    parts = remote_files(card)
    if not parts:
        return 0
    names = {name for group in parts[0].groups for name in group} | {*parts[0].extra}
    try:
        if isinstance(parts[0], WebFile):
            return parts[0].remove()
        return _remove(repository_folder(parts[0].repository), names)
    except OSError as error:
        raise GemError(
            f"{card.name} could not be removed ({error}). Close what uses it, and try "
            "again."
        ) from error


def _remove(folder: Path, names: set[str]) -> int:
    files = [path for path in folder.glob(f"{SNAPSHOTS}/**/*") if not path.is_dir()]
    snapshots = list(folder.glob(f"{SNAPSHOTS}/*"))
    wanted = {snapshot / name for snapshot in snapshots for name in names}
    ours = [path for path in files if path in wanted]
    left = [path for path in files if path not in wanted]
    sizes = {b: b.stat().st_size if b.exists() else 0 for b in map(_blob, ours)}
    unused = sizes.keys() - {_blob(path) for path in left}
    # weights first: what a program uses is not removed on Windows, and all stays then
    for blob in sorted(unused, key=lambda blob: -sizes[blob]):
        delete(blob)
    for path in ours:
        delete(path)
    if not left:
        delete(folder)  # begun downloads too
    return sum(size for blob, size in sizes.items() if not os.path.lexists(blob))


def _blob(path: Path) -> Path:
    """Follow one link: what it points to may be shared in its turn."""
    with suppress(OSError):
        return Path(os.path.abspath(path.parent / path.readlink()))  # noqa: PTH100
    return path


def _describe(part: Files, path: Path) -> CachedFile:
    if isinstance(part, WebFile):
        return CachedFile(part.url, part.sha256, path.name, path)
    snapshot = next(p for p in path.parents if p.parent.name == SNAPSHOTS)
    name = path.relative_to(snapshot).as_posix()
    return CachedFile(part.repository, snapshot.name, name, path)
