"""What takes a while beside the viewer's thread: models, clusters, the cache."""

from __future__ import annotations

import logging
from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from napari_gem.core.errors import GemError
from napari_gem.core.memory import shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_gem.core.progress import Progress

    Steps = Callable[[], Generator[Progress, None, Any]]


logger = logging.getLogger(__name__)


class ModelJob(QObject):
    """Runs one thing at a time, step by step."""

    progressed = Signal(object)
    """`Progress`."""
    ended = Signal()
    """Also after a cancel."""
    failed = Signal(str)
    """A sentence for the user."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._then: Callable[[Any], object] | None = None
        self._stopped = Event()

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._worker is not None

    def run(self, steps: Steps, then: Callable[[Any], object]) -> None:
        """Begin, unless something runs; ``then`` gets the result in this thread."""
        if self.busy:
            return
        self._then, self._stopped = then, Event()
        worker = create_worker(_guarded, steps, self._stopped, _start_thread=False)
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(self._on_returned)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        worker.start()

    def cancel(self) -> None:
        """Stop at the next step."""
        self._then = None
        self._stopped.set()

    def _on_progress(self, progress: Progress) -> None:
        # a step may be on its way when it is cancelled
        if not self._stopped.is_set():
            self.progressed.emit(progress)

    def _on_returned(self, result: Any) -> None:
        then, self._then = self._then, None
        error, value = result or ("", None)
        if error:
            self.failed.emit(error)
        elif then is not None:
            self._worker = None  # what comes next may begin another
            self.ended.emit()
            try:
                then(value)
            except Exception as caught:  # noqa: BLE001 (the next one can begin)
                self.failed.emit(_unforeseen(caught))

    def _on_finished(self) -> None:
        if self._worker is not None:
            self._worker = None
            self.ended.emit()


def _guarded(
    steps: Steps, stopped: Event
) -> Generator[Progress, None, tuple[str, Any] | None]:
    """Turn what the user must know into a value: napari shows raised errors itself.

    A cancel closes the steps in their own thread, so that they clean up there.
    """
    with closing(steps()) as running:
        while not stopped.is_set():
            try:
                progress = next(running)
            except StopIteration as end:
                return "", end.value
            except GemError as error:
                return str(error), None
            except Exception as error:  # noqa: BLE001 (as above)
                return shortage(error) or _unforeseen(error), None
            yield progress
    return None


def _unforeseen(error: Exception) -> str:
    logger.error("What was begun failed unexpectedly", exc_info=error)
    return (
        f"This failed unexpectedly ({type(error).__name__}: {error}). Try again; the "
        "log of napari has the details."
    )
