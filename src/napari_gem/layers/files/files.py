"""Layers to files and back as they were: a TIFF file each, and one sidecar for all.

``NAME.gem.tif`` holds the pixels, which any program reads; what TIFF cannot hold
(transform, units, names and colours of classes, metadata with the recipe) is in
``NAME.napari-gem.json``. Points and shapes are in the sidecar as a whole. Further
layers are in ``NAME.2.gem.tif`` ...
"""

from __future__ import annotations

import errno
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from napari_gem._version import __version__
from napari_gem.core.atomic import move, unfinished_path
from napari_gem.core.bounds import MOST_LAYERS, SIDECAR_BYTES, SIDECAR_VALUES
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import parse_json, read_text
from napari_gem.core.napari_version import check_napari
from napari_gem.core.path_names import is_too_long
from napari_gem.images.tiff_reading import open_tiff, read_series
from napari_gem.layers.files.sidecar import (
    VERSION,
    Column,
    ImageColors,
    ImageRecord,
    LabelsRecord,
    PointsRecord,
    ShapesRecord,
    Sidecar,
    Transform,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.layers.files.sidecar import LayerRecord

    LayerTuple = tuple[Any, dict[str, Any], str]
    Reader = Callable[[str], list[LayerTuple]]

TIFF = ".gem.tif"
SIDECAR = ".napari-gem.json"

ARRAYS = ("scale", "translate", "rotate", "shear", "affine")
"""Of a transform; units and axis labels are text."""
IMAGE_LOOK = (
    "rgb",
    "gamma",
    "contrast_limits",
    "interpolation2d",
    "projection_mode",
)

CLASSIC_BYTES = 2**32 - 2**25
"""Larger arrays are written as BigTIFF."""

ENDINGS = re.compile(
    r"(\.gem\.tiff?|\.napari-gem\.json|\.tiff?|\.gem|\.napari-gem)$", re.IGNORECASE
)


def write_layers(path: str | Path = "", layers: Sequence[LayerTuple] = ()) -> list[str]:
    """Write image, labels, points and shapes layers.

    Parameters
    ----------
    path
        Name of the file, with or without ``.gem.tif`` or ``.napari-gem.json``. If it
        names a file that is there, that file and its sidecar are replaced.
    layers
        (data, state, kind) as napari gives them. Of several resolutions the finest is
        written.

    Returns
    -------
    list[str]
        The files that were written, the sidecar last.

    Raises
    ------
    GemError
        If napari is too old, there is no path, a layer cannot be written, files are in
        the way, or the folder is not writable. Nothing was changed then, unless the
        disk fails in the very end.
    """
    check_napari()
    if not path:  # napari's palette calls commands without arguments
        raise GemError(
            "Select the layers, choose File, Save Selected Layers, and give a name "
            f"that ends with {TIFF}."
        )
    path = Path(path)
    if len(layers) > MOST_LAYERS:
        raise GemError(
            f"{len(layers)} layers came; at most {MOST_LAYERS} can be saved together. "
            "Save them in several files."
        )
    name = ENDINGS.sub("", path.name)
    records: list[LayerRecord] = []
    arrays: dict[str, tuple[NDArray[Any], bool]] = {}
    for data, state, kind in layers:
        file = f"{name}{TIFF}" if not arrays else f"{name}.{len(arrays) + 1}{TIFF}"
        record, pixels = _record(data, state, kind, file)
        records.append(record)
        if pixels is not None:
            arrays[file] = pixels, bool(state.get("rgb"))
    names = [*arrays, f"{name}{SIDECAR}"]
    try:
        _check_way(path, names)
    except OSError as error:
        raise _unwritable(path, error) from error
    sidecar = Sidecar(software=__version__, layers=records)
    text = sidecar.model_dump_json(by_alias=True, indent=1)
    _check_length(path, text)
    try:
        with unfinished_path(path.parent) as unfinished:
            unfinished.mkdir()
            for file, (pixels, rgb) in arrays.items():
                _write_tiff(unfinished / file, pixels, rgb)
            (unfinished / names[-1]).write_text(text + "\n", encoding="utf-8")
            # the sidecar last: it names only files that are there
            for each in names:
                move(unfinished / each, path.with_name(each))
    except OSError as error:
        raise _unwritable(path, error) from error
    return [str(path.with_name(each)) for each in names]


def get_reader(path: str | list[str] = "") -> Reader | None:
    """Give a reader if a path is one of our sidecars or has one; else None.

    Parameters
    ----------
    path
        A sidecar, a TIFF file beside its sidecar (only its layer is read then), or a
        folder with sidecars.

    Raises
    ------
    GemError
        If there is no path, or napari is too old for what the files hold.
    """
    if not path:  # napari's palette calls commands without arguments
        raise GemError(
            f"Choose File, Open Files, and a file that ends with {TIFF} or {SIDECAR}."
        )
    if not isinstance(path, str) or not _parts(Path(path)):
        return None
    check_napari()
    return read_layers


def read_layers(path: str | Path) -> list[LayerTuple]:
    """Read layers as `write_layers` wrote them.

    Returns
    -------
    list
        (data, kwargs, kind) as `napari.layers.Layer.create` takes them.

    Raises
    ------
    GemError
        If there is no sidecar, or it or a file that it names is broken.
    """
    path = Path(path)
    parts = _parts(path)
    if not parts:
        raise GemError(
            f"'{path.name}' has no file '{ENDINGS.sub('', path.name)}{SIDECAR}' beside "
            "it that tells of it. Open it with napari's own reader."
        )
    return [
        _layer(record, sidecar)
        for sidecar, only in parts
        for record in read_sidecar(sidecar).layers
        if only is None or getattr(record, "file", None) == only
    ]


def read_sidecar(path: Path) -> Sidecar:
    """Read and check a sidecar.

    Raises
    ------
    GemError
        If it cannot be read, is broken or of a newer version.
    """
    try:
        # NaN is a value of a features table
        text = read_text(path, SIDECAR_BYTES)
        content = parse_json(text, strict=False, most=SIDECAR_VALUES)
    except OSError as error:
        raise GemError(
            f"'{path}' cannot be read ({error.strerror or error}). Choose another file."
        ) from error
    except UnicodeDecodeError as error:
        raise _broken(path, "it is no text") from error
    except ValueError as error:
        raise _broken(path, f"it is no JSON text of ours: {error}") from error
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise GemError(
            f"'{path.name}' was written by a newer napari-gem (its version is "
            f"{version}, this one reads {VERSION}). Update napari-gem."
        )
    try:
        return Sidecar.model_validate(content)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in first["loc"]) if first else "it"
        why = first["msg"] if first else "too deep"
        raise _broken(path, f"{where}: {why}") from error


def _parts(path: Path) -> list[tuple[Path, str | None]]:
    """Sidecars to be read, each with the one file that is asked for, or None."""
    if path.is_dir():
        return [(each, None) for each in sorted(path.glob(f"*{SIDECAR}"))]
    if path.name.lower().endswith(SIDECAR):
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
    """Whether a sidecar tells of a file; a broken one does until it is read."""
    try:
        layers = read_sidecar(sidecar).layers
    except GemError:
        return True
    return any(getattr(record, "file", None) == file for record in layers)


# --- out


def _record(
    data: Any, state: Mapping[str, Any], kind: str, file: str
) -> tuple[LayerRecord, NDArray[Any] | None]:
    name = str(state["name"])
    try:
        if kind in ("image", "labels"):
            pixels = np.asarray(data[0] if state.get("multiscale") else data)
            if not pixels.size:
                raise GemError(f"'{name}' has no pixels, so there is nothing to save.")
            shared = {
                **_common(state),
                "file": file,
                "shape": list(pixels.shape),
                "dtype": pixels.dtype.name,
            }
            make = _image_record if kind == "image" else _labels_record
            return make(state, shared), pixels
        if kind == "points":
            return _points_record(data, state), None
        if kind == "shapes":
            return _shapes_record(data, state), None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise GemError(
            f"'{name}' cannot be saved like this ({where}: {first['msg']}). Save it "
            "with napari's own writer."
        ) from error
    raise GemError(
        f"'{name}' is a {kind} layer; only image, labels, points and shapes layers can "
        "be saved like this. Save it with napari's own writer."
    )


def _common(state: Mapping[str, Any]) -> dict[str, Any]:
    features = state.get("features")
    columns = [] if features is None else list(features)
    return {
        "name": str(state["name"]),
        "transform": Transform(
            **{name: _plain(state[name]) for name in ARRAYS},
            units=[str(unit) for unit in state["units"]],
            axis_labels=[str(label) for label in state["axis_labels"]],
        ),
        "opacity": float(state["opacity"]),
        "blending": str(state["blending"]),
        "visible": bool(state["visible"]),
        "metadata": _metadata(state),
        "features": [
            Column.of(str(column), list(features[column]))  # type: ignore[index]
            for column in columns
        ],
    }


def _image_record(state: Mapping[str, Any], shared: dict[str, Any]) -> ImageRecord:
    colormap = None
    if not state["rgb"]:
        colormap = ImageColors(
            name=str(state["colormap"]["name"]),
            colors=_plain(state["colormap"]["colors"]),
            controls=_plain(state["colormap"]["controls"]),
            interpolation=str(state["colormap"]["interpolation"]),
        )
    return ImageRecord(
        **shared,
        rgb=bool(state["rgb"]),
        colormap=colormap,
        contrast_limits=_plain(state["contrast_limits"]),
        gamma=float(state["gamma"]),
        interpolation2d=str(state["interpolation2d"]),
        projection_mode=str(state["projection_mode"]),
    )


def _labels_record(state: Mapping[str, Any], shared: dict[str, Any]) -> LabelsRecord:
    listed = getattr(state["colormap"], "color_dict", None)
    if listed is None:
        return LabelsRecord(
            **shared, colors=None, other=None, cycle=_plain(state["colormap"].colors)
        )
    colors = {int(i): _plain(color) for i, color in listed.items() if i is not None}
    other = _plain(listed[None]) if None in listed else (0, 0, 0, 0)
    return LabelsRecord(**shared, colors=colors, other=other, cycle=None)


def _points_record(data: Any, state: Mapping[str, Any]) -> PointsRecord:
    names = ("face_color", "size", "border_color", "border_width")
    return PointsRecord(
        **_common(state),
        **_columns(state, names, len(data)),
        axes=int(state["ndim"]),
        data=_plain(data),
        symbol=[str(symbol) for symbol in state["symbol"]][: len(data)],
        border_width_is_relative=bool(state["border_width_is_relative"]),
    )


def _shapes_record(data: Any, state: Mapping[str, Any]) -> ShapesRecord:
    return ShapesRecord(
        **_common(state),
        **_columns(state, ("face_color", "edge_color", "edge_width"), len(data)),
        axes=int(state["ndim"]),
        data=[_plain(shape) for shape in data],
        shape_type=[str(each) for each in state["shape_type"]],
    )


def _columns(
    state: Mapping[str, Any], names: Sequence[str], count: int
) -> dict[str, Any]:
    """Values of each point or shape; napari may keep more than there are."""
    return {name: _plain(state[name])[:count] for name in names}


def _plain(values: Any) -> Any:
    return np.asarray(values).tolist()


def _metadata(state: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for key, value in state["metadata"].items():
        try:
            plain[str(key)] = to_jsonable_python(value, fallback=_fallback)
        except (PydanticSerializationError, ValueError, TypeError, RecursionError):
            warnings.warn(
                f"The metadata '{key}' of '{state['name']}' cannot be written as text "
                "and is left out.",
                stacklevel=2,
            )
    return plain


def _fallback(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data")


def _check_way(path: Path, names: Sequence[str]) -> None:
    """Refuse to replace files that the user did not name."""
    if path.name in names and path.exists():
        return
    there = [name for name in names if path.with_name(name).exists()]
    if there:
        raise GemError(
            f"'{there[0]}' is there already in '{path.parent}'. Choose another name, "
            f"or choose '{names[0]}' to replace it."
        )


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


# --- in


def _layer(record: LayerRecord, sidecar: Path) -> LayerTuple:
    kwargs: dict[str, Any] = {
        **dict(record.transform),
        "name": record.name,
        "opacity": record.opacity,
        "blending": record.blending,
        "visible": record.visible,
        "metadata": record.metadata,
        "affine": np.array(record.transform.affine),
    }
    if record.features:
        kwargs["features"] = {c.name: c.array() for c in record.features}
    if isinstance(record, ImageRecord):
        return _read_tiff(record, sidecar), {**kwargs, **_image_look(record)}, "image"
    if isinstance(record, LabelsRecord):
        return _read_tiff(record, sidecar), {**kwargs, **_labels_look(record)}, "labels"
    kwargs["ndim"] = record.axes
    if record.data:
        kwargs |= _item_look(record)
    if isinstance(record, PointsRecord):
        points = np.array(record.data, np.float64).reshape(-1, record.axes)
        return points, kwargs, "points"
    return [np.array(shape) for shape in record.data], kwargs, "shapes"


def _image_look(record: ImageRecord) -> dict[str, Any]:
    look = {name: getattr(record, name) for name in IMAGE_LOOK}
    look["multiscale"] = False
    if record.colormap is not None:
        look["colormap"] = dict(record.colormap)
    return look


def _labels_look(record: LabelsRecord) -> dict[str, Any]:
    look: dict[str, Any] = {"multiscale": False}
    if record.colors is not None:
        other = record.other or (0.0, 0.0, 0.0, 0.0)
        look["colormap"] = {None: np.array(other)}
        for label, color in record.colors.items():
            look["colormap"][label] = np.array(color)
    elif record.cycle:
        look["colormap"] = np.array(record.cycle)
    return look


def _item_look(record: PointsRecord | ShapesRecord) -> dict[str, Any]:
    """Look of points or shapes; napari takes none where there are none."""
    face_color = np.array(record.face_color)
    if isinstance(record, PointsRecord):
        return {
            "face_color": face_color,
            "size": np.array(record.size),
            "symbol": record.symbol,
            "border_color": np.array(record.border_color),
            "border_width": np.array(record.border_width),
            "border_width_is_relative": record.border_width_is_relative,
        }
    return {
        "face_color": face_color,
        "shape_type": record.shape_type,
        "edge_color": np.array(record.edge_color),
        "edge_width": record.edge_width,
    }


def _read_tiff(record: ImageRecord | LabelsRecord, sidecar: Path) -> NDArray[Any]:
    path = sidecar.with_name(record.file)
    if not path.is_file():
        raise GemError(
            f"'{path.name}', which '{sidecar.name}' tells of, is missing. Put both "
            "into one folder."
        )
    wanted = np.dtype(record.dtype)
    try:
        with open_tiff(path) as tiff:
            series = tiff.series[0]
            stored = np.dtype(np.uint8) if wanted.kind == "b" else wanted
            fits = tuple(series.shape) == tuple(record.shape)
            if not fits or series.dtype != stored:
                raise GemError(
                    f"'{path.name}' holds {series.shape} pixels of type "
                    f"{series.dtype}, but '{sidecar.name}' tells of "
                    f"{tuple(record.shape)} of type {wanted}. Open it with napari's "
                    "own reader."
                )
            pixels = read_series(tiff, path)
    except GemError:
        raise
    except MemoryError as error:
        raise GemError(
            f"The memory does not suffice for '{path.name}'. Close other images."
        ) from error
    except Exception as error:
        # a broken file can make the reader fail in any way
        raise GemError(
            f"'{path.name}' cannot be read as a TIFF file ({error}). Save it again."
        ) from error
    return pixels.astype(wanted, copy=False)


def _broken(path: Path, why: str) -> GemError:
    return GemError(
        f"'{path.name}' is no valid file of saved layers ({why}). Save the layers "
        "again."
    )
