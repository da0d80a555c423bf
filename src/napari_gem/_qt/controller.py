"""What Run, Cancel and the worker's events do; has no widgets.

All methods and slots run on the main thread. The client's private thread only reads a
finished run's maps and makes layer data of them.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from qtpy.QtCore import QObject, Signal

from napari_gem import layers
from napari_gem._qt.results import show_results
from napari_gem.client import WorkerClient
from napari_gem.models import find_model, is_available
from napari_gem.pipeline import check_maps
from napari_gem.text import parse_prompts
from napari_gem.types import (
    Appearance,
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

    from napari_gem.layers import LayerData, LayerImage

    Maps = tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]

logger = logging.getLogger(__name__)

CHANGED = (
    "The image is shown differently than in the last run; the next run encodes it anew."
)
REMOVED = "The image layer was removed during the run, so its result was dropped."


class Client(Protocol):
    """What is needed of `napari_gem.client.WorkerClient`."""

    @property
    def process_id(self) -> int | None: ...
    def start(self) -> None: ...
    def submit(self, pixels: Callable[[], NDArray[Any]], request: Request) -> int: ...
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
    image: LayerImage
    number: int = 0
    cancelled: bool = False


class Controller(QObject):
    """Checks what is asked, sends it to the worker and shows what comes back.

    Parameters
    ----------
    viewer
        Where results appear.
    make_client
        Called once with the function that takes events.
    """

    busy_changed = Signal(bool)
    progressed = Signal(object)
    """`Progress`."""
    told = Signal(str, str, str)
    """``info``, ``warning`` or ``error``; a sentence for the user; details of it."""
    download_requested = Signal(object, object)
    """`ModelCard` and `Ask`: the model must be downloaded, which the user may allow."""

    _event_came = Signal(object, object)

    def __init__(
        self,
        viewer: ViewerModel,
        make_client: Callable[[Callable[[Event], object]], Client] = WorkerClient,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._run: _Run | None = None
        self._shown: tuple[ref[Any], Appearance] | None = None
        self._closed = False
        self._allowed: set[str] = set()  # models that the user let us download
        self._event_came.connect(self._on_event)
        self._client = make_client(self._receive)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self._run is not None

    @property
    def worker_id(self) -> int | None:
        """Process id of the worker; None while there is none."""
        return self._client.process_id

    def start(self) -> None:
        """Start the worker, so that it is ready when the user is."""
        if not self._closed:
            self._client.start()

    def run(self, ask: Ask) -> None:
        """Start a run; what is wrong with it is told and nothing starts."""
        if self._closed:
            return
        if self._run is not None:
            self._tell("warning", "A run is going on. Cancel it or let it end.")
            return
        try:
            started = self._check(ask)
        except GemError as error:
            self._tell("error", str(error))
            return
        if started is None:
            return
        image, request = started
        self._run = _Run(ask.layer, image)
        self._tell("info", image.notice)
        self.busy_changed.emit(True)
        self.progressed.emit(Progress("Reading image"))
        self._run.number = self._client.submit(image.read, request)

    def cancel(self) -> None:
        """Cancel the run; it ends when the worker says so."""
        if self._run is not None and not self._run.cancelled:
            self._run.cancelled = True
            self.progressed.emit(Progress("Cancelling"))
            self._client.cancel()

    def close(self) -> None:
        """Drop the run and end the worker; nothing happens after this."""
        if self._closed:
            return
        self._closed = True
        self._run = None
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self._watch(None)
        self._client.close()

    def _check(self, ask: Ask) -> tuple[LayerImage, Request] | None:
        """Turn what is asked to a request; None if the user is asked something."""
        if ask.layer is None or ask.layer not in self._viewer.layers:
            raise GemError(
                "There is no image layer. Open an image, or a sample: File > Open "
                "Sample > GEM."
            )
        prompts = parse_prompts(ask.text)
        image = layers.read_layer(ask.layer, self._viewer.dims)
        card = find_model(ask.model, ask.architecture)
        check_maps(len(prompts), image.shape)
        if ask.download:
            self._allowed.add(card.id)
        allowed = card.id in self._allowed
        if not allowed and not is_available(card):
            self.download_requested.emit(card, ask)
            return None
        request = Request(
            run=0,
            pixels="",
            appearance=image.appearance,
            prompts=prompts,
            model=ask.model,
            device=ask.device,
            download=allowed,
            architecture=ask.architecture,
        )
        return image, request

    def _receive(self, event: Event) -> None:
        """Take an event, on the client's private thread."""
        run, results = self._run, None
        if isinstance(event, Finished) and run is not None:
            try:
                # napari imports it for labels' features; here nobody waits for it
                import_module("pandas")
                maps, labels = self._client.load_maps(event)
                results = layers.result_layers(maps, labels, event.recipe, run.image)
                missing = layers.missing_classes(results)
                if missing:
                    told = f"Not in the labels: {', '.join(missing)}."
                    event = replace(event, notices=(*event.notices, told))
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
        run = self._run
        if run is None or event.run != run.number:
            return
        if isinstance(event, Progressed):
            if not run.cancelled:
                self.progressed.emit(event.progress)
        elif run.layer not in self._viewer.layers:
            self._end("warning", REMOVED)
        elif run.cancelled:
            self._end("info", "Cancelled.")
        elif isinstance(event, Failed):
            if event.details:
                logger.error("%s\n%s", event.message, event.details)
            self._end("error", event.message, event.details)
        elif isinstance(event, Finished) and results is not None:
            self._show(run, results, event.notices)
        else:
            self._end("info", "Cancelled.")

    def _show(
        self, run: _Run, results: list[LayerData], notices: tuple[str, ...]
    ) -> None:
        try:
            results = layers.move_results(run.layer, run.image, results)
            show_results(self._viewer, run.image, results)
        except GemError as error:
            self._end("error", str(error))
            return
        except Exception as error:
            logger.exception("The layers could not be shown")
            message = f"The layers could not be shown ({error})."
            self._end("error", message, traceback.format_exc())
            return
        count = len(results) - 1
        done = f"Done: labels and {count} {'map' if count == 1 else 'maps'}."
        self._end(
            "warning" if notices else "info",
            " ".join(part for part in (done, *notices, run.image.notice) if part),
        )
        self._watch(run.layer, run.image.appearance)
        self._on_appearance()

    def _tell(self, kind: str, sentence: str, details: str = "") -> None:
        self.told.emit(kind, sentence, details)

    def _end(self, kind: str, sentence: str, details: str = "") -> None:
        self._run = None
        self.busy_changed.emit(False)
        self._tell(kind, sentence, details)

    def _on_layer_removed(self, event: Any) -> None:
        if self._run is not None and event.value is self._run.layer:
            self.cancel()

    def _watch(self, layer: Any, appearance: Appearance | None = None) -> None:
        """Say so when this layer, just encoded, is shown differently."""
        if self._shown is not None:
            for emitter in _appearance_events(self._shown[0]()):
                emitter.disconnect(self._on_appearance)
        self._shown = None
        if appearance is not None:
            self._shown = ref(layer), appearance
            for emitter in _appearance_events(layer):
                emitter.connect(self._on_appearance)

    def _on_appearance(self, _event: Any = None) -> None:
        if self._shown is None or self._run is not None:
            return
        layer, appearance = self._shown[0](), self._shown[1]
        if layer is not None and layers.read_appearance(layer) != appearance:
            self._tell("info", CHANGED)


def _appearance_events(layer: Any) -> list[Any]:
    if layer is None:
        return []
    events = layer.events
    return [events.contrast_limits, events.gamma, events.colormap]
