"""Prompts as a table: type, reorder, switch, undo; sets to load and to save."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAction,
    QColorDialog,
    QHBoxLayout,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.core.path_names import file_name
from napari_gem.core.prompts import Prompt
from napari_gem.layers import read_entry
from napari_gem.prompts.ids import moved_ids
from napari_gem.prompts.parsing import read_words
from napari_gem.prompts.sets import (
    ENDING,
    PromptSet,
    list_sets,
    portable,
    read_set,
    write_set,
)
from napari_gem.prompts.vocabulary import fit_set
from napari_gem.widget.keys import key_of
from napari_gem.widget.parts.dialogs import path_to_open, path_to_save
from napari_gem.widget.parts.menus import add_action
from napari_gem.widget.parts.plain import menu_text, tip
from napari_gem.widget.parts.style import BUTTON
from napari_gem.widget.prompts.background import BackgroundWords
from napari_gem.widget.prompts.cells import color_of
from napari_gem.widget.prompts.class_edit import ClassEdit, is_run
from napari_gem.widget.prompts.domain_choice import DomainChoice
from napari_gem.widget.prompts.set_offers import SetOffers
from napari_gem.widget.prompts.table_model import PromptModel
from napari_gem.widget.prompts.table_view import PromptView
from napari_gem.widget.prompts.word_explorer import WordExplorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qtpy.QtGui import QColor

    from napari_gem.core.prompts import Example

FILES = f"Prompt sets (*{ENDING})"


class PromptTable(QWidget):
    """Table of classes, a line to type new ones, background words, and a menu of sets.

    ``known`` is as in `PromptModel`.
    """

    changed = Signal(bool)
    """Prompts, background words or templates; True while a control moves."""
    message_sent = Signal(str, str)
    """Kind (``info``, ``warning``) and a sentence for the user."""
    current_changed = Signal(object)
    """Another class is current: its `Prompt`, or None. Not sent when fields change."""
    map_toggled = Signal(object)
    """Show or hide the map of this `Prompt`."""
    run_requested = Signal()
    """Ctrl+Enter was pressed; what was typed is in the table."""

    def __init__(self, known: Callable[[], Mapping[int, str]] = dict) -> None:
        super().__init__()
        self._suggested: tuple[Prompt, ...] | None = None
        self._vectors: dict[tuple[int, object], Example] = {}
        self._current_label = 0
        # a cell that is edited gets its text only after the key was handled
        self._run_soon = QTimer(self, singleShot=True, interval=0)
        self._run_soon.timeout.connect(self.run_requested)
        self.model = PromptModel(self, known)
        self.view = PromptView(self.model)
        self.edit = ClassEdit()
        self.menu_button = QToolButton()
        self.domain_choice = DomainChoice()
        self.background_words = BackgroundWords()
        self.set_offers = SetOffers()
        self.word_explorer = WordExplorer()
        self._known_words: frozenset[str] = frozenset()
        self._build_menu()
        line = QHBoxLayout()
        line.addWidget(self.edit, 1)
        line.addWidget(self.menu_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view, 1)
        layout.addLayout(line)
        layout.addWidget(self.set_offers)
        layout.addWidget(self.domain_choice)
        layout.addWidget(self.background_words)
        layout.addWidget(self.word_explorer)
        self._connect()

    # --- what is in it

    def prompts(self) -> tuple[Prompt, ...]:
        """All classes, those that are off too."""
        return self.model.state.prompts

    def set_prompts(self, prompts: Sequence[Prompt], undoable: bool = True) -> bool:
        """Replace all classes, as `PromptModel.set_prompts`."""
        return self.model.set_prompts(tuple(prompts), undoable=undoable)

    def add_text(self, text: str) -> tuple[str, ...]:
        """Add classes: one a line, a comma between synonyms; return refused lines."""
        added, refused = self.model.add(text.splitlines())
        if added:
            self.view.go_to(self.model.row_of(added[-1].label))
        return refused

    def take_typed(self) -> None:
        """Take what was typed into the line and the background words."""
        text = self.edit.text()
        if text:
            refused = self.add_text(text)
            # the user can mend a refused line, unless it was pasted as one of many
            kept = refused[0] if len(text.splitlines()) == 1 and refused else ""
            self.edit.setText(kept)
            self.edit.selectAll()
        self.background_words.commit()

    def background(self) -> tuple[str, ...] | None:
        """Background words; None for those of the model."""
        self.background_words.commit()
        return self.model.state.background

    def set_background(self, words: Sequence[str] | None) -> None:
        """Replace the background words; None, or those of the model, for its own."""
        self.background_words.commit()
        self.model.set_background(self.background_words.own(words or ()))

    def set_default_background(self, words: Sequence[str]) -> None:
        """Take the background words that the model brings."""
        self.background_words.set_default(tuple(words))

    def set_domains(self) -> tuple[str, ...]:
        """Domains of the set that was loaded, while a class of it is left."""
        state = self.model.state
        left = {*state.reserved.values()} & {prompt.name for prompt in state.prompts}
        return state.origin.domains if left else ()

    def set_model(self, domain: str, known_words: frozenset[str]) -> None:
        """Offer sets that suit a model, and name words that it does not know.

        See `napari_gem.prompts.vocabulary.offered_sets`.
        """
        self._known_words = known_words
        self.model.set_known_words(known_words)
        self.set_offers.set_model(domain, known_words)
        self.word_explorer.set_model(self.set_offers.offers, known_words)
        self._list_sets()

    def templates(self) -> tuple[str, ...] | None:
        """Sentences of the set that was loaded; None for those of the model."""
        return self.model.state.templates

    def set_templates(self, lines: Sequence[str] | None) -> None:
        """Take the sentences of a set; None for those of the model."""
        self.model.set_templates(None if lines is None else tuple(lines))

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

    def suggest(self, layer: Any) -> None:
        """Fill in the prompts that a sample brings, unless there are others."""
        lines = read_entry(layer).prompts
        if not lines or self.prompts() not in ((), self._suggested):
            return
        words = [read_words(line) for line in lines]
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

    def _step(self, step: int) -> None:
        count = self.model.rowCount()
        if count:
            row = self.view.currentIndex().row()
            start = -1 if row < 0 < step else max(row, 0)
            self.view.go_to((start + step) % count)

    # --- sets

    def load_set(self, name_or_path: str | Path) -> None:
        """Replace all of it by a built-in set or a file; errors become a message.

        Of a built-in set only what the model knows is switched on.
        """
        try:
            prompt_set = read_set(name_or_path)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return
        remark = prompt_set.tested
        fitting = fit_set(prompt_set, self._known_words)
        on, count = sum(prompt.on for prompt in fitting.prompts), len(fitting.prompts)
        if self._known_words and name_or_path in list_sets():
            prompt_set = fitting
            remark = (
                f"The model knows {on} of its {count} classes; the others are "
                "switched off, and need a CLIP model."
            )
        elif on < count:  # a set of the user is loaded as it is
            remark = f"The model knows {on} of its {count} classes."
        if self.model.load(prompt_set):
            moved = moved_ids(prompt_set.prompts, self.prompts())
            sentences = (f"Loaded '{prompt_set.name}'.", remark, moved)
            self.message_sent.emit("info", " ".join(filter(None, sentences)))

    def save_set(self, path: str | Path) -> None:
        """Write all of it as a set; errors become a message.

        Examples are written with their vectors; those without one belong to this image
        only and are left out.
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
        lost = _count_examples(whole) - _count_examples(kept)
        more = f" Left out: {lost} examples of this image only." if lost else ""
        self.message_sent.emit("info", f"Saved '{path}'.{more}")

    def note_vectors(self, prompts: Iterable[Prompt]) -> None:
        """Take the vectors of examples from a result, to be saved with a set."""
        self._vectors = {
            (prompt.label, example.point): example
            for prompt in prompts
            for example in prompt.examples
            if example.vector
        }

    def _with_vectors(self, prompt_set: PromptSet) -> PromptSet:
        prompts = []
        for prompt in prompt_set.prompts:
            examples = (
                self._vectors.get((prompt.label, example.point), example)
                for example in prompt.examples
            )
            prompts.append(replace(prompt, examples=tuple(examples)))
        return replace(prompt_set, prompts=tuple(prompts))

    # --- keys

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
        # not every platform has both Ctrl+Y and Ctrl+Shift+Z among Qt's keys for it
        pressed = QKeySequence(event.keyCombination())
        again = (QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y"))
        if event.matches(keys.Redo) or pressed in again:
            return self.model.redo
        return None

    # --- menus

    def _build_menu(self) -> None:
        button = self.menu_button
        button.setText("Sets")
        button.setAccessibleName("Prompt sets")
        # room for the arrow, which napari's style paints over the text
        button.setStyleSheet(BUTTON)
        button.setToolTip("Prompt sets to load, to save; undo; clear")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        self._first = menu.addSeparator()
        self._sets: list[QAction] = []
        add_action(menu, "Load set…", "Replace the table by a file", self._on_load)
        self._save = add_action(
            menu,
            "Save set…",
            "Write classes, background words and templates to a file",
            self._on_save,
        )
        menu.addSeparator()
        self._undo, self._redo = self._add_undo(menu)
        self._clear = add_action(
            menu,
            "Clear",
            "Remove all classes; Undo brings them back",
            lambda: self.set_prompts(()),
        )
        menu.aboutToShow.connect(self._on_menu)
        button.setMenu(menu)
        self._list_sets()

    def _list_sets(self) -> None:
        """List the sets in the menu, those first that suit the model."""
        menu = self.menu_button.menu()
        for action in self._sets:
            menu.removeAction(action)
            action.deleteLater()
        self._sets = []
        for offer in self.set_offers.offers:
            note = f" ({offer.note})" if offer.note else ""
            action = add_action(
                menu,
                menu_text(f"{offer.title}{note}"),
                tip(f"Replace the table by this set. {offer.about}"),
                partial(self.load_set, offer.name),
            )
            menu.insertAction(self._first, action)
            self._sets.append(action)

    def context_menu(self) -> QMenu:
        """Make the menu of the selected classes."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        prompt = self.current()
        if prompt is not None:
            label = prompt.label
            add_action(
                menu,
                "Switch off" if prompt.on else "Switch on",
                "Whether the class is looked for (Space)",
                lambda: self._toggle(label),
            )
            add_action(
                menu,
                "Colour…",
                "Colour of the class in maps and labels",
                lambda: self._ask_color(label),
            )
            add_action(
                menu,
                f"Show or hide map\t{key_of('toggle_map')}",
                "The map of the class in the last result",
                lambda: self.map_toggled.emit(prompt),
            )
            add_action(
                menu,
                "Compare words",
                "Which word tells the class apart most clearly in this image",
                self.word_explorer.start,
            )
            add_action(
                menu, "Remove\tDel", "Remove the selected classes", self._on_remove
            )
            menu.addSeparator()
        self._add_undo(menu)
        return menu

    def _add_undo(self, menu: QMenu) -> tuple[QAction, QAction]:
        undo = add_action(
            menu,
            "Undo\tCtrl+Z",
            "Take the last change of the table back",
            self.model.undo,
        )
        redo = add_action(
            menu,
            "Redo\tCtrl+Shift+Z",
            "Make the change again that was taken back",
            self.model.redo,
        )
        undo.setEnabled(self.model.history.can_undo)
        redo.setEnabled(self.model.history.can_redo)
        return undo, redo

    def _on_menu(self) -> None:
        self._save.setEnabled(bool(self.prompts()))
        self._clear.setEnabled(bool(self.prompts()))
        self._undo.setEnabled(self.model.history.can_undo)
        self._redo.setEnabled(self.model.history.can_redo)

    def _on_load(self) -> None:
        path = path_to_open(self, "Load a prompt set", FILES)
        if path:
            self.load_set(path)

    def _on_save(self) -> None:
        # the name of a set from elsewhere must not choose a folder
        name = file_name(self.model.state.origin.name.casefold(), ENDING, "prompts")
        path = path_to_save(self, "Save the prompt set", name, FILES)
        if path:
            self.save_set(path)

    # --- slots

    def _connect(self) -> None:
        self.model.changed.connect(self._on_changed)
        self.model.message_sent.connect(self.message_sent)
        self.edit.returnPressed.connect(self.take_typed)
        self.edit.lines_pasted.connect(self.take_typed)
        self.background_words.edited.connect(self.model.set_background)
        self.domain_choice.domain_chosen.connect(lambda _: self.changed.emit(False))
        self.set_offers.chosen.connect(self.load_set)
        self.word_explorer.words_chosen.connect(self._on_words_chosen)
        self.word_explorer.encode_requested.connect(self._on_run)
        self.word_explorer.message_sent.connect(self.message_sent)
        view = self.view
        view.selectionModel().currentRowChanged.connect(self._on_current)
        view.threshold_dragged.connect(self._on_threshold_dragged)
        view.color_requested.connect(self._ask_color)
        view.toggle_requested.connect(self._toggle)
        view.remove_requested.connect(self._on_remove)
        view.move_requested.connect(self._on_move)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._on_context_menu)

    def _on_changed(self, moving: bool) -> None:
        self.background_words.set_words(self.model.state.background)
        self.set_offers.set_prompts(self.prompts())
        if self.prompts() and self.current() is None:
            self.view.go_to(0)
        self._on_current()
        self.changed.emit(moving)

    def _on_current(self, *_: Any) -> None:
        if not self.model.settled:
            return
        prompt = self.current()
        self.word_explorer.set_class(prompt, self.prompts())
        label = 0 if prompt is None else prompt.label
        if label != self._current_label:
            self._current_label = label
            self.current_changed.emit(prompt)

    def _on_run(self) -> None:
        self.take_typed()
        self._run_soon.start()

    def _on_threshold_dragged(self, label: int, value: float, moving: bool) -> None:
        self.model.change(label, moving=moving, threshold=value)

    def _on_words_chosen(self, label: int, words: tuple[str, ...]) -> None:
        prompt = self.model.prompt_of(label)
        if prompt is not None:
            # the class keeps its name, which stands in results
            self.model.change(label, words=words, title=prompt.name)

    def _toggle(self, label: int) -> None:
        prompt = self.model.prompt_of(label)
        if prompt is not None:
            self.model.change(label, on=not prompt.on)

    def _ask_color(self, label: int) -> None:
        prompt = self.model.prompt_of(label)
        if prompt is None:
            return

        def set_color(color: QColor) -> None:
            parts = (color.redF(), color.greenF(), color.blueF())
            self.model.change(label, color=tuple(round(part, 4) for part in parts))

        dialog = QColorDialog(color_of(prompt), self)
        dialog.setWindowTitle(shown(f"Colour of '{prompt.name}'"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.colorSelected.connect(set_color)
        dialog.open()

    def _on_remove(self) -> None:
        labels = self.view.selected_labels()
        if labels:
            self.model.remove(labels)

    def _on_move(self, step: int) -> None:
        labels = self.view.selected_labels()
        if labels:
            rows = [self.model.row_of(label) for label in labels]
            target = min(rows) - 1 if step < 0 else max(rows) + 2
            self.model.move(labels, max(0, target))

    def _on_context_menu(self, point: QPoint) -> None:
        self.context_menu().popup(self.view.viewport().mapToGlobal(point))


def _count_examples(prompt_set: PromptSet) -> int:
    return sum(len(prompt.examples) for prompt in prompt_set.prompts)
