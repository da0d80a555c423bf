"""How much encoded images take on disk, and a button that clears them."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QShowEvent

    from napari_gem.types import Storage


class CacheRow(QWidget):
    """A line with the size of the encoded images on disk, and a button.

    Parameters
    ----------
    storage
        Gives what napari's Preferences say.
    """

    told = Signal(str, str)
    """``info`` or ``error``, and a sentence for the user."""

    _measured = Signal(object)
    _cleared = Signal(object)

    def __init__(
        self, storage: Callable[[], Storage], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._storage = storage
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.button = QPushButton("Clear")
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
        self._measured.connect(self._on_measured)
        self._cleared.connect(self._on_cleared)
        self.button.clicked.connect(self.clear)

    def refresh(self) -> None:
        """Look how much there is."""
        self._do(lambda cache: sum(cache.entries().values()), self._measured)

    def clear(self) -> None:
        """Remove all that is not in use."""
        self.button.setEnabled(False)
        self._do(lambda cache: cache.clear(), self._cleared)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (Qt's name)
        """Look how much there is whenever somebody looks."""
        super().showEvent(event)
        self.refresh()

    def _do(self, what: Callable[..., int], signal: Signal) -> None:
        """Call with the cache on a thread: it may hold thousands of files."""
        folder = self._storage().folder

        def work() -> None:
            from napari_gem.feature_cache import FeatureCache

            found: int | GemError
            try:
                found = what(FeatureCache(folder or None))
            except GemError as error:
                found = error
            except OSError as error:
                found = GemError(f"The encoded images cannot be read ({error}).")
            try:
                signal.emit(found)
            except RuntimeError:  # the widget is gone
                return

        Thread(target=work, name="napari-gem cache", daemon=True).start()

    def _on_measured(self, found: int | GemError) -> None:
        if isinstance(found, GemError):
            self.label.setText(str(found))
            self.button.setEnabled(False)
            return
        self.label.setText(f"Encoded images on disk: {_size(found)}")
        self.button.setEnabled(found > 0)

    def _on_cleared(self, found: int | GemError) -> None:
        if isinstance(found, GemError):
            self.told.emit("error", str(found))
        else:
            self.told.emit("info", f"{_size(found)} of encoded images removed.")
        self.refresh()


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MB" if count < 2**30 else f"{count / 2**30:,.1f} GB"
