"""Which slices of a stack are segmented."""

from __future__ import annotations

import itertools
from math import prod
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QSpinBox, QWidget

from napari_gem.core.errors import GemError
from napari_gem.widget.parts.combo import Combo
from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN, RANGE, ALL = "Shown slice", "Range", "All slices"


class SliceChoice(QWidget):
    """Offers the shown slice, a range of slices along an axis, and all."""

    changed = Signal()
    """Other slices are chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._lengths: dict[int, int] = {}
        self.which = Combo("Slices", "Slices of the stack that are segmented")
        self.which.addItems([SHOWN, RANGE, ALL])
        self.axis = Combo("Axis of slices", "Axis along which the range runs")
        self.first, self.last = QSpinBox(), QSpinBox()
        self.first.setAccessibleName("First slice")
        self.last.setAccessibleName("Last slice")
        self.first.setToolTip("First slice of the range")
        self.last.setToolTip("Last slice of the range")
        self._to = Label("to")
        self._count = Label()
        top = QHBoxLayout()
        top.addWidget(self.which, 1)
        top.addWidget(self.axis, 1)
        top.addWidget(self._count)
        bottom = QHBoxLayout()
        bottom.setContentsMargins(0, 0, 0, 0)
        for part in (self.first, self._to, self.last):
            bottom.addWidget(part)
        bottom.addStretch(1)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(top)
        form.addRow(bottom)
        self.which.currentIndexChanged.connect(self._on_changed)
        self.axis.currentIndexChanged.connect(self._on_axis)
        self.first.valueChanged.connect(self._on_changed)
        self.last.valueChanged.connect(self._on_changed)
        self._show()

    def set_axes(self, lengths: Mapping[int, int], names: Mapping[int, str]) -> None:
        """Offer axes of slices, with their lengths; the choice stays if it can."""
        if dict(lengths) == self._lengths:
            return
        self._lengths = dict(lengths)
        choices = [(names.get(axis, f"axis {axis}"), axis) for axis in lengths]
        self.axis.set_choices(choices, self.axis.currentData())
        self._reset_range()
        self._show()

    def title(self) -> tuple[str, ...]:
        """Say which slices are chosen, if there are several."""
        return (f"Slices: {self.which.currentText().lower()}",) if self._lengths else ()

    def choose(self, which: str) -> None:
        """Choose `SHOWN`, `RANGE` or `ALL`."""
        self.which.setCurrentText(which)

    def positions(self, shown: Mapping[int, int]) -> list[dict[int, int]] | None:
        """Return the chosen slices as `LayerImage.position`; None for the shown one.

        The slice that is ``shown`` comes first if it is among them.

        Raises
        ------
        GemError
            If the range is empty.
        """
        which = self.which.currentText()
        if not self._lengths or which == SHOWN:
            return None
        if which == ALL:
            axes = sorted(self._lengths)
            indices = itertools.product(*(range(self._lengths[axis]) for axis in axes))
            chosen = [dict(zip(axes, index, strict=True)) for index in indices]
        else:
            start, end = self.first.value(), self.last.value()
            if start > end:
                raise GemError(
                    f"The range of slices {start} to {end} is empty. The first one "
                    "must not be behind the last."
                )
            axis = self.axis.currentData()
            chosen = [{**shown, axis: number} for number in range(start, end + 1)]
        shown = dict(shown)
        return sorted(chosen, key=lambda position: position != shown)

    def _reset_range(self) -> None:
        last = self._lengths.get(self.axis.currentData(), 1) - 1
        for box, value in ((self.first, 0), (self.last, last)):
            with QSignalBlocker(box):
                box.setRange(0, last)
                box.setValue(value)

    def _show(self) -> None:
        ranged = self.which.currentText() == RANGE
        for part in (self.first, self._to, self.last):
            part.setVisible(ranged)
        self.axis.setVisible(ranged and len(self._lengths) > 1)
        self._count.setText(f"of {prod(self._lengths.values())}")

    def _on_axis(self, _index: int) -> None:
        self._reset_range()
        self._on_changed()

    def _on_changed(self, _value: int = 0) -> None:
        self._show()
        self.changed.emit()
