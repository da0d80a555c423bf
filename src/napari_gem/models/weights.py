"""Weights files: what is in them, and why one does not load."""

from __future__ import annotations

import hashlib
import warnings
from functools import lru_cache, partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open

from napari_gem.core.errors import GemError
from napari_gem.core.memory import is_out_of_memory
from napari_gem.core.sentences import some_of
from napari_gem.models.first_bytes import check_begin
from napari_gem.models.weights_bounds import (
    check_count,
    check_finite,
    check_pickle,
    check_plain,
    check_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Shapes = dict[str, tuple[int, ...]]
    Weights = dict[str, torch.Tensor]

_PLAIN = "state_dict"
"""What open_clip's training keeps weights under; averaged ones may lie beside them."""

WRAPPERS = (
    _PLAIN,
    "model_state_dict",
    "model",
    "module",
    "state_dict_ema",
    "model_ema",
    "ema",
)
"""Under these names training tools keep tables of weights, beside other things."""

PREFIXES = ("module.", "model.", "clip.")
"""These stand before the names of all weights where a model was part of another."""

_COMPILED = "_orig_mod."
"""torch.compile puts this before the names of what it compiled."""

_AVERAGED = ("n_averaged", "module.")
"""A number beside the weights, and what stands before them, in averaged models."""

_DEEPEST = 4
"""Tables in tables; a table may even be in itself."""

_AT_ONCE = 16
"""Tensors that are read of a file before it is opened anew."""

_MOST_OPENINGS = 100
"""Of one file: each reads the names of all its weights."""


def hash_file(path: Path) -> str:
    """First 16 digits of a file's SHA-256; computed once while it does not change."""
    state = path.stat()
    seen = (state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_size)
    return _hash(str(path), seen)


@lru_cache(maxsize=64)
def _hash(path: str, _seen: tuple[int, ...]) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_weights(path: Path, dtype: torch.dtype | None = None) -> Weights:
    """Read a weights file into memory of its own, which takes once its size.

    Nothing but tensors and plain values is unpickled. What training tools put around
    the weights (`WRAPPERS` among other things, `PREFIXES` before each name) is taken
    off.
    """
    check_begin(path)
    if path.suffix == ".safetensors":
        content = _table(_read_safetensors(path, dtype), path)
    else:
        content = _read_pickled(path, dtype)
    return _plain_names(content, path)


def _table(content: Any, path: Path) -> Weights:
    """Give the named weights of what a file holds, in whatever tables they are."""
    tables = _tables(content, _DEEPEST)
    if not tables:
        raise GemError(
            f"'{path}' holds no table of named weights. Choose a checkpoint of an "
            "open_clip model."
        )
    if len(tables) > 1:
        raise GemError(
            f"'{path}' holds several tables of weights: {some_of(tables)}. Save the "
            "one that you want in a file of its own, and use that file."
        )
    (table,) = tables.values()
    return table


def _tables(content: Any, deepest: int) -> dict[str, Weights]:
    """Find tables of weights below `WRAPPERS`, by where they are."""
    if _is_table(content):
        return {"": content}
    if not isinstance(content, dict) or not deepest:
        return {}
    tables: dict[str, Weights] = {}
    for name in WRAPPERS:
        for place, table in _tables(content.get(name), deepest - 1).items():
            # some tools name one table twice
            if not any(_is_same(table, other) for other in tables.values()):
                tables[f"{name}/{place}".rstrip("/")] = table
        if name == _PLAIN and tables:
            break  # open_clip takes them, whatever else there is
    return tables


def _is_same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(
        value.data_ptr() == other[name].data_ptr() for name, value in one.items()
    )


def _plain_names(content: Weights, path: Path) -> Weights:
    """Take off what training tools put before the name of each weight, or into it."""
    names = {name: name.replace(_COMPILED, "") for name in content}
    if any(name.startswith(_AVERAGED[1]) for name in content):
        names.pop(_AVERAGED[0], None)
    while prefix := _shared_prefix(names.values()):
        names = {name: plain.removeprefix(prefix) for name, plain in names.items()}
    plain = {plain: content[name] for name, plain in names.items()}
    if len(plain) < len(names):
        raise GemError(
            f"'{path}' holds two weights of one name, with and without "
            f"'{_COMPILED}'. Save the state_dict() of the model anew."
        )
    return plain


def _shared_prefix(names: Iterable[str]) -> str:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in names):
            return prefix
    return ""


def _copied(
    path: Path, name: str, value: torch.Tensor, dtype: torch.dtype | None
) -> torch.Tensor:
    stays = value.ndim < 2 or not value.is_floating_point() or "pos" in name
    read = value.detach().to(dtype=value.dtype if stays else dtype, copy=True)
    check_finite(path, name, value, read)
    return read


def _portions(names: list[str]) -> Iterator[list[str]]:
    """Say which weights are read before the file is opened anew."""
    size = max(_AT_ONCE, -(-len(names) // _MOST_OPENINGS))
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _is_table(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(name, str) for name in content)
        and all(isinstance(value, torch.Tensor) for value in content.values())
    )


def shapes(weights: Mapping[str, torch.Tensor]) -> Shapes:
    """Shapes of weights by their names."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def misfit(given: Mapping[str, tuple[int, ...]], wanted: Shapes) -> str:
    """Say which weights a model lacks, does not know or has in another shape."""
    missing = sorted(wanted.keys() - given.keys())
    unknown = sorted(given.keys() - wanted.keys())
    other = [
        f"{name} ({_by(given[name])} instead of {_by(wanted[name])})"
        for name in sorted(given.keys() & wanted.keys())
        # position embeddings of another grid are resampled
        if given[name] != wanted[name] and not name.endswith("positional_embedding")
    ]
    kinds = {"missing": missing, "not expected": unknown, "of another shape": other}
    return "; ".join(
        f"{kind}: {some_of(names)}" for kind, names in kinds.items() if names
    )


def _read_safetensors(path: Path, dtype: torch.dtype | None) -> Weights:
    """Copy tensors out of the file: a file that is mapped must not be changed.

    It is opened anew for each piece, since what is read of a mapped file counts as
    memory of the process until it is closed.
    """
    weights: Weights = {}
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        check_count(path, len(names))
        for portion in _portions(names):
            with safe_open(path, framework="pt") as file:
                for name in portion:
                    value = file.get_tensor(name)
                    check_plain(path, name, value)
                    weights[name] = _copied(path, name, value, dtype)
    except (SafetensorError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise GemError(_damaged(path)) from error
    return weights


def _read_pickled(path: Path, dtype: torch.dtype | None) -> Weights:
    """Copy tensors out of the file as from safetensors; an optimizer's stay there.

    Files of torch before 1.6 are no zip and cannot be mapped.
    """
    mapped = is_zipfile(path)
    try:
        check_pickle(path, is_zip=mapped)
    except GemError:
        raise
    except Exception as error:  # bytes that are no pickle raise anything
        raise GemError(_damaged(path)) from error
    table = _table(_unpickle(path, mapped=mapped), path)
    check_table(path, table)
    if not mapped:
        for name, value in table.items():
            check_finite(path, name, value, value)
        return table
    weights: Weights = {}
    for portion in _portions(list(table)):
        table = _table(_unpickle(path, mapped=True), path)
        for name in portion:
            weights[name] = _copied(path, name, table[name], dtype)
    return weights


def _unpickle(path: Path, *, mapped: bool) -> Any:
    try:
        with warnings.catch_warnings():
            # TorchScript archives and odd pickle protocols; they fail below
            warnings.simplefilter("ignore")
            read = partial(
                torch.load, path, map_location="cpu", weights_only=True, mmap=mapped
            )
            try:
                return read()
            except UnpicklingError as error:
                if "GLOBAL numpy." not in str(error):
                    raise
                with torch.serialization.safe_globals(_STAND_INS):
                    return read()
    except Exception as error:  # bytes that are no pickle raise anything
        if is_out_of_memory(error):
            raise
        text = str(error)
        if "TorchScript" in text or "Unsupported global" in text:
            raise GemError(
                f"'{path}' holds more than weights, and reading it could run code "
                "inside. Where you trust it, save its state_dict() with safetensors, "
                "and use that file."
            ) from error
        raise GemError(_damaged(path)) from error


class _Dropped:
    """Stands for a value of numpy, such as the best score, that nobody looks at.

    Numpy's own functions would be safe_globals as well, and run no code of the file.
    But a dtype believes the fields and flags that it gets, and takes bytes of the
    file for addresses of objects. So these names of numpy mean this class, which
    keeps nothing and calls nothing.
    """

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _dropped(*_: object) -> _Dropped:
    return _Dropped()


_STAND_INS: list[Any] = [
    (_Dropped, "numpy.dtype"),
    (_Dropped, "numpy.ndarray"),
    *(
        (_dropped, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")  # before and since numpy 2
        for name in ("scalar", "_reconstruct")
    ),
]


def _damaged(path: Path) -> str:
    return f"'{path}' is damaged or no weights file. Copy or download it again."


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
