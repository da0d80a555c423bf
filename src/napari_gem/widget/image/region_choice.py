"""Which part of the image is segmented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_gem.core.errors import GemError
from napari_gem.layers import shapes_region, visible_region
from napari_gem.layers.transform import TRANSFORM
from napari_gem.widget.parts.combo import Combo

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_gem.core.region import Region
    from napari_gem.layers import LayerImage

WHOLE, VISIBLE, SHAPE = "Whole image", "Visible area", "Shape"
STYLE = {"name": "region", "face_color": "transparent", "edge_color": "yellow"}
"""Look of the Shapes layers that are added."""


class RegionChoice(QWidget):
    """Offers the whole image, the visible area, and shapes of a Shapes layer."""

    changed = Signal()
    """Another part is chosen."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Any = None
        self.where = Combo(
            "Where",
            "Part of the image that is segmented. 'Visible area' follows the view; "
            "'Shape' takes a rectangle, polygon or ellipse of a Shapes layer: the one "
            "that is selected, if there are several.",
        )
        self.where.addItems([WHOLE, VISIBLE, SHAPE])
        self.shapes = Combo("Shapes layer", "Shapes layer whose shape is segmented")
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Add a Shapes layer to draw a rectangle on the image")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.where, self.shapes, self.draw):
            row.addWidget(part)
        self.where.currentIndexChanged.connect(self._on_where)
        self.shapes.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.draw.clicked.connect(self._add_shapes_layer)
        self.refresh()

    def region(self, layer: Any, image: LayerImage) -> Region | None:
        """Return the chosen part of an image; None for all of it.

        Raises
        ------
        GemError
            If there is no such part.
        """
        where = self.where.currentText()
        if where == WHOLE:
            return None
        dims = self._viewer.dims
        if where == VISIBLE:
            return visible_region(layer, image, dims, self._canvas_corners())
        shapes = self.shapes_layer()
        if shapes is None:
            raise GemError(
                "There is no Shapes layer. Press Draw to add one, or choose the whole "
                "image."
            )
        return shapes_region(shapes, layer, image, dims)

    def shapes_layer(self) -> Any:
        """Shapes layer that decides the part; None if another part is chosen."""
        is_shape = self.where.currentText() == SHAPE
        return self.shapes.currentData() if is_shape else None

    def choose(self, where: str) -> None:
        """Choose `WHOLE`, `VISIBLE` or `SHAPE`."""
        self.where.setCurrentText(where)

    def show_region(self, region: Region | None, layer: Any, image: LayerImage) -> None:
        """Choose a part of an image; a Shapes layer is added for it.

        Raises
        ------
        GemError
            If it is not in the image; then the whole image is chosen.
        """
        self.choose(WHOLE)
        if region is None:
            return
        if region.rows[1] > image.shape[0] or region.columns[1] > image.shape[1]:
            raise GemError(
                f"The region ends at row {region.rows[1]}, column {region.columns[1]}, "
                f"outside of '{layer.name}' with {image.shape[0]} x {image.shape[1]} "
                "pixels. Choose another region."
            )
        active = self._viewer.layers.selection.active
        shapes = self._viewer.add_shapes(
            [outline(region, image)],
            shape_type="polygon" if region.polygon else "rectangle",
            **STYLE,
            **{name: getattr(layer, name) for name in TRANSFORM},
        )
        self._viewer.layers.selection.active = active
        self.refresh()
        self.shapes.choose(shapes)
        self.choose(SHAPE)

    def set_layer(self, layer: Any) -> None:
        """Take the image layer on which shapes can be drawn; None if there is none."""
        self._layer = layer
        self.draw.setEnabled(layer is not None)

    def refresh(self) -> None:
        """Offer the Shapes layers that the viewer has now; the choice stays."""
        layers = [x for x in reversed(self._viewer.layers) if isinstance(x, Shapes)]
        choices = [(layer.name, layer) for layer in layers]
        self.shapes.set_choices(
            choices or [("no Shapes layer", None)], self.shapes.currentData()
        )
        self.shapes.setEnabled(bool(layers))
        self._show()

    def _canvas_corners(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(down, right) of the first and last corner of the canvas, in the world."""
        camera = self._viewer.scene.camera
        down, right = camera.center[-2:]
        height, width = (side / camera.zoom / 2 for side in self._viewer.canvas.size)
        return (down - height, right - width), (down + height, right + width)

    def _show(self) -> None:
        is_shape = self.where.currentText() == SHAPE
        self.shapes.setVisible(is_shape)
        self.draw.setVisible(is_shape and self.shapes.currentData() is None)

    def _on_where(self, _index: int) -> None:
        self._show()
        self.changed.emit()

    def _add_shapes_layer(self) -> None:
        layer, dims = self._layer, self._viewer.dims
        if layer is None:
            return
        # shapes of two axes are seen at every slice
        shows_last_axes = tuple(dims.order[-2:]) == (dims.ndim - 2, dims.ndim - 1)
        axes = slice(-2, None) if shows_last_axes else slice(None)
        shapes = self._viewer.add_shapes(
            ndim=2 if shows_last_axes else len(layer.scale),
            scale=layer.scale[axes],
            translate=layer.translate[axes],
            units=layer.units[axes],
            **STYLE,
        )
        shapes.mode = "add_rectangle"


def outline(region: Region, image: LayerImage) -> NDArray[np.float64]:
    """Corners of a region in the coordinates of the image layer's data."""
    (top, bottom), (left, right) = region.rows, region.columns
    corners = region.polygon or (
        (top - 0.5, left - 0.5),
        (top - 0.5, right - 0.5),
        (bottom - 0.5, right - 0.5),
        (bottom - 0.5, left - 0.5),
    )
    factors = np.asarray(image.factors)
    pixels = np.zeros((len(corners), len(factors)))
    for axis, number in image.position.items():
        pixels[:, axis] = number
    pixels[:, list(image.geometry.displayed)] = corners
    return np.asarray((pixels + 0.5) * factors - 0.5)
