"""Partial results of a measurement, kept in its folder so that it can go on.

``run.json`` says what is measured, ``images.jsonl`` has a line for each image that is
done, and ``tally.npz`` all counts, with the number of lines that they stand for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from io import BytesIO
from math import isnan
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from napari_gem.core.atomic import whole_file
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_json, to_json
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.evaluation.controls import Control
from napari_gem.evaluation.protocols import Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.evaluation.tally import Tally

RUN, IMAGES, TALLY = "run.json", "images.jsonl", "tally.npz"
RESULTS, REPORT, PICTURES = "results.json", "report.html", "pictures"
FREE = ("version", "device", "precision", "images")
"""Entries of `Run` that may differ when a measurement goes on."""


@dataclass(frozen=True)
class Run:
    """What is measured.

    Attributes
    ----------
    kind, title, folder, split
        The data set.
    classes
        Names of its classes.
    images
        Number of images to be measured.
    model, revision
        Id of the model and hash of its weights.
    protocol, details
        Name of the protocol, and the protocol with the user's changes.
    short_side, gem, control, preset
        As in `napari_gem.evaluation.score.Method`.
    encode, score
        The model's own parameters, if the protocol uses them; None otherwise.
    version
        Version of napari-gem.
    device, precision
        Where and how it was computed.
    """

    kind: str
    title: str
    folder: str
    split: str
    classes: tuple[str, ...]
    images: int
    model: str
    revision: str
    protocol: str
    details: Protocol
    short_side: int
    gem: GemParameters
    control: Control
    version: str
    device: str
    precision: str
    preset: str = ""
    encode: EncodeParameters | None = None
    score: ScoreParameters | None = None


@dataclass(frozen=True)
class ImageResult:
    """One image that is done: its mean IoU, if any, or why it was left out."""

    name: str
    score: float | None = None
    error: str = ""


class Store:
    """A folder with partial results.

    Parameters
    ----------
    folder
        It is made if it is missing.
    run
        What is measured.
    tally
        Gets the earlier counts.
    resume
        Whether to go on with the measurement in the folder.

    Attributes
    ----------
    done
        Results of the images that are done, in their order.

    Raises
    ------
    GemError
        If the folder holds another measurement, or any without ``resume``, or cannot be
        written.
    """

    def __init__(self, folder: Path, run: Run, tally: Tally, *, resume: bool) -> None:
        self.folder = folder
        self.run = run
        self.done: list[ImageResult] = []
        self._tally = tally
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / RUN).is_file():
                self._go_on(resume)
            elif any(folder.iterdir()):
                raise GemError(
                    f"The folder '{folder}' holds other files. Choose a new one."
                )
            write_whole(folder / RUN, to_json(run).encode())
            (folder / PICTURES).mkdir(exist_ok=True)
            # lines behind the last saved counts are done again
            write_whole(folder / IMAGES, "".join(map(_line, self.done)).encode())
        except OSError as error:
            raise GemError(
                f"The folder '{folder}' cannot be written ({error.strerror or error})."
            ) from error

    def add(self, result: ImageResult) -> None:
        """Note an image that is done and counted."""
        self.done.append(result)
        with (self.folder / IMAGES).open("a", encoding="utf-8") as lines:
            lines.write(_line(result))

    def save(self) -> None:
        """Write the counts, so that the images since the last time are not lost."""
        buffer = BytesIO()
        state: dict[str, Any] = dict(self._tally.state)
        np.savez_compressed(buffer, done=len(self.done), **state)
        write_whole(self.folder / TALLY, buffer.getvalue())

    def _go_on(self, resume: bool) -> None:
        before = from_json(Run, (self.folder / RUN).read_bytes())
        if not resume:
            raise GemError(
                f"The folder '{self.folder}' holds a measurement already. Go on with "
                "it by --resume, or choose a new folder."
            )
        for name, value in asdict(self.run).items():
            was = asdict(before)[name]
            if name not in FREE and was != value:
                raise GemError(
                    f"The measurement in '{self.folder}' has another {name}: {was} "
                    f"there, {value} now. Choose a new folder."
                )
        if not (self.folder / TALLY).is_file():
            return
        try:
            with np.load(self.folder / TALLY) as stored:
                self._tally.load(stored)
                counted = int(stored["done"])
            lines = (self.folder / IMAGES).read_text(encoding="utf-8").splitlines()
        except (ValueError, KeyError, BadZipFile) as error:
            raise GemError(
                f"The counts in '{self.folder / TALLY}' cannot be read. Start anew in "
                "another folder."
            ) from error
        self.done = [from_json(ImageResult, line) for line in lines[:counted]]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is never seen half-written."""
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content)


def write_results(store: Store, tally: Tally) -> None:
    """Write ``results.json``: all figures, what was measured, and what was left out."""
    by_class = tally.by_class()
    content = {
        "run": json.loads(to_json(store.run)),
        "measured": sum(not result.error for result in store.done),
        "bad": {result.name: result.error for result in store.done if result.error},
        "overall": {key: _number(value) for key, value in tally.overall().items()},
        "classes": [
            {"name": name, **{key: _number(v[i]) for key, v in by_class.items()}}
            for i, name in enumerate(store.run.classes)
        ],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_whole(store.folder / RESULTS, text.encode())


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _line(result: ImageResult) -> str:
    return to_json(result) + "\n"
