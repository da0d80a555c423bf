"""Slider from coarse to fine: image pixels per patch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QSlider, QToolButton, QVBoxLayout, QWidget

from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STEPS = (64.0, 48.0, 32.0, 24.0, 16.0, 12.0, 8.0, 6.0, 4.0, 3.0, 2.0)
"""Image pixels per patch, coarse to fine; pyramids have coarser ones before them."""

USUAL = 16.0
"""Where the slider stands while the model's own patch is not known."""

LINGER = 1500
"""Milliseconds that the patch stays in the viewer after the slider moved."""

TOOLTIP = (
    "How many image pixels one patch covers. Things smaller than a patch or two are "
    "hard to find; finer takes longer: half the patch, four times the time. While the "
    "pointer is here, a box in the viewer shows the size of a patch."
)


class DetailChoice(QWidget):
    """Asks for the image pixels per patch, and shows how large such a patch is."""

    changed = Signal()
    """Another detail is chosen."""
    patch_hovered = Signal(float)
    """Image pixels per patch to be drawn in the viewer; 0 for none."""

    def __init__(self) -> None:
        super().__init__()
        self._detail: float | None = None
        self._suggested = 0.0
        self._steps: tuple[float, ...] = STEPS
        self._size_text: Callable[[float], str] = lambda _patch: ""
        self._linger = QTimer(self, singleShot=True, interval=LINGER)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.NoTicks)
        self.slider.setToolTip(TOOLTIP)
        self.slider.setAccessibleName("Detail")
        self.slider.installEventFilter(self)
        self.reset_button = QToolButton()
        self.reset_button.setText("↺")
        self.reset_button.setAccessibleName("Reset detail")
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
        self.reset_button.clicked.connect(lambda: self.set_detail(None))
        self._linger.timeout.connect(self._on_lingered)
        self._show()

    def detail(self) -> float | None:
        """Image pixels per patch; None for what the model suggests."""
        return self._detail

    def set_detail(self, value: float | None) -> None:
        """Choose image pixels per patch; None takes what the model suggests."""
        before, self._detail = self._detail, value
        self._show()
        if value != before:
            self.changed.emit()

    def set_suggested(self, patch: float) -> None:
        """Take the image pixels per patch that the model suggests; 0 if not known."""
        self._suggested = patch
        self._show()

    def set_image(self, size_text: Callable[[float], str], coarsest: float = 1) -> None:
        """Take what the image decides.

        ``size_text`` makes a text of the image pixels per patch: their size in the
        layer's unit, and the resolution that is used. ``coarsest`` is how many pixels
        of the image one of its coarsest resolution covers.
        """
        self._size_text = size_text
        self._steps = steps_to(coarsest)
        self._show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt)
        """Show the size of a patch while the pointer is on the slider."""
        if not hasattr(self, "_linger"):  # Python took us apart before Qt did
            return False
        if event.type() in (QEvent.Type.Enter, QEvent.Type.FocusIn):
            self._linger.stop()
            self.patch_hovered.emit(self._patch())
        elif event.type() in (QEvent.Type.Leave, QEvent.Type.Hide):
            self._linger.stop()
            self.patch_hovered.emit(0.0)
        return super().eventFilter(watched, event)

    def _patch(self) -> float:
        """Image pixels per patch, chosen or suggested; 0 if not known."""
        return self._detail or self._suggested

    def _on_slider(self, step: int) -> None:
        self.set_detail(self._steps[step])
        self.patch_hovered.emit(self._patch())
        self._linger.start()

    def _on_lingered(self) -> None:
        if not self.slider.underMouse():
            self.patch_hovered.emit(0.0)

    def _show(self) -> None:
        patch = self._patch()
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, len(self._steps) - 1)
            self.slider.setValue(nearest_step(patch or USUAL, self._steps))
        self.reset_button.setEnabled(self._detail is not None)
        if not patch:
            self.value.setText("as the model suggests")
            return
        default = "default" if self._detail is None else ""
        texts = (f"{patch:.3g} px per patch", self._size_text(patch), default)
        self.value.setText(" · ".join(text for text in texts if text))


def steps_to(coarsest: float) -> tuple[float, ...]:
    """Return `STEPS` after coarser ones, for a pyramid's coarsest resolution."""
    coarser: list[float] = []
    while 2 ** (len(coarser) // 2) < coarsest:
        doubled = 2 ** (len(coarser) // 2 + 1)
        coarser += [STEPS[1] * doubled, STEPS[0] * doubled]
    return (*reversed(coarser), *STEPS)


def nearest_step(patch: float, steps: Sequence[float] = STEPS) -> int:
    """Find the step that is nearest by ratio."""
    return min(range(len(steps)), key=lambda i: abs(math.log(steps[i] / patch)))
