"""What the viewer's process and the worker process say to each other.

A message is one line of JSON, ``{"NAME OF THE RECORD": RECORD}``; pixels and maps lie
in ``.npy`` files beside it. That the viewer is gone is told by the end of the pipe.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_gem.records import from_json, to_json
from napari_gem.types import Event, GemError, Request

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cancel:
    """Message to the worker: stop this run at its next step."""

    run: int


Message = Request | Cancel | Event

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Message)}


def to_line(message: Message) -> bytes:
    """Write a message as one line."""
    return f'{{"{type(message).__name__}": {to_json(message)}}}\n'.encode()


def from_line(line: bytes) -> Message:
    """Read a message from one line.

    Raises
    ------
    GemError
        If the line is no message.
    """
    try:
        ((name, record),) = json.loads(line).items()
        kind = _KINDS[name]
    except (ValueError, AttributeError, KeyError) as error:
        raise GemError(f"This is no message: {line[:200]!r}.") from error
    message: Message = from_json(kind, json.dumps(record))
    return message


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array to an ``.npy`` file.

    Raises
    ------
    GemError
        If it cannot be written, mostly because the disk is full.
    """
    try:
        free = shutil.disk_usage(path.parent).free
        if free < array.nbytes:
            raise GemError(
                f"{array.nbytes / 2**20:.0f} MiB are needed in '{path.parent.parent}' "
                f"and {free / 2**20:.0f} MiB are free. Make room, or set the "
                "environment variable TMPDIR to a folder on another disk."
            )
        np.save(path, array, allow_pickle=False)
    except OSError as error:
        raise GemError(
            f"'{path}' could not be written ({error}). Look whether the disk is full."
        ) from error


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read an array from an ``.npy`` file, or map it into memory.

    Raises
    ------
    GemError
        If the file is not there or damaged.
    """
    try:
        array: NDArray[Any] = np.load(
            path, mmap_mode="r" if mapped else None, allow_pickle=False
        )
    except (OSError, ValueError, EOFError) as error:
        raise GemError(
            f"'{path}' could not be read ({error}). Press Run again."
        ) from error
    return array
