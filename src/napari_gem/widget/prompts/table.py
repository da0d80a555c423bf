"""Prompts as a table: type, reorder, switch, undo; sets to load and to save."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAction,
    QColorDialog,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.core.path_names import file_name
from napari_gem.core.prompts import Prompt
from napari_gem.layers import KEY
from napari_gem.prompts.ids import moved_ids
from napari_gem.prompts.sets import (
    ENDING,
    PromptSet,
    list_sets,
    portable,
    read_set,
    write_set,
)
from napari_gem.widget.parts.plain import ask, menu_text
from napari_gem.widget.parts.style import BUTTON
from napari_gem.widget.prompts.background import BackgroundWords
from napari_gem.widget.prompts.table_model import PromptModel, color_of
from napari_gem.widget.prompts.table_view import PromptView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qtpy.QtGui import QColor

    from napari_gem.core.prompts import Example

PLACEHOLDER = "Type a class and press Enter"
FILES = f"Prompt sets (*{ENDING})"


class ClassEdit(QLineEdit):
    """A line for new classes; text of several lines is taken at once."""

    lines_pasted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(PLACEHOLDER)
        self.setClearButtonEnabled(True)
        self.setToolTip(
            "A class to look for; a comma separates synonyms. Several lines that are "
            "pasted become several classes. Ctrl+Enter also runs."
        )
        self.setAccessibleName("New class")
        self.textChanged.connect(self._on_text)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Pass on Ctrl+Enter, and Undo where nothing was typed."""
        keys = QKeySequence.StandardKey
        if (
            is_run(event)
            or (event.matches(keys.Undo) and not self.isUndoAvailable())
            or (event.matches(keys.Redo) and not self.isRedoAvailable())
        ):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _on_text(self, text: str) -> None:
        if len(text.splitlines()) > 1:
            self.lines_pasted.emit()


class PromptTable(QWidget):
    """Table of classes with what belongs to it.

    Parameters
    ----------
    parent
        Widget that it is part of.
    known
        As in `PromptModel`.

    Signals
    -------
    changed
        Prompts, background words or templates; True while a control moves.
    message_sent
        Kind (``info``, ``warning``) and a sentence for the user.
    current_changed
        `Prompt` of the current row, or None; told when another class is current,
        not when its fields change.
    run_requested
        Ctrl+Enter was pressed; what was typed is in the table.
    """

    changed = Signal(bool)
    message_sent = Signal(str, str)
    current_changed = Signal(object)
    run_requested = Signal()

    def __init__(
        self,
        parent: QWidget | None = None,
        known: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        super().__init__(parent)
        self._suggested: tuple[Prompt, ...] | None = None
        self._vectors: dict[tuple[int, object], Example] = {}
        self._announced = 0
        self._run_soon = QTimer(self)
        self._run_soon.setSingleShot(True)
        self._run_soon.timeout.connect(self.run_requested)
        self.model = PromptModel(self, known)
        self.view = PromptView(self.model)
        self.edit = ClassEdit()
        self.menu_button = QToolButton()
        self.background_words = BackgroundWords()
        self._build_menu()
        line = QHBoxLayout()
        line.addWidget(self.edit, 1)
        line.addWidget(self.menu_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view, 1)
        layout.addLayout(line)
        layout.addWidget(self.background_words)
        self._connect()

    # --- what is in it

    def prompts(self) -> tuple[Prompt, ...]:
        """All classes, those that are off too."""
        return self.model.state.prompts

    def set_prompts(self, prompts: Sequence[Prompt], undoable: bool = True) -> None:
        """Replace all classes; those with label 0 get an id of their own.

        Parameters
        ----------
        prompts
            The classes. What is wrong with them is told, and nothing changes.
        undoable
            False also forgets what could be undone.
        """
        self.model.set_prompts(tuple(prompts), undoable=undoable)

    def add_text(self, text: str) -> tuple[str, ...]:
        """Add classes: one a line, a comma between synonyms.

        Returns
        -------
        tuple[str, ...]
            Lines that were refused; why is told.
        """
        added, refused = self.model.add(text.splitlines())
        if added:
            self.view.go_to(self.model.row_of(added[-1].label))
        return refused

    def take_typed(self) -> None:
        """Take what was typed into the line and the background words."""
        text = self.edit.text()
        if text:
            refused = self.add_text(text)
            # what is refused can be mended, unless it was pasted as one of many
            kept = refused[0] if len(text.splitlines()) == 1 and refused else ""
            self.edit.setText(kept)
            self.edit.selectAll()
        self.background_words.commit()

    def set_examples(self, label: int, examples: tuple[Example, ...]) -> None:
        """Replace the examples of a class; nothing if it is not there."""
        prompt = self.model.prompt_at(self.model.row_of(label))
        if prompt is not None and prompt.examples != examples:
            self.model.change(label, examples=tuple(examples))

    def background(self) -> tuple[str, ...] | None:
        """Background words; None for those of the model."""
        self.background_words.commit()
        return self.model.state.background

    def set_background(self, words: Sequence[str] | None) -> None:
        """Replace the background words; None, or those of the model, for its own."""
        self.background_words.commit()
        self.model.set_background(self.background_words.own(words or ()))

    def set_default_background(self, words: Sequence[str]) -> None:
        """Tell which background words the model brings."""
        self.background_words.set_default(tuple(words))

    def templates(self) -> tuple[str, ...] | None:
        """Sentences of the set that was loaded; None for those of the model."""
        return self.model.state.templates

    def prompt_set(self) -> PromptSet:
        """Return all of it as a set."""
        self.background_words.commit()
        state = self.model.state
        return replace(
            state.origin,
            prompts=state.prompts,
            background=state.background or (),
            templates=state.templates or (),
        )

    def set_prompt_set(self, prompt_set: PromptSet) -> None:
        """Replace all of it by a set, as one step of undo."""
        self.model.load(prompt_set)

    def suggest(self, layer: Any) -> None:
        """Fill in the prompts that a sample brings, unless there are others."""
        entry = {} if layer is None else layer.metadata.get(KEY, {})
        lines = entry.get("prompts") if isinstance(entry, dict) else None
        if not lines or self.prompts() not in ((), self._suggested):
            return
        words = [tuple(part.strip() for part in line.split(",")) for line in lines]
        if words == [prompt.words for prompt in self.prompts()]:
            return
        self.set_prompts([Prompt(each) for each in words], undoable=False)
        self._suggested = self.prompts()

    # --- the current class

    def current(self) -> Prompt | None:
        """Class of the current row."""
        return self.view.current_prompt()

    def select_next(self) -> None:
        """Go to the class below; from the last to the first."""
        self._step(1)

    def select_previous(self) -> None:
        """Go to the class above; from the first to the last."""
        self._step(-1)

    def toggle_current(self) -> None:
        """Switch the current class on or off."""
        prompt = self.current()
        if prompt is not None:
            self._toggle(prompt.label)

    # --- what a result tells

    def note_vectors(self, prompts: Iterable[Prompt]) -> None:
        """Take the vectors of examples that a result told, to be saved with a set."""
        self._vectors = {
            (prompt.label, example.point): example
            for prompt in prompts
            for example in prompt.examples
            if example.vector
        }

    def _with_vectors(self, prompt_set: PromptSet) -> PromptSet:
        prompts = (
            replace(
                prompt,
                examples=tuple(
                    self._vectors.get((prompt.label, example.point), example)
                    for example in prompt.examples
                ),
            )
            for prompt in prompt_set.prompts
        )
        return replace(prompt_set, prompts=tuple(prompts))

    def show_shares(self, shares: Mapping[int, float]) -> None:
        """Show which part of the image, 0 to 1, each label id has."""
        self.model.show_shares(shares)

    def show_absent(self, labels: Iterable[int]) -> None:
        """Mark classes, by label id, that are probably not in the image."""
        self.model.show_absent(labels)

    # --- sets

    def load_set(self, name_or_path: str | Path) -> None:
        """Replace all of it by a built-in set or a file; what is wrong is told."""
        try:
            prompt_set = read_set(name_or_path)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return
        if self.model.load(prompt_set):
            moved = moved_ids(prompt_set.prompts, self.prompts())
            told = (f"Loaded '{prompt_set.name}'.", moved, prompt_set.tested)
            self.message_sent.emit("info", " ".join(part for part in told if part))

    def save_set(self, path: str | Path) -> None:
        """Write all of it as a set; what is wrong is told.

        Examples keep their vectors; one without is of this image only and left out.
        """
        path = Path(path)
        path = path if path.suffix else path.with_suffix(ENDING)
        whole = self._with_vectors(self.prompt_set())
        name = whole.name
        if name.casefold().replace(" ", "-") != path.stem.casefold():
            name = path.stem
        try:
            kept = portable(replace(whole, name=name))
            write_set(path, kept)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return
        lost = _examples(whole) - _examples(kept)
        more = f" Left out: {lost} examples of this image only." if lost else ""
        self.message_sent.emit("info", f"Saved '{path}'.{more}")

    # --- Qt

    def event(self, event: QEvent) -> bool:
        """Take keys that are menu shortcuts elsewhere."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and self._action_of(event) is not None
        ):
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Run, undo, redo."""
        action = self._action_of(event)
        if action is None:
            super().keyPressEvent(event)
        else:
            action()

    def _action_of(self, event: QKeyEvent) -> Callable[[], None] | None:
        keys = QKeySequence.StandardKey
        if is_run(event):
            return self._on_run
        if event.matches(keys.Undo):
            return self.model.undo
        # Ctrl+Y is not everywhere one of Qt's keys for it, and neither is Ctrl+Shift+Z
        pressed = QKeySequence(event.keyCombination())
        again = (QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y"))
        if event.matches(keys.Redo) or pressed in again:
            return self.model.redo
        return None

    def _build_menu(self) -> None:
        button = self.menu_button
        button.setText("Sets")
        # room for the arrow, which napari's style paints over the text
        button.setStyleSheet(BUTTON)
        button.setToolTip("Prompt sets to load, to save; undo; clear")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        for name in list_sets():
            action = menu.addAction(menu_text(name.replace("-", " ").capitalize()))
            action.setToolTip(f"Replace the table by the set '{name}'")
            action.triggered.connect(lambda _=False, name=name: self.load_set(name))
        menu.addSeparator()
        load = menu.addAction("Load set…")
        load.setToolTip("Replace the table by a file")
        load.triggered.connect(self._on_load)
        self._save = menu.addAction("Save set…")
        self._save.setToolTip("Write classes, background words and templates to a file")
        self._save.triggered.connect(self._on_save)
        menu.addSeparator()
        self._undo, self._redo = self._undo_actions(menu)
        self._clear = menu.addAction("Clear")
        self._clear.setToolTip("Remove all classes; Undo brings them back")
        self._clear.triggered.connect(lambda: self.set_prompts(()))
        menu.aboutToShow.connect(self._on_menu)
        button.setMenu(menu)

    def _undo_actions(self, menu: QMenu) -> tuple[QAction, QAction]:
        undo = menu.addAction("Undo\tCtrl+Z")
        undo.setToolTip("Take the last change of the table back")
        undo.triggered.connect(self.model.undo)
        redo = menu.addAction("Redo\tCtrl+Shift+Z")
        redo.setToolTip("Make the change again that was taken back")
        redo.triggered.connect(self.model.redo)
        undo.setEnabled(self.model.can_undo)
        redo.setEnabled(self.model.can_redo)
        return undo, redo

    def _connect(self) -> None:
        self.model.changed.connect(self._on_changed)
        self.model.message_sent.connect(self.message_sent)
        self.edit.returnPressed.connect(self.take_typed)
        self.edit.lines_pasted.connect(self.take_typed)
        self.background_words.edited.connect(self.model.set_background)
        view = self.view
        view.selectionModel().currentRowChanged.connect(self._announce)
        view.threshold_dragged.connect(self._on_threshold_dragged)
        view.color_requested.connect(self._ask_color)
        view.toggle_requested.connect(self._toggle)
        view.remove_requested.connect(self._on_remove)
        view.move_requested.connect(self._on_move)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._on_context_menu)

    def _on_changed(self, moving: bool) -> None:
        self.background_words.set_words(self.model.state.background)
        if self.prompts() and self.current() is None:
            self.view.go_to(0)
        self._announce()
        self.changed.emit(moving)

    def _announce(self, *_: Any) -> None:
        if not self.model.settled:
            return
        prompt = self.current()
        label = 0 if prompt is None else prompt.label
        if label != self._announced:
            self._announced = label
            self.current_changed.emit(prompt)

    def _on_run(self) -> None:
        self.take_typed()
        # a cell that is edited gets its text only after the key was handled
        self._run_soon.start()

    def _on_threshold_dragged(self, label: int, value: float, moving: bool) -> None:
        self.model.change(label, moving=moving, threshold=value)

    def _toggle(self, label: int) -> None:
        prompt = self.model.prompt_at(self.model.row_of(label))
        if prompt is not None:
            self.model.change(label, on=not prompt.on)

    def _ask_color(self, label: int) -> None:
        prompt = self.model.prompt_at(self.model.row_of(label))
        if prompt is None:
            return
        dialog = QColorDialog(color_of(prompt), self)
        dialog.setWindowTitle(shown(f"Colour of '{prompt.name}'"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

        def take(color: QColor) -> None:
            parts = (color.redF(), color.greenF(), color.blueF())
            self.model.change(label, color=tuple(round(part, 4) for part in parts))

        dialog.colorSelected.connect(take)
        dialog.open()

    def _on_remove(self) -> None:
        labels = self.view.selected_labels()
        if labels:
            self.model.remove(labels)

    def _on_move(self, step: int) -> None:
        labels = self.view.selected_labels()
        if not labels:
            return
        rows = [self.model.row_of(label) for label in labels]
        target = min(rows) - 1 if step < 0 else max(rows) + 2
        self.model.move(labels, max(0, target))

    def _step(self, step: int) -> None:
        count = self.model.rowCount()
        if count:
            row = self.view.currentIndex().row()
            start = -1 if row < 0 < step else max(row, 0)
            self.view.go_to((start + step) % count)

    def _on_menu(self) -> None:
        there = bool(self.prompts())
        self._save.setEnabled(there)
        self._clear.setEnabled(there)
        self._undo.setEnabled(self.model.can_undo)
        self._redo.setEnabled(self.model.can_redo)

    def _on_context_menu(self, point: QPoint) -> None:
        self.context_menu().popup(self.view.viewport().mapToGlobal(point))

    def context_menu(self) -> QMenu:
        """Make the menu of the selected classes."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        prompt = self.current()
        if prompt is not None:
            label = prompt.label
            switch = menu.addAction("Switch off" if prompt.on else "Switch on")
            switch.setToolTip("Whether the class is looked for (Space)")
            switch.triggered.connect(lambda: self._toggle(label))
            color = menu.addAction("Colour…")
            color.setToolTip("Colour of the class in maps and labels")
            color.triggered.connect(lambda: self._ask_color(label))
            remove = menu.addAction("Remove\tDel")
            remove.setToolTip("Remove the selected classes")
            remove.triggered.connect(self._on_remove)
            menu.addSeparator()
        self._undo_actions(menu)
        return menu

    def _on_load(self) -> None:
        path, _ = ask(
            self,
            lambda: QFileDialog.getOpenFileName(self, "Load a prompt set", "", FILES),
        ) or ("", "")
        if path:
            self.load_set(path)

    def _on_save(self) -> None:
        # a set from elsewhere chooses no folder
        name = file_name(self.model.state.origin.name.casefold(), ENDING, "prompts")
        path, _ = ask(
            self,
            lambda: QFileDialog.getSaveFileName(
                self, "Save the prompt set", name, FILES
            ),
        ) or ("", "")
        if path:
            self.save_set(path)


def is_run(event: QKeyEvent) -> bool:
    """Tell whether a key asks for Run: Ctrl+Enter."""
    enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
    return enter and bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)


def _examples(prompt_set: PromptSet) -> int:
    return sum(len(prompt.examples) for prompt in prompt_set.prompts)
