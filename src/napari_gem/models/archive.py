"""A downloaded model as one file, for computers without network.

The file is a plain zip without compression: a manifest in JSON, with size and SHA-256
of each file, and the files. Nothing in it is run, and what it says of its model passes
`napari_gem.models.configurations` or is refused. Nothing is written but files that the
model needs, into the caches that downloads go to, and a model of the web that is not
known yet onto the user's own list.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from napari_gem.backbones import check_tower
from napari_gem.core.atomic import unfinished_path, whole_file
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_error
from napari_gem.core.json_records import from_json, to_json
from napari_gem.core.progress import Progress
from napari_gem.models.architectures import configuration
from napari_gem.models.catalogue import list_models, make_card
from napari_gem.models.configurations import (
    CONFIG,
    check_file,
    check_model,
    is_checked,
    longest,
)
from napari_gem.models.download.web import FOLDER_VARIABLE, is_address
from napari_gem.models.find import find_model, is_available
from napari_gem.models.own_list import add_own, read_own
from napari_gem.models.weight_sources import weight_source

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_gem.models.card import ModelCard
    from napari_gem.models.weight_sources import RemoteFiles

SUFFIX = ".gem-model.zip"
MANIFEST = "manifest.json"
SCHEMA = 1
_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BLOCK = 1 << 22
_LONGEST_TEXT = 1 << 20


@dataclass(frozen=True)
class ArchivedFile:
    """A file of an archive; the first is the member ``files/0`` and so on.

    Attributes
    ----------
    repository, revision, name
        As in `napari_gem.models.download.files.CachedFile`.
    size
        Bytes.
    sha256
        64 hexadecimal digits.
    """

    repository: str
    revision: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself.

    Attributes
    ----------
    napari_gem_model
        Version of this layout.
    model
        Id of the model.
    licence, source
        As in `ModelCard`.
    files
        In the order in which they are put in place; the hub's own weights last.
    entry
        Of the user's own list, if the model is of that; else empty.
    """

    napari_gem_model: int
    model: str
    licence: str
    source: str
    files: tuple[ArchivedFile, ...]
    entry: dict[str, Any] = field(default_factory=dict)


def export_steps(
    card: ModelCard, target: Path, *, replace: bool = False
) -> Generator[Progress, None, None]:
    """Write a downloaded model into one file.

    Parameters
    ----------
    card
        Which one.
    target
        The file. It appears when it is whole.
    replace
        Whether a file that is there is replaced.

    Yields
    ------
    Progress
        Bytes written. Closing the generator leaves nothing behind.

    Raises
    ------
    GemError
        If the model is not on this computer or was not downloaded, or the file is
        there or cannot be written.
    """
    source = weight_source(card)
    if not source.remote_files():
        raise GemError(
            f"{card.name} cannot be exported: only downloaded models can. Copy a "
            "file or folder of your own as it is, and add it there with "
            "'napari-gem models add'."
        )
    if not source.is_on_disk():
        raise GemError(
            f"{card.name} is not on this computer. Download it first: napari-gem "
            f"models download {card.id}"
        )
    if target.exists() and not replace:
        raise GemError(
            f"'{target}' is there already. Choose another name, or say --replace."
        )
    try:
        yield from _write_steps(card, target)
    except OSError as error:
        raise GemError(
            f"'{target}' cannot be written ({error.strerror}). Choose another folder, "
            "or make room."
        ) from error


def import_steps(source: Path) -> Generator[Progress, None, ModelCard]:
    """Put a model from a file into its cache, as if it had been downloaded.

    Yields
    ------
    Progress
        Bytes read. Closing the generator leaves nothing behind.

    Returns
    -------
    ModelCard
        Of the model, which can be loaded now.

    Raises
    ------
    GemError
        If it is no such file, is damaged or holds what the model does not need; then
        nothing was changed. If the cache cannot be written.
    """
    with ExitStack() as stack:
        try:
            if source.exists() and not source.is_file():
                raise GemError("it is no file")  # a pipe would be waited for
            archive = stack.enter_context(ZipFile(source))
            manifest = _read_manifest(archive)
            card, parts = _check(manifest, archive)
        except OSError as error:
            raise GemError(_unusable(source, error.strerror or str(error))) from error
        except GemError as error:
            raise GemError(_unusable(source, str(error).rstrip("."))) from error
        except Exception as error:  # a damaged zip may raise anything
            raise GemError(_unusable(source, shown_error(error))) from error
        if is_available(card):
            return _listed(card, manifest)
        try:
            yield from _place_steps(card, parts, manifest, archive)
        except (BadZipFile, EOFError) as error:
            raise GemError(_unusable(source, str(error))) from error
        except OSError as error:
            raise GemError(
                f"{card.name} cannot be written to '{parts[0].cache}' "
                f"({error.strerror}). Make room there, or set HF_HOME, for models of "
                f"the web {FOLDER_VARIABLE}, to another folder."
            ) from error
    return _listed(card, manifest)


def _write_steps(card: ModelCard, target: Path) -> Generator[Progress, None, None]:
    files = weight_source(card).cached_files()
    sizes = [file.path.stat().st_size for file in files]
    total, done, archived = sum(sizes), 0, []
    with (
        whole_file(target) as unfinished,
        unfinished.open("xb") as raw,
        ZipFile(raw, "w", ZIP_STORED, allowZip64=True) as archive,
    ):
        for number, (file, size) in enumerate(zip(files, sizes, strict=True)):
            with (
                file.path.open("rb") as read,
                archive.open(f"files/{number}", "w", force_zip64=True) as write,
            ):
                sha256 = yield from _copy_steps(read, write, "Exporting", done, total)
            done += size
            place = (file.repository, file.revision, file.name)
            archived.append(ArchivedFile(*place, size, sha256))
        own = [entry for entry in read_own() if entry["id"] == card.id]
        manifest = Manifest(
            SCHEMA, card.id, card.licence, card.source, tuple(archived), *own
        )
        archive.writestr(MANIFEST, to_json(manifest))


def _read_manifest(archive: ZipFile) -> Manifest:
    member = archive.getinfo(MANIFEST)
    if member.file_size > _LONGEST_TEXT:
        raise GemError("its manifest is too long")
    if member.compress_type != ZIP_STORED:
        raise GemError("it is compressed inside")
    manifest = from_json(Manifest, archive.read(MANIFEST))
    if manifest.napari_gem_model != SCHEMA:
        raise GemError("it is of a newer version of napari-gem")
    return manifest


def _check(
    manifest: Manifest, archive: ZipFile
) -> tuple[ModelCard, tuple[RemoteFiles, ...]]:
    """Refuse what is not a whole model of the hub or the web and only that."""
    card = _card(manifest)
    source = weight_source(card)
    parts = source.remote_files()
    if not parts:
        raise GemError(f"{card.name} never comes by file")
    if not card.architecture:
        config = _read_config(manifest, parts[0].repository, archive)
        parts = source.remote_files(config)
    _check_files(card, parts, manifest, archive)
    for part in parts:
        _check_part(card, part, manifest)
    _check_content(manifest, archive)
    return card, parts


def _check_part(card: ModelCard, part: RemoteFiles, manifest: Manifest) -> None:
    """Refuse a part that is not whole, or not of the commit that is wanted."""
    files = [file for file in manifest.files if file.repository == part.repository]
    names, revisions = {f.name for f in files}, {f.revision for f in files}
    if not all(names & set(group) for group in part.groups):
        raise GemError(f"files of {part.repository} are missing")
    if len(revisions) > 1:
        raise GemError(f"files of {part.repository} are of several commits")
    if part.revision and revisions != {part.revision}:
        raise GemError(f"{card.name} is pinned to another version")


def _check_files(
    card: ModelCard,
    parts: Sequence[RemoteFiles],
    manifest: Manifest,
    archive: ZipFile,
) -> None:
    """Refuse files that the model does not need, or that are not as stated."""
    needed = {
        (part.repository, name)
        for part in parts
        for name in (*part.extra, *(name for group in part.groups for name in group))
    }
    stated = [(file.repository, file.name) for file in manifest.files]
    if len(set(stated)) < len(stated):
        raise GemError("it holds a file twice")
    for number, file in enumerate(manifest.files):
        known = (file.repository, file.name) in needed
        if not (known and _REVISION.fullmatch(file.revision)):
            raise GemError(f"it holds '{file.name}', which {card.name} does not need")
        if len(file.revision) == 64 and file.revision != file.sha256:
            raise GemError(f"'{file.name}' is other weights than {card.name} has")
        member = archive.getinfo(f"files/{number}")
        if member.compress_type != ZIP_STORED or member.file_size != file.size:
            raise GemError(f"'{file.name}' has another size than the manifest says")


def _card(manifest: Manifest) -> ModelCard:
    """Find the model of an archive, or make it of the entry that came with it."""
    listed = any(card.id == manifest.model for card in list_models())
    named = manifest.entry.get("id") == manifest.model and "name" in manifest.entry
    if named and not listed:
        card = make_card(**manifest.entry)
        if is_address(card.weights):
            check_tower(card.name, configuration(card) or {})
            return card
    return find_model(manifest.model)


def _listed(card: ModelCard, manifest: Manifest) -> ModelCard:
    """Put a model that came with its entry on the user's own list.

    Whatever else the entry of an archive names is not put there: what is on the list
    counts as chosen by the user, and may be theirs already.
    """
    came_with_it = manifest.entry.get("id") == card.id and is_address(card.weights)
    if came_with_it and all(known.id != card.id for known in list_models()):
        add_own(manifest.entry)
    return card


def _read_config(
    manifest: Manifest, repository: str, archive: ZipFile
) -> dict[str, Any]:
    """Read what a repository outside the catalogue says of its model."""
    for number, file in enumerate(manifest.files):
        if (file.repository, file.name) == (repository, CONFIG):
            stated = check_model(_read(archive, number, file), CONFIG)
            config: dict[str, Any] = stated["model_cfg"]
            return config
    return {}


def _check_content(manifest: Manifest, archive: ZipFile) -> None:
    """Refuse configurations and tokenizers that loading the model would refuse."""
    for number, file in enumerate(manifest.files):
        if file.name == CONFIG:
            check_model(_read(archive, number, file), CONFIG)
        elif is_checked(file.name):
            check_file(file.name, _read(archive, number, file), file.name)


def _read(archive: ZipFile, number: int, file: ArchivedFile) -> bytes:
    member = archive.getinfo(f"files/{number}")
    if member.file_size > longest(file.name):
        raise GemError(f"its {file.name} is too long")
    return archive.read(member)


def _place_steps(
    card: ModelCard,
    parts: Sequence[RemoteFiles],
    manifest: Manifest,
    archive: ZipFile,
) -> Generator[Progress, None, None]:
    total, done = sum(file.size for file in manifest.files), 0
    cache = parts[0].cache
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < total:
        raise GemError(
            f"{total / 1e6:,.0f} MB are needed in '{cache}' and {free / 1e6:,.0f} MB "
            "are free. Make room, or set HF_HOME, for models of the web "
            f"{FOLDER_VARIABLE}, to a folder on another disk."
        )
    with unfinished_path(cache) as unfinished:
        unfinished.mkdir()
        for number, file in enumerate(manifest.files):
            path = unfinished / str(number)
            with archive.open(f"files/{number}") as read, path.open("wb") as write:
                sha256 = yield from _copy_steps(read, write, "Importing", done, total)
            if sha256 != file.sha256:
                raise BadZipFile(
                    f"'{file.name}' has another hash than the manifest says"
                )
            done += file.size
        for number, file in enumerate(manifest.files):
            part = next(part for part in parts if part.repository == file.repository)
            part.take_in(unfinished / str(number), file.name, file.revision)
    if not is_available(card):
        raise GemError(f"{card.name} is still not whole. Export it again.")


def _copy_steps(
    read: IO[bytes], write: IO[bytes], stage: str, done: int, total: int
) -> Generator[Progress, None, str]:
    """Copy a file after ``done`` bytes of others; the result is its SHA-256."""
    digest = hashlib.sha256()
    while block := read.read(_BLOCK):
        digest.update(block)
        write.write(block)
        done += len(block)
        yield Progress(stage, done, total)
    return digest.hexdigest()


def _unusable(source: Path, why: str) -> str:
    return (
        f"'{source}' cannot be imported: {why}. Choose a file that 'napari-gem models "
        "export' wrote, and copy it again if it was damaged."
    )
