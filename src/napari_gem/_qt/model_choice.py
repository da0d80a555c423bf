"""Combo boxes for model and device, and the questions that go with a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_gem.download import size_text
from napari_gem.models import find_model, is_available, list_models
from napari_gem.types import GemError

if TYPE_CHECKING:
    from napari_gem.types import ModelCard

DEVICES = {
    "Automatic": "auto",
    "CUDA (NVIDIA GPU)": "cuda",
    "MPS (Apple GPU)": "mps",
    "CPU": "cpu",
}
OTHER = "Other…"


@dataclass(frozen=True)
class NamedModel:
    """A model as the user names it; for a weights file with its architecture."""

    model: str
    architecture: str = ""


class ModelChoice(QWidget):
    """Offers the catalogue and whatever else the user names."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._about = QLabel()
        self._about.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.combo)
        layout.addWidget(self._about)
        for card in list_models():
            self.combo.addItem(card.name, NamedModel(card.id))
        self.combo.addItem(OTHER, None)
        self._last = 0
        self.combo.currentIndexChanged.connect(self._on_index)
        self._describe()

    def named(self) -> NamedModel:
        """Model that is chosen."""
        found = self.combo.itemData(self._last)
        return found if isinstance(found, NamedModel) else NamedModel("embedded")

    def add(self, named: NamedModel, name: str) -> None:
        """Add a model to the list and choose it."""
        for index in range(self.combo.count()):
            if self.combo.itemData(index) == named:
                break
        else:
            index = self.combo.count() - 1
            # the entry for others, which is chosen now, must stay last
            self.combo.blockSignals(True)
            self.combo.insertItem(index, name, named)
            self.combo.blockSignals(False)
        self._last = index
        self.combo.setCurrentIndex(index)
        self._describe()

    def _on_index(self, index: int) -> None:
        if self.combo.itemData(index) is not None:
            self._last = index
            self._describe()
            return
        dialog = ModelDialog(self)
        if dialog.exec() and dialog.chosen is not None:
            self.add(*dialog.chosen)
        else:
            self.combo.setCurrentIndex(self._last)

    def _describe(self) -> None:
        named = self.named()
        try:
            card = find_model(named.model, named.architecture)
        except GemError as error:
            self._about.setText(str(error))
            return
        text = f"For {card.good_for}." if card.good_for else card.id
        if not is_available(card) and card.size is None:
            text += " To be downloaded if it is not here; its size is told first."
        elif not is_available(card):
            text += f" To be downloaded, {size_text(card.size)}."
        self._about.setText(text)
        self.combo.setToolTip(f"{card.id}\nLicence: {card.licence}\n{card.source}")


class DeviceChoice(QComboBox):
    """Where the model computes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for name, device in DEVICES.items():
            self.addItem(name, device)
        self.setToolTip("Automatic takes CUDA, else MPS, else the CPU")

    def device(self) -> str:
        """Device as in a `Request`."""
        return str(self.currentData())

    def set_device(self, device: str) -> None:
        """Choose a device; one that is not offered is added."""
        if self.findData(device) < 0:
            self.addItem(device, device)
        self.setCurrentIndex(self.findData(device))


class ModelDialog(QDialog):
    """Asks for a model that is not in the list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.chosen: tuple[NamedModel, str] | None = None
        self.setWindowTitle("Other model")
        self.setMinimumWidth(480)
        about = QLabel(
            "ARCHITECTURE/TAG of open_clip, hf-hub:OWNER/REPOSITORY, or the path of a "
            "folder or weights file."
        )
        about.setWordWrap(True)
        self.model = QLineEdit()
        self.model.setPlaceholderText("ViT-B-16/laion2b_s34b_b88k")
        self.architecture = QLineEdit()
        self.architecture.setPlaceholderText("for a weights file only: ViT-B-16")
        file, folder = QPushButton("File…"), QPushButton("Folder…")
        file.clicked.connect(self._on_file)
        folder.clicked.connect(self._on_folder)
        row = QHBoxLayout()
        for widget in (self.model, file, folder):
            row.addWidget(widget)
        form = QFormLayout()
        form.addRow("Model", row)
        form.addRow("Architecture", self.architecture)
        self.error = QLabel()
        self.error.setWordWrap(True)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(form)
        layout.addWidget(self.error)
        layout.addWidget(buttons)

    def accept(self) -> None:
        """Take the model if there is such a one, else say why not."""
        named = NamedModel(self.model.text().strip(), self.architecture.text().strip())
        try:
            card = find_model(named.model, named.architecture)
        except GemError as error:
            self.error.setText(str(error))
            return
        self.chosen = named, card.name
        super().accept()

    def _on_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Weights file",
            filter="Weights (*.safetensors *.pt *.pth *.bin);;All files (*)",
        )
        if path:
            self.model.setText(path)

    def _on_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of a model")
        if path:
            self.model.setText(path)


def download_box(card: ModelCard, parent: QWidget | None = None) -> QMessageBox:
    """Make the box that asks whether a model may be downloaded.

    Parameters
    ----------
    card
        From `napari_gem.models.DownloadNeeded`, so that size, source and licence are
        what the hub says; or one of the catalogue.
    parent
        Of the box.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Download model")
    box.setText(f"{card.name} is not on this computer. Download it?")
    box.setInformativeText(
        f"Size: {size_text(card.size)}\n"
        f"From: {card.source or 'not known'}\n"
        f"Licence: {card.licence}"
    )
    box.setStandardButtons(
        QMessageBox.StandardButton.Ok | QMessageBox.StandardButton.Cancel
    )
    box.button(QMessageBox.StandardButton.Ok).setText("Download")
    box.setDefaultButton(QMessageBox.StandardButton.Cancel)
    return box
