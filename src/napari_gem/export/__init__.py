"""Results to a folder of files: every module here with a ``write`` adds its own."""

from __future__ import annotations

import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_gem.files import ImageFile
    from napari_gem.types import Segmentation


def save(result: Segmentation, image: ImageFile, folder: Path | str) -> list[Path]:
    """Write labels, probabilities, overlay and recipe.

    All files are written beside the folder first and moved into it when all are
    complete. Files of the same names are replaced, others stay.

    Parameters
    ----------
    result
        From `napari_gem.segment`.
    image
        What was segmented; gives the overlay's picture, pixel size and georeference.
    folder
        Made if missing.

    Returns
    -------
    list[Path]
        What was written.

    Raises
    ------
    GemError
        If the folder cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        for write in _writers():
            write(result, image, unfinished)
        written = [folder / made.name for made in sorted(unfinished.iterdir())]
        for path in written:
            (unfinished / path.name).replace(path)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return written


def check_folder(folder: Path | str) -> None:
    """Refuse a folder that cannot be written, before long work is done.

    Raises
    ------
    GemError
        If the folder cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> GemError:
    return GemError(
        f"The folder '{folder}' cannot be written ({error.strerror or error}). Choose "
        "another one."
    )


def _writers() -> Iterator[Writer]:
    for module in iter_modules(__path__):
        yield import_module(f"{__name__}.{module.name}").write


if TYPE_CHECKING:
    from collections.abc import Callable

    Writer = Callable[[Segmentation, ImageFile, Path], None]
