"""How much encoded images take on disk, and a button that clears them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_gem.core.errors import GemError
from napari_gem.widget.parts.job import BackgroundJob
from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from qtpy.QtGui import QShowEvent

    from napari_gem.core.progress import Progress
    from napari_gem.worker.messages import Storage


class CacheRow(QWidget):
    """A line with the size of the encoded images on disk, and a button.

    Parameters
    ----------
    storage
        Gives what napari's Preferences say.
    """

    message_sent = Signal(str, str)
    """``info``, and a sentence for the user."""

    cleared = Signal()
    """Images that were encoded on disk are not any more."""

    def __init__(
        self, storage: Callable[[], Storage], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._storage = storage
        self.label = Label()
        self.label.setWordWrap(True)
        self.button = QPushButton("Clear")
        self.button.setAccessibleName("Clear encoded images")
        self.button.setToolTip(
            "<p>Removes the encoded images from disk, but not what is in use. Images "
            "are then encoded anew in later sessions.</p>"
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.button)
        self.setToolTip(
            "<p>Encoded images are kept, so that a later session need not encode them "
            "again. Preferences, GEM, say how much they may take, and where.</p>"
        )
        self._job = BackgroundJob(self)
        self._job.failed.connect(self._on_failed)
        self.button.clicked.connect(self.clear)

    def refresh(self) -> None:
        """Look how much there is."""
        self._do(lambda cache: sum(cache.entries().values()), self._on_measured)

    def clear(self) -> None:
        """Remove all that is not in use."""
        self._do(lambda cache: cache.clear(), self._on_cleared)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (Qt's name)
        """Look how much there is whenever somebody looks."""
        super().showEvent(event)
        self.refresh()

    def _do(self, what: Callable[..., int], then: Callable[[int], object]) -> None:
        """Call with the cache on a thread: it may hold thousands of files."""
        folder = self._storage().folder
        self.button.setEnabled(False)

        def steps() -> Generator[Progress, None, int]:
            from napari_gem.encoding.feature_cache import FeatureCache

            yield from ()
            try:
                return what(FeatureCache(folder or None))
            except OSError as error:
                message = f"The encoded images cannot be read ({error})."
                raise GemError(message) from error

        self._job.run(steps, then)

    def _on_failed(self, sentence: str) -> None:
        self.label.setText(sentence)
        self.button.setEnabled(False)

    def _on_measured(self, size: int) -> None:
        self.label.setText(f"Encoded images on disk: {_size(size)}")
        self.button.setEnabled(size > 0)

    def _on_cleared(self, size: int) -> None:
        self.message_sent.emit("info", f"{_size(size)} of encoded images removed.")
        self.cleared.emit()
        self.refresh()


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MB" if count < 2**30 else f"{count / 2**30:,.1f} GB"
