"""What Run, Cancel, changed settings and the worker's events do; has no widgets.

All methods and slots run on the main thread. The client's private thread only reads
maps and makes layer data of them.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_gem import layers
from napari_gem.cluster.connection import NO_WORKERS, WAITING
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_lines
from napari_gem.core.progress import Progress
from napari_gem.core.sentences import some_of
from napari_gem.core.word_comparison import ComparedMaps
from napari_gem.models.find import find_model, is_available
from napari_gem.results.temporary import ResultFolders
from napari_gem.widget.parts.links import Links
from napari_gem.widget.results.result_layers import ResultLayers, warm_up
from napari_gem.widget.results.stack import StackResult
from napari_gem.widget.run.answer import make_results
from napari_gem.widget.run.inputs import make_request, next_slice, vectors_of
from napari_gem.widget.run.kept_images import KeptImages
from napari_gem.widget.run.live_updates import EncodedImage, LiveUpdates
from napari_gem.widget.run.record import Record
from napari_gem.widget.run.task import Task
from napari_gem.widget.state import Encoded, LastResult, Place, Running
from napari_gem.worker.client import WorkerClient, discard
from napari_gem.worker.messages import (
    Compared,
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
    from napari_gem.core.word_comparison import WordOrder
    from napari_gem.layers import LayerData
    from napari_gem.widget.results.map_layers import MapLayers
    from napari_gem.widget.run.inputs import RunInputs
    from napari_gem.widget.run.live_updates import Next
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


class Controller(QObject):
    """Checks what the user chose, sends it to the worker and shows what comes back.

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
    message_sent = Signal(str, str, str, object)
    """``info``, ``warning`` or ``error``; a sentence for the user; details of it; the
    `RunInputs` of the run that it is about, or None: it is about what is chosen."""
    failed = Signal(str)
    """A sentence that is also sent: the worker, or what shows its results, failed."""
    download_requested = Signal(object, object)
    """`ModelCard` and `RunInputs`: the user is to allow the download of the model."""
    policy_requested = Signal(object, object)
    """The painted labels layer, and `RunInputs`: the user is to choose a `Policy`."""
    labels_kept = Signal(object)
    """The painted labels layer that changes leave as it is; None: there is none."""
    undo_changed = Signal(str)
    """What `undo` would do; empty: nothing."""
    state_changed = Signal()
    """What is encoded, or what the results say."""
    scored = Signal(object)
    """`Finished`, after its maps were shown."""

    compared = Signal(object, object)
    """`ComparedMaps`, or a sentence why there are none; `RunInputs` of the image."""

    _event_came = Signal(object, object)

    def __init__(
        self,
        viewer: ViewerModel,
        make_client: Callable[[Callable[[Event], object]], WorkerClient] | None = None,
        storage: Storage | None = None,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._results = ResultLayers(viewer)
        self._folders = ResultFolders(storage.folder if storage else "")
        self._live = LiveUpdates(self)
        self._record = Record()
        self._kept_images = KeptImages(storage, self)
        self._kept_images.answered.connect(self.state_changed)
        self._undo_places: set[Place] = set()
        self._watched: set[Any] = set()
        self._task: Task | None = None
        self._changed: RunInputs | None = None  # during a run
        self._comparison: tuple[RunInputs, WordOrder] | None = None  # still to come
        self._kept: Any = None
        self._refused = False  # whether a sentence says why there is no run
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
        return self._task is not None and self._task.is_run

    @property
    def map_layers(self) -> MapLayers:
        """Which maps of the results have a layer."""
        return self._results.map_layers

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

    # ------------------------------------------------------------ what the user does

    def run(self, inputs: RunInputs) -> None:
        """Start a run; if something is wrong, a sentence says so and nothing starts."""
        if self._closed:
            return
        if self.busy:
            self._send("warning", "A run is going on. Cancel it or let it end.")
            return
        try:
            request = self._check(inputs)
        except GemError as error:
            self.refuse(str(error))
            return
        if request is None:  # the user is asked for a download
            return
        image = inputs.image
        if inputs.more:
            image = layers.stack_image(inputs.layers[0], image)
        painted = self._results.painted(image, inputs.is_large)
        if painted is not None and inputs.policy == "ask":
            self.policy_requested.emit(painted, inputs)
            return
        self._drop_live()
        self._changed = None
        self._record.note_message([inputs.place], ("info", ""))
        task = self._task = Task(inputs, download=request.download)
        if inputs.more:
            task.stack = StackResult(
                self._results, inputs.layers[0], task.policy, folders=self._folders
            )
        self._watch(inputs.layers)
        self._send("info", inputs.image.notice)
        self.busy_changed.emit(True)
        self.progressed.emit(Progress("Reading image"))
        self._submit(task, inputs.image.rows, request, large=task.is_large)

    def refresh(self, inputs: RunInputs) -> None:
        """Show what other words or settings give, if the image is encoded.

        A preview comes at once, the full size when nothing changed for a moment.
        Nothing happens if this is what is shown.
        """
        if self.busy:
            self._changed = inputs  # looked at when the run has ended
            return
        if self._closed:
            return
        if self.encoded(inputs) is Encoded.NO:
            self._kept_images.look(inputs)
            self._watch(inputs.layers)
        if not self._live.plan_preview(inputs):
            if _is_valid(inputs):
                self.refuse("")
        elif self._task is None or not self._task.preview:
            self._score(self._live.take_preview(), preview=True)

    def compare(self, inputs: RunInputs, order: WordOrder) -> None:
        """Compare words on an encoded image; `compared` brings what comes of it.

        A comparison that was asked for before is given up. Nothing happens during a
        run, or if the image is not encoded.
        """
        self.stop_comparing()
        if not self._closed and not self.busy and self._live.find(inputs) is not None:
            self._comparison = inputs, order
            if self._task is None:
                self._begin_comparison()

    def stop_comparing(self) -> None:
        """Give up the comparison that was asked for."""
        self._comparison = None
        if self._task is not None and self._task.order is not None:
            self._task = None  # the next request ends it in the worker

    def refuse(self, sentence: str) -> None:
        """Say why there is no run; an empty sentence takes that back."""
        if sentence or self._refused:
            self._send("error" if sentence else "info", sentence)
        self._refused = bool(sentence)

    def encoded(self, inputs: RunInputs) -> Encoded:
        """Tell where the features are, as far as this session knows."""
        if self._live.find(inputs) is not None:
            return Encoded.LIVE
        kept = self._kept_images
        if self._record.was_encoded(inputs) or kept.is_kept(inputs):
            return Encoded.KEPT
        return Encoded.LOOKING if kept.is_looked_for(inputs) else Encoded.NO

    def forget_kept(self) -> None:
        """Look again which images are encoded on disk: they were removed."""
        self._kept_images.forget()

    def last_result(self, place: Place) -> LastResult | None:
        """Give what the last result of a place says; None without one."""
        return self._record.last(place)

    def running(self, place: Place) -> Running:
        """Tell which image a run is going on for."""
        if self._task is None or not self._task.is_run:
            return Running.NO
        is_shown = self._task.inputs.place == place
        return Running.HERE if is_shown else Running.ELSEWHERE

    def cancel(self) -> None:
        """Cancel the run; it ends when the worker says so."""
        if self._task is not None and self.busy and not self._task.cancelled:
            self._task.cancelled = True
            self.progressed.emit(Progress("Cancelling"))
            self._client.cancel()

    def undo(self) -> None:
        """Bring the viewer's layers back to before the last run."""
        if self.busy:
            self._send("warning", "A run is going on. Cancel it, or let it end first.")
            return
        self._drop_live()
        try:
            self._send("info", self._results.undo())
        except GemError as error:
            self._send("warning", str(error))
        self._live.forget_stacks()
        self._record.forget(self._undo_places)
        self._note_kept(None)
        self.undo_changed.emit("")
        self.state_changed.emit()

    def close(self) -> None:
        """Drop the run and end the worker; nothing happens after this."""
        if self._closed:
            return
        self._closed = True
        self._task = None
        self._live.clear()
        self._kept_images.stop()
        self._results.forget()
        for links in (self._removed_links, self._first_links, self._data_links):
            links.clear()
        self._client.close()

    # ------------------------------------------------------------------ to the worker

    def _check(self, inputs: RunInputs) -> Request | None:
        """Make the request; None if the user is asked for a download first."""
        if not inputs.layers or any(
            x not in self._viewer.layers for x in inputs.layers
        ):
            raise GemError(NO_IMAGE)
        request = make_request(inputs, large=inputs.is_large)
        card = find_model(inputs.job.model, inputs.job.architecture)
        if inputs.download:
            self._allowed.add(card.id)
        allowed = card.id in self._allowed
        known = card.size is not None  # else the worker finds out
        if not allowed and known and not is_available(card):
            self.download_requested.emit(card, inputs)
            return None
        return replace(request, download=allowed)

    def _score(self, planned: Next | None, preview: bool) -> None:
        """Score an encoded image."""
        if planned is None:
            return
        inputs, image = planned
        task = Task(inputs, encoded=image, preview=preview)
        try:
            request = make_request(inputs, large=task.is_large)
        except GemError as error:
            self.refuse(str(error))
            return
        image.shown = inputs.scoring
        self._task = task
        request = replace(request, encoded=image.name, preview=preview)
        to_disk = task.is_large and not preview
        if self._submit(task, None, request, large=to_disk) and to_disk:
            self._send("info", COARSE)

    def _begin_comparison(self) -> None:
        """Let the worker compare words, if somebody waits for it."""
        if self._comparison is None:
            return
        inputs, order = self._comparison
        image = self._live.find(inputs)
        if image is None:
            self._comparison = None
            return
        prompts = tuple(
            replace(prompt, on=True) if prompt.label == order.label else prompt
            for prompt in inputs.job.prompts
        )
        asked = replace(inputs, job=replace(inputs.job, prompts=prompts))
        task = self._task = Task(inputs, encoded=image, order=order)
        try:
            request = make_request(asked, large=True)
        except GemError as error:
            self._end_comparison(task, str(error))
            return
        request = replace(request, encoded=image.name, order=order)
        self._submit(task, None, request)

    def _end_comparison(self, task: Task, outcome: ComparedMaps | str) -> None:
        """Say what came of a comparison, and go on with what waited for it."""
        self._task = self._comparison = None
        self.compared.emit(outcome, task.inputs)
        if self._task is None:
            self._score(self._live.take_preview(), preview=True)

    def _submit(
        self,
        task: Task,
        pixels: Callable[[], LazyArray] | None,
        request: Request,
        *,
        large: bool = False,
    ) -> bool:
        """Hand a task to the worker; if that fails the task ends with a sentence."""
        try:
            task.number = self._client.submit(pixels, request, large=large)
        except GemError as error:
            self._fail(task, str(error), lost=True)
            return False
        except Exception as error:  # noqa: BLE001 (shown to the user with details)
            self._give_up(task, error)
            return False
        return True

    # ---------------------------------------------------------------- from the worker

    def _receive(self, event: Event) -> None:
        """Take an event, on the client's private thread."""
        task = self._task
        results: list[LayerData] | ComparedMaps | None = None
        try:
            if task is None:  # it was undone meanwhile, or its image is gone
                discard(event)
            elif isinstance(event, Compared):
                results = self._client.load_comparison(event)
            else:
                event, results = make_results(
                    event, task.inputs, self._client.load_maps, task.is_large
                )
        except Exception as error:  # noqa: BLE001 (a run without an end blocks others)
            if isinstance(event, Progressed | Interim):
                _log("An event could not be taken")
                return
            event = Failed(event.run, _unexpected(error), traceback.format_exc())
        self._event_came.emit(event, results)

    def _on_event(
        self, event: Event, results: list[LayerData] | ComparedMaps | None
    ) -> None:
        task = self._task
        if task is None or event.run != task.number:
            return
        try:
            if task.order is not None:
                self._answer_comparison(task, event, results)
            elif not isinstance(results, ComparedMaps):
                self._answer(task, event, results)
        except Exception as error:  # noqa: BLE001 (as above)
            self._give_up(task, error)

    def _answer_comparison(self, task: Task, event: Event, results: Any) -> None:
        if isinstance(event, Failed):
            self._fail(task, event.message, event.details, lost=event.lost)
        elif not isinstance(event, Progressed):
            outcome = results if isinstance(results, ComparedMaps) else ""
            self._end_comparison(task, outcome)

    def _answer(
        self, task: Task, event: Event, results: list[LayerData] | None
    ) -> None:
        has_layers = all(layer in self._viewer.layers for layer in task.inputs.layers)
        if isinstance(event, Progressed):
            if task.is_run and not task.cancelled:
                self._show_progress(task, event.progress)
        elif isinstance(event, Interim):
            if has_layers and task.is_run and not task.cancelled:
                self._show_part(task, results)
        elif not has_layers:
            self._take_back(task)
            self._end(task, "warning", REMOVED)
        elif task.cancelled:
            self._end_cancelled(task)
        elif isinstance(event, NeedsDownload):
            self._end(task, "info", "")
            self.download_requested.emit(event.card, task.inputs)
        elif isinstance(event, Failed):
            self._fail(task, event.message, event.details, lost=event.lost)
        elif isinstance(event, Finished) and results is not None:
            self._show(task, event, results)
        else:
            self._end_cancelled(task)

    def _show_progress(self, task: Task, progress: Progress) -> None:
        waits = progress.stage == WAITING
        if waits and not task.waits:
            address = task.inputs.job.device
            sentence = NO_WORKERS.format(address=address, stop="press Cancel")
            self._send("warning", sentence)
        elif task.waits and not waits:
            self._send("info", "")
        task.waits = waits
        self.progressed.emit(progress)

    def _show_part(self, task: Task, results: list[LayerData] | None) -> None:
        """Show the rows of a large image that are encoded; the run goes on."""
        if results is None:
            return
        try:
            self._write(task, results)
        except Exception:  # noqa: BLE001 (the result itself is still to come)
            _log("A part of a result could not be shown")
        else:
            task.partly_shown = True

    def _show(self, task: Task, event: Finished, results: list[LayerData]) -> None:
        try:
            self._note_kept(self._write(task, results))
        except GemError as error:
            self._fail(task, str(error), lost=True)
            return
        except Exception as error:  # noqa: BLE001 (shown to the user with details)
            message = f"The layers could not be shown ({error}). Run again."
            self._fail(task, message, traceback.format_exc())
            return
        self._note_result(task, event.result)
        name = task.inputs.layers[0].name
        self.undo_changed.emit(f"Bring back what was before the last run on '{name}'")
        self.scored.emit(event)
        if task.encoded is not None:
            self.refuse("")
            self._end_live(task, task.encoded, event)
            return
        task.slices.append(_encoded_image(task, event))
        if task.inputs.more:
            self._run_next_slice(task, event)
        else:
            self._end_run(task, event, len(results) - 1)

    def _note_result(self, task: Task, result: StoredSegmentation) -> None:
        """Note what is shown, and what undo would take back."""
        if not task.stale:
            self._record.note(task.inputs, result)
        if not task.slices:
            self._undo_places = set()
        self._undo_places.add(task.inputs.place)

    def _write(self, task: Task, results: list[LayerData]) -> Any:
        """Write to the viewer; gives the painted labels layer that was left alone."""
        image = task.inputs.image
        if task.target_stack is not None:
            return task.target_stack.add(image, results, live=not task.is_run)
        results = layers.move_results(task.inputs.layers[0], image, results)
        live = not task.is_run or task.partly_shown
        return self._results.show(image, results, task.policy, live=live)

    def _run_next_slice(self, task: Task, event: Finished) -> None:
        """Segment the next slice of a stack."""
        inputs = next_slice(task.inputs, event.result.recipe.prompts)
        try:
            request = replace(make_request(inputs), download=task.download)
        except GemError as error:
            self._end(task, "error", str(error))
            return
        task.inputs = inputs
        self.progressed.emit(Progress(f"Reading {inputs.image.title}"))
        self._submit(task, inputs.image.rows, request)

    # ------------------------------------------------------------------ how tasks end

    def _end(self, task: Task, kind: str, sentence: str, details: str = "") -> None:
        self._task = None
        if task.is_run:
            self.busy_changed.emit(False)
        self._send(kind, sentence, details, about=task.inputs)

    def _end_run(self, task: Task, event: Finished, count: int) -> None:
        done = f"Done: labels and {count} {'map' if count == 1 else 'maps'}."
        if not task.stale:
            self._live.add(task.slices)
            for each in task.slices:
                self._record.note_encoded(each.inputs)
        self._watch()
        notices = [*event.result.notices, *_missing(event.result)]
        if task.stale:
            notices.append(STALE)
        sentences = done, *notices, task.inputs.image.notice
        kind = "warning" if notices else "info"
        message = " ".join(part for part in sentences if part)
        self._record.note_message(self._undo_places, (kind, message))
        self._end(task, kind, message)
        changed, self._changed = self._changed, None
        if changed is not None:
            self.refresh(changed)

    def _end_live(self, task: Task, image: EncodedImage, event: Finished) -> None:
        self._task = None
        if image.stack is not None and self._kept is None:
            self._send("info", ONE_SLICE)
        elif task.is_large and event.step == 1:
            self._send("info", FULL)
        planned = self._live.take_preview()
        if planned is not None:
            self._score(planned, preview=True)
        elif task.preview and event.step > 1:
            self._live.plan_full_size(task.inputs)
        if self._task is None:
            self._begin_comparison()

    def _end_cancelled(self, task: Task) -> None:
        self._take_back(task)
        self._end(task, "info", "Cancelled.")

    def _take_back(self, task: Task) -> None:
        """Bring back what was before a run of which a part is shown."""
        slices_shown = task.stack is not None and task.stack.labels is not None
        if task.partly_shown or slices_shown:
            with suppress(GemError):  # there is nothing to undo
                self._results.undo()  # slices that are done stay encoded
            self._record.forget(self._undo_places)
            self._live.forget_stacks()
            self.undo_changed.emit("")

    def _fail(
        self, task: Task, sentence: str, details: str = "", lost: bool = False
    ) -> None:
        if details:
            logger.error("%s\n%s", shown_lines(sentence), shown_lines(details))
        image = task.encoded
        if task.order is not None:
            if lost and image is not None:
                self._live.forget(image)
                self._record.forget_encoded(image.inputs)
            self._end_comparison(task, sentence)
            self.state_changed.emit()
            return
        if image is not None and not details and not lost:
            # words or settings are wrong; the image stays encoded
            image.shown = None  # what was shown before can be asked for again
            self._task = None
            self.refuse(sentence)
            self._score(self._live.take_preview(), preview=True)
            return
        if image is not None:
            self._live.forget(image)
            self._record.forget_encoded(image.inputs)
            self.state_changed.emit()
        elif task.partly_shown:
            self._take_back(task)
        self._end(task, "error", sentence, details)
        # what comes of typing stays in the run bar, unless something is broken
        if details or image is None:
            self.failed.emit(sentence)

    def _give_up(self, task: Task, error: Exception) -> None:
        """End a task that failed unexpectedly, whatever it was."""
        try:
            self._fail(task, _unexpected(error), traceback.format_exc())
        except Exception:  # noqa: BLE001 (the next run can begin)
            _log("A run could not be ended in order")
            self._task = None
            self.busy_changed.emit(False)

    def _drop_live(self) -> None:
        """Give up what was to be shown of the encoded image."""
        self._live.stop()
        self.stop_comparing()
        if self._task is not None and self._task.encoded is not None:
            self._task.encoded.shown = None
            self._task = None

    def _on_rested(self) -> None:
        if self._task is None:
            self._score(self._live.take_full_size(), preview=False)
        elif self._task.order is not None:
            self._live.wait()

    def _send(
        self,
        kind: str,
        sentence: str,
        details: str = "",
        about: RunInputs | None = None,
    ) -> None:
        self._refused = False  # something else is read now
        self.message_sent.emit(kind, sentence, details, about)

    # ---------------------------------------------------------------- the viewer

    def _note_kept(self, layer: Any) -> None:
        """Note the painted labels layer that was left alone."""
        if layer is not self._kept:
            self._kept = layer
            self.labels_kept.emit(layer)

    def _watch(self, more: tuple[Any, ...] = ()) -> None:
        """Listen for the pixels being replaced of all layers that we know of."""
        known = {*self._record.layers, *self._kept_images.layers, *more}
        if known != self._watched:
            self._watched = known
            self._data_links.clear()
            self._data_links.connect(layer.events.data for layer in known)

    def _on_data(self, event: Any) -> None:
        self._forget_layer(event.source)
        if self._task is not None and event.source in self._task.inputs.layers:
            self._task.stale = True

    def _on_layer_removed(self, event: Any) -> None:
        if event.value is self._kept:
            self._note_kept(None)
        self._forget_layer(event.value)
        if self._task is not None and event.value in self._task.inputs.layers:
            self.cancel()

    def _forget_layer(self, layer: Any) -> None:
        """Forget what is known of a layer, which is not what it was."""
        if layer in self._live.layers:
            self._drop_live()
            self._live.forget_layer(layer)
        self._record.forget_layer(layer)
        self._kept_images.forget_layer(layer)
        self.state_changed.emit()

    def _warm_up(self, _event: Any = None) -> None:
        """Make layers ready on another thread, once there is a layer.

        The first layer builds pint's registry of units, which two threads must not
        do at a time: one would find no unit in it.
        """
        self._first_links.clear()
        if not self._closed:
            Thread(target=warm_up, name="napari-gem layers", daemon=True).start()


def _encoded_image(task: Task, event: Finished) -> EncodedImage:
    """Note what can be scored at once when the run has ended."""
    # on later slices of a stack the places of examples are those of the first
    vectors = vectors_of(event.result.recipe.prompts) if task.slices else None
    return EncodedImage(task.inputs, event.encoded, stack=task.stack, vectors=vectors)


def _log(sentence: str) -> None:
    """Log the error that is handled, also if its text cannot be encoded."""
    logger.warning("%s\n%s", sentence, shown_lines(traceback.format_exc()))


def _unexpected(error: Exception) -> str:
    return (
        f"Something unexpected went wrong ({type(error).__name__}: {error}). "
        "The details say where; please report them. Run again."
    )


def _is_valid(inputs: RunInputs) -> bool:
    try:
        make_request(inputs)
    except GemError:
        return False
    return True


def _missing(result: StoredSegmentation) -> list[str]:
    names = [
        prompt.name
        for prompt, share in zip(result.recipe.prompts, result.shares, strict=False)
        if share == 0
    ]
    return [f"Not in the labels: {some_of(names)}."] if names else []
