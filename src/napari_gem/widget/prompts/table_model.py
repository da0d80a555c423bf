"""The classes as a Qt table model: label ids, checks, undo; has no widgets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QMimeData, QModelIndex, Qt, Signal

from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.prompts.ids import check_name, class_key, keep_ids, number_classes
from napari_gem.prompts.parsing import MOST_CLASSES, parse_prompts, read_words
from napari_gem.prompts.sets import PromptSet
from napari_gem.prompts.vocabulary import unknown_words
from napari_gem.widget.prompts.cells import (
    HEADERS,
    Column,
    cell_data,
    cell_value,
    header_data,
)
from napari_gem.widget.prompts.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qtpy.QtCore import QObject

    from napari_gem.core.prompts import Example

    Points = Mapping[str, Mapping[int, tuple[tuple[float, ...], ...]]]
    Examples = Mapping[int, tuple[Example, ...]]

LABELS = "application/x-napari-gem-labels"
"""Format of dragged rows: their label ids."""


@dataclass(frozen=True)
class TableState:
    """All that undo brings back.

    Attributes
    ----------
    prompts
        All rows, each with a label id.
    background, templates
        Words and sentences; None for those of the model.
    origin
        The set that was loaded, without its contents.
    points
        Points of each label id on each image, as `ExamplePoints.places` returns them;
        also of classes that were removed.
    reserved
        Name of each label id of the set or recipe that was loaded, also of classes that
        were removed; empty if the table was emptied.
    """

    prompts: tuple[Prompt, ...] = ()
    background: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    origin: PromptSet = field(default_factory=lambda: PromptSet(""))
    points: Points = field(default_factory=dict)
    reserved: Mapping[int, str] = field(default_factory=dict)


class PromptModel(QAbstractTableModel):
    """A row for each class.

    An id is reserved for a class, by its name, if it stands in a result of this
    session, in the set or recipe that was loaded, or at points that were clicked. A new
    class gets the id that is reserved for its name, or else the lowest free one. So an
    id stands for one class until the user renames it, and that of a class which was
    never looked for is free again when the class is removed. A change that is not valid
    is refused as a whole, with a message.

    ``known`` returns the name of the class of each label id in the viewer's layers.
    When they have none any more, the ids of earlier results are free.
    """

    changing = Signal()
    """A change is about to begin."""
    changed = Signal(bool)
    """Other prompts, background words or templates; True while a control moves."""
    message_sent = Signal(str, str)
    """Kind and sentence."""

    def __init__(
        self,
        parent: QObject | None = None,
        known: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        super().__init__(parent)
        self._state = TableState()
        self._rows: list[Prompt] = []  # what views see: changes row by row
        self._known = known
        self._names: dict[int, str] = {}  # the last class of each label id
        self._same_class: set[tuple[int, str, str]] = set()
        self._in_results: set[int] = set()  # label ids
        self._shares: dict[int, float] = {}
        self._absent: frozenset[int] = frozenset()
        self._whole = "image"
        self._known_words: frozenset[str] = frozenset()
        self.history: History[TableState] = History()
        self.settled = True
        """False while rows change one by one, until `changed` is emitted."""

    @property
    def state(self) -> TableState:
        """All that undo brings back."""
        return self._state

    def prompt_at(self, row: int) -> Prompt | None:
        """Class of a row; None if there is no such row."""
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def prompt_of(self, label: int) -> Prompt | None:
        """Class of a label id; None if it is not in the table."""
        return self.prompt_at(self.row_of(label))

    def row_of(self, label: int) -> int:
        """Row of a class; -1 if it is not in the table."""
        return next((r for r, p in enumerate(self._rows) if p.label == label), -1)

    # --- changes

    def add(self, lines: Iterable[str]) -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
        """Add classes, one a line; return them, and the lines that were refused.

        All that was refused is in one message.
        """
        lines = [line for line in lines if line.strip()]
        before = self._state.prompts
        prompts = list(before)
        refused: list[str] = []
        reason = ""
        for line in lines:
            try:
                prompts.append(_new_class(line, prompts))
            except GemError as error:
                refused.append(line.strip())
                reason = reason or str(error)
        if len(prompts) > len(before) and not self._commit(prompts=tuple(prompts)):
            return (), tuple(lines)
        if refused:
            more = len(refused) - 1
            others = f" {more} more left out, too." if more else ""
            self.message_sent.emit("warning", reason + others)
        return self._state.prompts[len(before) :], tuple(refused)

    def change(self, label: int, *, moving: bool = False, **fields: Any) -> bool:
        """Change fields of a class; ``moving`` while a control that does so moves.

        Returns False if it was refused, or if the class is not in the table.
        """
        row = self.row_of(label)
        if row < 0:
            return False
        prompts = list(self._state.prompts)
        old = prompts.pop(row)
        new = replace(old, **fields)
        if new.name != old.name and not self._is_free(new.name, prompts):
            return False
        prompts.insert(row, new)
        return self._commit(moving=moving, prompts=tuple(prompts))

    def _is_free(self, name: str, others: Sequence[Prompt]) -> bool:
        """Tell whether a class may have a name; if not, say why."""
        try:
            check_name(name, others)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return False
        return True

    def remove(self, labels: Iterable[int]) -> None:
        """Remove classes."""
        removed = set(labels)
        kept = (p for p in self._state.prompts if p.label not in removed)
        self._commit(prompts=tuple(kept))

    def move(self, labels: Iterable[int], row: int) -> None:
        """Move classes, in their order, to before the class that is in a row now."""
        moved = set(labels)
        prompts = self._state.prompts
        above = [p for p in prompts[:row] if p.label not in moved]
        below = [p for p in prompts[row:] if p.label not in moved]
        middle = [p for p in prompts if p.label in moved]
        self._commit(prompts=(*above, *middle, *below))

    def set_prompts(self, prompts: Sequence[Prompt], *, undoable: bool = True) -> bool:
        """Replace all classes; False if they were refused.

        Those whose label is 0 are new; others keep it unless it stands for another
        class. If it is not ``undoable``, earlier changes cannot be undone either.
        """
        kept = self._keep_ids(tuple(prompts))
        if kept is None:
            return False
        return self._commit(undoable=undoable, prompts=kept, reserved={})

    def set_background(self, words: tuple[str, ...] | None) -> None:
        """Replace the background words; None for those of the model."""
        self._commit(background=words)

    def set_templates(self, lines: tuple[str, ...] | None) -> None:
        """Replace the sentences; None for those of the model."""
        self._commit(templates=lines)

    def load(
        self,
        prompt_set: PromptSet,
        place: Callable[[tuple[Prompt, ...]], Points] | None = None,
    ) -> bool:
        """Replace everything by a set, as one step of undo; False if it was refused.

        A class that the session has by the same name keeps its label id, and no class
        gets an id that stands for another one. ``place`` makes points, as in
        `TableState`, of the classes with their ids; None leaves the points alone.
        """
        prompts = self._keep_ids(prompt_set.prompts)
        if prompts is None:
            return False
        return self._commit(
            points=self._state.points if place is None else place(prompts),
            prompts=prompts,
            reserved={prompt.label: prompt.name for prompt in prompts},
            background=prompt_set.background or None,
            templates=prompt_set.templates or None,
            origin=replace(prompt_set, prompts=(), background=(), templates=()),
        )

    def set_points(self, points: Points, examples: Examples) -> None:
        """Take points that the user changed, and the changed examples by label id."""
        self._commit(prompts=self._with_examples(examples), points=points)

    def follow_points(self, points: Points, examples: Examples) -> None:
        """Take points of what is shown now: as `set_points`, but no step of undo."""
        prompts = self._with_examples(examples)
        self._state = replace(self._state, prompts=prompts, points=points)
        self._rows[:] = prompts
        self._repaint(Column.NAME, Column.NAME)

    def note_known(self) -> None:
        """Remember what label ids stand for in the viewer, should its layers change."""
        known = self._known()
        self._in_results = {*self._in_results, *known} if known else set()
        names = {prompt.label: prompt.name for prompt in self._state.prompts}
        self._names |= {**known, **names}
        # a class that the user renamed keeps its id, whatever its layers call it yet
        self._same_class |= {
            (label, name, known[label])
            for label, name in names.items()
            if label in known
        }

    def undo(self) -> None:
        """Take the last change back."""
        self.changing.emit()
        if self.history.moving:
            self._commit()
        if self.history.past:
            self.note_known()
            self._set(self._free_of_clashes(self.history.undo(self._state)))
            self.changed.emit(False)

    def redo(self) -> None:
        """Take the last undo back."""
        self.changing.emit()
        if self.history.can_redo:
            self.note_known()
            self._set(self._free_of_clashes(self.history.redo(self._state)))
            self.changed.emit(False)

    def show_shares(
        self, shares: Mapping[int, float], absent: Iterable[int], whole: str = "image"
    ) -> None:
        """Show which part of the image or region each label id has.

        ``shares`` are 0 to 1, of the label ids whose share is known; classes that are
        ``absent`` are probably not there.
        """
        shown = dict(shares), frozenset(absent), whole
        if shown != (self._shares, self._absent, self._whole):
            self._shares, self._absent, self._whole = shown
            self._repaint(Column.COLOR, Column.SHARE)

    def set_known_words(self, known_words: frozenset[str]) -> None:
        """Mark classes with words that the model does not know; see `is_known`."""
        if known_words != self._known_words:
            self._known_words = known_words
            self._repaint(Column.COLOR, Column.SHARE)

    def _commit(
        self, *, moving: bool = False, undoable: bool = True, **fields: Any
    ) -> bool:
        """Check and show a changed state; False, and a message, if it is refused."""
        if not moving:
            self.changing.emit()
            self.note_known()  # an update of the results may follow
        try:
            state = self._checked(replace(self._state, **fields))
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return False
        moves = moving or self.history.moving
        if state == self._state and undoable and not moves:
            return True
        self.history.record(self._state, state, moving=moving)
        if not undoable:
            self.history.clear()
        self._set(state)
        self.changed.emit(moving)
        return True

    def _checked(self, state: TableState) -> TableState:
        if not state.prompts:
            return replace(state, reserved={})
        prompts = parse_prompts(state.prompts)
        if len(prompts) < len(state.prompts):
            raise GemError("A class has no words. Type a word that names it.")
        if not all(prompt.label for prompt in prompts):
            prompts = number_classes(prompts, self._reserved(state))
        return replace(state, prompts=prompts)

    def _reserved(self, state: TableState) -> dict[int, str]:
        """Name of the class that each reserved label id stands for."""
        self.note_known()
        clicked = {label for points in state.points.values() for label in points}
        names = {**state.reserved, **self._names}
        reserved = {*self._in_results, *state.reserved, *clicked}
        return {label: names[label] for label in reserved if label in names}

    def _free_of_clashes(self, state: TableState) -> TableState:
        """Prepare a state to come back: a result may have ids of it by now.

        A class that was removed gets another id, with its points, if a layer has its
        own for another class.
        """
        in_table = {prompt.label for prompt in self._state.prompts}
        known = self._known()
        clashes = {
            prompt.label
            for prompt in state.prompts
            if prompt.label in known
            and prompt.label not in in_table
            and class_key(known[prompt.label]) != class_key(prompt.name)
            and (prompt.label, prompt.name, known[prompt.label]) not in self._same_class
        }
        if not clashes:
            return state
        blank = [
            replace(prompt, label=0) if prompt.label in clashes else prompt
            for prompt in state.prompts
        ]
        prompts = number_classes(blank, self._reserved(replace(state, points={})))
        pairs = zip(state.prompts, prompts, strict=True)
        ids = {old.label: new.label for old, new in pairs}
        points = {
            source: {ids.get(label, label): each for label, each in points.items()}
            for source, points in state.points.items()
        }
        return replace(state, prompts=prompts, points=points)

    def _keep_ids(self, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...] | None:
        """Give classes that replace all others their ids; None, and a message, if not.

        What is reserved for the set before does not count.
        """
        try:
            reserved = self._reserved(replace(self._state, reserved={}))
            return number_classes(keep_ids(prompts, reserved), reserved)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return None

    def _with_examples(self, examples: Examples) -> tuple[Prompt, ...]:
        return tuple(
            replace(prompt, examples=examples.get(prompt.label, prompt.examples))
            for prompt in self._state.prompts
        )

    # --- what views see

    def _set(self, state: TableState) -> None:
        """Show a state; rows that stay keep selections and open editors."""
        self.settled = False
        self._state = state
        self._names |= {prompt.label: prompt.name for prompt in state.prompts}
        self._remove_rows({prompt.label for prompt in state.prompts})
        self._order_rows([prompt.label for prompt in state.prompts])
        last = len(Column) - 1
        for row, prompt in enumerate(state.prompts):
            if row == len(self._rows) or self._rows[row].label != prompt.label:
                self.beginInsertRows(QModelIndex(), row, row)
                self._rows.insert(row, prompt)
                self.endInsertRows()
            elif self._rows[row] != prompt:
                self._rows[row] = prompt
                self.dataChanged.emit(self.index(row, 0), self.index(row, last))
        self.settled = True

    def _remove_rows(self, wanted: set[int]) -> None:
        """Remove rows, those that lie together at once: each time the view scrolls."""
        end = len(self._rows)
        while end:
            first = end
            while first and self._rows[first - 1].label not in wanted:
                first -= 1
            if first < end:
                self.beginRemoveRows(QModelIndex(), first, end - 1)
                del self._rows[first:end]
                self.endRemoveRows()
            end = max(0, first - 1)

    def _order_rows(self, wanted: list[int]) -> None:
        rows = {prompt.label: prompt for prompt in self._rows}
        old = list(rows)
        new = [label for label in wanted if label in rows]
        if old == new:
            return
        self.layoutAboutToBeChanged.emit()
        self._rows[:] = [rows[label] for label in new]
        indices = self.persistentIndexList()
        self.changePersistentIndexList(
            indices,
            [self.index(new.index(old[i.row()]), i.column()) for i in indices],
        )
        self.layoutChanged.emit()

    def _repaint(self, first: Column, last: Column) -> None:
        if self._rows:
            bottom = len(self._rows) - 1
            self.dataChanged.emit(self.index(0, first), self.index(bottom, last))

    # --- methods that Qt calls

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Count classes."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Count columns."""
        return 0 if parent.isValid() else len(Column)

    def headerData(  # noqa: N802 (Qt's name)
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Name and tooltip of a column."""
        if orientation != Qt.Orientation.Horizontal or section not in HEADERS:
            return None
        return header_data(Column(section), role)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Show a cell."""
        prompt = self.prompt_at(index.row())
        if prompt is None or not index.isValid():
            return None
        share = self._shares.get(prompt.label)
        absent = prompt.label in self._absent
        column = Column(index.column())
        unknown = unknown_words((prompt,), self._known_words)
        return cell_data(prompt, column, role, share, absent, self._whole, unknown)

    def setData(  # noqa: N802 (Qt's name)
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Take what was typed into a cell, or its check mark."""
        prompt = self.prompt_at(index.row())
        if prompt is None:
            return False
        if role == Qt.ItemDataRole.CheckStateRole:
            return self.change(prompt.label, on=Qt.CheckState(value).value > 0)
        if value == cell_value(prompt, Column(index.column())):
            return True
        match index.column():
            case Column.NAME:
                title = " ".join(str(value).split())
                return self.change(prompt.label, title=title)
            case Column.WORDS:
                return self._set_words(prompt, str(value))
            case Column.THRESHOLD:
                return self.change(prompt.label, threshold=float(value))
        return False

    def _set_words(self, prompt: Prompt, text: str) -> bool:
        words = read_words(text)
        if words:
            return self.change(prompt.label, words=words)
        # without words only its title names the class
        return self.change(prompt.label, words=(), title=prompt.name)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Rows can be dragged, and dropped between others."""
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        flags = (
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsDragEnabled
            | Qt.ItemFlag.ItemNeverHasChildren
        )
        if index.column() == Column.COLOR:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        elif index.column() != Column.SHARE:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def supportedDropActions(self) -> Qt.DropAction:  # noqa: N802 (Qt's name)
        """Rows are moved."""
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:  # noqa: N802 (Qt's name)
        """Label ids."""
        return [LABELS]

    def mimeData(self, indexes: Iterable[QModelIndex]) -> QMimeData:  # noqa: N802
        """Label ids of the rows that are dragged."""
        labels = {self._rows[index.row()].label for index in indexes}
        data = QMimeData()
        data.setData(LABELS, ",".join(map(str, sorted(labels))).encode())
        return data

    def dropMimeData(  # noqa: N802 (Qt's name)
        self,
        data: QMimeData,
        action: Qt.DropAction,
        row: int,
        column: int,  # noqa: ARG002
        parent: QModelIndex,
    ) -> bool:
        """Move the rows that were dragged."""
        if action != Qt.DropAction.MoveAction or not data.hasFormat(LABELS):
            return False
        if row < 0:
            row = parent.row() if parent.isValid() else len(self._rows)
        labels = bytes(data.data(LABELS)).decode().split(",")
        self.move(map(int, labels), row)
        return True


def _new_class(line: str, others: Sequence[Prompt]) -> Prompt:
    """Make a class of a typed line, unless it cannot be beside the others."""
    if len(others) >= MOST_CLASSES:
        raise GemError(
            f"There are {MOST_CLASSES} classes, the most of one run, so "
            f"'{shorten(line, 40)}' was left out. Delete others first."
        )
    if not read_words(line):
        raise GemError(f"'{shorten(line, 40)}' has no word. Type what to look for.")
    if any(word.startswith('"') and '"' not in word[1:] for word in read_words(line)):
        raise GemError(
            f"The quotation mark in '{shorten(line, 40)}' does not end. Close it, or "
            "leave it out."
        )
    prompt = parse_prompts(line)[0]
    check_name(prompt.name, [each for each in others if each.title])
    taken = {word.casefold() for other in others for word in other.words}
    for word in prompt.words:
        if word.casefold() in taken:
            raise GemError(
                f"'{shorten(word, 40)}' is in the table already. Keep it in one class "
                "only."
            )
    return prompt
