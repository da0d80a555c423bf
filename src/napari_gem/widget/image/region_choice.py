"""Which part of the image, and which slices."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.layers import shapes_region, visible_region
from napari_gem.layers.transform import TRANSFORM
from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_gem.core.region import Region
    from napari_gem.layers import LayerImage

WHOLE, VISIBLE, SHAPE = "Whole image", "Visible area", "Shape"
SHOWN, RANGE, ALL = "Shown slice", "Range", "All slices"


class RegionChoice(QWidget):
    """Offers the whole image, the visible area, and shapes.

    Parameters
    ----------
    viewer
        Whose view and Shapes layers are offered.
    parent
        Widget that it is part of.
    """

    changed = Signal()
    """Another choice."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self.where = QComboBox()
        self.where.addItems([WHOLE, VISIBLE, SHAPE])
        self.where.setToolTip(
            "Part of the image that is segmented. 'Visible area' follows the view; "
            "'Shape' takes a rectangle, polygon or ellipse of a Shapes layer: the one "
            "that is selected, if there are several."
        )
        self.shapes = QComboBox()
        self.shapes.setToolTip("Shapes layer")
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Add a Shapes layer to draw a rectangle on the image")
        for combo in (self.where, self.shapes):
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.where, self.shapes, self.draw):
            row.addWidget(part)
        self.where.currentIndexChanged.connect(self._on_where)
        self.shapes.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.draw.clicked.connect(self._on_draw)
        self.refresh()

    def region(self, layer: Any, image: LayerImage) -> Region | None:
        """Part of an image that is chosen; None for all.

        Raises
        ------
        GemError
            If there is no such part.
        """
        where = self.where.currentText()
        if where == WHOLE:
            return None
        if where == VISIBLE:
            return visible_region(layer, image, self._viewer.dims, self._corners())
        if self.chosen_shapes() is None:
            raise GemError(
                "There is no Shapes layer. Press Draw to add one, or choose the whole "
                "image."
            )
        return shapes_region(self.chosen_shapes(), layer, image, self._viewer.dims)

    def chosen_shapes(self) -> Any:
        """Shapes layer that is chosen; None if none is or another part is."""
        return self.shapes.currentData() if self.follows_shapes() else None

    def follows_shapes(self) -> bool:
        """Whether the part changes with a shape."""
        return bool(self.where.currentText() == SHAPE)

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
        if region is None:
            self.choose(WHOLE)
            return
        if region.rows[1] > image.shape[0] or region.columns[1] > image.shape[1]:
            self.choose(WHOLE)
            raise GemError(
                f"The region ends at row {region.rows[1]}, column {region.columns[1]}, "
                f"outside of '{layer.name}' with {image.shape[0]} x {image.shape[1]} "
                "pixels. Choose another region."
            )
        selected = self._viewer.layers.selection.active
        shapes = self._viewer.add_shapes(
            [outline(region, image)],
            shape_type="polygon" if region.polygon else "rectangle",
            name="region",
            face_color="transparent",
            edge_color="yellow",
            **{name: getattr(layer, name) for name in TRANSFORM},
        )
        self._viewer.layers.selection.active = selected
        self.refresh()
        for index in range(self.shapes.count()):
            if self.shapes.itemData(index) == shapes:
                self.shapes.setCurrentIndex(index)
        self.choose(SHAPE)

    def set_layer(self, layer: Any) -> None:
        """Tell the image layer, on which a shape can be drawn."""
        self._layer = layer
        self.draw.setEnabled(layer is not None)

    def refresh(self) -> None:
        """Offer the Shapes layers that the viewer has now."""
        chosen = self.shapes.currentData()
        found = [
            one for one in reversed(self._viewer.layers) if isinstance(one, Shapes)
        ]
        self.shapes.blockSignals(True)
        self.shapes.clear()
        for layer in found:
            self.shapes.addItem(shown(layer.name), layer)
        if not found:
            self.shapes.addItem("no Shapes layer", None)
        self.shapes.setCurrentIndex(found.index(chosen) if chosen in found else 0)
        self.shapes.blockSignals(False)
        self.shapes.setEnabled(bool(found))
        self._show()

    def _corners(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(down, right) of the canvas's corners in the world."""
        down, right = self._viewer.scene.camera.center[-2:]
        zoom = self._viewer.scene.camera.zoom
        height, width = (side / zoom / 2 for side in self._viewer.canvas.size)
        return (down - height, right - width), (down + height, right + width)

    def _show(self) -> None:
        self.shapes.setVisible(self.follows_shapes())
        none = self.shapes.currentData() is None
        self.draw.setVisible(self.follows_shapes() and none)

    def _on_where(self, _index: int) -> None:
        self._show()
        self.changed.emit()

    def _on_draw(self) -> None:
        layer = self._layer
        if layer is None:
            return
        flat = tuple(self._viewer.dims.order[-2:]) == (
            self._viewer.dims.ndim - 2,
            self._viewer.dims.ndim - 1,
        )
        axes = slice(-2, None) if flat else slice(None)
        drawn = self._viewer.add_shapes(
            name="region",
            ndim=2 if flat else len(layer.scale),
            scale=layer.scale[axes],
            translate=layer.translate[axes],
            units=layer.units[axes],
            face_color="transparent",
            edge_color="yellow",
        )
        drawn.mode = "add_rectangle"


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


class SliceChoice(QWidget):
    """Offers the shown slice, a range of slices along an axis, and all."""

    changed = Signal()
    """Another choice."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axes: dict[int, int] = {}
        self.which = QComboBox()
        self.which.addItems([SHOWN, RANGE, ALL])
        self.which.setToolTip("Slices of the stack that are segmented")
        self.axis = QComboBox()
        self.axis.setToolTip("Axis along which the range runs")
        for combo in (self.which, self.axis):  # long names of axes take no room
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.first, self.last = QSpinBox(), QSpinBox()
        self.first.setToolTip("First slice of the range")
        self.last.setToolTip("Last slice of the range")
        self._count = Label()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        self._dash = Label("to")
        for part in (self.first, self._dash, self.last):
            row.addWidget(part)
        row.addStretch(1)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        top = QHBoxLayout()
        top.addWidget(self.which, 1)
        top.addWidget(self.axis, 1)
        top.addWidget(self._count)
        form.addRow(top)
        form.addRow(row)
        self.which.currentIndexChanged.connect(self._on_change)
        self.axis.currentIndexChanged.connect(self._on_axis)
        self.first.valueChanged.connect(self._on_change)
        self.last.valueChanged.connect(self._on_change)
        self.set_axes({}, {})

    def set_axes(self, axes: Mapping[int, int], names: Mapping[int, str]) -> None:
        """Tell the axes of slices and their lengths; the choice stays if it can."""
        if dict(axes) == self._axes:
            return
        chosen = self.axis.currentData()
        self._axes = dict(axes)
        self.axis.blockSignals(True)
        self.axis.clear()
        for axis in axes:
            self.axis.addItem(shown(names.get(axis, f"axis {axis}")), axis)
        self.axis.setCurrentIndex(max(0, self.axis.findData(chosen)))
        self.axis.blockSignals(False)
        self._set_range()
        self._show()

    def choose(self, which: str) -> None:
        """Choose `SHOWN`, `RANGE` or `ALL`."""
        self.which.setCurrentText(which)

    def positions(self, shown: Mapping[int, int]) -> list[dict[int, int]] | None:
        """Slices that are chosen, as `LayerImage.position`; None for the shown one.

        Parameters
        ----------
        shown
            Position of the slice that is shown; it comes first if it is among them.

        Raises
        ------
        GemError
            If the range is empty.
        """
        which = self.which.currentText()
        if not self._axes or which == SHOWN:
            return None
        if which == ALL:
            axes = sorted(self._axes)
            every = itertools.product(*(range(self._axes[axis]) for axis in axes))
            found = [dict(zip(axes, numbers, strict=True)) for numbers in every]
        else:
            first, last = self.first.value(), self.last.value()
            if first > last:
                raise GemError(
                    f"The range of slices {first} to {last} is empty. The first one "
                    "must not be behind the last."
                )
            axis = self.axis.currentData()
            found = [{**shown, axis: number} for number in range(first, last + 1)]
        here = dict(shown)
        if here in found:
            found.remove(here)
            found.insert(0, here)
        return found

    def _set_range(self) -> None:
        length = self._axes.get(self.axis.currentData(), 1)
        for box in (self.first, self.last):
            box.blockSignals(True)
            box.setRange(0, length - 1)
            box.setValue(0 if box is self.first else length - 1)
            box.blockSignals(False)

    def _show(self) -> None:
        ranged = self.which.currentText() == RANGE
        for part in (self.first, self._dash, self.last):
            part.setVisible(ranged)
        self.axis.setVisible(ranged and len(self._axes) > 1)
        total = 1
        for length in self._axes.values():
            total *= length
        self._count.setText(f"of {total}")

    def _on_axis(self, _index: int) -> None:
        self._set_range()
        self._on_change()

    def _on_change(self, _value: int = 0) -> None:
        self._show()
        self.changed.emit()
