"""Buttons that add examples of the chosen class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.widget.parts.plain import Label
from napari_gem.widget.prompts.example_points import ExamplePoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_gem.layers import LayerImage

# napari draws tool buttons as bare text, and those that are on like the others
BUTTON = (
    "QToolButton { padding: 2px 8px; border-radius: 2px; "
    "border: 1px solid rgba(128, 128, 128, 50%); } "
    "QToolButton:checked { background: palette(highlight); }"
)
NO_CLASS = "Choose a class in the table first; it gets the examples."
NO_LABELS = (
    "Paint what the class looks like in a labels layer, select that layer, and press "
    "'From labels' again."
)


class ExampleBar(QWidget):
    """Adds places that show a class, or that do not, by clicks or painted patches."""

    message_sent = Signal(str, str)
    """``info``, ``warning`` or ``error``, and a sentence for the user."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._prompt: Prompt | None = None
        self.points = ExamplePoints(viewer, self)
        self.positive = _button(
            "+", "Add examples", "Click places that show the class; press again to stop"
        )
        self.negative = _button(
            "-",
            "Add counterexamples",
            "Click places that look alike but are none; press again to stop",
        )
        self.from_labels = _button(
            "From labels",
            "Examples from labels",
            "Take examples from what is painted in the selected labels layer, with its "
            "selected label",
        )
        self.positive.setCheckable(True)
        self.negative.setCheckable(True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(Label("Examples"))
        for button in (self.positive, self.negative, self.from_labels):
            layout.addWidget(button)
        layout.addStretch()
        self.positive.clicked.connect(lambda on: self._on_clicked(on, positive=True))
        self.negative.clicked.connect(lambda on: self._on_clicked(on, positive=False))
        self.from_labels.clicked.connect(self._on_from_labels)
        self.points.adding_changed.connect(self._on_adding)

    def set_prompt(self, prompt: Prompt | None) -> None:
        """Choose the class that gets the examples."""
        self._prompt = prompt
        if self.points.adding and prompt is None:
            self.points.stop()
        elif self.points.adding and prompt and self.points.adding != prompt.label:
            self.start(positive=self.positive.isChecked())

    def set_image(self, layer: Any, view: LayerImage | None) -> None:
        """Choose the image that the examples are of."""
        self.points.set_image(layer, view)

    def start(self, *, positive: bool) -> None:
        """Let clicks on the image add examples to the class."""
        if self._attempt(lambda prompt: self.points.start(prompt, positive)):
            self.positive.setChecked(positive)
            self.negative.setChecked(not positive)

    def detach(self) -> None:
        """Stop listening to the viewer."""
        self.points.detach()

    def _on_clicked(self, on: bool, *, positive: bool) -> None:
        if on:
            self.start(positive=positive)
        else:
            self.points.stop()

    def _on_from_labels(self) -> None:
        selected = self._viewer.layers.selection.active
        if not isinstance(selected, Labels):
            self.message_sent.emit("warning", NO_LABELS)
            return
        value = int(selected.selected_label)
        self._attempt(
            lambda prompt: self.points.from_labels(selected, prompt, value=value)
        )

    def _attempt(self, work: Callable[[Prompt], object]) -> bool:
        """Do something with the class; False, and a message, if it cannot be done."""
        try:
            if self._prompt is None:
                raise GemError(NO_CLASS)
            work(self._prompt)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            self._on_adding(self.points.adding)
            return False
        return True

    def _on_adding(self, label: int) -> None:
        if label == 0:
            self.positive.setChecked(False)
            self.negative.setChecked(False)


def _button(text: str, name: str, tooltip: str) -> QToolButton:
    button = QToolButton()
    button.setAccessibleName(name)
    button.setText(text)
    button.setToolTip(tooltip)
    button.setStyleSheet(BUTTON)
    return button
