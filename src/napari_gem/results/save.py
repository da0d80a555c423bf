"""Results to a folder of files."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_gem.core.atomic import PREFIX, move, unfinished_path
from napari_gem.core.errors import GemError
from napari_gem.core.path_names import check_length
from napari_gem.images.rendering import check_image
from napari_gem.images.scene import Scene, scene_of
from napari_gem.results import overlay, pyramid, recipe, tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from napari_gem.core.results import Segmentation


class Writer(Protocol):
    """A module that writes a format.

    Attributes
    ----------
    NAMES
        Of the files that it writes.
    """

    NAMES: tuple[str, ...]

    def write(self, result: Segmentation, image: Scene, folder: Path, /) -> None:
        """Write a result and its image to the folder."""


WRITERS: tuple[Writer, ...] = (overlay, recipe, tiff)

NAMES = sum((writer.NAMES for writer in WRITERS), pyramid.NAMES)
"""Names of files and folders in a folder of results."""

INSIDE = f"{PREFIX}12345678/replaced/{max(NAMES, key=len)}"
"""The longest path in a folder of results."""

_TRIES = 5


def save(
    result: Segmentation, image: Scene | ArrayLike, folder: Path | str
) -> list[Path]:
    """Write labels, probabilities, overlay and recipe.

    All files are written into a hidden folder inside the folder and moved up when all
    are complete. Files of the same names are replaced, others stay. If that fails, all
    is as before.

    Parameters
    ----------
    result
        From `napari_gem.segment`.
    image
        What was segmented: the array, or the file that was read; gives the overlay's
        picture, and a file its pixel size and georeference.
    folder
        Made if missing.

    Returns
    -------
    list[Path]
        What was written.

    Raises
    ------
    GemError
        If the image is not the one of the result, or the folder cannot be made or
        written.
    """
    folder = Path(folder)
    file = image if isinstance(image, Scene) else scene_of(np.asarray(image))
    check_image(file.pixels, result.recipe.appearance)
    if file.pixels.shape[:2] != result.labels.shape:
        raise GemError(
            f"The image has {_by(file.pixels)} pixels, the result {_by(result.labels)}."
            " Give the image that was segmented."
        )
    with unfinished(folder) as hidden:
        for writer in WRITERS:
            writer.write(result, file, hidden)
        return move_up(hidden, folder)


def check_folder(folder: Path | str, image: Path | None = None) -> None:
    """Refuse a folder that cannot be written, before long work is done.

    Nothing is left behind: a missing folder is made on trial only.

    Parameters
    ----------
    folder
        For results.
    image
        What is to be segmented, where it lies; None for what is no file.

    Raises
    ------
    GemError
        If the folder cannot be made or written, if paths in it would be too long, or if
        a result would take the place of the image.
    """
    folder = Path(folder)
    check_length(folder, INSIDE)
    with unfinished(folder):
        pass
    if image is None:
        return
    kept = [path for path in (image, *image.resolve().parents) if path.exists()]
    for target in (folder / name for name in NAMES):
        # a link is replaced, and what it leads to stays
        if target.is_symlink() or not target.exists():
            continue
        if any(target.samefile(path) for path in kept):
            raise GemError(
                f"The image '{image.name}' would be replaced by a result, which is "
                f"called '{target.name}', too. Choose another folder for the results."
            )


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """Make a hidden folder inside a folder, and remove all that stays empty.

    Raises
    ------
    GemError
        If it cannot be made or written.
    """
    missing: list[Path] = []
    try:
        missing += [path for path in (folder, *folder.parents) if not path.exists()]
        with ExitStack() as claimed:
            yield _claim(folder, claimed)
    except OSError as error:
        raise GemError(
            f"The folder '{folder}' cannot be written ({error.strerror or error}). "
            "Choose another one."
        ) from error
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()


def _claim(folder: Path, claimed: ExitStack) -> Path:
    """Make a hidden folder, though another run may remove the folder on trial."""
    for left in reversed(range(_TRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            hidden = claimed.enter_context(unfinished_path(folder))
            hidden.mkdir()
        except FileNotFoundError:
            if not left:
                raise
        else:
            break
    return hidden


def move_up(hidden: Path, folder: Path) -> list[Path]:
    """Move what is in one folder to another; if one fails, put the old ones back."""
    paths = sorted(hidden.iterdir())
    replaced = hidden / "replaced"
    replaced.mkdir()
    with ExitStack() as undo:
        for path in paths:
            target = folder / path.name
            if target.is_dir() == path.is_dir() and target.exists():
                move(target, replaced / path.name)
                undo.callback(move, replaced / path.name, target)
            move(path, target)
            undo.callback(move, target, path)
        undo.pop_all()
    return [folder / path.name for path in paths]


def _by(pixels: NDArray[Any]) -> str:
    return " x ".join(map(str, pixels.shape[:2]))
