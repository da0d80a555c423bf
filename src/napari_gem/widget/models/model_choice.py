"""Choice of the model, and what can be done with models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.errors import GemError
from napari_gem.core.path_names import file_name
from napari_gem.core.progress import Progress, aside_steps
from napari_gem.models.archive import SUFFIX, export_steps, import_steps
from napari_gem.models.card import size_text
from napari_gem.models.catalogue import is_own, list_models, own_errors
from napari_gem.models.find import find_model, is_available
from napari_gem.models.own_list import forget_own
from napari_gem.models.weight_sources import weight_source
from napari_gem.widget.models.model_dialog import (
    WEIGHTS_FILTER,
    AddDialog,
    ModelDialog,
    NamedModel,
    download_box,
)
from napari_gem.widget.models.model_list import ModelList
from napari_gem.widget.parts.dialogs import (
    path_to_open,
    path_to_save,
    says_yes,
    yes_box,
)
from napari_gem.widget.parts.job import BackgroundJob
from napari_gem.widget.parts.plain import Label, ask, menu_text, tip
from napari_gem.widget.parts.progress_text import progress_text
from napari_gem.widget.parts.style import BUTTON

if TYPE_CHECKING:
    from collections.abc import Generator

    from qtpy.QtGui import QAction, QShowEvent

    from napari_gem.models.card import ModelCard
    from napari_gem.widget.parts.job import Steps

OFFLINE = "Model for a computer without network"


class ModelChoice(QWidget):
    """Offers the catalogue, the user's own models and whatever else they name."""

    message_sent = Signal(str, str)
    """``info`` or ``error``, and a sentence for the user."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = ModelList()
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        button = QToolButton()
        button.setText("More")
        button.setAccessibleName("More about models")
        button.setToolTip("Download, remove, add or share models")
        button.setStyleSheet(BUTTON)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setMenu(self.menu)
        self.download = self._action(
            "Download…",
            self._on_download,
            "Fetch the chosen model; its size, source and licence are shown first",
        )
        self.remove = self._action(
            "Remove…", self._on_remove, "Delete the chosen model from this computer"
        )
        self.menu.addSeparator()
        self.add_file = self._action(
            "Add file…", self._on_add_file, "Put a weights file of yours on the list"
        )
        self.add_address = self._action(
            "Add address…",
            lambda: self._add_own(None),
            "Put weights of the web, that are not on the hub, on the list",
        )
        self.other = self._action(
            "Other model…",
            self.ask_other,
            "Name a model of open_clip or of the hub that is not on the list",
        )
        self.import_file = self._action(
            "Import…",
            self._on_import,
            "Take a model that was exported on another computer",
        )
        self.export_file = self._action(
            "Export…",
            self._on_export,
            "Write the chosen model as one file, for computers without network",
        )
        self.menu.aboutToShow.connect(self._on_menu)
        self._about = Label()
        self._about.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the model")
        self.bar.setToolTip("How far the download, removal, import or export is")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; a download goes on from here next time")
        self.job = BackgroundJob(self)
        self.job.progressed.connect(self._on_progress)
        self.job.ended.connect(self._on_ended)
        self.job.failed.connect(
            lambda sentence: self.message_sent.emit("error", sentence)
        )
        self.cancel.clicked.connect(self.job.cancel)
        self._marks = BackgroundJob(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for parts in ((self.combo, button), (self.bar, self.cancel)):
            row = QHBoxLayout()
            for part in parts:
                row.addWidget(part)
            layout.addLayout(row)
            if parts[0] is self.combo:
                layout.addWidget(self._about)
        self._show_job(False)
        self.combo.currentIndexChanged.connect(self._describe)
        self._describe()

    def named(self) -> NamedModel:
        """Model that is chosen."""
        return self.combo.named()

    def card(self) -> ModelCard:
        """Card of the chosen model.

        Raises
        ------
        GemError
            If it is not there any more.
        """
        named = self.named()
        return find_model(named.model, named.architecture)

    def add(self, named: NamedModel, name: str) -> None:
        """Choose a model, and add it to the list if it is not there."""
        self.combo.setCurrentIndex(self.combo.add(named, name))
        self._describe()

    def ask_other(self) -> None:
        """Ask for a model that is not in the list."""
        dialog = ModelDialog(self)
        if ask(self, dialog.exec) and dialog.chosen is not None:
            self.add(*dialog.chosen)

    def look(self) -> None:
        """Look which models are on this computer, beside the viewer's thread."""
        self._marks.run(_look_steps, self._on_marks)

    def stop(self) -> None:
        """End what runs: the widget is closed."""
        self.job.cancel()
        self._marks.cancel()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (Qt's name)
        """Mark what is on this computer once there is something to see."""
        super().showEvent(event)
        self.look()

    def say_errors(self) -> None:
        """Send a message if the user's own list of models cannot be read."""
        wrong = own_errors()
        if wrong:
            self.message_sent.emit("error", " ".join(wrong))

    def _action(self, name: str, slot: object, tip: str) -> QAction:
        action = self.menu.addAction(name)
        action.setToolTip(tip)
        action.triggered.connect(slot)
        return action

    def _on_marks(self, ids: list[str]) -> None:
        self.combo.mark(ids)
        self._describe()

    def _on_menu(self) -> None:
        actions = (self.download, self.remove, self.export_file)
        try:
            card = self.card()
        except GemError:
            for action in actions:
                action.setEnabled(False)
            return
        source, idle = weight_source(card), not self.job.busy
        remote, on_disk = bool(source.remote_files()), source.is_on_disk()
        downloaded = remote and on_disk
        # what was downloaded of it goes first
        own = is_own(card) and not downloaded
        verbs = ("Download", "Take off the list:" if own else "Remove", "Export")
        for action, verb in zip(actions, verbs, strict=True):
            action.setText(menu_text(f"{verb} {card.name}…"))
        self.download.setEnabled(remote and not on_disk and idle)
        self.remove.setEnabled((own or downloaded) and idle)
        self.export_file.setEnabled(downloaded and idle)
        self.import_file.setEnabled(idle)

    def _on_download(self) -> None:
        card = self.card()
        if card.size is not None:
            self._ask_download(card)
            return
        self._show_job(True)
        self.job.run(lambda: _describe_steps(card), self._ask_download)

    def _ask_download(self, card: ModelCard) -> None:
        if says_yes(self, download_box(card, self)):
            self._start(
                weight_source(card).fetch_steps, f"{card.name} is on this computer now."
            )

    def _on_remove(self) -> None:
        card = self.card()
        source = weight_source(card)
        if is_own(card) and not (source.remote_files() and source.is_on_disk()):
            self._take_off(card)
            return
        box = yes_box(
            "Remove model",
            f"Remove {card.name} from this computer?",
            f"Size: {size_text(card.size)}. It can be fetched again.",
            "Remove",
            self,
        )
        if says_yes(self, box):
            self._start(lambda: _remove_steps(card), f"{card.name} is removed.")

    def _take_off(self, card: ModelCard) -> None:
        try:
            forget_own(card.id)
        except GemError as error:
            self.message_sent.emit("error", str(error))
            return
        self.combo.reload()
        self.combo.currentIndexChanged.emit(self.combo.currentIndex())
        path = weight_source(card).own_path
        stays = f" '{path}' stays." if path else ""
        self.message_sent.emit("info", f"{card.name} is off the list.{stays}")

    def _on_add_file(self) -> None:
        path = path_to_open(self, "Weights file", WEIGHTS_FILTER)
        if path:
            self._add_own(Path(path))

    def _add_own(self, path: Path | None) -> None:
        dialog = AddDialog(path, self)
        if ask(self, dialog.exec) and dialog.card is not None:
            self.combo.reload()
            self.add(NamedModel(dialog.card.id), dialog.card.name)
            self.look()

    def _on_import(self) -> None:
        path = path_to_open(self, OFFLINE, f"Models (*{SUFFIX} *.zip)")
        if path:
            self._start(lambda: import_steps(Path(path)), "The model is imported.")

    def _on_export(self) -> None:
        card = self.card()
        name = file_name(card.name, SUFFIX, "model")
        path = path_to_save(self, OFFLINE, name, f"Models (*{SUFFIX})")
        if path:
            # the dialog asked before it gave a file that is there
            self._start(
                lambda: export_steps(card, Path(path), replace=True),
                f"{card.name} is in {path}. Its licence goes with it: {card.licence}.",
            )

    def _start(self, steps: Steps, sentence: str) -> None:
        def done(card: ModelCard | None) -> None:
            if card is not None:
                self.add(NamedModel(card.id), card.name)
            self.message_sent.emit("info", sentence)
            self.look()

        self._show_job(True)
        self.job.run(steps, done)

    def _on_progress(self, progress: Progress) -> None:
        # Qt counts in 32 bits
        self.bar.setRange(0, 1000 if progress.total else 0)
        self.bar.setValue(int(1000 * progress.done / max(progress.total, 1)))
        self.bar.setFormat(progress_text(progress))

    def _on_ended(self) -> None:
        self._show_job(False)
        self._describe()

    def _show_job(self, shown: bool) -> None:
        self.bar.setRange(0, 0)
        self.bar.setVisible(shown)
        self.cancel.setVisible(shown)

    def _describe(self) -> None:
        try:
            card = self.card()
            weight_source(card).check_exists()
        except GemError as error:
            self._about.setText(str(error))
            return
        text = f"For {card.good_for}." if card.good_for else f"{card.id}."
        if not is_available(card) and card.size is None:
            text += " It is downloaded if need be; you see its size first."
        elif not is_available(card):
            text += (
                f" To be downloaded: {size_text(card.size)}, licence {card.licence}."
            )
        self._about.setText(text)
        self.combo.setToolTip(tip(f"{card.id}\nLicence: {card.licence}\n{card.source}"))


def _describe_steps(card: ModelCard) -> Generator[Progress, None, ModelCard]:
    describe = weight_source(card).describe
    return (yield from aside_steps("Asking for its size", describe))


def _look_steps() -> Generator[Progress, None, list[str]]:
    cards = list_models()
    on_disk = []
    for number, card in enumerate(cards):
        if is_available(card):
            on_disk.append(card.id)
        yield Progress("Looking for models", number + 1, len(cards))
    return on_disk


def _remove_steps(card: ModelCard) -> Generator[Progress, None, None]:
    yield Progress("Removing")
    weight_source(card).remove()
