"""Which images are meant by folders, globs, lists and paths."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import some_of
from napari_gem.images.files import is_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LIST = "@"
"""Before the path of a list."""

NO_IMAGES = (".ovr", ".msk")
"""Ends of names of files that only belong to images: overviews and masks of GDAL."""

LONGEST_LIST = 1 << 26
"""Bytes of a list of paths."""


@dataclass(frozen=True)
class Listing:
    """Images in the order in which they are to be done, each of them once.

    Attributes
    ----------
    paths
        Of files and of zarr folders. Those of lists may be missing.
    notices
        Sentences for the user.
    """

    paths: tuple[Path, ...]
    notices: tuple[str, ...] = ()


def names_several(place: str) -> bool:
    """Tell whether a place stands for any number of images: a folder, glob or list."""
    path = Path(place)
    if path.exists():
        return path.is_dir() and not is_image(path)
    return place.startswith(LIST) or glob.has_magic(place)


def list_images(places: Iterable[str], pattern: str = "") -> Listing:
    """Find the images that somebody means.

    Parameters
    ----------
    places
        Each is an image; a folder, of which the images directly in it are taken; a
        glob, such as ``slides/**/*.tif``; or ``@`` and the path of a list, a text file
        (UTF-8) with a path a line, relative to its own folder.
    pattern
        A glob for what is taken of folders, such as ``**/*.tif``; empty for all that
        begins as images do.

    Raises
    ------
    GemError
        If a folder, glob or list holds no image, or a list cannot be read.
    """
    notices: list[str] = []
    found = [path for place in places for path in _expand(place, pattern, notices)]
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(_whole(path), path)
    paths = tuple(once.values())
    if len(paths) < len(found):
        notices.append(f"Images that were named twice: {len(found) - len(paths)}.")
    return Listing(paths, tuple(notices))


def _whole(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return path.absolute()


def _expand(place: str, pattern: str, notices: list[str]) -> Sequence[Path]:
    path = Path(place)
    if path.exists():
        if not path.is_dir() or is_image(path):
            return [path]
        return _in_folder(path, pattern)
    if place.startswith(LIST):
        return _in_list(Path(place.removeprefix(LIST)), notices)
    if not glob.has_magic(place):
        return [path]
    # one that is absolute, too
    matched = _sorted(map(Path, glob.iglob(place, recursive=True)))  # noqa: PTH207
    images = [one for one in matched if one.is_file() or is_image(one)]
    if not images:
        raise GemError(f"No image matches '{place}'. Look at the path and the glob.")
    return images


def _in_folder(folder: Path, pattern: str) -> list[Path]:
    try:
        if not pattern:
            images = [one for one in folder.iterdir() if _may_be_meant(one)]
        else:
            images = [
                one
                for one in folder.glob(pattern)
                if one.is_file() or is_image(one)
                if not _is_in_zarr(one, folder)
            ]
    except (OSError, ValueError, NotImplementedError) as error:
        raise GemError(
            f"The images in '{folder}' cannot be listed ({error}). Look at the folder "
            "and the pattern."
        ) from error
    if not images:
        what = f"no file that matches '{pattern}'" if pattern else "no image"
        raise GemError(
            f"'{folder}' holds {what}. Choose another folder, or give a --pattern such "
            "as '**/*.tif'."
        )
    return _sorted(images)


def _may_be_meant(path: Path) -> bool:
    """Tell whether a file or folder in a folder is an image, and no part of another."""
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() not in NO_IMAGES and is_image(path)


def _is_in_zarr(path: Path, folder: Path) -> bool:
    """Tell whether something is a chunk or a level of an image in the folder."""
    between = path.relative_to(folder).parents
    return any(is_image(folder / one) for one in between if one != Path())


def _in_list(path: Path, notices: list[str]) -> list[Path]:
    paths = list(_lines(path))
    if not paths:
        raise GemError(f"The list '{path}' is empty. Write a path of an image a line.")
    missing = [one for one in paths if not one.exists()]
    if len(missing) == len(paths):
        raise GemError(
            f"None of the {len(paths)} images in the list '{path}' is there, such as "
            f"'{missing[0]}'. Write paths that are whole, or relative to the list."
        )
    if missing:
        notices.append(
            f"Of the {len(paths)} images in the list '{path.name}' some are missing: "
            f"{some_of([one.name for one in missing], quoted=True)}."
        )
    return paths


def _lines(path: Path) -> Iterator[Path]:
    try:
        if path.stat().st_size > LONGEST_LIST:
            raise GemError(f"'{path}' is too large for a list of paths.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise GemError(
            f"The list '{path}' is no text in UTF-8. Save it as such, with a path a "
            "line."
        ) from error
    except OSError as error:
        raise GemError(
            f"The list '{path}' cannot be read ({error.strerror or error})."
        ) from error
    if "\0" in text:
        raise GemError(f"'{path}' is no list of paths, but a binary file.")
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.strip():
            whole = path.parent / line
            yield whole if whole.exists() else path.parent / line.strip()


def _sorted(paths: Iterable[Path]) -> list[Path]:
    """Sort as people do: image 2 before image 10."""

    def key(path: Path) -> list[tuple[bool, int, str]]:
        parts = re.split(r"([0-9]+)", str(path))
        return [
            (part.isdecimal(), int(part) if part.isdecimal() else 0, part.casefold())
            for part in parts
        ]

    return sorted(paths, key=key)
