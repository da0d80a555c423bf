"""The folder of a batch: names of its images, and which of them are finished.

``batch.json`` holds the name that each image got, and ``finished.json`` in the folder
of an image, written last, what came of it and of which bytes and recipe.
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.core.atomic import delete, sole_writer, write_whole
from napari_gem.core.batch import ClassMeasure, ImageOutcome
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_error
from napari_gem.core.json_records import from_dict, parse_json, read_text, to_dict
from napari_gem.core.path_names import file_name
from napari_gem.core.progress import Progress, run
from napari_gem.core.sentences import some_of
from napari_gem.images.readers.world_file import files_beside
from napari_gem.results import pyramid
from napari_gem.results.save import NAMES as SAVED

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from napari_gem.core.batch import BatchOptions

NAMES, FINISHED = "batch.json", "finished.json"
TABLE, SHEET, PICTURES = "report.csv", "contact-sheet.html", "contact-sheet"

SCHEMA_KEY, SCHEMA = "napari_gem_batch", 1

OWN = (NAMES, FINISHED, TABLE, SHEET, PICTURES, "recipe.json")
"""Names that no image gets."""

RESULTS = (*SAVED, *pyramid.NAMES)
"""Names of what is written for an image."""

BLOCK = 1 << 22
"""Bytes that are hashed at a time."""


@dataclass(frozen=True)
class Finished:
    """An image that is finished.

    Attributes
    ----------
    image, recipe
        Hashes of its bytes, and of what was asked; both empty while its files are
        written or replaced.
    files
        Names of what was written for it.
    classes, unit, crs, notices
        As in `ImageOutcome`.
    """

    image: str
    recipe: str
    files: tuple[str, ...]
    classes: tuple[ClassMeasure, ...]
    unit: str = ""
    crs: str = ""
    notices: tuple[str, ...] = ()

    def outcome(self, name: str, path: Path) -> ImageOutcome:
        """Say so in the report of a later batch."""
        measured: Any = (self.classes, self.unit, self.crs, self.notices)
        return ImageOutcome(name, str(path), "finished", "", *measured)


@dataclass(frozen=True)
class ImageFolder:
    """The folder of one image of a batch.

    Attributes
    ----------
    path
        Need not exist.
    """

    path: Path

    def finished(self) -> Finished | None:
        """Read what came of the image before; None if it is not finished.

        Raises
        ------
        GemError
            If that cannot be read.
        """
        path = self.path / FINISHED
        try:
            content = parse_json(read_text(path))
            before = from_dict(Finished, content)
            if not set(before.files) <= set(RESULTS):
                raise ValueError("it names other files")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, GemError) as error:
            raise GemError(
                f"'{path}' cannot be read ({shown_error(error)}), so the results "
                "beside it are kept. Replace them by --overwrite."
            ) from error
        return before

    def has_record(self) -> bool:
        """Tell whether it was noted that the image is finished."""
        return (self.path / FINISHED).exists()

    def is_complete(self, before: Finished) -> bool:
        """Tell whether all files of a finished image are there."""
        return all((self.path / file).exists() for file in before.files)

    def begin(self, before: Finished | None, names: Iterable[str]) -> None:
        """Say that the image is not finished, before its files are changed.

        Whoever finishes it, now or after this process was killed, knows from the
        record which files of before may be there: those of it, and ``names``.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        begun = before or Finished("", "", (), ())
        every = dict.fromkeys((*begun.files, *names))
        self._write(replace(begun, image="", recipe="", files=tuple(every)))

    def give_up(self, before: Finished | None) -> None:
        """Take the record back if the image was stopped before a file was written."""
        if before is None and not any((self.path / name).exists() for name in RESULTS):
            delete(self.path / FINISHED)
            with suppress(OSError):  # the user's files may be there
                self.path.rmdir()

    def end(self, done: Finished, before: Finished | None) -> None:
        """Say that the image is finished; files of before that are no more, go."""
        for file in (*before.files,) if before else ():
            if file not in done.files:
                delete(self.path / file)
        self._write(done)

    def _write(self, record: Finished) -> None:
        text = json.dumps(to_dict(record), indent=1, ensure_ascii=False)
        write_whole(self.path / FINISHED, text + "\n")


class BatchFolder:
    """A folder of batches; nothing is made before `hold`.

    Parameters
    ----------
    folder
        Need not exist.
    options
        Tell whether it may hold a batch already.

    Raises
    ------
    GemError
        If it may not, or ``batch.json`` cannot be read.
    """

    def __init__(self, folder: Path, options: BatchOptions) -> None:
        self.folder = folder
        self._names = self._read_names()
        others = [name for name in (TABLE, SHEET, PICTURES) if (folder / name).exists()]
        if others and not self._names and not options.overwrite:
            raise GemError(
                f"The folder '{folder}' holds {some_of(others)}, which no batch wrote. "
                "Choose another folder, or allow that to be replaced (--overwrite)."
            )
        if self._names and not (options.resume or options.overwrite):
            raise GemError(
                f"The folder '{folder}' holds results of a batch already, which are "
                "kept. Go on with them by --resume, replace them by --overwrite, or "
                "choose another folder."
            )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folder, and keep other processes away meanwhile.

        Raises
        ------
        GemError
            If another process writes there, or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with sole_writer(self.folder):
                # another may have ended since it was looked at
                self._names |= self._read_names()
                yield
        except OSError as error:
            raise GemError(
                f"The folder '{self.folder}' cannot be written "
                f"({error.strerror or error}). Choose another one, or make room."
            ) from error

    def without_results(self, paths: Iterable[Path]) -> list[Path]:
        """Leave out what batches wrote here, which a folder of images may hold."""
        names = (*self._names, NAMES, TABLE, SHEET, PICTURES) if self._names else ()
        own = {(self.folder / name).resolve() for name in names}
        whole = ((path, path.resolve()) for path in paths)
        return [path for path, at in whole if not own & {at, *at.parents}]

    def choose_names(self, paths: Sequence[Path]) -> list[str]:
        """Name the folder of each image: no two names are one on any system.

        An image keeps the name that it got in an earlier batch. Others are called as
        their files, with a number behind where that is taken.
        """
        known = {path: name for name, path in self._names.items()}
        whole = [str(path.resolve()) for path in paths]
        taken = {_key(name) for name in (*OWN, *self._names)}
        used = {known[each] for each in whole if each in known}
        gone: dict[str, list[str]] = {}
        for name, before in self._names.items():
            if name not in used and not os.path.lexists(before):
                gone.setdefault(Path(before).name, []).append(name)
        names: list[str] = []
        counts: dict[str, int] = {}
        for path, at in zip(paths, whole, strict=True):
            name = known.get(at) or self._moved(path, gone.get(path.name, []))
            if not name:
                name = self._free(path, taken, counts)
            taken.add(_key(name))
            self._names[name] = at
            names.append(name)
        return names

    def others(self, names: Iterable[str], recipe: str) -> list[ImageOutcome]:
        """List images that earlier batches finished by the same recipe."""
        outcomes = []
        for name in sorted(self._names.keys() - set(names)):
            with suppress(GemError):
                before = ImageFolder(self.folder / name).finished()
                if before is not None and before.recipe == recipe:
                    outcomes.append(before.outcome(name, Path(self._names[name])))
        return outcomes

    def write_names(self) -> None:
        """Keep the names for the next batch."""
        content = {SCHEMA_KEY: SCHEMA, "images": dict(sorted(self._names.items()))}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        # names of files may hold what UTF-8 cannot write
        text = text.encode(errors="surrogatepass").decode(errors="replace")
        if text != _text_of(self.folder / NAMES):
            write_whole(self.folder / NAMES, text)

    def _moved(self, path: Path, gone: list[str]) -> str:
        """Find the name of the same image if it is no more where it was."""
        for name in gone:
            with suppress(GemError, OSError):
                before = ImageFolder(self.folder / name).finished()
                if before is not None and before.image == run(hash_steps(path)):
                    gone.remove(name)
                    return name
        return ""

    def _free(self, path: Path, taken: set[str], counts: dict[str, int]) -> str:
        """Find a name that no other image has; ``counts`` are those of each stem."""
        stem = file_name(path.stem, "", "image")
        number = counts.get(stem, 1)
        name = stem if number == 1 else f"{stem}-{number}"
        while _key(name) in taken or os.path.lexists(self.folder / name):
            number += 1
            name = f"{stem}-{number}"
        counts[stem] = number
        return name

    def _read_names(self) -> dict[str, str]:
        path = self.folder / NAMES
        if not path.exists():
            return {}
        try:
            content = parse_json(read_text(path))
            names: dict[str, str] = content["images"]
            if content[SCHEMA_KEY] != SCHEMA or not _are_names(names):
                raise ValueError("it has other entries")
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise GemError(
                f"'{path}' cannot be read as the list of a batch ({error}). Choose "
                "another folder."
            ) from error
        return names


def hash_steps(path: Path) -> Generator[Progress, None, str]:
    """Hash the bytes of a file, or of all files of a folder with their names.

    Files beside a picture that say where it lies count, too.

    Raises
    ------
    GemError
        If it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        every = path.rglob("*") if path.is_dir() else [path, *files_beside(path)]
        for file in sorted(every):
            if not file.is_file():
                continue
            name = os.path.relpath(file, path)
            digest.update(f"{name}\0{file.stat().st_size}".encode("utf-8", "replace"))
            with file.open("rb") as opened:
                while block := opened.read(BLOCK):
                    digest.update(block)
                    yield Progress("Reading image")
    except OSError as error:
        raise GemError(
            f"'{path.name}' cannot be read ({error.strerror or error})."
        ) from error
    return digest.hexdigest()


def hash_record(record: dict[str, Any]) -> str:
    """Hash what is asked: plain values of JSON."""
    text = json.dumps(record, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _key(name: str) -> str:
    """Give what is the same for names that some system takes for one."""
    return unicodedata.normalize("NFKC", name).casefold()


def _are_names(names: object) -> bool:
    """Tell whether names are those of folders, which lead nowhere else."""
    return isinstance(names, dict) and all(
        isinstance(path, str)
        and name not in ("", ".", "..")
        and not any(character in "/\\:\0" for character in name)
        for name, path in names.items()
    )


def _text_of(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return ""
