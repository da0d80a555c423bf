"""Compare words: small maps of several words for one class, the clearest first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.foreign_text import shown
from napari_gem.core.word_comparison import ComparedMaps, WordOrder
from napari_gem.prompts.parsing import read_words
from napari_gem.prompts.vocabulary import related_words
from napari_gem.widget.parts.column import scroll_area_of
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.menus import add_action
from napari_gem.widget.parts.plain import Label, menu_text, tip
from napari_gem.widget.parts.style import BUTTON
from napari_gem.widget.prompts.cells import UNKNOWN, color_of, share_text
from napari_gem.widget.prompts.class_edit import is_for_table
from napari_gem.widget.prompts.word_maps import WinnerPicture, map_pixmap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QKeyEvent, QResizeEvent

    from napari_gem.core.prompts import Prompt
    from napari_gem.prompts.vocabulary import SetOffer

PAUSE = 150
"""Milliseconds without a change after which words are compared."""

COLUMNS = 3
MARGIN = 8
MOST_SUGGESTED = 12
"""Words that are compared at first."""

NO_CLASS = "Type a class above first; its words are compared here."
ONE_WORD = "Type more words to compare them with it."
BUSY = "A run goes on; the words are compared when it has ended."
NOT_ENCODED = "This image is not encoded yet, and only encoded images show words."
WORKING = "Comparing words..."
HELP = (
    "A click makes a word the class's only one; with Ctrl it is added to the words, or "
    "taken from them. First come the words that tell places apart most clearly."
)
TAKEN = "'{word}' stands in another class; keep it in one of them."


class WordList(QListWidget):
    """The maps, as many side by side as there is room for, without a scroll bar."""

    used = Signal(int, bool)
    """Row of a word that is to be used; whether beside the others."""
    removed = Signal(int)
    """Row of a word that is not to be compared any more."""

    def __init__(self) -> None:
        super().__init__()
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Compared words")
        self.setStyleSheet("QListWidget { background: transparent; border: none; }")
        self.itemClicked.connect(self._on_clicked)

    @property
    def side(self) -> int:
        """Pixels of a map along each axis."""
        return max(48, (self.width() - 2) // COLUMNS - MARGIN)

    def fit(self) -> None:
        """Be as wide and high as the maps need."""
        line = self.fontMetrics().height()
        cell = QSize(self.side + MARGIN - 1, self.side + 2 * line + MARGIN)
        self.setIconSize(QSize(self.side, self.side))
        self.setGridSize(cell)
        rows = -(-self.count() // COLUMNS)
        self.setFixedHeight(rows * cell.height() + (4 if rows else 0))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        """Fit the maps to the width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Use a word by Enter or Space, remove it by Del; the rest is for the table."""
        key, row = event.key(), self.currentRow()
        beside = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if is_for_table(event, False, False):
            event.ignore()
        elif row < 0:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.used.emit(row, beside)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit(row)
        else:
            super().keyPressEvent(event)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        held = QApplication.keyboardModifiers()
        beside = bool(held & Qt.KeyboardModifier.ControlModifier)
        self.used.emit(self.row(item), beside)


class WordExplorer(Fold):
    """A line that unfolds to words for the class of the table, and their maps."""

    words_chosen = Signal(int, object)
    """Label id of a class, and its words from now on."""
    order_changed = Signal(object)
    """The `WordOrder` that is to be computed; None for none."""
    encode_requested = Signal()
    """The image in front is to be encoded."""
    message_sent = Signal(str, str)
    """Kind and a sentence for the user."""

    def __init__(self) -> None:
        super().__init__("Compare words")
        self.set_tooltip("Which word tells the class apart most clearly in this image")
        self._prompt: Prompt | None = None
        self._prompts: Sequence[Prompt] = ()
        self._known: frozenset[str] = frozenset()
        self._offers: Sequence[SetOffer] = ()
        self._candidates: dict[int, tuple[str, ...]] = {}
        self._maps: ComparedMaps | None = None
        self._state: tuple[object, str] = (None, NOT_ENCODED)
        self._asked: object = None
        self._problem = ""  # why there is no answer to it
        self._reveal = QTimer(self, singleShot=True, interval=0)
        self._reveal.timeout.connect(self._scroll_here)
        self._is_new = False  # unfolded, and not answered yet
        self.edit = QLineEdit()
        self.edit.setPlaceholderText("More words, with commas between")
        self.edit.setAccessibleName("Words to compare")
        self.edit.setToolTip("Words that may name the class; Enter compares them, too")
        self.edit.setClearButtonEnabled(True)
        self.sets_button = QToolButton()
        self.sets_button.setText("From sets")
        self.sets_button.setStyleSheet(BUTTON)
        self.sets_button.setToolTip("Take the words of a class of a prompt set")
        self.sets_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.sets_button)
        menu.aboutToShow.connect(self._fill_menu)
        self.sets_button.setMenu(menu)
        self.sentence = Label()
        self.sentence.setWordWrap(True)
        self.encode_button = QPushButton("Encode this image")
        self.encode_button.setToolTip("Run: encode the image and look for the classes")
        self.list = WordList()
        self.list.setToolTip(HELP)
        self.winners = WinnerPicture()
        line = QHBoxLayout()
        line.addWidget(self.edit, 1)
        line.addWidget(self.sets_button)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.addLayout(line)
        for view in (self.sentence, self.encode_button, self.list, self.winners):
            layout.addWidget(view)
        self.hold(content)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        self._pause = QTimer(self, singleShot=True, interval=PAUSE)
        self._pause.timeout.connect(self._ask)
        self.edit.returnPressed.connect(self._on_typed)
        self.encode_button.clicked.connect(self.encode_requested)
        self.list.used.connect(self._on_used)
        self.list.removed.connect(self._on_removed)
        self.list.currentRowChanged.connect(self._show_winners)
        self.toggled.connect(self._on_folded)
        self._show()

    # --- what the dock sets

    def set_model(self, offers: Sequence[SetOffer], known: frozenset[str]) -> None:
        """Take the sets that suit the model, and the words that it knows."""
        if (offers, known) != (self._offers, self._known):
            self._offers, self._known = offers, known
            self._candidates.clear()

    def set_class(self, prompt: Prompt | None, prompts: Sequence[Prompt]) -> None:
        """Take the class whose words are compared, and all classes."""
        labels = [each.label if each else 0 for each in (prompt, self._prompt)]
        if labels[0] != labels[1]:
            self._forget()
        self._prompt, self._prompts = prompt, prompts
        self._show()

    def set_image(self, key: object, encoded: bool, busy: bool) -> None:
        """Take what decides the maps beside the words, and whether they can be made."""
        before = self._state[0]
        self._state = (key, BUSY if busy else "" if encoded else NOT_ENCODED)
        if key != before:
            self._forget(keep=encoded and not busy)
        elif self._state[1]:
            self._asked = None  # what was asked for does not come
        self._show()

    def show_maps(self, outcome: ComparedMaps | str) -> None:
        """Show what came of a comparison: maps, or a sentence why there are none."""
        if self._asked is None:
            return
        self._maps = outcome if isinstance(outcome, ComparedMaps) else None
        self._show_list()
        self._problem = "" if isinstance(outcome, ComparedMaps) else outcome
        self._show()
        if self._is_new:
            self._is_new = False
            self._reveal.start()

    def _scroll_here(self) -> None:
        """Show what has just unfolded, its beginning before its end."""
        area = scroll_area_of(self)
        if area is not None:
            area.ensureWidgetVisible(self.winners, 0, 0)
            area.ensureWidgetVisible(self.edit, 0, 4 * self.fontMetrics().height())

    def start(self) -> None:
        """Unfold, ready to type words."""
        self.expand()
        self.edit.setFocus(Qt.FocusReason.OtherFocusReason)

    def words(self) -> tuple[str, ...]:
        """Return the words that are compared: those of the class come first."""
        prompt = self._prompt
        if prompt is None:
            return ()
        if prompt.label not in self._candidates:
            related = related_words(prompt.words, self._known)[:MOST_SUGGESTED]
            self._candidates[prompt.label] = self._free(related)
        rest = self._candidates[prompt.label]
        return tuple({w.casefold(): w for w in (*rest, *prompt.words)}.values())

    # --- how words are found

    def _free(self, words: Sequence[str]) -> tuple[str, ...]:
        """Leave out words of other classes."""
        taken = {
            word.casefold()
            for prompt in self._prompts
            if self._prompt is None or prompt.label != self._prompt.label
            for word in prompt.words
        }
        return tuple(word for word in words if word.casefold() not in taken)

    def add_words(self, words: Sequence[str]) -> None:
        """Compare more words for the class."""
        if self._prompt is None:
            return
        free = self._free(words)
        for word in words:
            if word not in free:
                self.message_sent.emit("warning", TAKEN.format(word=word))
        kept = (*self.words(), *free)
        self._candidates[self._prompt.label] = tuple(
            {word.casefold(): word for word in kept}.values()
        )
        self._show()

    def _on_typed(self) -> None:
        words = read_words(self.edit.text())
        self.edit.clear()
        self.add_words(words)

    def _fill_menu(self) -> None:
        menu = self.sets_button.menu()
        menu.clear()
        menu.setToolTipsVisible(True)
        for offer in self._offers:
            if offer.needs_another_model:
                continue
            part = menu.addMenu(menu_text(offer.title))
            for prompt in offer.prompts:
                add_action(
                    part,
                    menu_text(prompt.name),
                    tip(", ".join(prompt.words)),
                    partial(self.add_words, prompt.words),
                )

    # --- what the user does with them

    def _on_used(self, row: int, beside: bool) -> None:
        prompt = self._prompt
        if prompt is None or self._maps is None:
            return
        self.list.setCurrentRow(row)
        word = self._maps.compared.words[row].word
        words: tuple[str, ...] = (word,)
        if beside:
            others = tuple(w for w in prompt.words if w.casefold() != word.casefold())
            words = others if len(others) < len(prompt.words) else (*others, word)
        if words:
            # a word that goes stays here to be compared
            self._candidates[prompt.label] = self.words()
            self.words_chosen.emit(prompt.label, words)

    def _on_removed(self, row: int) -> None:
        prompt = self._prompt
        if prompt is None or self._maps is None:
            return
        word = self._maps.compared.words[row].word.casefold()
        kept = tuple(w for w in self.words() if w.casefold() != word)
        self._candidates[prompt.label] = kept
        self._show()

    def _on_folded(self, expanded: bool) -> None:
        self._is_new = expanded
        if expanded:
            self._reveal.start()
        else:
            self._forget()
        self._show()

    # --- what is shown

    def _forget(self, keep: bool = False) -> None:
        """Drop maps that are of another image, class or setting.

        Those of the same image are kept until the next ones come.
        """
        self._asked = None
        if not keep:
            self._maps = None
            self._show_list()
        self.order_changed.emit(None)

    def _show(self) -> None:
        """Say what is missing, or ask for maps."""
        prompt, (key, missing) = self._prompt, self._state
        text = missing
        if prompt is None:
            text = NO_CLASS
        elif not missing and len(self.words()) < 2:
            text = ONE_WORD
        wanted = (prompt.label, self.words(), key) if prompt and not missing else None
        if self.isExpanded() and wanted is not None and wanted != self._asked:
            text = text or (WORKING if self._maps is None else "")
            self._pause.start()
        elif wanted is not None and wanted == self._asked:
            text = self._problem or text
        self.encode_button.setVisible(prompt is not None and missing == NOT_ENCODED)
        self.edit.setEnabled(prompt is not None)
        self.sets_button.setEnabled(prompt is not None)
        self.sentence.setText(text)
        self.sentence.setVisible(bool(text))
        name = f": {shown(prompt.name)}" if prompt else ""
        self.set_title(f"Compare words{name}")
        self._mark_used()

    def _ask(self) -> None:
        prompt, (key, missing) = self._prompt, self._state
        words = self.words()
        if prompt is None or missing or not self.isExpanded() or not words:
            return
        wanted = prompt.label, words, key
        if wanted != self._asked:
            self._asked, self._problem = wanted, ""
            self.order_changed.emit(WordOrder(prompt.label, words))

    def _show_list(self) -> None:
        maps, prompt = self._maps, self._prompt
        current = self.list.currentItem()
        before = current.data(Qt.ItemDataRole.UserRole) if current else ""
        self.list.clear()
        self.winners.clear()
        if maps is not None and prompt is not None:
            pairs = zip(maps.compared.words, maps.probabilities, strict=True)
            for word, probability in pairs:
                pixmap = map_pixmap(probability, color_of(prompt), self.list.side)
                icon = QIcon(pixmap)
                # else the selection would colour the map
                icon.addPixmap(pixmap, QIcon.Mode.Selected)
                item = QListWidgetItem(icon, "")
                item.setData(Qt.ItemDataRole.UserRole, word.word)
                self.list.addItem(item)
            names = [word.word for word in maps.compared.words]
            self.list.setCurrentRow(names.index(before) if before in names else 0)
        self.list.fit()
        self._mark_used()

    def _mark_used(self) -> None:
        """Write below each map its word, with a mark if the class has it."""
        maps, prompt = self._maps, self._prompt
        if maps is None or prompt is None:
            return
        used = {word.casefold() for word in prompt.words}
        for row, word in enumerate(maps.compared.words):
            marks = "✓ " * (word.word.casefold() in used)
            marks += f"{UNKNOWN} " * (not word.known)
            item = self.list.item(row)
            item.setText(f"{marks}{shown(word.word)}\n{word.separation:.0%} clear")
            about = [
                f"{shown(word.word)}: {word.separation:.0%} clear, would get "
                f"{share_text(word.share)} of the image."
            ]
            if word.agreement is not None:
                about.append(f"It agrees with the examples by {word.agreement:.0%}.")
            if not word.known:
                about.append("The model does not know it: its map means nothing.")
            text = " ".join(about)
            item.setToolTip(tip(f"{text}\n{HELP}"))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, text)

    def _show_winners(self, row: int) -> None:
        if self._maps is not None and self._prompt is not None and row >= 0:
            color = QColor(color_of(self._prompt))
            self.winners.show_word(self._maps, row, color)
