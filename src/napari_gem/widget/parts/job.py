"""Work that takes a while, done beside the viewer's thread."""

from __future__ import annotations

import logging
from contextlib import closing
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from napari_gem.core.errors import GemError
from napari_gem.core.memory import shortage
from napari_gem.core.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Steps = Callable[[], Generator[Progress, None, Any]]

logger = logging.getLogger(__name__)


class BackgroundJob(QObject):
    """Runs one piece of work at a time in a thread of its own."""

    progressed = Signal(object)
    """`Progress`."""
    ended = Signal()
    """The work ended or was cancelled; its outcome is told after this."""
    failed = Signal(str)
    """A sentence for the user."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._use_result: Callable[[Any], object] | None = None
        self._stopped = Event()

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._worker is not None

    def run(self, steps: Steps, use_result: Callable[[Any], object]) -> None:
        """Begin, unless something runs; hand the result over in the viewer's thread."""
        if self.busy:
            return
        self._use_result, self._stopped = use_result, Event()
        worker = create_worker(_guarded, steps, self._stopped, _start_thread=False)
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(self._on_returned)
        self._worker = worker
        worker.start()

    def call(
        self, work: Callable[[], Any], use_result: Callable[[Any], object]
    ) -> None:
        """Run one function, which cannot be stopped on its way."""
        self.run(partial(_single_step, work), use_result)

    def cancel(self) -> None:
        """Stop at the next step; a result is dropped."""
        self._use_result = None
        self._stopped.set()

    def _on_progress(self, progress: Progress) -> None:
        # a step may be on its way when it is cancelled
        if not self._stopped.is_set():
            self.progressed.emit(progress)

    def _on_returned(self, outcome: tuple[str, Any] | None) -> None:
        use_result, self._use_result = self._use_result, None
        self._worker = None  # whoever gets the result may begin something else
        self.ended.emit()
        if outcome is None or use_result is None:
            return
        sentence, result = outcome
        if not sentence:
            try:
                use_result(result)
            except GemError as error:
                sentence = str(error)
            except Exception as error:  # noqa: BLE001 (the next work can begin)
                sentence = _unforeseen(error)
        if sentence:
            self.failed.emit(sentence)


def _single_step(work: Callable[[], Any]) -> Generator[Progress, None, Any]:
    yield Progress("Working")
    return work()


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
    logger.error("Work beside the viewer's thread failed", exc_info=error)
    return (
        f"This failed unexpectedly ({type(error).__name__}: {error}). Try again; the "
        "log of napari has the details."
    )
