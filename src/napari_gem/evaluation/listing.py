"""Files of a data set that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.evaluation.datasets import Sample
from napari_gem.images.files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def find_root(root: Path, marks: Iterable[str], *inside: str) -> Path:
    """Find the folder that holds all the marks: the root, or one of those inside.

    Raises
    ------
    GemError
        If none does.
    """
    marks = tuple(marks)
    for folder in (root, *(root / name for name in inside)):
        if all((folder / mark).exists() for mark in marks):
            return folder
    raise GemError(
        f"'{root}' is not laid out as this data set, which has "
        f"{' and '.join(marks)}. Choose its folder."
    )


def pair_files(
    images: Path, masks: Path, image_ending: str = "", mask_ending: str = ".png"
) -> tuple[Sample, ...]:
    """Pair files of two folders, and of the folders in them, by name.

    The endings follow the common part of the names; empty for any image file. A file
    without a partner is listed too, with the path at which its partner should be.

    Raises
    ------
    GemError
        If a folder is missing or there is no file at all.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise GemError(f"There is no folder '{folder}', as this data set has.")
    pictures = _by_name(images, image_ending)
    truths = _by_name(masks, mask_ending)
    ending = image_ending or ".png"
    return _not_empty(
        [
            Sample(
                name,
                pictures.get(name, images / f"{name}{ending}"),
                truths.get(name, masks / f"{name}{mask_ending or '.png'}"),
            )
            for name in sorted(pictures.keys() | truths.keys())
        ],
        images,
    )


def pair_listed(
    listing: Path, images: Path, masks: Path, image_ending: str = ".jpg"
) -> tuple[Sample, ...]:
    """Pair the files that a text file names, one a line.

    Raises
    ------
    GemError
        If the list is missing or empty.
    """
    if not listing.is_file():
        raise GemError(f"There is no list '{listing}' of the images in this split.")
    lines = read_lines(listing)
    # some lists name mask and other things behind the image
    names = [line.split()[0] for line in lines if line.strip()]
    samples = [
        Sample(name, images / f"{name}{image_ending}", masks / f"{name}.png")
        for name in names
    ]
    return _not_empty(samples, listing)


def read_lines(path: Path) -> list[str]:
    """Read a text file, with or without a byte order mark.

    Raises
    ------
    GemError
        If it is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise GemError(
            f"'{path}' cannot be read as text; save it in UTF-8 ({error.reason})."
        ) from error


def _by_name(folder: Path, ending: str) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if ending and place.casefold().endswith(ending.casefold()):
            name = place[: -len(ending)]
        elif not ending and path.suffix.lower() in SUFFIXES:
            name = place.removesuffix(path.suffix)
        else:
            continue
        if name in paths:
            raise GemError(
                f"'{paths[name].name}' and '{path.name}' in '{path.parent}' have the "
                "same name, so it is not clear which belongs to its partner. Remove "
                "one."
            )
        paths[name] = path
    return paths


def _not_empty(samples: Sequence[Sample], where: Path) -> tuple[Sample, ...]:
    if not samples:
        raise GemError(f"There is no image in '{where}'.")
    return tuple(samples)
