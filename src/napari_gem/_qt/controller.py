"""What Run, Cancel and the worker's events do; has no widgets.

All methods and slots run on the main thread. Reading an image, handing it to the
worker and loading its maps run on one background thread and come back by a signal.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from qtpy.QtCore import QObject, Signal

from napari_gem import layers
from napari_gem._qt.results import show_results
from napari_gem.models import find_model, is_available
from napari_gem.text import parse_prompts
from napari_gem.types import (
    Cancelled,
    Event,
    Failed,
    Finished,
    GemError,
    Progress,
    Progressed,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    Maps = tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]

logger = logging.getLogger(__name__)

CHANGED = (
    "The image is shown differently than in the last run; the next run encodes it anew."
)
REMOVED = "The image layer was removed during the run, so its result was dropped."


class Client(Protocol):
    """The worker process, as `napari_gem.client.WorkerClient` gives it."""

    def start(self) -> None: ...
    def submit(self, pixels: NDArray[Any], request: Request) -> int: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...
    def load_maps(self, finished: Finished) -> Maps: ...


@dataclass(frozen=True)
class Ask:
    """What the user asks for by pressing Run.

    Attributes
    ----------
    layer
        The chosen image layer; None if there is none.
    text
        Prompts as typed.
    model, architecture, device, download
        As in `Request`.
    """

    layer: Any
    text: str
    model: str = "embedded"
    architecture: str = ""
    device: str = "auto"
    download: bool = False


@dataclass(eq=False)
class _Run:
    """The run that is going on."""

    layer: Any
    image: layers.LayerImage
    number: int | None = None
    cancelled: bool = False
    early: list[Event] = field(default_factory=list)


class Controller(QObject):
    """Checks what is asked, sends it to the worker and shows what comes back.

    Parameters
    ----------
    viewer
        Where results appear.
    make_client
        Called once, on the first run, with the function that takes events; None takes
        `napari_gem.client.WorkerClient`.
    """

    busy_changed = Signal(bool)
    progressed = Signal(object)
    """`Progress`."""
    told = Signal(str, str)
    """``info``, ``warning`` or ``error``; and a sentence for the user."""
    download_requested = Signal(object, object)
    """`ModelCard` and `Ask`: the model must be downloaded, which the user may allow."""

    _event_came = Signal(object)
    _work_ended = Signal(object, object)

    def __init__(
        self,
        viewer: ViewerModel,
        make_client: Callable[[Callable[[Event], None]], Client] | None = None,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._make_client = make_client or _worker_client
        self._client: Client | None = None
        self._run: _Run | None = None
        self._shown: tuple[ref[Any], Any] | None = None
        self._closed = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="napari-gem")
        self._event_came.connect(self._on_event)
        self._work_ended.connect(self._on_work_ended)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self._run is not None

    def run(self, ask: Ask) -> None:
        """Start a run; what is wrong with it is told and nothing starts."""
        if self._closed:
            return
        if self._run is not None:
            self.told.emit("warning", "A run is going on. Cancel it or let it end.")
            return
        try:
            started = self._check(ask)
        except GemError as error:
            self.told.emit("error", str(error))
            return
        if started is None:
            return
        image, request = started
        if self._client is None:
            self._client = self._make_client(self._event_came.emit)
        run = _Run(ask.layer, image)
        self._run = run
        self.told.emit("info", image.notice)
        self.busy_changed.emit(True)
        self.progressed.emit(Progress("Reading image"))
        client = self._client

        def submit() -> int | None:
            pixels = image.read()
            if run.cancelled:
                return None
            client.start()
            return client.submit(pixels, request)

        self._work(submit, lambda number: self._on_submitted(run, number))

    def cancel(self) -> None:
        """Cancel the run; it ends when the worker says so."""
        if self._run is None or self._run.cancelled:
            return
        self._run.cancelled = True
        self.progressed.emit(Progress("Cancelling"))
        if self._run.number is not None and self._client is not None:
            self._client.cancel()

    def close(self) -> None:
        """Drop the run and end the worker; nothing happens after this."""
        if self._closed:
            return
        self._closed = True
        if self._run is not None:
            self._run.cancelled = True
        self._run = None
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self._watch(None)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _check(self, ask: Ask) -> tuple[layers.LayerImage, Request] | None:
        """Turn what is asked to a request; None if the user is asked something."""
        if ask.layer is None or ask.layer not in self._viewer.layers:
            raise GemError(
                "There is no image layer. Open an image, or a sample: File > Open "
                "Sample > GEM."
            )
        prompts = parse_prompts(ask.text)
        image = layers.read_layer(ask.layer, self._viewer.dims)
        card = find_model(ask.model, ask.architecture)
        if not ask.download and not is_available(card):
            self.download_requested.emit(card, ask)
            return None
        request = Request(
            run=0,
            pixels="",
            appearance=image.appearance,
            prompts=prompts,
            model=ask.model,
            device=ask.device,
            download=ask.download,
            architecture=ask.architecture,
        )
        return image, request

    def _work(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        future = self._pool.submit(work)
        future.add_done_callback(lambda ended: self._work_ended.emit(ended, then))

    def _on_work_ended(self, ended: Future[Any], then: Callable[[Any], None]) -> None:
        if self._closed or ended.cancelled():
            return
        try:
            result = ended.result()
        except GemError as error:
            self._end("error", str(error))
        except MemoryError:
            self._end(
                "error",
                "There is not enough memory. Crop the image or ask for fewer classes.",
            )
        except Exception as error:
            logger.exception("The run failed")
            self._end("error", f"The run failed: {type(error).__name__}: {error}")
        else:
            then(result)

    def _on_submitted(self, run: _Run, number: int | None) -> None:
        if number is None:
            if self._run is run:
                self._end("info", "Cancelled.")
            return
        run.number = number
        if run.cancelled and self._client is not None:
            self._client.cancel()
        for event in run.early:
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        run = self._run
        if run is None:
            return
        if run.number is None:
            run.early.append(event)
            return
        if event.run != run.number:
            return
        if isinstance(event, Progressed):
            if not run.cancelled:
                self.progressed.emit(event.progress)
        elif isinstance(event, Finished) and not run.cancelled:
            self._on_finished(run, event)
        elif isinstance(event, Failed) and not run.cancelled:
            if event.details:
                logger.error("%s\n%s", event.message, event.details)
            self._end("error", event.message)
        elif isinstance(event, Cancelled | Finished | Failed):
            gone = run.layer not in self._viewer.layers
            self._end("warning" if gone else "info", REMOVED if gone else "Cancelled.")

    def _on_finished(self, run: _Run, finished: Finished) -> None:
        self.progressed.emit(Progress("Making layers"))
        client = self._client
        names = [prompt.name for prompt in finished.recipe.prompts]
        colors = layers.choose_colors(self._viewer.layers, run.image, names)

        def load() -> list[layers.LayerData]:
            assert client is not None  # noqa: S101 (set before any run)
            probabilities, labels = client.load_maps(finished)
            return layers.result_layers(
                probabilities, labels, finished.recipe, run.image, colors
            )

        self._work(load, lambda results: self._on_loaded(run, finished, results))

    def _on_loaded(
        self, run: _Run, finished: Finished, results: list[layers.LayerData]
    ) -> None:
        if self._run is not run:
            return
        if run.cancelled:
            self._end("info", "Cancelled.")
            return
        try:
            results = layers.move_results(run.layer, run.image, results)
        except GemError as error:
            self._end("error", str(error))
            return
        show_results(self._viewer, run.image, results)
        self._watch(run.layer, run.image.appearance)
        count = len(results) - 1
        done = f"Done: labels and {count} {'map' if count == 1 else 'maps'}."
        self._end(
            "warning" if finished.notices else "info",
            " ".join([done, *finished.notices, run.image.notice]).strip(),
        )
        self._on_appearance()

    def _end(self, kind: str, sentence: str) -> None:
        self._run = None
        self.busy_changed.emit(False)
        self.told.emit(kind, sentence)

    def _on_layer_removed(self, event: Any) -> None:
        if self._run is not None and event.value is self._run.layer:
            self.cancel()

    def _watch(self, layer: Any, appearance: Any = None) -> None:
        """Say so when this layer, just encoded, is shown differently."""
        if self._shown is not None:
            former = self._shown[0]()
            for emitter in _appearance_events(former):
                emitter.disconnect(self._on_appearance)
        self._shown = None if layer is None else (ref(layer), appearance)
        for emitter in _appearance_events(layer):
            emitter.connect(self._on_appearance)

    def _on_appearance(self, _event: Any = None) -> None:
        if self._shown is None or self._run is not None:
            return
        layer, appearance = self._shown[0](), self._shown[1]
        if layer is not None and layers.read_appearance(layer) != appearance:
            self.told.emit("info", CHANGED)


def _appearance_events(layer: Any) -> list[Any]:
    if layer is None:
        return []
    events = layer.events
    return [events.contrast_limits, events.gamma, events.colormap]


def _worker_client(on_event: Callable[[Event], None]) -> Client:
    from napari_gem.client import WorkerClient

    client: Client = WorkerClient(on_event)
    return client
