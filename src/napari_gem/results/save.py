"""Results to a folder of files."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.atomic import PREFIX, delete, move, unfinished_path
from napari_gem.core.errors import GemError
from napari_gem.core.fields import check_fields
from napari_gem.core.parameters import OutlineParameters
from napari_gem.core.path_names import check_length
from napari_gem.core.progress import run
from napari_gem.core.sentences import some_of
from napari_gem.images.rendering import check_image
from napari_gem.images.scene import Scene, scene_of
from napari_gem.results import pyramid, recipe
from napari_gem.results.writers import USUAL, USUAL_OF_LARGE, WRITERS, parse_kinds
from napari_gem.results.writers.maps import result_maps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from numpy.typing import ArrayLike

    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Segmentation, StoredSegmentation

NAMES: tuple[str, ...] = (
    *recipe.NAMES,
    *(name for writer in WRITERS.values() for name in writer.names),
)
"""Names of files and folders in a folder of results."""

INSIDE = f"{PREFIX}12345678/replaced/{max(NAMES, key=len)}"
"""The longest path in a folder of results."""

_TRIES = 5


def save(
    result: Segmentation | StoredSegmentation,
    image: Scene | ArrayLike,
    folder: Path | str,
    *,
    write: str | Iterable[str] = (),
    overwrite: bool = False,
    outlines: OutlineParameters | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> list[Path]:
    """Write a result, such as its labels, probabilities and polygons, and its recipe.

    All files are written into a hidden folder inside the folder and moved up when all
    are complete. If that fails, all is as before.

    Parameters
    ----------
    result
        From `napari_gem.segment`, or `napari_gem.segment_large`.
    image
        What was segmented: the array, or the file that was read; gives the overlay's
        picture, and a file its pixel size and georeference.
    folder
        Made if missing.
    write
        What is written: names of `napari_gem.results.writers.WRITERS`, or a text of
        them with commas between. Nothing stands for labels, probabilities and overlay;
        of a large result for what `napari_gem.segment_large` writes.
    overwrite
        Whether files of the same names are replaced; others stay in any case.
    outlines
        How labels become polygons; None takes the defaults.
    progress
        Called with a `Progress` now and then.

    Returns
    -------
    list[Path]
        What was written.

    Raises
    ------
    GemError
        If the image is not the one of the result, if the folder cannot be made or
        written or holds results, or if something is not known or not installed.
    """
    how: Any = {"write": write, "overwrite": overwrite, "outlines": outlines}
    return run(save_steps(result, image, folder, **how), progress)


def save_steps(
    result: Segmentation | StoredSegmentation,
    image: Scene | ArrayLike,
    folder: Path | str,
    *,
    write: str | Iterable[str] = (),
    overwrite: bool = False,
    outlines: OutlineParameters | None = None,
) -> Generator[Progress, None, list[Path]]:
    """Do what `save` does, in steps; nothing is written if the caller stops."""
    folder = Path(folder)
    outlines = outlines or OutlineParameters()
    check_fields(outlines)
    scene = image if isinstance(image, Scene) else scene_of(np.asarray(image))
    maps = result_maps(result, scene)
    check_image(scene.levels[0], result.recipe.appearance)
    if scene.levels[0].shape[:2] != maps.shape:
        raise GemError(
            f"The image has {_by(scene.levels[0].shape)} pixels, the result "
            f"{_by(maps.shape)}. Give the image that was segmented."
        )
    kinds = check_kinds(write, scene)
    kinds = kinds or (USUAL if maps.folder is None else USUAL_OF_LARGE)
    # these are where they are wanted already
    stored = maps.folder is not None and maps.folder.resolve() == folder.resolve()
    if stored:
        kinds = tuple(kind for kind in kinds if kind != "zarr")
        if not kinds:
            return []
    if not overwrite:
        names = () if stored else recipe.NAMES
        _check_is_free(folder, [*names, *names_of(kinds)])
    with unfinished(folder) as hidden:
        for kind in kinds:
            yield from WRITERS[kind].steps(maps, hidden, outlines)
        if not stored:
            recipe.write_result_recipe(result, hidden, scene.location)
        paths = move_up(hidden, folder, overwrite=overwrite)
        # of an earlier result of these kinds, such as names of other classes
        for name in set(names_of(kinds)) - {path.name for path in paths}:
            delete(folder / name)
        return paths


def check_kinds(write: str | Iterable[str], image: Scene) -> tuple[str, ...]:
    """Read what is to be written of an image's results, and refuse what cannot be.

    Parameters
    ----------
    write
        As for `save`.
    image
        What is to be segmented.

    Raises
    ------
    GemError
        If something is not known, does not suit the image, or is not installed.
    """
    place = image.location
    kinds = parse_kinds(write, bool(place and place.crs))
    height, width = image.levels[0].shape[:2]
    for check in (WRITERS[kind].check_place for kind in kinds):
        if check is not None and place is not None and place.crs:
            check(place, (int(height), int(width)))
    return kinds


def check_folder(
    folder: Path | str,
    image: Path | None = None,
    *,
    write: str | Iterable[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Refuse a folder that cannot be written, before long work is done.

    Nothing is left behind: a missing folder is made on trial only.

    Parameters
    ----------
    folder
        For results.
    image
        What is to be segmented, where it lies; None for what is no file.
    write, overwrite
        As for `save`, to refuse a folder that holds results; None if no results are
        to be saved there.

    Raises
    ------
    GemError
        If the folder cannot be made or written, if paths in it would be too long, if
        a result would take the place of the image, or if results are there already.
    """
    folder = Path(folder)
    check_length(folder, INSIDE)
    kinds = parse_kinds(write or ()) or (*USUAL, *USUAL_OF_LARGE)
    with unfinished(folder):
        pass
    if image is not None:
        _check_is_other(folder, image)
    if write is not None and not overwrite:
        _check_is_free(folder, [*recipe.NAMES, *pyramid.NAMES, *names_of(kinds)])


def _check_is_other(folder: Path, image: Path) -> None:
    """Refuse results that would take the place of their image."""
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


def names_of(kinds: Iterable[str]) -> list[str]:
    """List all files that may be written for some names of `WRITERS`."""
    return [name for kind in kinds for name in WRITERS[kind].names]


def _check_is_free(folder: Path, names: Iterable[str]) -> None:
    """Refuse to replace what is there.

    Raises
    ------
    GemError
        With the names of the first.
    """
    there = [name for name in dict.fromkeys(names) if (folder / name).exists()]
    if there:
        raise GemError(
            f"'{folder}' holds results already: {some_of(there)}. They are kept. "
            "Choose another folder, or allow them to be replaced (--overwrite, or "
            "overwrite=True)."
        )


def move_up(hidden: Path, folder: Path, *, overwrite: bool = True) -> list[Path]:
    """Move what is in one folder to another; if one fails, put the old ones back.

    Raises
    ------
    GemError
        If something is there and is not to be replaced.
    """
    paths = sorted(hidden.iterdir())
    if not overwrite:
        _check_is_free(folder, [path.name for path in paths])
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


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape[:2]))
