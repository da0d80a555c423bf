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

from qtpy.QtCore import QObject, Signal

from napari_gem import layers
from napari_gem.cluster.connection import NO_WORKERS, WAITING
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.models.find import find_model, is_available
from napari_gem.results.temporary import ResultFolders
from napari_gem.widget.parts.links import Links
from napari_gem.widget.results.result_layers import ResultLayers, warm_up
from napari_gem.widget.results.stack import StackResult
from napari_gem.widget.run.answer import make_results
from napari_gem.widget.run.live import Encoded, Live
from napari_gem.widget.run.question import Ask, make_request, next_slice, vectors_of
from napari_gem.worker.client import WorkerClient, discard
from napari_gem.worker.messages import (
    Event,
    Failed,
    Finished,
    Interim,
    NeedsDownload,
    Progressed,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.results import StoredSegmentation
    from napari_gem.layers import LayerData, Policy
    from napari_gem.widget.run.answer import Maps
    from napari_gem.worker.messages import Storage

logger = logging.getLogger(__name__)

REMOVED = "The image layer was removed during the run, so its result was dropped."
STALE = "The pixels were replaced meanwhile; this is the result of the earlier ones."
NO_IMAGE = (
    "There is no image layer. Open an image, or a sample: File > Open Sample > GEM."
)
COARSE = "This is a coarse preview; the full size is being written..."
FULL = "The full size is shown."
ONE_SLICE = "This slice is up to date. Press Run to update the others as well."


class Client(Protocol):
    """What is needed of `napari_gem.worker.client.WorkerClient`."""

    @property
    def process_id(self) -> int | None:
        """Of the process, while it runs."""
        ...

    def start(self) -> None:
        """Start the process, if it does not run."""
        ...

    def submit(
        self,
        pixels: Callable[[], LazyArray] | None,
        request: Request,
        *,
        large: bool = False,
    ) -> int:
        """Run it: see `WorkerClient.submit`."""
        ...

    def cancel(self) -> None:
        """Stop the run."""
        ...

    def close(self) -> None:
        """End the process."""
        ...

    def load_maps(self, finished: Finished) -> Maps:
        """Read what a run has written."""
        ...


@dataclass(eq=False)
class _Job:
    """What the worker is doing for us."""

    ask: Ask
    of: Encoded | None = None
    """The encoded image that is scored; None in a run."""
    preview: bool = False
    number: int = 0
    cancelled: bool = False
    allowed: bool = False  # to download the model
    stale: bool = False  # the pixels were replaced meanwhile
    stack: StackResult | None = None
    slices: list[Encoded] = field(default_factory=list)
    """Slices of a stack that are done."""
    waits: bool = False
    """Whether a cluster has no workers, and the user knows."""
    begun: bool = False
    """Whether something of the result is shown already."""

    @property
    def live(self) -> bool:
        """Whether this is no run."""
        return self.of is not None

    @property
    def large(self) -> bool:
        """As of `Ask`; the last slice of a stack has none after it, and is not."""
        stack = self.stack if self.of is None else self.of.stack
        return self.ask.large and stack is None


class Controller(QObject):
    """Checks what is asked, sends it to the worker and shows what comes back.

    Parameters
    ----------
    viewer
        Where results appear.
    make_client
        Called once with the function that takes events; None starts a worker process.
    storage
        Room that encoded images may take; None takes the defaults of `Storage`.
    """

    busy_changed = Signal(bool)
    progressed = Signal(object)
    """`Progress`."""
    message_sent = Signal(str, str, str)
    """``info``, ``warning`` or ``error``; a sentence for the user; details of it."""
    failed = Signal(str)
    """A sentence: the worker, or what shows its results, failed. It is also told."""
    download_requested = Signal(object, object)
    """`ModelCard` and `Ask`: the model must be downloaded, which the user may allow."""
    policy_requested = Signal(object, object)
    """The painted labels layer, and `Ask`: the user is to choose a `Policy`."""
    labels_kept = Signal(object)
    """The painted labels layer that changes leave as it is; None: there is none."""
    undo_changed = Signal(str)
    """What `undo` would do; empty: nothing."""
    current_changed = Signal(bool)
    """Whether what is asked can be had at once, from the encoded image."""
    scored = Signal(object)
    """`Finished`, after its maps were shown."""

    _event_came = Signal(object, object)

    def __init__(
        self,
        viewer: ViewerModel,
        make_client: Callable[[Callable[[Event], object]], Client] | None = None,
        storage: Storage | None = None,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._results = ResultLayers(viewer)
        self._folders = ResultFolders(storage.folder if storage else "")
        self._live = Live(self)
        self._job: _Job | None = None
        self._after: Ask | None = None  # what was changed during a run
        self._kept: Any = None
        self._complained = False
        self._closed = False
        self._allowed: set[str] = set()  # models that the user let us download
        self._live.rested.connect(self._on_rested)
        self._event_came.connect(self._on_event)
        make_client = make_client or partial(WorkerClient, storage=storage)
        self._client = make_client(self._receive)
        self._removed_links = Links(self._on_layer_removed, self)
        self._removed_links.connect([viewer.layers.events.removed])
        self._first_links = Links(self._warm_up, self)
        self._data_links = Links(self._on_data, self)

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
                self._first_links.connect([self._viewer.layers.events.inserted])

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
            self.refuse(str(error))
            return
        if request is None:
            return
        image = ask.image
        if ask.more:
            image = layers.stack_image(ask.layers[0], image)
        painted = self._results.painted(image, ask.large)
        if painted is not None and ask.policy == "ask":
            self.policy_requested.emit(painted, ask)
            return
        self._drop_live()
        self._after = None
        self._job = _Job(ask, allowed=request.download)
        if ask.more:
            policy = _policy(ask)
            self._job.stack = StackResult(
                self._results, ask.layers[0], policy, folders=self._folders
            )
        self._watch((*self._live.layers, *ask.layers))
        self._tell("info", ask.image.notice)
        self.busy_changed.emit(True)
        self.progressed.emit(Progress("Reading image"))
        self._submit(self._job, ask.image.rows, request, large=self._job.large)

    def refresh(self, ask: Ask) -> None:
        """Show what other words or settings give, if the image is encoded.

        A preview comes at once, the full size when nothing changed for a moment.
        Nothing happens if this is what is shown.
        """
        if self.busy:
            self._after = ask  # looked at when the run has ended
            return
        self.mark(ask)
        if self._closed:
            return
        if not self._live.want(ask):
            if _can_be_asked(ask):
                self._complain("")
        elif self._job is None or not self._job.preview:
            self._score(self._live.take(), preview=True)

    def refuse(self, sentence: str) -> None:
        """Say why there is no run; taken back when what is asked can be."""
        self._complain(sentence)

    def mark(self, ask: Ask) -> None:
        """Tell whether this is current; see `is_current`."""
        self.current_changed.emit(self.is_current(ask))

    def is_current(self, ask: Ask) -> bool:
        """Tell whether this can be had without running the model on the image."""
        return self._live.find(ask) is not None

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
        self._drop_live()
        try:
            self._tell("info", self._results.undo())
        except GemError as error:
            self._tell("warning", str(error))
        self._live.forget_stacks()
        self._keep(None)
        self.undo_changed.emit("")

    def close(self) -> None:
        """Drop the run and end the worker; nothing happens after this."""
        if self._closed:
            return
        self._closed = True
        self._job = None
        self._live.encoded()
        self._results.forget()
        self._removed_links.clear()
        self._first_links.clear()
        self._data_links.clear()
        self._client.close()

    # -------------------------------------------------------------------- asking

    def _check(self, ask: Ask) -> Request | None:
        """Turn what is asked to a request; None if the user is asked something."""
        if not ask.layers or any(x not in self._viewer.layers for x in ask.layers):
            raise GemError(NO_IMAGE)
        request = make_request(ask, large=ask.large)
        card = find_model(ask.model, ask.architecture)
        if ask.download:
            self._allowed.add(card.id)
        allowed = card.id in self._allowed
        known = card.size is not None  # else the worker finds out
        if not allowed and known and not is_available(card):
            self.download_requested.emit(card, ask)
            return None
        return replace(request, download=allowed)

    def _score(self, wanted: tuple[Ask, Encoded] | None, preview: bool) -> None:
        """Score an encoded image."""
        if wanted is None:
            return
        ask, of = wanted
        job = _Job(ask, of=of, preview=preview)
        try:
            request = make_request(ask, large=job.large)
        except GemError as error:
            self._complain(str(error))
            return
        of.shown = ask.question
        self._job = job
        request = replace(request, encoded=of.name, preview=preview)
        to_disk = job.large and not preview
        if self._submit(job, None, request, large=to_disk) and to_disk:
            self._tell("info", COARSE)

    def _submit(
        self,
        job: _Job,
        pixels: Callable[[], LazyArray] | None,
        request: Request,
        *,
        large: bool = False,
    ) -> bool:
        """Hand a job to the worker; if that fails the job ends, which is told."""
        try:
            job.number = self._client.submit(pixels, request, large=large)
        except GemError as error:
            self._fail(job, str(error), lost=True)
            return False
        except Exception as error:  # noqa: BLE001 (told to the user with details)
            self._give_up(job, error)
            return False
        return True

    def _complain(self, sentence: str) -> None:
        """Say what is wrong with what is asked, or take that back."""
        if sentence or self._complained:
            self._tell("error" if sentence else "info", sentence)
        self._complained = bool(sentence)

    def _on_rested(self) -> None:
        if self._job is None:
            self._score(self._live.take_full(), preview=False)

    def _drop_live(self) -> None:
        """Give up what was to be shown of the encoded image."""
        self._live.stop()
        if self._job is not None and self._job.of is not None:
            self._job.of.shown = None
            self._job = None

    def _warm_up(self, _event: Any = None) -> None:
        """Make layers ready on another thread, once there is a layer.

        The first layer builds pint's registry of units, which two threads must not
        do at a time: one would find no unit in it.
        """
        self._first_links.clear()
        if not self._closed:
            Thread(target=warm_up, name="napari-gem layers", daemon=True).start()

    # ------------------------------------------------------------------ answering

    def _receive(self, event: Event) -> None:
        """Take an event, on the client's private thread."""
        job, results = self._job, None
        try:
            if job is None:  # it was undone meanwhile, or its image is gone
                discard(event)
            if isinstance(event, Finished | Interim) and job is not None:
                found = event.preview if isinstance(event, Interim) else event
                load, large = self._client.load_maps, job.large
                made, results = make_results(found, job.ask, load, large)
                if not isinstance(event, Interim):
                    event = made
        except Exception as error:  # a run without an end blocks all others
            if isinstance(event, Progressed | Interim):
                logger.warning("An event could not be taken", exc_info=True)
                return
            event = Failed(event.run, _unexpected(error), traceback.format_exc())
        self._event_came.emit(event, results)

    def _on_event(self, event: Event, results: list[LayerData] | None) -> None:
        job = self._job
        if job is None or event.run != job.number:
            return
        try:
            self._answer(job, event, results)
        except Exception as error:  # noqa: BLE001 (as above)
            self._give_up(job, error)

    def _give_up(self, job: _Job, error: Exception) -> None:
        """End a job whose answer could not be taken, whatever it was."""
        try:
            self._fail(job, _unexpected(error), traceback.format_exc())
        except Exception:
            logger.exception("A run could not be ended in order")
            self._job = None
            self.busy_changed.emit(False)

    def _answer(self, job: _Job, event: Event, results: list[LayerData] | None) -> None:
        if isinstance(event, Progressed):
            if not job.cancelled and not job.live:
                self._show_progress(job, event.progress)
            return
        if isinstance(event, Interim):
            self._show_interim(job, results)
        elif any(layer not in self._viewer.layers for layer in job.ask.layers):
            self._take_back(job)
            self._end(job, "warning", REMOVED)
        elif job.cancelled:
            self._cancelled(job)
        elif isinstance(event, NeedsDownload):
            self._end(job, "info", "")
            self.download_requested.emit(event.card, job.ask)
        elif isinstance(event, Failed):
            self._fail(job, event.message, event.details, lost=event.lost)
        elif isinstance(event, Finished) and results is not None:
            self._show(job, event, results)
        else:
            self._cancelled(job)

    def _show_progress(self, job: _Job, progress: Progress) -> None:
        waits = progress.stage == WAITING
        if waits and not job.waits:
            where = job.ask.device
            self._tell("warning", NO_WORKERS.format(address=where, stop="press Cancel"))
        elif job.waits and not waits:
            self._tell("info", "")
        job.waits = waits
        self.progressed.emit(progress)

    def _cancelled(self, job: _Job) -> None:
        self._take_back(job)
        self._end(job, "info", "Cancelled.")

    def _take_back(self, job: _Job) -> None:
        """Bring back what was before a run of which a part is shown."""
        if job.begun or (job.stack is not None and job.stack.labels is not None):
            with suppress(GemError):  # there is nothing to undo
                self._results.undo()  # the slices that are done; they stay encoded
            self._live.forget_stacks()
            self.undo_changed.emit("")

    def _show_interim(self, job: _Job, results: list[LayerData] | None) -> None:
        """Show the rows of a large image that are encoded; the run goes on."""
        here = all(layer in self._viewer.layers for layer in job.ask.layers)
        if results is None or job.cancelled or job.live or not here:
            return
        try:
            self._write(job, results)
        except Exception:  # the result itself is still to come
            logger.warning("A part of a result could not be shown", exc_info=True)
        else:
            job.begun = True

    def _fail(
        self, job: _Job, sentence: str, details: str = "", lost: bool = False
    ) -> None:
        if details:
            logger.error("%s\n%s", sentence, details)
        if job.of is not None and not details and not lost:
            self._refuse(job.of, sentence)
            return
        if job.live:
            self._live.forget(job.of)
            self.current_changed.emit(False)
        elif job.begun:
            self._take_back(job)
        self._end(job, "error", sentence, details)
        # what comes of typing stays in the run bar, unless something is broken
        if details or not job.live:
            self.failed.emit(sentence)

    def _show(self, job: _Job, event: Finished, results: list[LayerData]) -> None:
        try:
            self._keep(self._write(job, results))
        except GemError as error:
            self._fail(job, str(error), lost=True)
            return
        except Exception as error:  # noqa: BLE001 (told to the user with details)
            message = f"The layers could not be shown ({error}). Run again."
            self._fail(job, message, traceback.format_exc())
            return
        name = job.ask.layers[0].name
        self.undo_changed.emit(f"Bring back what was before the last run on '{name}'")
        self.scored.emit(event)
        if job.of is not None:
            self._complain("")
            self._end_live(job, job.of, event)
            return
        self._note_encoded(job, event)
        if job.ask.more:
            self._go_on(job, event)
        else:
            self._end_run(job, event, len(results) - 1)

    def _write(self, job: _Job, results: list[LayerData]) -> Any:
        """Write to the viewer; gives the painted labels layer that was left alone."""
        image = job.ask.image
        stack = job.stack if job.of is None else job.of.stack
        if stack is not None:
            return stack.add(image, results, live=job.live)
        results = layers.move_results(job.ask.layers[0], image, results)
        policy = _policy(job.ask) if job.of is None else _live_policy(job.ask, job.of)
        live = job.live or job.begun
        return self._results.show(image, results, policy, live=live)

    def _refuse(self, of: Encoded, sentence: str) -> None:
        """Say what is wrong with words or settings; the image stays encoded."""
        of.shown = None  # what was shown before can be asked for again
        self._job = None
        self._complain(sentence)
        self._score(self._live.take(), preview=True)

    def _note_encoded(self, job: _Job, event: Finished) -> None:
        """Note what can be scored at once when the run has ended."""
        vectors = vectors_of(event.result.recipe.prompts) if job.slices else None
        image = Encoded(job.ask, event.encoded, stack=job.stack, vectors=vectors)
        job.slices.append(image)

    def _go_on(self, job: _Job, event: Finished) -> None:
        """Segment the next slice of a stack."""
        ask = next_slice(job.ask, event.result.recipe.prompts)
        try:
            request = replace(make_request(ask), download=job.allowed)
        except GemError as error:
            self._end(job, "error", str(error))
            return
        job.ask = ask
        self.progressed.emit(Progress(f"Reading {ask.image.title}"))
        self._submit(job, ask.image.rows, request)

    def _end_run(self, job: _Job, event: Finished, count: int) -> None:
        done = f"Done: labels and {count} {'map' if count == 1 else 'maps'}."
        self._live.encoded(*(() if job.stale else job.slices))
        self._watch(self._live.layers)
        self.current_changed.emit(not job.stale)
        result = event.result
        notices = [*result.notices, *_missing(result), *([STALE] if job.stale else [])]
        self._end(
            job,
            "warning" if notices else "info",
            " ".join(part for part in (done, *notices, job.ask.image.notice) if part),
        )
        ask, self._after = self._after, None
        if ask is not None:
            self.refresh(ask)

    def _end_live(self, job: _Job, of: Encoded, event: Finished) -> None:
        self._job = None
        if of.stack is not None and self._kept is None:
            self._tell("info", ONE_SLICE)
        elif job.large and event.step == 1:
            self._tell("info", FULL)
        waiting = self._live.take()
        if waiting is not None:
            self._score(waiting, preview=True)
        elif job.preview and event.step > 1:
            self._live.rest(job.ask)

    def _end(self, job: _Job, kind: str, sentence: str, details: str = "") -> None:
        self._job = None
        if not job.live:
            self.busy_changed.emit(False)
        self._tell(kind, sentence, details)

    def _tell(self, kind: str, sentence: str, details: str = "") -> None:
        self._complained = False  # something else is read now
        self.message_sent.emit(kind, sentence, details)

    # ---------------------------------------------------------------- the viewer

    def _keep(self, layer: Any) -> None:
        """Note the painted labels layer that was left alone."""
        if layer is not self._kept:
            self._kept = layer
            self.labels_kept.emit(layer)

    def _watch(self, watched: tuple[Any, ...]) -> None:
        """Listen for the pixels of these layers being replaced."""
        self._data_links.clear()
        self._data_links.connect(layer.events.data for layer in watched)

    def _on_data(self, event: Any) -> None:
        self._forget_layer(event.source)
        if self._job is not None and event.source in self._job.ask.layers:
            self._job.stale = True

    def _on_layer_removed(self, event: Any) -> None:
        if event.value is self._kept:
            self._keep(None)
        self._forget_layer(event.value)
        if self._job is not None and event.value in self._job.ask.layers:
            self.cancel()

    def _forget_layer(self, layer: Any) -> None:
        """Forget what is encoded of a layer that is not what it was."""
        if layer in self._live.layers:
            self._drop_live()
            self._live.encoded()
            self.current_changed.emit(False)


def _unexpected(error: Exception) -> str:
    return (
        f"Something unexpected went wrong ({type(error).__name__}: {error}). "
        "The details say where; please report them. Run again."
    )


def _can_be_asked(ask: Ask) -> bool:
    try:
        make_request(ask)
    except GemError:
        return False
    return True


def _policy(ask: Ask) -> Policy:
    return "new" if ask.policy == "ask" else ask.policy


def _live_policy(ask: Ask, of: Encoded) -> Policy:
    """Choose what changes do with painted labels: nobody is asked meanwhile.

    They go on as the run did. What was painted after it is never replaced.
    """
    if "fill" in (of.ask.policy, ask.policy):
        return "fill"
    return "new" if ask.policy == "new" else "keep"


def _missing(result: StoredSegmentation) -> list[str]:
    names = [
        prompt.name
        for prompt, share in zip(result.recipe.prompts, result.shares, strict=False)
        if share == 0
    ]
    return [f"Not in the labels: {', '.join(names)}."] if names else []
