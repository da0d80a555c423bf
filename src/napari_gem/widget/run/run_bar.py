"""Run, Cancel, progress and a line for what there is to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.widget.parts.plain import Label, MessageBox, tip
from napari_gem.widget.parts.progress_text import progress_text
from napari_gem.widget.parts.style import emphasize
from napari_gem.widget.parts.two_lines import TwoLines

if TYPE_CHECKING:
    from napari_gem.core.progress import Progress

MARKS = {"info": "", "warning": "⚠ ", "error": "✖ "}


class RunBar(QWidget):
    """Buttons and feedback of a run."""

    run_requested = Signal()
    cancel_requested = Signal()
    undo_requested = Signal()
    update_requested = Signal()
    """Painted labels that were left alone are to be updated."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run_button = QPushButton("Run")
        self.run_button.setAccessibleName("Run")
        emphasize(self.run_button, "primary")
        self.cancel_button = QPushButton("Cancel")
        self.stage = Label()
        self.stage.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.bar.setAccessibleName("Progress of the run")
        self.bar.setToolTip("How far the run is")
        self.status = TwoLines()
        self.status.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.copy_button = QPushButton("Copy details")
        self.copy_button.setToolTip("Copy the details of the error, to report them")
        self._details = self._sentence = ""
        self.undo_button = QPushButton("Undo")
        self.help_button = QToolButton()
        self.help_button.setText("?")
        self.help_button.setToolTip("Keys that work anywhere in napari")
        self.help_button.setAccessibleName("Keys")
        self.cancel_button.setToolTip("Stop; the layers stay as they were")
        self.current = TwoLines()
        self.kept = TwoLines()
        self.update_button = QPushButton("Update labels...")
        self.update_button.setToolTip(
            "Choose what becomes of what you painted, and run"
        )
        for button in (
            *(self.cancel_button, self.undo_button),
            *(self.update_button, self.copy_button),
        ):
            emphasize(button, "flat")
        self._help = ""
        self._busy = False
        self._undo = ""
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        buttons.addWidget(self.undo_button, 1)
        buttons.addWidget(self.help_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        for widget in (self.current, self.kept, self.update_button):
            layout.addWidget(widget)
        for widget in (self.stage, self.bar, self.status, self.copy_button):
            layout.addWidget(widget)
        self.run_button.clicked.connect(self.run_requested)
        self.cancel_button.clicked.connect(self.cancel_requested)
        self.undo_button.clicked.connect(self.undo_requested)
        self.update_button.clicked.connect(self.update_requested)
        self.help_button.clicked.connect(self._on_help)
        self.copy_button.clicked.connect(self._on_copy)
        self.set_undo("")
        self.set_busy(False)
        self.set_kept("")
        self.show_message("info", "")

    def set_busy(self, busy: bool) -> None:
        """Show whether a run is going on."""
        self._busy = busy
        self.run_button.setEnabled(not busy)
        self.update_button.setEnabled(not busy)
        self.cancel_button.setEnabled(busy)
        self.undo_button.setEnabled(not busy and bool(self._undo))
        self.stage.setVisible(busy)
        self.bar.setVisible(busy)
        if not busy:
            self.stage.clear()

    def show_state(self, sentence: str, run: str) -> None:
        """Say whether the image is encoded, or what is missing, and what Run does."""
        self.current.setText(sentence)
        self.run_button.setToolTip(f"{run} (Ctrl+Enter)")

    @property
    def has_message(self) -> bool:
        """Whether a sentence is shown."""
        return bool(self._sentence)

    def set_undo(self, what: str) -> None:
        """Show what would be undone; empty: nothing."""
        self._undo = what
        self.undo_button.setEnabled(not self._busy and bool(what))
        self.undo_button.setToolTip(tip(what or "There is no run to undo"))

    def set_kept(self, name: str) -> None:
        """Say that a painted labels layer is left alone; empty: there is none."""
        self.kept.setText(
            f"You painted on '{name}', so changes leave it as it is." if name else ""
        )
        self.kept.setVisible(bool(name))
        self.update_button.setVisible(bool(name))

    def set_help(self, text: str) -> None:
        """Take what the help button shows, as rich text."""
        self._help = text

    def show_progress(self, progress: Progress) -> None:
        """Show how far a run is."""
        # in percent, since bytes of a large download overflow Qt's integers
        self.bar.setRange(0, 100 if progress.total else 0)
        if progress.total:
            self.bar.setValue(100 * progress.done // progress.total)
        self.stage.setText(progress_text(progress))

    def show_message(self, kind: str, sentence: str, details: str = "") -> None:
        """Say something; an empty sentence takes back what was said."""
        self.status.setText(MARKS[kind] + sentence if sentence else "")
        self._sentence = sentence
        self._details = f"{sentence}\n\n{details}"
        self.copy_button.setVisible(bool(details))

    def remove_message(self, sentence: str) -> None:
        """Take a sentence back, unless something else was said since."""
        if sentence and sentence == self._sentence:
            self.show_message("info", "")

    def _on_help(self) -> None:
        box = MessageBox("Keys of GEM", self)
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(self._help)
        box.open()

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self._details)
