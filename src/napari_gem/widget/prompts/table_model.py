"""The classes as a Qt table model: label ids, checks, undo; has no widgets."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import IntEnum
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QMimeData, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QFont

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.prompts.ids import keep_ids, next_label
from napari_gem.prompts.parsing import MOST_CLASSES, parse_prompts
from napari_gem.prompts.sets import PromptSet
from napari_gem.widget.parts.plain import tip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qtpy.QtCore import QObject

    from napari_gem.core.prompts import Example

    Points = Mapping[str, Mapping[int, tuple[tuple[float, ...], ...]]]

STEPS = 200
"""Changes that can be undone."""

LABELS = "application/x-napari-gem-labels"

ABSENT = "probably not in this image"


class Column(IntEnum):
    """What a column shows."""

    COLOR = 0
    NAME = 1
    WORDS = 2
    THRESHOLD = 3
    SHARE = 4


HEADERS = {
    Column.COLOR: ("", "Colour, and whether the class is looked for"),
    Column.NAME: ("Class", "Name of the class in labels; double-click to change it"),
    Column.WORDS: (
        "Words",
        "What is looked for; a comma separates synonyms. Double-click to change them",
    ),
    Column.THRESHOLD: (
        "Limit",
        "Threshold: a pixel gets the class if its probability is at least this part "
        "of class and background together",
    ),
    Column.SHARE: ("Share", "Part of the image that has the class"),
}


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
        Examples that are points: of each image those of each label id, also of classes
        that were removed. `ExamplePoints.places` tells them.
    """

    prompts: tuple[Prompt, ...] = ()
    background: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    origin: PromptSet = field(default_factory=lambda: PromptSet(""))
    points: Points = field(default_factory=dict)


class PromptModel(QAbstractTableModel):
    """One row a class.

    A class that is new gets a label id that no class of this table ever had; one that
    is loaded keeps the id that a class of its name had. So an id stands for one class
    until the user renames it. What cannot be is refused as a whole, with a sentence.

    Parameters
    ----------
    parent
        Qt parent.
    known
        Tells which class each label id stands for in the viewer's layers.

    Signals
    -------
    changing
        Comes before a change, for what is to be taken in first.
    changed
        Prompts, background words or templates; True while a control moves.
    message_sent
        Kind and sentence.

    Attributes
    ----------
    settled
        False while rows come and go one by one, until `changed` is told.
    """

    changing = Signal()
    changed = Signal(bool)
    message_sent = Signal(str, str)

    def __init__(
        self,
        parent: QObject | None = None,
        known: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        super().__init__(parent)
        self._state = TableState()
        self._rows: list[Prompt] = []
        self._known = known
        self._names: dict[int, str] = {}  # what each id stood for last
        self._undo: deque[TableState] = deque(maxlen=STEPS)
        self._redo: list[TableState] = []
        self._before: TableState | None = None
        self._shares: dict[int, float] = {}
        self._absent: frozenset[int] = frozenset()
        self.settled = True

    @property
    def state(self) -> TableState:
        """All that undo brings back."""
        return self._state

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._undo) or self._before is not None

    @property
    def can_redo(self) -> bool:
        """Whether a change was taken back."""
        return bool(self._redo)

    def prompt_at(self, row: int) -> Prompt | None:
        """Class of a row; None if there is no such row."""
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def row_of(self, label: int) -> int:
        """Row of a class; -1 if it is not there."""
        return next((r for r, p in enumerate(self._rows) if p.label == label), -1)

    # --- changes

    def add(self, lines: Iterable[str]) -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
        """Add classes, one a line; what is refused is told in one sentence.

        Returns
        -------
        tuple[tuple[Prompt, ...], tuple[str, ...]]
            The new classes, and the lines that were refused.
        """
        lines = list(lines)
        prompts = list(self._state.prompts)
        taken = {word.casefold() for prompt in prompts for word in prompt.words}
        refused: list[str] = []
        reason = ""
        before = len(prompts)
        for line in lines:
            if not line.strip(" \t,"):
                continue
            try:
                prompt = _new_class(line, taken, len(prompts))
            except GemError as error:
                refused.append(line.strip())
                reason = reason or str(error)
            else:
                prompts.append(prompt)
                taken |= {word.casefold() for word in prompt.words}
        if len(prompts) > before and not self._commit(prompts=tuple(prompts)):
            return (), tuple(lines)
        if refused:
            more = len(refused) - 1
            others = f" {more} more left out, too." if more else ""
            self.message_sent.emit("warning", reason + others)
        return self._state.prompts[before:], tuple(refused)

    def change(self, label: int, *, moving: bool = False, **fields: Any) -> bool:
        """Change fields of a class; those of one movement are one step of undo.

        Returns
        -------
        bool
            False if it was refused, or if the class is not there.
        """
        row = self.row_of(label)
        if row < 0:
            return False
        prompts = list(self._state.prompts)
        prompts[row] = replace(prompts[row], **fields)
        return self._commit(moving=moving, prompts=tuple(prompts))

    def remove(self, labels: Iterable[int]) -> None:
        """Remove classes; their label ids stay used."""
        gone = set(labels)
        self._commit(
            prompts=tuple(p for p in self._state.prompts if p.label not in gone)
        )

    def move(self, labels: Iterable[int], row: int) -> None:
        """Move classes, in their order, to before the class that is in a row now."""
        moved = set(labels)
        prompts = self._state.prompts
        above = [p for p in prompts[:row] if p.label not in moved]
        below = [p for p in prompts[row:] if p.label not in moved]
        middle = [p for p in prompts if p.label in moved]
        self._commit(prompts=(*above, *middle, *below))

    def set_prompts(self, prompts: Sequence[Prompt], *, undoable: bool = True) -> bool:
        """Replace all classes.

        Parameters
        ----------
        prompts
            Those whose label is 0 are new; others keep it unless it stands for another
            class.
        undoable
            False also forgets what could be undone.
        """
        own = {number: p for number, p in enumerate(prompts) if p.label}
        kept = self._kept(tuple(own.values()))
        if kept is None:
            return False
        numbered = dict(zip(own, kept, strict=True))
        found = tuple(numbered.get(number, p) for number, p in enumerate(prompts))
        return self._commit(undoable=undoable, prompts=found)

    def set_background(self, words: tuple[str, ...] | None) -> None:
        """Replace the background words; None for those of the model."""
        self._commit(background=words)

    def load(
        self,
        prompt_set: PromptSet,
        place: Callable[[tuple[Prompt, ...]], Points] | None = None,
    ) -> bool:
        """Replace everything by a set.

        A class that the session has by the same name keeps its label id, and no class
        gets an id that stands for another one.

        Parameters
        ----------
        prompt_set
            The set.
        place
            Makes points, as in `TableState`, of the classes with their ids; None
            leaves the points alone.

        Returns
        -------
        bool
            False if it was refused.
        """
        prompts = self._kept(prompt_set.prompts)
        if prompts is None:
            return False
        prompts = self._given_ids(prompts)
        return self._commit(
            points=self._state.points if place is None else place(prompts),
            prompts=prompts,
            background=prompt_set.background or None,
            templates=prompt_set.templates or None,
            origin=replace(prompt_set, prompts=(), background=(), templates=()),
        )

    def set_points(
        self, points: Points, examples: Mapping[int, tuple[Example, ...]]
    ) -> None:
        """Take points that the user changed, and the examples that they make.

        Parameters
        ----------
        points
            As in `TableState`.
        examples
            New examples of classes, by label id.
        """
        self._commit(prompts=self._with_examples(examples), points=points)

    def follow_points(
        self, points: Points, examples: Mapping[int, tuple[Example, ...]]
    ) -> None:
        """Take points of what is shown now: as `set_points`, but no step of undo."""
        prompts = self._with_examples(examples)
        self._state = replace(self._state, prompts=prompts, points=points)
        self._rows[:] = prompts
        self._repaint(Column.NAME, Column.NAME)

    def note_known(self) -> None:
        """Remember what label ids stand for in the viewer, should its layers go."""
        self._names = {**self._known(), **self._names}

    def undo(self) -> None:
        """Take the last change back."""
        self.changing.emit()
        self._end_movement()
        if self._undo:
            self._redo.append(self._state)
            self._set(self._undo.pop())
            self.changed.emit(False)

    def redo(self) -> None:
        """Take the last undo back."""
        self.changing.emit()
        if self._redo and self._before is None:
            self._undo.append(self._state)
            self._set(self._redo.pop())
            self.changed.emit(False)

    def show_shares(self, shares: Mapping[int, float]) -> None:
        """Show which part of the image, 0 to 1, each label id has."""
        self._shares = dict(shares)
        self._repaint(Column.SHARE, Column.SHARE)

    def show_absent(self, labels: Iterable[int]) -> None:
        """Mark classes that are probably not in the image."""
        self._absent = frozenset(labels)
        self._repaint(Column.COLOR, Column.SHARE)

    def _commit(
        self, *, moving: bool = False, undoable: bool = True, **fields: Any
    ) -> bool:
        if not moving:
            self.changing.emit()
        try:
            state = self._checked(replace(self._state, **fields))
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return False
        if state == self._state and not moving and self._before is None and undoable:
            return True
        if moving and self._before is None:
            self._before = self._state
        elif not moving:
            before = self._state if self._before is None else self._before
            self._before = None
            if state != before:
                self._undo.append(before)
                self._redo.clear()
        if not undoable:
            self._undo.clear()
            self._redo.clear()
        self._set(state)
        self.changed.emit(moving)
        return True

    def _end_movement(self) -> None:
        if self._before is not None:
            self._commit()

    def _checked(self, state: TableState) -> TableState:
        if not state.prompts:
            return state
        prompts = parse_prompts(state.prompts)
        if len(prompts) < len(state.prompts):
            raise GemError("A class without words came; type a word that names it.")
        return replace(state, prompts=self._given_ids(prompts))

    def _given_ids(self, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        if all(prompt.label for prompt in prompts):
            return prompts
        taken = {*self._stands_for(), *(prompt.label for prompt in prompts)}
        numbered = []
        for prompt in prompts:
            if not prompt.label:
                label = next_label(taken)
                taken.add(label)
                color = prompt.color or class_color(label - 1)
                numbered.append(replace(prompt, label=label, color=color))
            else:
                numbered.append(prompt)
        return tuple(numbered)

    def _stands_for(self) -> dict[int, str]:
        """Name of the class of each label id, those of the table first."""
        self.note_known()
        here = {prompt.label: prompt.name for prompt in self._state.prompts}
        return here | self._names

    def _kept(self, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...] | None:
        """Give classes from elsewhere their ids; None if that was refused."""
        try:
            return keep_ids(prompts, self._stands_for())
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return None

    def _with_examples(
        self, examples: Mapping[int, tuple[Example, ...]]
    ) -> tuple[Prompt, ...]:
        return tuple(
            replace(prompt, examples=examples.get(prompt.label, prompt.examples))
            for prompt in self._state.prompts
        )

    # --- what the view sees

    def _set(self, state: TableState) -> None:
        self.settled = False
        self._state = state
        self._names |= {prompt.label: prompt.name for prompt in state.prompts}
        self._remove_rows({prompt.label for prompt in state.prompts})
        self._order_rows([prompt.label for prompt in state.prompts])
        for row, prompt in enumerate(state.prompts):
            if row == len(self._rows) or self._rows[row].label != prompt.label:
                self.beginInsertRows(QModelIndex(), row, row)
                self._rows.insert(row, prompt)
                self.endInsertRows()
            elif self._rows[row] != prompt:
                self._rows[row] = prompt
                self.dataChanged.emit(
                    self.index(row, 0), self.index(row, len(Column) - 1)
                )
        self.settled = True

    def _remove_rows(self, wanted: set[int]) -> None:
        for row in reversed(range(len(self._rows))):
            if self._rows[row].label not in wanted:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self._rows[row]
                self.endRemoveRows()

    def _order_rows(self, wanted: list[int]) -> None:
        there = {prompt.label: prompt for prompt in self._rows}
        old = list(there)
        new = [label for label in wanted if label in there]
        if old == new:
            return
        self.layoutAboutToBeChanged.emit()
        self._rows[:] = [there[label] for label in new]
        indices = self.persistentIndexList()
        self.changePersistentIndexList(
            indices,
            [self.index(new.index(old[i.row()]), i.column()) for i in indices],
        )
        self.layoutChanged.emit()

    def _repaint(self, first: Column, last: Column) -> None:
        if self._rows:
            self.dataChanged.emit(
                self.index(0, first), self.index(len(self._rows) - 1, last)
            )

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Classes."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Columns."""
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
        text, tip = HEADERS[Column(section)]
        told: dict[int, str] = {
            Qt.ItemDataRole.DisplayRole: text,
            Qt.ItemDataRole.ToolTipRole: tip,
        }
        return told.get(role)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Show a cell."""
        prompt = self.prompt_at(index.row())
        if prompt is None or not index.isValid():
            return None
        column, asked = Column(index.column()), role
        if asked == Qt.ItemDataRole.DisplayRole:
            return self._text(prompt, column)
        if asked == Qt.ItemDataRole.EditRole:
            return self._value(prompt, column)
        if asked == Qt.ItemDataRole.ToolTipRole:
            return tip(self._told(prompt, column))
        if asked == Qt.ItemDataRole.AccessibleTextRole:
            return self._told(prompt, column)
        if asked == Qt.ItemDataRole.FontRole and prompt.label in self._absent:
            font = QFont()
            font.setItalic(True)
            return font
        return _look(prompt, column, asked)

    def setData(  # noqa: N802 (Qt's name)
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Take what was typed into a cell, or its check mark."""
        prompt = self.prompt_at(index.row())
        if prompt is None:
            return False
        if role == Qt.ItemDataRole.CheckStateRole:
            return self.change(prompt.label, on=Qt.CheckState(value).value > 0)
        if value == self._value(prompt, Column(index.column())):
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

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Rows can be dragged, and dropped between others."""
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        found = (
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsDragEnabled
            | Qt.ItemFlag.ItemNeverHasChildren
        )
        if index.column() == Column.COLOR:
            found |= Qt.ItemFlag.ItemIsUserCheckable
        elif index.column() != Column.SHARE:
            found |= Qt.ItemFlag.ItemIsEditable
        return found

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

    def _set_words(self, prompt: Prompt, text: str) -> bool:
        words = parse_prompts(text)[0].words if text.strip(" \t,") else ()
        if words:
            return self.change(prompt.label, words=words)
        # without words only its title says what it is
        return self.change(prompt.label, words=(), title=prompt.name)

    def _text(self, prompt: Prompt, column: Column) -> str | None:
        match column:
            case Column.NAME:
                return prompt.name
            case Column.WORDS:
                return ", ".join(prompt.words)
            case Column.THRESHOLD:
                return f"{prompt.threshold:.2f}"
            case Column.SHARE:
                share = self._shares.get(prompt.label)
                said = "" if share is None or not prompt.on else share_text(share)
                return f"? {said}".strip() if prompt.label in self._absent else said
        return None

    def _value(self, prompt: Prompt, column: Column) -> Any:
        if column == Column.NAME:
            return prompt.name
        return (
            prompt.threshold
            if column == Column.THRESHOLD
            else self._text(prompt, column)
        )

    def _told(self, prompt: Prompt, column: Column) -> str:
        match column:
            case Column.COLOR:
                state = "is looked for" if prompt.on else "is off"
                said = f"'{prompt.name}' {state}; double-click the colour to change it"
            case Column.NAME:
                said = f"{prompt.name}: label {prompt.label}"
                if prompt.examples:
                    said += f", {len(prompt.examples)} examples"
            case Column.WORDS:
                said = ", ".join(prompt.words) or "No words: found by examples only"
            case Column.THRESHOLD:
                said = (
                    f"Threshold {prompt.threshold:.2f}: drag to the side, finer with "
                    "Shift; double-click to type. A lower limit finds more pixels."
                )
            case Column.SHARE:
                share = self._shares.get(prompt.label)
                said = "Not known yet"
                if share is not None and prompt.on:
                    said = f"{share_text(share)} of the image"
        return f"{said} ({ABSENT})" if prompt.label in self._absent else said


def share_text(share: float) -> str:
    """Put a part of an image into words.

    Examples
    --------
    >>> share_text(0.034), share_text(0.00002), share_text(0.56)
    ('3.4 %', '<0.1 %', '56 %')
    """
    percent = 100 * share
    if 0 < percent < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def color_of(prompt: Prompt) -> QColor:
    """Colour of a class, its own or the one that its label id gives."""
    return QColor.fromRgbF(*(prompt.color or class_color(prompt.label - 1)))


def _look(prompt: Prompt, column: Column, role: int) -> Any:
    if column == Column.COLOR and role == Qt.ItemDataRole.DecorationRole:
        return color_of(prompt)
    if column == Column.COLOR and role == Qt.ItemDataRole.CheckStateRole:
        return Qt.CheckState.Checked if prompt.on else Qt.CheckState.Unchecked
    if column == Column.SHARE and role == Qt.ItemDataRole.TextAlignmentRole:
        return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    return None


def _new_class(line: str, taken: set[str], there: int) -> Prompt:
    if there >= MOST_CLASSES:
        raise GemError(
            f"There are {MOST_CLASSES} classes, the most of one run, so "
            f"'{shorten(line, 40)}' was left out. Delete others first."
        )
    prompt = parse_prompts(line)[0]
    for word in prompt.words:
        if word.casefold() in taken:
            raise GemError(
                f"'{word}' is in the table already. Keep it in one class only."
            )
    return prompt
