"""Slider from coarse to fine: image pixels per patch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STEPS = (64.0, 48.0, 32.0, 24.0, 16.0, 12.0, 8.0, 6.0, 4.0, 3.0, 2.0)
"""Image pixels per patch, coarse to fine; pyramids have coarser ones before them."""

USUAL = 16.0
"""Where the slider stands while the model's own patch is not known."""

LINGER = 1500
"""Milliseconds that the patch's size stays in the viewer after the slider moved."""

TOOLTIP = (
    "How many image pixels one patch covers. Things smaller than a patch or two are "
    "hard to find; finer takes longer: half the patch, four times the time. While the "
    "pointer is here, a box in the viewer shows the size of a patch."
)


class DetailChoice(QWidget):
    """Asks for the detail, and tells the size of a patch."""

    changed = Signal()
    """The detail is another."""
    hinted = Signal(float)
    """Image pixels per patch to be shown in the viewer; 0 for none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._detail: float | None = None
        self._model_patch = 0.0
        self._steps: tuple[float, ...] = STEPS
        self._extent: Callable[[float], str] = lambda _patch: ""
        self._linger = QTimer(self, singleShot=True, interval=LINGER)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, len(STEPS) - 1)
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.NoTicks)
        self.slider.setToolTip(TOOLTIP)
        self.slider.setAccessibleName("Detail")
        self.slider.installEventFilter(self)
        self.reset_button = QToolButton()
        self.reset_button.setText("↺")
        self.reset_button.setToolTip("Take the detail that the model suggests")
        self.value = Label()
        self.value.setToolTip(TOOLTIP)
        self.value.setWordWrap(True)
        row = QHBoxLayout()
        for part in (Label("coarse"), self.slider, Label("fine"), self.reset_button):
            row.addWidget(part, 1 if part is self.slider else 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.value)
        self.slider.valueChanged.connect(self._on_slider)
        self.reset_button.clicked.connect(lambda: self._take(None))
        self._linger.timeout.connect(self._on_rest)
        self._show()

    def detail(self) -> float | None:
        """Image pixels per patch; None for what the model suggests."""
        return self._detail

    def patch(self) -> float:
        """Image pixels per patch, also if the model suggests them; 0 if not known."""
        return self._detail or self._model_patch

    def set_detail(self, value: float | None) -> None:
        """Choose image pixels per patch; None takes what the model suggests."""
        self._take(value)

    def set_model_patch(self, patch: float) -> None:
        """Tell the image pixels per patch that the model suggests; 0 if not known."""
        self._model_patch = patch
        self._show()

    def set_extent(self, extent: Callable[[float], str], coarsest: float = 1) -> None:
        """Tell about the image.

        Parameters
        ----------
        extent
            Tells the size of a patch in the layer's unit, and the resolution used.
        coarsest
            Pixels of the image for one of its coarsest resolution.
        """
        self._extent = extent
        self._steps = steps_to(coarsest)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt)
        """Show the size of a patch while the pointer is on the slider."""
        if not hasattr(self, "_linger"):  # Python took us apart before Qt did
            return False
        if event.type() in (QEvent.Type.Enter, QEvent.Type.FocusIn):
            self._linger.stop()
            self.hinted.emit(self.patch())
        elif event.type() in (QEvent.Type.Leave, QEvent.Type.Hide):
            self._linger.stop()
            self.hinted.emit(0.0)
        return super().eventFilter(watched, event)

    def _on_slider(self, step: int) -> None:
        self._take(self._steps[step])
        self.hinted.emit(self.patch())
        self._linger.start()

    def _on_rest(self) -> None:
        if not self.slider.underMouse():
            self.hinted.emit(0.0)

    def _take(self, value: float | None) -> None:
        other = value != self._detail
        self._detail = value
        self._show()
        if other:
            self.changed.emit()

    def _show(self) -> None:
        patch = self.patch()
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._steps) - 1)
        self.slider.setValue(nearest_step(patch or USUAL, self._steps))
        self.slider.blockSignals(False)
        self.reset_button.setEnabled(self._detail is not None)
        if not patch:
            self.value.setText("as the model suggests")
            return
        parts = [f"{patch:.3g} px per patch", self._extent(patch)]
        if self._detail is None:
            parts.append("default")
        self.value.setText(" · ".join(part for part in parts if part))


def steps_to(coarsest: float) -> tuple[float, ...]:
    """Give `STEPS`, and coarser ones for pixels of a pyramid's coarsest resolution."""
    coarser: list[float] = []
    while 2 ** (len(coarser) // 2) < coarsest:
        doubled = 2 ** (len(coarser) // 2 + 1)
        coarser += [STEPS[1] * doubled, STEPS[0] * doubled]
    return (*reversed(coarser), *STEPS)


def nearest_step(patch: float, steps: Sequence[float] = STEPS) -> int:
    """Find the step that is nearest by ratio."""
    return min(range(len(steps)), key=lambda i: abs(math.log(steps[i] / patch)))
