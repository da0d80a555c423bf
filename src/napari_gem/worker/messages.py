"""What the viewer and the worker process say to each other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, get_args

from napari_gem.core.batch import BatchOptions, BatchReport, ImageOutcome
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_json, to_json
from napari_gem.core.parameters import OutlineParameters
from napari_gem.core.progress import Progress
from napari_gem.core.results import Job, Recipe, StoredSegmentation
from napari_gem.core.validation import check_detail, check_job
from napari_gem.core.word_comparison import ComparedWords, WordOrder
from napari_gem.images.references import ImageReference
from napari_gem.models.card import ModelCard
from napari_gem.segmentation.asked import Asked, FollowedRecipe

PREVIEW_SIDE = 512
"""Pixels along each axis of a preview at most."""


@dataclass(frozen=True)
class BatchOrder:
    """What is asked of many image files.

    Attributes
    ----------
    recipe
        Is followed for each.
    places, pattern
        Which images: see `napari_gem.images.listing.list_images`.
    folder
        Gets the results.
    options
        What is done with that folder.
    """

    recipe: Recipe
    places: tuple[str, ...]
    folder: str
    pattern: str = ""
    options: BatchOptions = field(default_factory=BatchOptions)


@dataclass(frozen=True)
class BatchImage:
    """One image of a batch that several processes do.

    Attributes
    ----------
    asked, options, outlines
        Of the batch.
    key
        Of the batch, see `napari_gem.segmentation.batch.Batch.key`.
    folder
        Of the batch, which another process holds.
    path, name
        Of the image and of its folder; the path as `os.fsencode` gives it, in Latin-1:
        not every name of a file is text.
    card, revision, precision
        Of the model that is used; the request's job tells the device.
    """

    asked: Asked | FollowedRecipe
    options: BatchOptions
    outlines: OutlineParameters | None
    key: str
    folder: str
    path: str
    name: str
    card: ModelCard
    revision: str
    precision: str


@dataclass(frozen=True)
class Request:
    """What one press of Run asks of the worker process.

    Attributes
    ----------
    run
        Number of the run; it comes back with every event, so that events of earlier
        runs are known.
    job
        What is asked of the image.
    pixels
        Path of a ``.npy`` file: (height, width), (height, width, 3 or 4), or with the
        channels of the appearance as last axis; empty if `encoded` or `reference` is
        given.
    valid
        Path of a ``.npy`` file, (height, width) bool: where the image holds data; empty
        where the pixels tell.
    reference
        Where the pixels lie, if they need not be copied.
    encoded
        Name that an earlier `Finished` gave to the encoded image. No pixels are needed
        then, and model and `encode` are those that it was encoded with.
    detail
        Image pixels per patch; None takes the zoom of the job's `encode`.
    preview
        True: maps and labels on a grid of at most `PREVIEW_SIDE` x `PREVIEW_SIDE`.
    download
        Whether the user agreed to download this model's weights.
    folder
        For an image that is too large for maps in memory: where labels and
        probabilities are written, see `StoredSegmentation`; a preview has maps all the
        same. Empty otherwise.
    batch
        Many image files in place of pixels; of the job only the device is used then.
    image
        One of them, in the same way; `BatchFinished` tells what came of it.
    order
        Words that are compared on the encoded image, in place of a result.
    """

    run: int
    job: Job
    pixels: str = ""
    valid: str = ""
    reference: ImageReference | None = None
    encoded: str = ""
    detail: float | None = None
    preview: bool = False
    download: bool = False
    folder: str = ""
    batch: BatchOrder | None = None
    image: BatchImage | None = None
    order: WordOrder | None = None


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
        Where on disk; empty takes `napari_gem.core.folders.default_folder`.
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
    result
        Maps in ``.npy`` files of the run folder, or in zarr groups of `folder`. Whoever
        receives the event owns the files.
    is_new
        False if the features were there already, so that only words were scored.
    encoded
        Name of the encoded image, for `Request.encoded`.
    step
        Image pixels per pixel of the maps along each axis: 1 but for previews.
    folder
        The folder of a large image's result, as in `Request`; empty for others.
    """

    run: int
    result: StoredSegmentation
    is_new: bool
    encoded: str = ""
    step: int = 1
    folder: str = ""


@dataclass(frozen=True)
class Compared:
    """Event: words were compared.

    Attributes
    ----------
    compared
        Names and numbers.
    maps
        Path of a ``.npy`` file, (2, words, height, width) uint8: the maps of
        `napari_gem.core.word_comparison.ComparedMaps`. Whoever receives the event owns
        it.
    """

    run: int
    compared: ComparedWords
    maps: str


@dataclass(frozen=True)
class Interim:
    """Event: what is known so far of a large image; the run goes on.

    Attributes
    ----------
    preview
        Of the rows that are encoded.
    """

    run: int
    preview: Finished


@dataclass(frozen=True)
class ImageFinished:
    """Event: what came of an image of a batch; the run goes on."""

    run: int
    outcome: ImageOutcome


@dataclass(frozen=True)
class BatchFinished:
    """Event: a batch is done."""

    run: int
    report: BatchReport


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


Event = (
    Progressed
    | Interim
    | ImageFinished
    | Finished
    | Compared
    | BatchFinished
    | Cancelled
    | Failed
    | NeedsDownload
)

ON_THE_WAY = (Progressed, Interim, ImageFinished)
"""Events after which the run goes on."""


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
    """Read a message from one line; `GemError` if it is none."""
    try:
        ((name, record),) = json.loads(line).items()
        kind = _KINDS[name]
    except (ValueError, AttributeError, KeyError) as error:
        raise GemError(f"This is no message: {line[:200]!r}.") from error
    message: Message = from_json(kind, json.dumps(record))
    return message


def check_request(request: Request) -> None:
    """Refuse a request that could not be answered, before its model is loaded.

    Raises
    ------
    GemError
        For the first number or text that is out of its range.
    """
    check_job(request.job)
    if request.detail is not None:
        check_detail(request.detail)
