"""Weights files: what is in them, and why one does not load."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Shapes = dict[str, tuple[int, ...]]


def hash_file(path: Path) -> str:
    """First 16 digits of a file's SHA-256; computed once while it does not change."""
    state = path.stat()
    return _hash(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _hash(path: str, _mtime: int, _size: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_shapes(path: Path) -> Shapes:
    """Names and shapes of the tensors in a weights file, without reading them all.

    Nothing but tensors and plain values is unpickled.

    Raises
    ------
    GemError
        If the file is damaged, holds more than that, or holds no tensors.
    """
    if path.suffix == ".safetensors":
        return _safetensors_shapes(path)
    content = _unpickle(path)
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict) or not content:
        raise GemError(
            f"'{path}' holds no table of named weights. Choose a checkpoint of an "
            "open_clip model."
        )
    prefix = "module." if next(iter(content)).startswith("module.") else ""
    return {
        name.removeprefix(prefix): tuple(getattr(value, "shape", ()))
        for name, value in content.items()
    }


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


def _safetensors_shapes(path: Path) -> Shapes:
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            return {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise GemError(_damaged(path)) from error


def _unpickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # TorchScript archives and odd pickle protocols; they fail below
            warnings.simplefilter("ignore")
            return torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=zipfile.is_zipfile(path),
            )
    except Exception as error:  # bytes that are no pickle raise anything
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
