"""Dialogs about models: another one, a file of one's own, a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.errors import GemError
from napari_gem.models.add import add_address, add_file
from napari_gem.models.architectures import readable_architectures
from napari_gem.models.card import size_text
from napari_gem.models.catalogue import DOMAINS
from napari_gem.models.find import find_model
from napari_gem.widget.parts.dialogs import path_to_open, yes_box
from napari_gem.widget.parts.plain import Label, MessageBox, ask

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard

WEIGHTS_FILTER = "Weights (*.safetensors *.pt *.pth *.bin);;All files (*)"
ARCHITECTURE_HELP = (
    "The open_clip architecture that the weights were trained with. Those that were "
    "trained on from OpenAI's weights need one that ends with -quickgelu."
)


@dataclass(frozen=True)
class NamedModel:
    """A model as the user names it; for a weights file with its architecture."""

    model: str
    architecture: str = ""


def architecture_box() -> QComboBox:
    """Make a list of the architectures that can be read, empty at first."""
    box = QComboBox()
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    box.addItems(readable_architectures())
    box.setCurrentText("")
    box.lineEdit().setPlaceholderText("for a weights file only: ViT-B-16")
    box.completer().setFilterMode(Qt.MatchFlag.MatchContains)
    box.completer().setCompletionMode(box.completer().CompletionMode.PopupCompletion)
    return box


class AddDialog(QDialog):
    """Asks what a weights file is, and puts it on the user's own list."""

    def __init__(self, path: Path | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.card: ModelCard | None = None
        self._path = path
        self.setWindowTitle("Add a model")
        self.setMinimumWidth(420)
        self.architecture = architecture_box()
        self.architecture.lineEdit().setPlaceholderText("such as ViT-B-16")
        self.name = QLineEdit(path.stem if path else "")
        self.address, self.sha256 = QLineEdit(), QLineEdit()
        self.address.setPlaceholderText("https://…/model.safetensors")
        self.sha256.setPlaceholderText("64 digits, from the page of the weights")
        self.licence, self.source = QLineEdit(), QLineEdit()
        self.licence.setPlaceholderText("as its page says")
        self.source.setPlaceholderText("page that tells about it")
        self.domain = QComboBox()
        self.domain.setEditable(True)
        self.domain.addItems(DOMAINS[1:])
        form = QFormLayout()
        if path:
            form.addRow("File", Label(path.name))
        else:
            form.addRow("Address", self.address)
            form.addRow("SHA-256", self.sha256)
            self.name.setPlaceholderText("that of the file")
        form.addRow("Architecture", self.architecture)
        form.addRow("Name", self.name)
        form.addRow("Good for", self.domain)
        if not path:
            form.addRow("Licence", self.licence)
            form.addRow("Page", self.source)
        self.error = _wrapped()
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for part in (_wrapped(ARCHITECTURE_HELP), self.error, _buttons(self)):
            layout.addWidget(part)

    def accept(self) -> None:
        """Put the file on the list, or say why that cannot be."""
        try:
            self.card = self._add()
        except GemError as error:
            _show_error(self, self.error, str(error))
            return
        super().accept()

    def _add(self) -> ModelCard:
        architecture = self.architecture.currentText().strip()
        names = {"name": self.name.text(), "domain": self.domain.currentText()}
        if self._path:
            return add_file(self._path, architecture, **names)
        return add_address(
            self.address.text(),
            self.sha256.text(),
            architecture,
            licence=self.licence.text(),
            source=self.source.text(),
            **names,
        )


class ModelDialog(QDialog):
    """Asks for a model that is not in the list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.chosen: tuple[NamedModel, str] | None = None
        self.setWindowTitle("Other model")
        self.setMinimumWidth(480)
        about = _wrapped(
            "ARCHITECTURE/TAG of open_clip, hf-hub:OWNER/REPOSITORY, or the path of a "
            "folder or weights file."
        )
        self.model = QLineEdit()
        self.model.setPlaceholderText("ViT-B-16/laion2b_s34b_b88k")
        self.architecture = architecture_box()
        file, folder = QPushButton("File…"), QPushButton("Folder…")
        file.clicked.connect(self._on_file)
        folder.clicked.connect(self._on_folder)
        row = QHBoxLayout()
        for widget in (self.model, file, folder):
            row.addWidget(widget)
        form = QFormLayout()
        form.addRow("Model", row)
        form.addRow("Architecture", self.architecture)
        self.architecture.setToolTip(ARCHITECTURE_HELP)
        self.error = _wrapped()
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(form)
        layout.addWidget(self.error)
        layout.addWidget(_buttons(self))

    def accept(self) -> None:
        """Take the model if there is such a one, else say why not."""
        named = NamedModel(
            self.model.text().strip(), self.architecture.currentText().strip()
        )
        try:
            card = find_model(named.model, named.architecture)
        except GemError as error:
            _show_error(self, self.error, str(error))
            return
        self.chosen = named, card.name
        super().accept()

    def _on_file(self) -> None:
        path = path_to_open(self, "Weights file", WEIGHTS_FILTER)
        if path:
            self.model.setText(path)

    def _on_folder(self) -> None:
        path = ask(
            self, lambda: QFileDialog.getExistingDirectory(self, "Folder of a model")
        )
        if path:
            self.model.setText(path)


def download_box(card: ModelCard, parent: QWidget | None = None) -> MessageBox:
    """Make the box that asks whether a model may be downloaded."""
    return yes_box(
        "Download model",
        f"{card.name} is not on this computer. Download it?",
        f"Size: {size_text(card.size)}\n"
        f"From: {card.source or 'not known'}\n"
        f"Licence: {card.licence}",
        "Download",
        parent,
    )


def _show_error(dialog: QDialog, label: Label, sentence: str) -> None:
    """Show a sentence; the dialog grows by it, or its lines would be squeezed."""
    label.setText(sentence)
    dialog.layout().activate()
    height = dialog.layout().totalHeightForWidth(dialog.width())
    dialog.resize(dialog.width(), max(dialog.height(), height))


def _wrapped(text: str = "") -> Label:
    label = Label(text)
    label.setWordWrap(True)
    return label


def _buttons(dialog: QDialog) -> QDialogButtonBox:
    buttons = QDialogButtonBox(
        QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
    )
    buttons.accepted.connect(dialog.accept)
    buttons.rejected.connect(dialog.reject)
    return buttons
