"""The dock widget."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QFormLayout, QLabel, QMessageBox, QVBoxLayout, QWidget

from napari_gem._qt.controller import Ask, Controller
from napari_gem._qt.image_choice import ImageChoice
from napari_gem._qt.model_choice import DeviceChoice, ModelChoice, download_box
from napari_gem._qt.prompts_box import PromptsBox
from napari_gem._qt.run_bar import RunBar

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QCloseEvent

    from napari_gem.types import ModelCard


class GemWidget(QWidget):
    """Type words, get label layers.

    Parameters
    ----------
    viewer
        Gives the images and gets the results.
    controller
        None makes one.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, controller: Controller | None = None
    ) -> None:
        super().__init__()
        self.controller = controller or Controller(viewer)
        self.image_choice = ImageChoice(viewer)
        self.prompts_box = PromptsBox()
        self.model_choice = ModelChoice()
        self.device_choice = DeviceChoice()
        self.run_bar = RunBar()
        self._closed = False
        self._lay_out()
        self._connect()
        self.prompts_box.suggest(self.image_choice.layer())
        self.controller.start()

    def run(self) -> None:
        """Segment the chosen image by the typed words."""
        named = self.model_choice.named()
        self.controller.run(
            Ask(
                layer=self.image_choice.layer(),
                text=self.prompts_box.toPlainText(),
                model=named.model,
                architecture=named.architecture,
                device=self.device_choice.device(),
            )
        )

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """End the worker when the dock is closed: napari takes the widget out."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        """End the worker."""
        self._end()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Image", self.image_choice)
        settings = QFormLayout()
        settings.setContentsMargins(0, 0, 0, 0)
        settings.addRow(QLabel("Model"))
        settings.addRow(self.model_choice)
        settings.addRow("Device", self.device_choice)
        hint = QLabel("Prompts: one class a line, commas between synonyms")
        hint.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(hint)
        layout.addWidget(self.prompts_box, 1)
        layout.addLayout(settings)
        layout.addWidget(self.run_bar)

    def _connect(self) -> None:
        self.image_choice.layer_chosen.connect(self.prompts_box.suggest)
        self.prompts_box.run_requested.connect(self.run)
        self.run_bar.run_requested.connect(self.run)
        self.run_bar.cancel_requested.connect(self.controller.cancel)
        self.controller.busy_changed.connect(self.run_bar.set_busy)
        self.controller.progressed.connect(self.run_bar.show_progress)
        self.controller.told.connect(self.run_bar.tell)
        self.controller.download_requested.connect(self._on_download_requested)
        # the window deletes its docks without closing them
        self.destroyed.connect(self.controller.close)

    def _on_download_requested(self, card: ModelCard, ask: Ask) -> None:
        self.run_bar.tell("info", "")
        if download_box(card, self).exec() == QMessageBox.StandardButton.Ok:
            self.controller.run(replace(ask, download=True))
        else:
            self.run_bar.tell("info", "Nothing was downloaded.")

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.image_choice.detach()
        self.controller.close()
