"""What the viewer and the worker process say to each other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, get_args

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_json, to_json
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.progress import Progress
from napari_gem.core.prompts import Prompt
from napari_gem.core.region import Region
from napari_gem.core.results import Recipe
from napari_gem.images.references import ImageReference
from napari_gem.models.card import ModelCard

PREVIEW_SIDE = 512
"""Pixels along each axis of a preview at most."""


@dataclass(frozen=True)
class Request:
    """What one press of Run asks of the worker process.

    Attributes
    ----------
    run
        Number of the run; it comes back with every event, so that stale ones can be
        told from current ones.
    pixels
        Path of a ``.npy`` file: (height, width), (height, width, 3 or 4), or with the
        channels of the appearance as last axis; empty if `image` or `reference` is
        given.
    image
        What an earlier `Finished` called this image: it is scored as it was encoded
        then, and no pixels are needed. Model and `encode` are those of then.
    appearance
        How to turn pixels into RGB.
    prompts
        Classes to look for.
    model
        Id, or path of a file or folder.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or the address of a dask
        scheduler, whose workers encode the image.
    precision
        ``auto``, ``float32``, ``bfloat16``, ``float16``.
    encode, score
        Parameters; None takes those of the model's card.
    detail
        Image pixels per patch; None takes the zoom of `encode`.
    label
        Parameters.
    region
        The part of the image to encode; None for all.
    preview
        True: maps and labels on a grid of at most `PREVIEW_SIDE` x `PREVIEW_SIDE`.
    download
        Whether the user agreed to download this model's weights.
    architecture
        open_clip architecture for a bare weights file; empty otherwise.
    folder
        For an image that is too large for maps in memory: where labels and
        probabilities are written, see `StoredSegmentation`; a preview has maps all the
        same. Empty otherwise.
    pixel_size, unit
        (height, width) of a pixel and its unit, for what is written there; None and
        empty if not known.
    reference
        Where the pixels lie, if they need not be copied.
    """

    run: int
    pixels: str
    appearance: Appearance
    prompts: tuple[Prompt, ...]
    model: str = "embedded"
    device: str = "auto"
    precision: str = "auto"
    encode: EncodeParameters | None = None
    score: ScoreParameters | None = None
    download: bool = False
    architecture: str = ""
    image: str = ""
    detail: float | None = None
    label: LabelParameters = field(default_factory=LabelParameters)
    region: Region | None = None
    preview: bool = False
    folder: str = ""
    pixel_size: tuple[float, float] | None = None
    unit: str = ""
    reference: ImageReference | None = None


@dataclass(frozen=True)
class Storage:
    """Room that encoded images may take.

    Attributes
    ----------
    memory
        MB in the worker process.
    disk
        GB on disk, where later sessions find them; 0 keeps none there.
    folder
        Where on disk; empty takes the usual place (`cache_folder.default_folder`).
    """

    memory: int = 1024
    disk: int = 0
    folder: str = ""


@dataclass(frozen=True)
class Progressed:
    """Event: the run got on."""

    run: int
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """Event: the run is done.

    Attributes
    ----------
    probabilities, labels
        Paths of ``.npy`` files in the run folder, as in `Segmentation`; who receives
        the event owns the files.
    encoded
        False if the features were there already, so that only words were scored.
    image
        What the worker calls the encoded image, for `Request.image`.
    step
        Image pixels per pixel of the maps along each axis: 1 but for previews.
    shares, absent
        As in `Segmentation`.
    patch
        Image pixels per patch.
    folder
        Where labels and probabilities of a large image are, as of `Request`; the paths
        above are empty then.
    """

    run: int
    probabilities: str
    labels: str
    recipe: Recipe
    notices: tuple[str, ...]
    encoded: bool
    image: str = ""
    step: int = 1
    shares: tuple[float, ...] = ()
    absent: tuple[str, ...] = ()
    patch: float = 0.0
    folder: str = ""


@dataclass(frozen=True)
class Interim:
    """Event: what is known so far of a large image; the run goes on.

    Attributes
    ----------
    result
        A preview of the rows that are encoded.
    """

    run: int
    result: Finished


@dataclass(frozen=True)
class Cancelled:
    """Event: the run was cancelled; nothing of it is left but finished features."""

    run: int


@dataclass(frozen=True)
class Failed:
    """Event: the run failed.

    Attributes
    ----------
    message
        One sentence for the user.
    details
        Traceback for the log; empty for bad input.
    lost
        Whether the encoded image that was to be scored is not there any more.
    """

    run: int
    message: str
    details: str = ""
    lost: bool = False


@dataclass(frozen=True)
class NeedsDownload:
    """Event: the run ended, since its model must be downloaded first.

    Attributes
    ----------
    card
        With size, source and licence as far as they could be found.
    """

    run: int
    card: ModelCard


Event = Progressed | Interim | Finished | Cancelled | Failed | NeedsDownload


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
