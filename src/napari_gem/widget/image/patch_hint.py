"""A box in the viewer that shows how large a patch is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.components.overlays import ZoomOverlay

if TYPE_CHECKING:
    from napari.components import ViewerModel

NAME = "gem_patch"


class PatchHint:
    """Draws a box in the middle of the canvas; no layer is made for it."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer

    def show(self, height: float, width: float) -> None:
        """Draw the box, of a size in the world's coordinates."""
        overlays = self._viewer.canvas.overlays
        if NAME not in overlays:
            overlays[NAME] = ZoomOverlay(visible=True)
        zoom = self._viewer.scene.camera.zoom
        rows, columns = self._viewer.canvas.size
        down, right = height * zoom / 2, width * zoom / 2
        overlays[NAME].position = (
            (rows / 2 - down, columns / 2 - right),
            (rows / 2 + down, columns / 2 + right),
        )

    def hide(self) -> None:
        """Take the box away."""
        overlays = self._viewer.canvas.overlays
        if NAME in overlays:
            del overlays[NAME]
