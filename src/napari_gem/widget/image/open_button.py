"""Button that opens image files, and the dialogs behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton

from napari_gem.widget.parts.menus import add_action
from napari_gem.widget.parts.plain import ask

if TYPE_CHECKING:
    from collections.abc import Sequence


TOOLTIP = (
    "Open an image with its pixel size, place on the ground, bands and no data: "
    "GeoTIFF, OME-TIFF, OME-Zarr, slides, PNG, JPEG, npy. Files can also be dropped "
    "on this button."
)


class OpenButton(QPushButton):
    """Asks for image files, or takes those that are dropped on it."""

    paths_chosen = Signal(list)
    """Paths of files or folders."""

    def __init__(self) -> None:
        super().__init__("Open")
        self.setAccessibleName("Open an image")
        self.setToolTip(TOOLTIP)
        self.setAcceptDrops(True)
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        add_action(menu, "Open files…", "Image files of any kind", self.ask_files)
        add_action(
            menu, "Open zarr folder…", "A folder that ends with .zarr", self._ask
        )
        self.setMenu(menu)
        self.clicked.connect(self.ask_files)

    def ask_files(self) -> None:
        """Let the user choose files."""
        answer = ask(self, lambda: QFileDialog.getOpenFileNames(self, "Open images"))
        self._send(answer[0] if answer else [])

    def _ask(self) -> None:
        folder = ask(
            self, lambda: QFileDialog.getExistingDirectory(self, "Open zarr folder")
        )
        self._send([folder] if folder else [])

    def _send(self, paths: Sequence[str]) -> None:
        if paths:
            self.paths_chosen.emit(list(paths))

    def dragEnterEvent(self, event: object) -> None:  # noqa: N802 (Qt's name)
        """Take files."""
        accept_files(event)

    def dropEvent(self, event: object) -> None:  # noqa: N802 (Qt's name)
        """Open the files that were dropped."""
        self._send(dropped_files(event))


def accept_files(event: object) -> None:
    """Accept what is dragged if it is files of this computer."""
    if dropped_files(event):
        event.acceptProposedAction()  # type: ignore[attr-defined]


def dropped_files(event: object) -> list[str]:
    """List the files of this computer that are dragged."""
    urls = event.mimeData().urls()  # type: ignore[attr-defined]
    return [url.toLocalFile() for url in urls if url.isLocalFile()]
