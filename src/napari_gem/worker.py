"""The process that runs the pipeline for the dock widget.

``python -m napari_gem.worker FOLDER [STORAGE]`` reads requests from its standard input
and writes events to its standard output (see `napari_gem.protocol`); `Storage` is told
as JSON. It keeps the last model and the images encoded so far, so that new words cost a
matrix product, and it ends when its input ends: then the viewer is gone.
"""

from __future__ import annotations

import faulthandler
import hashlib
import logging
import os
import signal
import sys
import time
import traceback
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem import unfinished
from napari_gem.checked_files import DamagedError
from napari_gem.checks import check_request
from napari_gem.download import DownloadNeeded
from napari_gem.image import check_image
from napari_gem.interim import Watch
from napari_gem.memory import (
    NoMemoryError,
    free_memory,
    is_out_of_memory,
    shortage,
)
from napari_gem.protocol import Cancel, from_line, load_array, save_array, to_line
from napari_gem.records import from_json
from napari_gem.scores import ScoreCache
from napari_gem.types import (
    PREVIEW_SIDE,
    Cancelled,
    Failed,
    Finished,
    GemError,
    Interim,
    NeedsDownload,
    Progress,
    Progressed,
    Region,
    Request,
    Storage,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from napari_gem.cluster import Cluster
    from napari_gem.feature_cache import FeatureCache
    from napari_gem.models import Model
    from napari_gem.scheduling import Schedule
    from napari_gem.types import (
        Appearance,
        EncodeParameters,
        Event,
        Features,
        ImageReference,
        LazyArray,
        ModelCard,
    )

    Encoding = Generator[Progress, None, tuple[Features, bool]]

_log = logging.getLogger(__name__)

EVENT_SECONDS = 0.05
"""Progress of one stage is told at most this often."""

AGAIN = "The image is no longer encoded. Press Run to encode it again."


class Stopped(Exception):  # noqa: N818 (no error: the user wants it)
    """The run is wanted no more."""


class LostImageError(GemError):
    """The encoded image that was asked for is not there any more."""


@dataclass(eq=False)
class Part:
    """Features of an image or of a region of it, with what was computed from them."""

    features: Features
    scores: ScoreCache


@dataclass(eq=False)
class EncodedImage:
    """An encoded image: the tiles of it that are done, and what was made of them."""

    partial: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = field(
        default_factory=dict
    )
    parts: dict[Region | None, Part] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, and the disk that pixels take which are still open."""
        arrays = [array for pair in self.partial.values() for array in pair]
        size = sum(array.nbytes for array in arrays)
        for part in self.parts.values():
            array, picture = part.features.array, part.features.picture
            size += part.scores.nbytes
            size += array.nbytes if isinstance(array, np.ndarray) else 0
            size += 0 if picture is None else prod(picture.shape)
        return size

    def add(self, region: Region | None, part: Part) -> None:
        """Keep the features of a region, or of the whole image."""
        # of one region at a time: the next is made of the tiles that are done
        self.parts = {r: p for r, p in self.parts.items() if r is None}
        self.parts[region] = part
        if region is None:
            self.partial.clear()


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is to be encoded; the digest is that of all pixels."""

    pixels: LazyArray
    appearance: Appearance
    parameters: EncodeParameters
    region: Region | None
    digest: str
    schedule: Schedule | None


class ImageCache:
    """Encoded images by what decides their features; the least used go first.

    Parameters
    ----------
    limit
        Bytes to keep; the last image is kept whatever its size.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: dict[str, EncodedImage] = {}

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, key: str) -> bool:
        return key in self._images

    def get(self, key: str) -> EncodedImage:
        """Give the image of this key, an empty one if it is new."""
        self._images[key] = self._images.pop(key, EncodedImage())
        return self._images[key]

    def trim(self) -> None:
        """Forget the images used longest ago until the limit holds."""
        size = sum(image.nbytes for image in self._images.values())
        while size > self._limit and len(self._images) > 1:
            size -= self._images.pop(next(iter(self._images))).nbytes

    def clear(self) -> None:
        """Forget all images."""
        self._images.clear()


class Session:
    """Runs requests, one after the other, and keeps what the next may need.

    Parameters
    ----------
    folder
        Where the maps are written.
    storage
        Room that encoded images may take.
    """

    def __init__(self, folder: Path, storage: Storage | None = None) -> None:
        self._storage = storage or Storage()
        self.images = ImageCache(self._storage.memory << 20)
        self._folder = folder
        self._model: Model | None = None
        self._model_key: object = None
        self._names: dict[str, tuple[str, Region | None]] = {}

    def steps(self, request: Request) -> Generator[Progress | Interim, None, Finished]:
        """Run a request, with a yield wherever it can be stopped.

        Raises
        ------
        GemError
            As `napari_gem.pipeline` and `napari_gem.models`.
        """
        from napari_gem.placing import connect_steps

        check_request(request)
        encoded = not request.image
        # words of an encoded image need no cluster, which may be gone by now
        place = "" if request.image else request.device
        cluster = yield from connect_steps(place)
        with cluster or nullcontext():
            if request.image:
                name, part = request.image, self._encoded(request.image)
            else:
                name, part, encoded = yield from self._encode_steps(request, cluster)
            model = self._model
            if model is None:
                raise LostImageError(AGAIN)
            if request.folder and not request.preview:
                features = part.features
                result = yield from self._store_steps(model, request, features, cluster)
            else:
                result = yield from self._score_steps(model, request, part)
        recipe = replace(result.recipe, region=request.region)
        return replace(result, recipe=recipe, encoded=encoded, image=name)

    def _store_steps(
        self,
        model: Model,
        request: Request,
        features: Features,
        cluster: Cluster | None,
    ) -> Generator[Progress, None, Finished]:
        """Write labels and probabilities of a large image to its folder."""
        from napari_gem.large import segment_large_steps
        from napari_gem.placing import who_fills

        stored = yield from segment_large_steps(
            model,
            features,
            request.prompts,
            Path(request.folder),
            request.score,
            request.label,
            pixel_size=request.pixel_size or (1.0, 1.0),
            unit=request.unit,
            filling=who_fills(cluster, _reference(request) if cluster else None),
        )
        return Finished(
            run=request.run,
            probabilities="",
            labels="",
            recipe=stored.recipe,
            notices=stored.notices,
            encoded=False,
            shares=stored.shares,
            absent=stored.absent,
            patch=features.patch,
            folder=request.folder,
        )

    def _score_steps(
        self, model: Model, request: Request, part: Part, number: int = 0
    ) -> Generator[Progress, None, Finished]:
        """Score an encoded image, with maps in files of that number."""
        from napari_gem.pipeline import segment_steps
        from napari_gem.reading import HELD_PIXELS

        features, score = part.features, request.score or model.card.score
        side = max(features.image_shape)
        step = -(-side // PREVIEW_SIDE) if request.preview else 1
        if request.preview and prod(features.image_shape) > HELD_PIXELS:
            score = replace(score, refinement=0)  # it would read the whole image
        result = yield from segment_steps(
            model,
            features,
            request.prompts,
            score,
            request.label,
            step=step,
            cache=part.scores,
        )
        yield Progress("Writing maps")
        ending = f"{number}-{request.run}.npy"
        probabilities = self._folder / f"probabilities-{ending}"
        labels = self._folder / f"labels-{ending}"
        save_array(probabilities, result.probabilities)
        save_array(labels, result.labels)
        return Finished(
            run=request.run,
            probabilities=str(probabilities),
            labels=str(labels),
            recipe=result.recipe,
            notices=result.notices,
            encoded=False,
            step=step,
            shares=result.shares,
            absent=result.absent,
            patch=features.patch,
        )

    def _looking_steps(
        self, steps: Encoding, model: Model, request: Request, watch: Watch
    ) -> Generator[Progress | Interim, None, tuple[Features, bool]]:
        """Encode, and tell between tiles what is known of a large image."""
        from napari_gem.steps import run

        number = 0
        with closing(steps):
            while True:
                try:
                    yield next(steps)
                except StopIteration as end:
                    found: tuple[Features, bool] = end.value
                    return found
                interim = None
                try:
                    seen = watch.look()
                    if seen is not None:
                        number += 1
                        part = Part(seen, ScoreCache())
                        glance = _at_a_glance(model, request)
                        looking = self._score_steps(model, glance, part, number)
                        interim = Interim(request.run, run(looking))
                except Exception:  # noqa: BLE001 (the result is still to come)
                    _log.warning("A look at the image failed.", exc_info=True)
                if interim is not None:
                    yield interim

    def _encode_steps(
        self, request: Request, cluster: Cluster | None
    ) -> Generator[Progress | Interim, None, tuple[str, Part, bool]]:
        """Encode what is asked, unless it is encoded already."""
        from napari_gem.pipeline import restrict
        from napari_gem.placing import place_steps
        from napari_gem.reading import hash_steps, held_picture

        pixels = _open(request)
        check_image(pixels, request.appearance)
        model = yield from self._load_steps(request)
        model, schedule = yield from place_steps(
            cluster, model, request.precision, lambda: _reference(request)
        )
        parameters = request.encode or model.card.encode
        if request.detail:
            zoom = model.backbone.patch_size / request.detail
            parameters = replace(parameters, zoom=zoom)
        found = yield from hash_steps(pixels)
        used = (model.card.id, model.revision, model.device, model.precision)
        key = _digest(found, request.appearance, used, parameters)
        image = self.images.get(key)
        region = request.region
        if region == Region((0, pixels.shape[0]), (0, pixels.shape[1])):
            region = None
        new = False
        if region not in image.parts and None in image.parts:
            whole = image.parts[None]
            image.add(region, Part(restrict(whole.features, region), whole.scores))
        elif region not in image.parts:
            what = _Wanted(
                pixels, request.appearance, parameters, region, found, schedule
            )
            watch = Watch() if request.folder and _has_words(request) else None
            steps = self._features_steps(model, what, image, watch)
            if watch is None:
                features, new = yield from steps
            else:
                features, new = yield from self._looking_steps(
                    steps, model, request, watch
                )
            # the file of the pixels goes away; of large ones what is open stays
            if not request.folder:
                features = replace(features, picture=held_picture(features.picture))
            image.add(region, Part(features, ScoreCache()))
        self._names = {name: at for name, at in self._names.items() if at[0] != key}
        name = _digest(key, region)
        self._names[name] = key, region
        return name, image.parts[region], new

    def _features_steps(
        self,
        model: Model,
        wanted: _Wanted,
        image: EncodedImage,
        watch: Watch | None = None,
    ) -> Generator[Progress, None, tuple[Features, bool]]:
        """Find features on disk or encode; tell whether they are new."""
        from napari_gem.feature_cache import CacheError
        from napari_gem.pipeline import encode_steps

        what = wanted.pixels, wanted.appearance, wanted.parameters
        notice = ""
        try:
            stored = self._stored()
            if stored is not None:
                features = yield from stored.find_steps(
                    model, *what, region=wanted.region, digest=wanted.digest
                )
                if features is not None:
                    return features, False
                features = yield from stored.encode_steps(
                    model,
                    *what,
                    region=wanted.region,
                    partial=image.partial,
                    digest=wanted.digest,
                    schedule=wanted.schedule,
                    watch=watch,
                )
                return features, True
        except CacheError as error:
            notice = f"{error} The encoded image is kept in memory only."
        features = yield from encode_steps(
            model,
            *what,
            region=wanted.region,
            partial=image.partial,
            schedule=wanted.schedule,
            watch=watch,
        )
        if notice:
            features = replace(features, notices=(*features.notices, notice))
        return features, True

    def _stored(self) -> FeatureCache | None:
        """Images that were encoded earlier, if they are to be kept."""
        from napari_gem.feature_cache import FeatureCache

        if not self._storage.disk:
            return None
        return FeatureCache(self._storage.folder or None, self._storage.disk << 30)

    def _encoded(self, name: str) -> Part:
        key, region = self._names.get(name, ("", None))
        if key not in self.images or region not in self.images.get(key).parts:
            raise LostImageError(AGAIN)
        return self.images.get(key).parts[region]

    def forget(self) -> None:
        """Give memory back: the model and all images."""
        self._model = None
        self.images.clear()
        free_memory()

    def _load_steps(self, request: Request) -> Generator[Progress, None, Model]:
        from napari_gem.models import find_model, load_model_steps
        from napari_gem.placing import is_cluster

        if is_cluster(request.device):  # here it only reads words
            request = replace(request, device="auto", precision="auto")
        card = find_model(request.model, request.architecture)
        key = (card, request.device, request.precision, _files_state(card))
        if self._model is None or self._model_key != key:
            if self._model is not None:
                self._model = None  # two models at once may not fit
                free_memory()
            # what another model encoded cannot be compared with this one's words
            self._names.clear()
            self._model = yield from load_model_steps(
                request.model,
                device=request.device,
                precision=request.precision,
                architecture=request.architecture,
                download=request.download,
            )
            self._model_key = key
        return self._model


class Worker:
    """Answers what comes down the pipe until it ends.

    Parameters
    ----------
    folder
        The private folder of the viewer's process and this one.
    requests, events
        The two ends of the pipe.
    storage
        Room that encoded images may take.
    """

    def __init__(
        self,
        folder: Path,
        requests: BinaryIO,
        events: BinaryIO,
        storage: Storage | None = None,
    ) -> None:
        self._folder = folder
        self._requests = requests
        self._events = events
        self._session = Session(folder, storage)
        self._inbox: SimpleQueue[Request] = SimpleQueue()
        self._wanted = 0
        self._told = (0.0, "")

    def serve(self) -> None:
        """Answer requests; does not return."""
        Thread(target=self._listen, daemon=True).start()
        # what fails here fails again in the first run, which tells it
        with suppress(Exception):
            _import_heavy()
        self._send(Progressed(0, Progress("Ready")))
        while True:
            request = self._inbox.get()
            try:
                event = self._answer(request)
            except Exception as error:  # noqa: BLE001 (the next one must be answered)
                event = _failed(request, error)
            self._send(event)

    def _listen(self) -> None:
        try:
            for line in self._requests:
                message = from_line(line)
                if isinstance(message, Request):
                    self._wanted = message.run
                    self._inbox.put(message)
                elif isinstance(message, Cancel) and message.run == self._wanted:
                    self._wanted = 0
        finally:
            self._leave()

    def _answer(self, request: Request) -> Event:
        from napari_gem.steps import run

        steps = self._session.steps(request)
        failed: Failed
        short = False
        try:
            return run(steps, lambda progress: self._tell(request.run, progress))
        except Stopped:
            return Cancelled(request.run)
        except DownloadNeeded as error:
            return NeedsDownload(request.run, error.card)
        except GemError as error:
            lost = isinstance(error, LostImageError | DamagedError)
            if isinstance(error, DamagedError):
                self._session.images.clear()  # else they were read again and again
            failed = Failed(request.run, str(error), lost=lost)
            short = isinstance(error, NoMemoryError)
        except Exception as error:  # noqa: BLE001 (told to the user; the worker goes on)
            failed = _failed(request, error)
            short = is_out_of_memory(error)
        finally:
            steps.close()
            self._session.images.trim()
        if short:
            self._session.forget()
        return failed

    def _tell(self, run: int, progress: Progress | Interim) -> None:
        if self._wanted != run:
            raise Stopped
        if isinstance(progress, Interim):
            self._send(progress)
            return
        when, stage = self._told
        now = time.monotonic()
        last = progress.done == progress.total
        if stage != progress.stage or last or now - when >= EVENT_SECONDS:
            self._told = (now, progress.stage)
            self._send(Progressed(run, progress))

    def _send(self, event: Event) -> None:
        try:
            line = to_line(event)
        except Exception as error:  # noqa: BLE001 (a run without an answer never ends)
            told = f"The answer could not be written ({type(error).__name__})."
            line = to_line(Failed(event.run, f"{told} Press Run again."))
        try:
            self._events.write(line)
            self._events.flush()
        except OSError:
            self._leave()

    def _leave(self) -> None:
        for _ in range(3):  # the other thread may be writing to it
            unfinished.remove(self._folder)
        # the system takes a moment to drop the lock of a viewer that was killed
        for pause in unfinished.PAUSES:
            if unfinished.remove_leftover(self._folder):
                break
            time.sleep(pause)
        os._exit(0)


def _failed(request: Request, error: Exception) -> Failed:
    details = "".join(traceback.format_exception(error))
    message = shortage(error) or (
        f"Something unexpected went wrong ({type(error).__name__}: {error}). "
        "The details say where; please report them."
    )
    return Failed(request.run, message, details)


def _open(request: Request) -> LazyArray:
    if request.reference is None:
        return load_array(Path(request.pixels), mapped=True)
    from napari_gem.references import find

    pixels = find(request.reference)
    if pixels is None:
        raise GemError(
            f"The image in '{request.reference.path}' is not what was shown. Look "
            "whether it is still there, or open it again."
        )
    return pixels


def _reference(request: Request) -> ImageReference:
    """Say where the image is, for the workers of a cluster."""
    from napari_gem.references import refer

    if request.reference is not None:
        return request.reference
    return refer(load_array(Path(request.pixels), mapped=True), request.pixels)


def _has_words(request: Request) -> bool:
    return all(prompt.words for prompt in request.prompts)


def _at_a_glance(model: Model, request: Request) -> Request:
    """Ask for a preview of features that are still coming."""
    score = replace(request.score or model.card.score, refinement=0)
    prompts = tuple(replace(prompt, examples=()) for prompt in request.prompts)
    return replace(request, score=score, prompts=prompts, preview=True)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _files_state(card: ModelCard) -> object:
    """Tell when somebody wrote new weights to the place of the old ones."""
    kind, _, place = card.weights.partition(":")
    if kind not in ("file", "folder"):
        return None
    path = Path(place)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files]
    return [(file.name, state.st_mtime_ns, state.st_size) for file, state in states]


def _import_heavy() -> None:
    """Load torch and open_clip while the user still types."""
    from napari_gem import loading, pipeline  # noqa: F401
    from napari_gem.backbones.open_clip_import import import_open_clip

    import_open_clip()


def _take(descriptor: int, mode: str, replacement: int) -> BinaryIO:
    """Keep a standard stream for the protocol and give all others another one.

    What a library prints, or a child of this process reads, cannot break the protocol.
    """
    taken: Any = os.fdopen(os.dup(descriptor), mode)
    os.dup2(replacement, descriptor)
    stream: BinaryIO = taken
    return stream


def main() -> None:
    """Serve the process that started this one."""
    faulthandler.enable()
    # Ctrl-C in the terminal is for the viewer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    requests, events = _take(0, "rb", nothing), _take(1, "wb", 2)
    storage = from_json(Storage, sys.argv[2]) if len(sys.argv) > 2 else Storage()
    Worker(Path(sys.argv[1]), requests, events, storage).serve()


if __name__ == "__main__":
    main()
