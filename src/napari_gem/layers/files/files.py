"""Layers to a file and back as they were, with names, colours, units and recipe.

`write_layers` and `get_reader` are what napari calls. `storage` knows the files,
`sidecar` what is written of each layer, `describe` and `rebuild` the two directions.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_gem._version import __version__
from napari_gem.core.atomic import move, unfinished_path
from napari_gem.core.bounds import MOST_LAYERS, SIDECAR_BYTES, SIDECAR_VALUES
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import parse_json
from napari_gem.core.napari_version import check_napari
from napari_gem.core.path_names import is_too_long
from napari_gem.layers.files.describe import describe_layer
from napari_gem.layers.files.rebuild import rebuild_layer
from napari_gem.layers.files.result_folder import is_result, read_result_folder
from napari_gem.layers.files.sidecar import VERSION, Sidecar
from napari_gem.layers.files.storage import (
    SIDECAR,
    SUFFIX,
    Storage,
    open_storage,
    write_storage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_gem.layers.files.sidecar import LayerRecord

    LayerTuple = tuple[Any, dict[str, Any], str]
    Reader = Callable[[str], list[LayerTuple]]

CLASSIC_BYTES = 2**32 - 2**25
"""Larger arrays are written as BigTIFF."""

ENDINGS = re.compile(
    r"(\.gem\.tiff?|\.napari-gem\.json|\.tiff?|\.gem|\.napari-gem)$", re.IGNORECASE
)


def write_layers(path: str | Path = "", layers: Sequence[LayerTuple] = ()) -> list[str]:
    """Write image, labels, points and shapes layers into one file.

    Parameters
    ----------
    path
        Name of the file, with or without ``.gem``. A file of exactly this name is
        replaced.
    layers
        (data, state, kind) as napari gives them. Of several resolutions the finest is
        written.

    Returns
    -------
    list[str]
        The file that was written.

    Raises
    ------
    GemError
        If napari is too old, there is no path, a layer cannot be written, a file is in
        the way, or the folder is not writable. Nothing was changed then.
    """
    check_napari()
    if not path:  # napari's palette calls commands without arguments
        raise GemError(
            "Select the layers, choose File, Save Selected Layers, and give a name "
            f"that ends with {SUFFIX}."
        )
    path = Path(path)
    if len(layers) > MOST_LAYERS:
        raise GemError(
            f"These are {len(layers)} layers; at most {MOST_LAYERS} can be saved "
            "together. Save them in several files."
        )
    records: list[LayerRecord] = []
    arrays: dict[str, tuple[NDArray[Any], bool]] = {}
    for data, state, kind in layers:
        file = f"{len(records) + 1}.tif"
        record, pixels = describe_layer(data, state, kind, file)
        records.append(record)
        if pixels is not None:
            arrays[file] = pixels, bool(state.get("rgb"))
    sidecar = Sidecar(software=__version__, layers=records)
    text = sidecar.model_dump_json(by_alias=True, indent=1)
    _check_length(path, text)
    target = path.with_name(f"{ENDINGS.sub('', path.name)}{SUFFIX}")
    try:
        if target != path and target.exists():  # which the user did not name
            raise GemError(
                f"'{target.name}' is there already in '{path.parent}'. Choose another "
                f"name, or choose '{target.name}' to replace it."
            )
        with unfinished_path(path.parent) as unfinished:
            unfinished.mkdir()
            for file, (pixels, rgb) in arrays.items():
                _write_tiff(unfinished / file, pixels, rgb)
            whole = unfinished / "whole"
            write_storage(whole, text + "\n", (unfinished / file for file in arrays))
            move(whole, target)
    except OSError as error:
        raise _unwritable(path, error) from error
    return [str(target)]


def get_reader(path: str | list[str] = "") -> Reader | None:
    """Give a reader if a path is a file of ours; else None.

    Parameters
    ----------
    path
        A ``.gem`` file, the recipe in a folder of results, or what older versions
        wrote: a sidecar, a TIFF file beside its sidecar (only its layer is read then),
        or a folder with sidecars.

    Raises
    ------
    GemError
        If there is no path, or napari is too old for what the files hold.
    """
    if not path:  # napari's palette calls commands without arguments
        raise GemError(f"Choose File, Open Files, and a file that ends with {SUFFIX}.")
    if not isinstance(path, str):
        return None
    if is_result(Path(path)):
        read: Reader = read_result_folder
    elif _parts(Path(path)):
        read = read_layers
    else:
        return None
    check_napari()
    return read


def read_layers(path: str | Path) -> list[LayerTuple]:
    """Read layers as `write_layers` wrote them, or older versions.

    Returns
    -------
    list
        (data, kwargs, kind) as `napari.layers.Layer.create` takes them.

    Raises
    ------
    GemError
        If there is no description of layers, or it or a file that it names is broken.
    """
    path = Path(path)
    parts = _parts(path)
    if not parts:
        raise GemError(
            f"'{path.name}' has no file '{ENDINGS.sub('', path.name)}{SIDECAR}' beside "
            "it that describes it. Open it with napari's own reader."
        )
    layers = []
    for file, only in parts:
        storage, sidecar = _open(file)
        layers += [
            rebuild_layer(record, storage)
            for record in sidecar.layers
            if only is None or getattr(record, "file", None) == only
        ]
    return layers


def read_sidecar(path: Path) -> Sidecar:
    """Read and check the description of saved layers.

    Raises
    ------
    GemError
        If it cannot be read, is broken or of a newer version.
    """
    return _open(path)[1]


def _open(path: Path) -> tuple[Storage, Sidecar]:
    try:
        storage = open_storage(path)
        # NaN is a value of a features table
        content = parse_json(storage.text(), strict=False, most=SIDECAR_VALUES)
    except OSError as error:
        raise GemError(
            f"'{path}' cannot be read ({error.strerror or error}). Choose another file."
        ) from error
    except UnicodeDecodeError as error:
        raise _broken(path, "it is no text") from error
    except ValueError as error:
        raise _broken(path, f"{error}") from error
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise GemError(
            f"'{path.name}' was written by a newer napari-gem (its version is "
            f"{version}, this one reads {VERSION}). Update napari-gem."
        )
    try:
        return storage, Sidecar.model_validate(content)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in first["loc"]) if first else "it"
        why = first["msg"] if first else "too deep"
        raise _broken(path, f"{where}: {why}") from error


def _parts(path: Path) -> list[tuple[Path, str | None]]:
    """Files to be read, each with the one pixel file that is asked for, or None."""
    if path.is_dir():
        return [(each, None) for each in sorted(path.glob(f"*{SIDECAR}"))]
    if path.name.lower().endswith((SUFFIX, SIDECAR)):
        return [(path, None)]
    if not re.search(r"\.tiff?$", path.name, re.IGNORECASE):
        return []
    name = ENDINGS.sub("", path.name)
    for stem in (name, re.sub(r"\.\d+$", "", name)):
        sidecar = path.with_name(f"{stem}{SIDECAR}")
        if sidecar.is_file() and _names(sidecar, path.name):
            return [(sidecar, path.name)]
    return []


def _names(sidecar: Path, file: str) -> bool:
    """Whether a sidecar describes a file; a broken one does until it is read."""
    try:
        layers = read_sidecar(sidecar).layers
    except GemError:
        return True
    return any(getattr(record, "file", None) == file for record in layers)


def _check_length(path: Path, text: str) -> None:
    """Refuse to write what could not be read back."""
    values = sum(map(text.count, ",[{"))
    if len(text.encode()) >= SIDECAR_BYTES or values > SIDECAR_VALUES:
        raise GemError(
            f"The points, shapes and tables of '{path.name}' are too many for a file "
            "of this kind. Save them with napari's own writer, or fewer of them."
        )


def _write_tiff(path: Path, pixels: NDArray[Any], rgb: bool) -> None:
    from tifffile import imwrite

    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)  # packed bits are not read everywhere
    imwrite(
        path,
        pixels,
        compression="zlib",
        photometric="rgb" if rgb else "minisblack",
        bigtiff=pixels.nbytes > CLASSIC_BYTES,
        software=f"napari-gem {__version__}",
    )


def _unwritable(path: Path, error: OSError) -> GemError:
    if error.errno == errno.ENAMETOOLONG or is_too_long(path):
        return GemError(
            f"The name '{path.name[:40]}…' is too long for this disk. Choose a "
            "shorter one."
        )
    return GemError(
        f"The folder '{path.parent}' cannot be written ({error.strerror or error}). "
        "Choose another one."
    )


def _broken(path: Path, why: str) -> GemError:
    return GemError(
        f"'{path.name}' is no valid file of saved layers ({why}). Save the layers "
        "again."
    )
