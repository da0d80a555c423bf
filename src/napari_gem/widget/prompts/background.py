"""Background words, folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_gem.prompts.parsing import read_words, write_words
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.plain import Label
from napari_gem.widget.prompts.class_edit import is_for_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QFocusEvent, QKeyEvent

LINES = 3
PAUSE = 700
"""Milliseconds without typing after which words count."""

TIP = (
    "Words for things that belong to no class, separated by commas or new lines. "
    "Empty takes those of the model."
)


class WordsEdit(QPlainTextEdit):
    """A text of `LINES` lines."""

    left = Signal()
    """The keyboard focus is elsewhere now."""

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """Stay as high as the lines of another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.fit_lines()

    def fit_lines(self) -> None:
        """Be as high as `LINES` lines."""
        margins = 2 * (self.document().documentMargin() + self.frameWidth())
        self.setFixedHeight(round(LINES * self.fontMetrics().lineSpacing() + margins))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Leave to the table what is for it."""
        document = self.document()
        can_undo, can_redo = document.isUndoAvailable(), document.isRedoAvailable()
        if is_for_table(event, can_undo, can_redo):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 (Qt's name)
        """Emit `left`."""
        super().focusOutEvent(event)
        self.left.emit()


class BackgroundWords(Fold):
    """A line that unfolds to the background words."""

    edited = Signal(object)
    """The words that the user typed, or None for those of the model."""

    def __init__(self) -> None:
        super().__init__("Background words")
        self._words: tuple[str, ...] | None = None
        self._default: tuple[str, ...] = ()
        self.set_tooltip("Words for things that belong to no class")
        self.edit = WordsEdit()
        self.edit.fit_lines()
        self.edit.setTabChangesFocus(True)
        self.edit.setToolTip(TIP)
        self.edit.setAccessibleName("Background words")
        self.edit.setPlaceholderText("Those of the model")
        # napari's style gives it the colour of what is around it
        self.edit.setStyleSheet(
            "WordsEdit { border: 1px solid rgba(128, 128, 128, 50%); }"
        )
        self.state = Label()
        self.state.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
        )
        self.reset_button = QPushButton("Reset")
        self.reset_button.setAccessibleName("Reset background words")
        self.reset_button.setToolTip("Take the background words of the model again")
        line = QHBoxLayout()
        line.addWidget(self.state, 1)
        line.addWidget(self.reset_button)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.addWidget(self.edit)
        layout.addLayout(line)
        self.hold(content)
        layout.setContentsMargins(0, 4, 0, 0)
        self._pause = QTimer(self, singleShot=True, interval=PAUSE)
        self._pause.timeout.connect(self.commit)
        self.edit.textChanged.connect(self._pause.start)
        self.edit.left.connect(self._on_left)
        self.reset_button.clicked.connect(self._on_reset)
        self._show()

    def own(self, words: Sequence[str]) -> tuple[str, ...] | None:
        """Return words; None if there are none or if they are those of the model."""
        return None if tuple(words) in ((), self._default) else tuple(words)

    def set_words(self, words: tuple[str, ...] | None) -> None:
        """Show other words, without `edited`; None for those of the model."""
        if words != self._words:  # else half typed text stays
            self._pause.stop()
            self._words = words
            self._show()

    def set_default(self, words: tuple[str, ...]) -> None:
        """Take the words that the model brings."""
        self.commit()
        self._default = tuple(words)
        self._show()

    def commit(self) -> None:
        """Take what was typed."""
        self._pause.stop()
        typed = read_words(self.edit.toPlainText())
        words = self.own(typed)
        if words != self._words:
            self._words = words
            self._show_state()
            self.edited.emit(words)

    def _on_left(self) -> None:
        self.commit()
        self._show()

    def _on_reset(self) -> None:
        self.edit.setPlainText(write_words(self._default))
        self._on_left()

    def _show(self) -> None:
        words = self._default if self._words is None else self._words
        if read_words(self.edit.toPlainText()) != words:
            with QSignalBlocker(self.edit):
                self.edit.setPlainText(write_words(words))
        self._show_state()

    def _show_state(self) -> None:
        own = self._words is not None
        self.state.setText("Your own" if own else "Those of the model")
        self.reset_button.setEnabled(own)
