"""Weights files: what is in them, and why one does not load."""

from __future__ import annotations

import hashlib
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open

from napari_gem.memory import is_out_of_memory
from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Shapes = dict[str, tuple[int, ...]]
    Weights = dict[str, torch.Tensor]

_AT_ONCE = 16
"""Tensors that are read of a file before it is opened anew."""


def hash_file(path: Path) -> str:
    """First 16 digits of a file's SHA-256; computed once while it does not change."""
    state = path.stat()
    return _hash(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _hash(path: str, _mtime: int, _size: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_weights(path: Path, dtype: torch.dtype | None = None) -> Weights:
    """Read a weights file into memory of its own, which takes once its size.

    Nothing but tensors and plain values is unpickled. What training tools put around
    the weights (a ``state_dict`` among other things, ``module.`` before each name) is
    taken off.

    Parameters
    ----------
    path
        A safetensors file, or one of `torch.save`.
    dtype
        Precision that matrices are turned into while they are read; vectors and
        position embeddings, which may be resampled yet, stay as they are.

    Raises
    ------
    GemError
        If the file is damaged, holds more than that, or holds no tensors.
    """
    if path.suffix == ".safetensors":
        content = _table(_read_safetensors(path, dtype), path)
    else:
        content = _read_pickled(path, dtype)
    wrapped = all(name.startswith("module.") for name in content)
    prefix = "module." if wrapped else ""
    return {name.removeprefix(prefix): value for name, value in content.items()}


def _table(content: Any, path: Path) -> Weights:
    """Give the named weights of what a file holds."""
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not _is_table(content):
        raise GemError(
            f"'{path}' holds no table of named weights. Choose a checkpoint of an "
            "open_clip model."
        )
    table: Weights = content
    return table


def _copied(name: str, value: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    stays = value.ndim < 2 or not value.is_floating_point() or "pos" in name
    return value.to(dtype=value.dtype if stays else dtype, copy=True)


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


def misfit(found: Mapping[str, tuple[int, ...]], wanted: Shapes) -> str:
    """Say which weights a model lacks, does not know or has in another shape."""
    missing = sorted(wanted.keys() - found.keys())
    unknown = sorted(found.keys() - wanted.keys())
    other = [
        f"{name} ({_by(found[name])} instead of {_by(wanted[name])})"
        for name in sorted(found.keys() & wanted.keys())
        # position embeddings of another grid are resampled
        if found[name] != wanted[name] and not name.endswith("positional_embedding")
    ]
    told = {"missing": missing, "not expected": unknown, "of another shape": other}
    return "; ".join(f"{what}: {_few(names)}" for what, names in told.items() if names)


def _read_safetensors(path: Path, dtype: torch.dtype | None) -> Weights:
    """Copy tensors out of the file: a file that is mapped must not be changed.

    It is opened anew for each piece, since what is read of a mapped file counts as
    memory of the process until it is closed.
    """
    weights: Weights = {}
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        for start in range(0, len(names), _AT_ONCE):
            with safe_open(path, framework="pt") as file:
                for name in names[start : start + _AT_ONCE]:
                    weights[name] = _copied(name, file.get_tensor(name), dtype)
    except (SafetensorError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise GemError(_damaged(path)) from error
    return weights


def _read_pickled(path: Path, dtype: torch.dtype | None) -> Weights:
    """Copy tensors out of the file as from safetensors; an optimizer's stay there.

    Files of torch before 1.6 are no zip and cannot be mapped.
    """
    table = _table(_unpickle(path, mapped=is_zipfile(path)), path)
    if not is_zipfile(path):
        return table
    weights: Weights = {}
    names = list(table)
    for start in range(0, len(names), _AT_ONCE):
        table = _table(_unpickle(path, mapped=True), path)
        for name in names[start : start + _AT_ONCE]:
            weights[name] = _copied(name, table[name], dtype)
    return weights


def _unpickle(path: Path, *, mapped: bool) -> Any:
    try:
        with warnings.catch_warnings():
            # TorchScript archives and odd pickle protocols; they fail below
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
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


def _damaged(path: Path) -> str:
    return f"'{path}' is damaged or no weights file. Copy or download it again."


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
