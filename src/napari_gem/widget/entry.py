"""What napari opens as the dock; imports nothing of napari that an old one lacks."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_gem.core.napari_version import too_old
from napari_gem.widget.parts.plain import Label


class TooOld(Label):
    """Says in the place of the dock that napari is too old."""

    def __init__(self) -> None:
        super().__init__(too_old())
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setWordWrap(True)
        self.setMargin(12)


def __getattr__(name: str) -> type[QWidget]:
    """Give a widget, or what is shown instead, when napari asks for it."""
    if name not in ("Dock", "FolderDock"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if too_old():
        return TooOld
    if name == "FolderDock":
        from napari_gem.widget.batch.folder_widget import SegmentFolder

        return SegmentFolder
    from napari_gem.widget.dock import GemWidget

    return GemWidget
