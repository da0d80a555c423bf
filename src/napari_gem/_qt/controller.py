"""What Run, Cancel, changed settings and the worker's events do; has no widgets.

All methods and slots run on the main thread. The client's private thread only reads
maps and makes layer data of them.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, QTimer, Signal

from napari_gem import layers
from napari_gem._qt.results import ResultLayers, warm_up
from napari_gem._qt.stack import StackResult
from napari_gem.client import WorkerClient
from napari_gem.models import find_model, is_available
from napari_gem.pipeline import check_maps
from napari_gem.text import parse_prompts
from napari_gem.types import (
    EncodeParameters,
    Event,
    Failed,
    Finished,
    GemError,
    LabelParameters,
    NeedsDownload,
    Progress,
    Progressed,
    Prompt,
    Region,
    Request,
    ScoreParameters,
    label_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_gem.layers import LayerData, LayerImage, Policy

    Maps = tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]

logger = logging.getLogger(__name__)

REST = 250
"""Milliseconds without a change after which a preview gives way to the full size."""

REMOVED = "The image layer was removed during the run, so its result was dropped."
STALE = "The pixels were replaced meanwhile; this is the result of the earlier ones."
NO_IMAGE = (
    "There is no image layer. Open an image, or a sample: File > Open Sample > GEM."
)


class Client(Protocol):
    """What is needed of `napari_gem.client.WorkerClient`."""

    @property
    def process_id(self) -> int | None: ...
    def start(self) -> None: ...
    def submit(
        self, pixels: Callable[[], NDArray[Any]] | None, request: Request
    ) -> int: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...
    def load_maps(self, finished: Finished) -> Maps: ...


@dataclass(frozen=True, eq=False)
class Ask:
    """What the user asks for.

    Attributes
    ----------
    layers
        The image layers that are segmented as one picture, at least one.
    image
        What of them is shown, and how.
    prompts
        The classes, also those that are off.
    model, architecture, device, precision, encode, detail, region
        As in `Request`: with the image they decide the encoding.
    score, label, download
        As in `Request`.
    policy
        What becomes of labels that somebody painted on.
    more
        Further slices of the same layer, segmented after the first into one stack.
    """

    layers: tuple[Any, ...]
    image: LayerImage
    prompts: tuple[Prompt, ...]
    model: str = "embedded"
    architecture: str = ""
    device: str = "auto"
    precision: str = "auto"
    encode: EncodeParameters | None = None
    detail: float | None = None
    region: Region | None = None
    score: ScoreParameters | None = None
    label: LabelParameters = field(default_factory=LabelParameters)
    download: bool = False
    policy: Policy = "ask"
    more: tuple[LayerImage, ...] = ()

    @property
    def question(self) -> object:
        """Everything that an encoded image answers at once."""
        return self.prompts, self.score, self.label

    @property
    def encoding(self) -> object:
        """Everything that decides the encoding but the pixels themselves."""
        return (
            self.image.source,
            self.image.plane,
            self.image.appearance,
            [plane.index for plane in self.image.planes],
            self.model,
            self.architecture,
            self.device,
            self.precision,
            self.encode,
            self.detail,
            self.region,
        )


@dataclass(eq=False)
class _Job:
    """What the worker is doing for us."""

    ask: Ask
    live: bool = False
    preview: bool = False
    number: int = 0
    cancelled: bool = False
    allowed: bool = False  # to download the model
    stale: bool = False  # the pixels were replaced meanwhile
    stack: StackResult | None = None


@dataclass(frozen=True, eq=False)
class _Encoded:
    """The image that the worker can score at once."""

    ask: Ask
    name: str


class Controller(QObject):
    """Checks what is asked, sends it to the worker and shows what comes back.

    Parameters
    ----------
    viewer
        Where results appear.
    make_client
        Called once with the function that takes events; None starts a worker process.
    memory
        MB that encoded images may take in the worker process.
    """

    busy_changed = Signal(bool)
    progressed = Signal(object)
    """`Progress`."""
    told = Signal(str, str, str)
    """``info``, ``warning`` or ``error``; a sentence for the user; details of it."""
    download_requested = Signal(object, object)
    """`ModelCard` and `Ask`: the model must be downloaded, which the user may allow."""
    policy_requested = Signal(object, object)
    """The painted labels layer, and `Ask`: the user is to choose a `Policy`."""
    current_changed = Signal(bool)
    """Whether what is asked can be had at once, from the encoded image."""
    scored = Signal(object)
    """`Finished`, after its maps were shown."""

    _event_came = Signal(object, object)

    def __init__(
        self,
        viewer: ViewerModel,
        make_client: Callable[[Callable[[Event], object]], Client] | None = None,
        memory: int = 1024,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._results = ResultLayers(viewer)
        self._job: _Job | None = None
        self._encoded: _Encoded | None = None
        self._next: Ask | None = None
        self._watched: tuple[Any, ...] = ()
        self._complained = False
        self._closed = False
        self._allowed: set[str] = set()  # models that the user let us download
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST)
        self._rest.timeout.connect(self._on_rest)
        self._event_came.connect(self._on_event)
        make_client = make_client or partial(WorkerClient, memory=memory)
        self._client = make_client(self._receive)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    @property
    def busy(self) -> bool:
        """Whether a run is going on; scoring an encoded image is none."""
        return self._job is not None and not self._job.live

    @property
    def worker_id(self) -> int | None:
        """Process id of the worker; None while there is none."""
        return self._client.process_id

    def start(self) -> None:
        """Start the worker, so that it is ready when the user is."""
        if not self._closed:
            self._client.start()
            if self._viewer.layers:
                self._warm_up()
            else:
                self._viewer.layers.events.inserted.connect(self._warm_up)

    def run(self, ask: Ask) -> None:
        """Start a run; what is wrong with it is told and nothing starts."""
        if self._closed:
            return
        if self.busy:
            self._tell("warning", "A run is going on. Cancel it or let it end.")
            return
        try:
            request = self._check(ask)
        except GemError as error:
            self._tell("error", str(error))
            return
        if request is None:
            return
        image = ask.image
        if ask.more:
            image = layers.stack_image(ask.layers[0], image)
        painted = self._results.painted(image)
        if painted is not None and ask.policy == "ask":
            self.policy_requested.emit(painted, ask)
            return
        self._forget_live()
        self._job = _Job(ask, allowed=request.download)
        if ask.more:
            policy = _policy(ask)
            self._job.stack = StackResult(self._results, ask.layers[0], policy)
        self._watch(ask.layers)
        self._tell("info", ask.image.notice)
        self.busy_changed.emit(True)
        self.progressed.emit(Progress("Reading image"))
        self._job.number = self._client.submit(ask.image.read, request)

    def refresh(self, ask: Ask) -> None:
        """Show what other words or settings give, if the image is encoded.

        A preview comes at once, the full size when nothing changed for a moment.
        """
        if self.busy:
            self._next = ask  # looked at when the run has ended
            return
        current = self.is_current(ask)
        self.current_changed.emit(current)
        if not current or self._closed:
            return
        self._next = ask
        self._rest.stop()
        if self._job is None or (self._job.live and not self._job.preview):
            self._score_next()

    def _catch_up(self, done: Ask) -> None:
        """Show what was changed during a run."""
        ask, self._next = self._next, None
        if ask is not None and (ask.encoding, ask.question) != (
            done.encoding,
            done.question,
        ):
            self.refresh(ask)

    def is_current(self, ask: Ask) -> bool:
        """Tell whether this can be had without running the model on the image."""
        return self._encoded is not None and self._encoded.ask.encoding == ask.encoding

    def cancel(self) -> None:
        """Cancel the run; it ends when the worker says so."""
        if self._job is not None and self.busy and not self._job.cancelled:
            self._job.cancelled = True
            self.progressed.emit(Progress("Cancelling"))
            self._client.cancel()

    def undo(self) -> None:
        """Bring the viewer's layers back to before the last run."""
        if self.busy:
            self._tell("warning", "A run is going on. Cancel it, or let it end first.")
            return
        self._forget_live()
        try:
            self._tell("info", self._results.undo())
        except GemError as error:
            self._tell("warning", str(error))

    def close(self) -> None:
        """Drop the run and end the worker; nothing happens after this."""
        if self._closed:
            return
        self._closed = True
        self._forget_live()
        self._job = None
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self._viewer.layers.events.inserted.disconnect(self._warm_up)
        self._watch(())
        self._set_encoded(None)
        self._client.close()

    # -------------------------------------------------------------------- asking

    def _check(self, ask: Ask) -> Request | None:
        """Turn what is asked to a request; None if the user is asked something."""
        if not ask.layers or any(x not in self._viewer.layers for x in ask.layers):
            raise GemError(NO_IMAGE)
        request = self._request(ask)
        card = find_model(ask.model, ask.architecture)
        if ask.download:
            self._allowed.add(card.id)
        allowed = card.id in self._allowed
        known = card.size is not None  # else the worker finds out
        if not allowed and known and not is_available(card):
            self.download_requested.emit(card, ask)
            return None
        return replace(request, download=allowed)

    def _request(self, ask: Ask) -> Request:
        if ask.prompts and not any(prompt.on for prompt in ask.prompts):
            raise GemError("Every class is switched off. Switch one on.")
        prompts = parse_prompts(prompt for prompt in ask.prompts if prompt.on)
        check_maps(len(prompts), ask.image.shape)
        return Request(
            run=0,
            pixels="",
            appearance=ask.image.appearance,
            prompts=prompts,
            model=ask.model,
            device=ask.device,
            precision=ask.precision,
            encode=ask.encode,
            score=ask.score,
            architecture=ask.architecture,
            detail=ask.detail,
            label=ask.label,
            region=ask.region,
        )

    def _score_next(self, preview: bool = True) -> None:
        """Score the encoded image for what was asked last."""
        ask, encoded = self._next, self._encoded
        self._next = None
        if ask is None or encoded is None:
            return
        try:
            request = self._request(ask)
        except GemError as error:
            self._complained = True
            self._tell("error", str(error))
            return
        ran = encoded.ask.policy  # what was painted since is not to be replaced
        ask = replace(ask, policy="fill" if "fill" in (ran, ask.policy) else "new")
        if self._complained:
            self._complained = False
            self._tell("info", "")
        self._job = _Job(ask, live=True, preview=preview)
        request = replace(request, image=encoded.name, preview=preview)
        self._job.number = self._client.submit(None, request)

    def _on_rest(self) -> None:
        if self._job is None:
            self._score_next(preview=False)

    def _forget_live(self) -> None:
        self._rest.stop()
        self._next = None
        if self._job is not None and self._job.live:
            self._job = None

    def _warm_up(self, _event: Any = None) -> None:
        """Make layers ready on another thread, once there is a layer.

        The first layer builds pint's registry of units, which two threads must not
        do at a time: one would find no unit in it.
        """
        self._viewer.layers.events.inserted.disconnect(self._warm_up)
        if not self._closed:
            Thread(target=warm_up, name="napari-gem layers", daemon=True).start()

    # ------------------------------------------------------------------ answering

    def _receive(self, event: Event) -> None:
        """Take an event, on the client's private thread."""
        job, results = self._job, None
        if isinstance(event, Finished) and job is not None:
            try:
                maps, labels = self._client.load_maps(event)
                image = job.ask.image
                results = layers.result_layers(
                    maps,
                    labels,
                    event.recipe,
                    image,
                    step=event.step,
                    classes=job.ask.prompts,
                )
            except GemError as error:
                event = Failed(event.run, str(error))
            except MemoryError:
                event = Failed(
                    event.run,
                    "The memory does not suffice for the maps. Crop the image or ask "
                    "for fewer classes.",
                )
            except Exception as error:  # noqa: BLE001 (told to the user with details)
                message = f"The layers could not be made ({error})."
                event = Failed(event.run, message, traceback.format_exc())
        self._event_came.emit(event, results)

    def _on_event(self, event: Event, results: list[LayerData] | None) -> None:
        job = self._job
        if job is None or event.run != job.number:
            return
        if isinstance(event, Progressed):
            if not job.cancelled and not job.live:
                self.progressed.emit(event.progress)
            return
        if any(layer not in self._viewer.layers for layer in job.ask.layers):
            self._end(job, "warning", REMOVED)
        elif job.cancelled:
            self._cancelled(job)
        elif isinstance(event, NeedsDownload):
            self._end(job, "info", "")
            self.download_requested.emit(event.card, job.ask)
        elif isinstance(event, Failed):
            self._fail(job, event)
        elif isinstance(event, Finished) and results is not None:
            self._show(job, event, results)
        else:
            self._cancelled(job)

    def _cancelled(self, job: _Job) -> None:
        if job.stack is not None and job.stack.labels is not None:
            with suppress(GemError):  # there is nothing to undo
                self._results.undo()  # the slices that are done; they stay encoded
        self._end(job, "info", "Cancelled.")

    def _fail(self, job: _Job, failed: Failed) -> None:
        if failed.details:
            logger.error("%s\n%s", failed.message, failed.details)
        if job.live:
            self._set_encoded(None)
        self._end(job, "error", failed.message, failed.details)

    def _show(self, job: _Job, event: Finished, results: list[LayerData]) -> None:
        image = job.ask.image
        try:
            if job.stack is not None:
                job.stack.add(image, results)
            else:
                results = layers.move_results(job.ask.layers[0], image, results)
                policy = _policy(job.ask)
                self._results.show(image, results, policy, live=job.live)
        except GemError as error:
            self._end(job, "error", str(error))
            return
        except Exception as error:
            logger.exception("The layers could not be shown")
            message = f"The layers could not be shown ({error})."
            self._end(job, "error", message, traceback.format_exc())
            return
        self.scored.emit(event)
        if job.live:
            self._end_live(job, event)
            return
        if job.ask.more:
            self._go_on(job, event)
            return
        count = len(results) - 1
        done = f"Done: labels and {count} {'map' if count == 1 else 'maps'}."
        # of a stack only the last slice is: sliders would change that one alone
        unfit = job.stale or job.stack is not None
        self._set_encoded(None if unfit else _Encoded(job.ask, event.image))
        notices = [*event.notices, *_missing(event), *([STALE] if job.stale else [])]
        self._end(
            job,
            "warning" if notices else "info",
            " ".join(part for part in (done, *notices, image.notice) if part),
        )
        self._catch_up(job.ask)

    def _go_on(self, job: _Job, event: Finished) -> None:
        """Segment the next slice of a stack."""
        ask = replace(
            job.ask,
            image=job.ask.more[0],
            more=job.ask.more[1:],
            prompts=_as_vectors(job.ask.prompts, event.recipe.prompts),
        )
        try:
            request = replace(self._request(ask), download=job.allowed)
        except GemError as error:
            self._end(job, "error", str(error))
            return
        job.ask = ask
        self.progressed.emit(Progress(f"Reading {ask.image.title}"))
        job.number = self._client.submit(ask.image.read, request)

    def _end_live(self, job: _Job, event: Finished) -> None:
        self._job = None
        if self._next is not None:
            self._score_next()
        elif job.preview and event.step > 1:
            self._next = job.ask
            self._rest.start()

    def _end(self, job: _Job, kind: str, sentence: str, details: str = "") -> None:
        self._job = None
        if not job.live:
            self.busy_changed.emit(False)
        self._tell(kind, sentence, details)

    def _tell(self, kind: str, sentence: str, details: str = "") -> None:
        self.told.emit(kind, sentence, details)

    # ---------------------------------------------------------------- the viewer

    def _watch(self, watched: tuple[Any, ...]) -> None:
        """Listen for the pixels of these layers being replaced."""
        for layer in self._watched:
            layer.events.data.disconnect(self._on_data)
        self._watched = watched
        for layer in watched:
            layer.events.data.connect(self._on_data)

    def _set_encoded(self, encoded: _Encoded | None) -> None:
        self._encoded = encoded
        if not self._closed:
            self.current_changed.emit(encoded is not None)

    def _on_data(self, _event: Any = None) -> None:
        self._forget_live()
        self._set_encoded(None)
        if self._job is not None:
            self._job.stale = True

    def _on_layer_removed(self, event: Any) -> None:
        if self._encoded and event.value in self._encoded.ask.layers:
            self._forget_live()
            self._set_encoded(None)
        if self._job is not None and event.value in self._job.ask.layers:
            self.cancel()


def _policy(ask: Ask) -> Policy:
    return "new" if ask.policy == "ask" else ask.policy


def _as_vectors(
    prompts: tuple[Prompt, ...], told: tuple[Prompt, ...]
) -> tuple[Prompt, ...]:
    """Examples that are places on one slice, as vectors that hold on others."""
    found = {
        label: tuple(replace(e, point=None) for e in prompt.examples if e.vector)
        for label, prompt in zip(label_ids(told), told, strict=True)
    }
    return tuple(
        replace(prompt, examples=found.get(prompt.label, ()))
        if prompt.examples
        else prompt
        for prompt in prompts
    )


def _missing(event: Finished) -> list[str]:
    names = [
        prompt.name
        for prompt, share in zip(event.recipe.prompts, event.shares, strict=False)
        if share == 0
    ]
    return [f"Not in the labels: {', '.join(names)}."] if names else []
