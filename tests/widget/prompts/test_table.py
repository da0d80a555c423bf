"""The prompt table: its model alone, and with keys and mouse."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from qtpy.QtCore import QEvent, QMimeData, QModelIndex, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QColor, QGuiApplication, QKeyEvent, QMouseEvent
from qtpy.QtTest import QAbstractItemModelTester, QTest
from qtpy.QtWidgets import (
    QApplication,
    QColorDialog,
    QDoubleSpinBox,
    QFileDialog,
    QScrollArea,
    QWidget,
)

from napari_gem.core.colors import class_color
from napari_gem.core.prompts import Example, Prompt
from napari_gem.prompts.ids import LARGEST_LABEL
from napari_gem.prompts.parsing import MOST_CLASSES, read_words
from napari_gem.prompts.sets import PromptSet, list_sets, read_set
from napari_gem.widget.prompts.background import BackgroundWords
from napari_gem.widget.prompts.cells import Column
from napari_gem.widget.prompts.table import PromptTable
from napari_gem.widget.prompts.table_model import PromptModel
from napari_gem.widget.prompts.table_view import ROWS

NARROW = 320
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
NONE = Qt.KeyboardModifier.NoModifier


def names(holder):
    prompts = holder.prompts() if hasattr(holder, "prompts") else holder.state.prompts
    return [prompt.name for prompt in prompts]


def labels(holder):
    prompts = holder.prompts() if hasattr(holder, "prompts") else holder.state.prompts
    return [prompt.label for prompt in prompts]


def record(signal):
    calls = []
    signal.connect(lambda *values: calls.append(values))
    return calls


@pytest.fixture
def model(qtmodeltester):
    model = PromptModel()
    # asserts at every signal that the view can rely on it
    tester = QAbstractItemModelTester(
        model, QAbstractItemModelTester.FailureReportingMode.Fatal
    )
    yield model
    del tester


@pytest.fixture
def table(qtbot):
    table = PromptTable()
    qtbot.addWidget(table)
    table.resize(NARROW, 400)
    table.show()
    qtbot.waitExposed(table)
    return table


# --- the model


def test_typed_lines_become_classes_with_ids_and_colours(model):
    changed = record(model.changed)
    model.add(["nucleus, nuclei", "  ", "cell,, cell ,CELL"])
    first, second = model.state.prompts
    assert (first.words, first.label, first.color) == (
        ("nucleus", "nuclei"),
        1,
        class_color(0),
    )
    assert (second.words, second.label, second.color) == (("cell",), 2, class_color(1))
    assert changed == [(False,)]


def test_commas_alone_are_refused_with_a_sentence(model):
    messages, changed = record(model.message_sent), record(model.changed)
    assert model.add([", , ,", " "]) == ((), (", , ,",))
    assert messages == [("warning", "', , ,' has no word. Type what to look for.")]
    assert changed == []


def test_a_word_with_a_comma_stands_in_quotation_marks(model):
    model.add(["'flag', \"red, white and blue\""])
    words = ("flag", "red, white and blue")
    assert model.state.prompts[0].words == words
    cell = model.index(0, Column.WORDS)
    assert cell.data() == 'flag, "red, white and blue"'
    changed = record(model.changed)
    assert model.setData(cell, cell.data(Qt.ItemDataRole.EditRole) + ", banner")
    assert model.state.prompts[0].words == (*words, "banner")
    assert changed == [(False,)]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("Background, dark", "name of label 0"),
        ("core, x", "There is a class 'Core' already"),
    ],
)
def test_names_that_mean_something_else_are_refused(model, typed, sentence):
    model.add(["cell", "blob"])
    model.setData(model.index(1, Column.NAME), "Core")
    messages = record(model.message_sent)
    assert model.add([typed])[1] == (typed,)
    assert not model.setData(model.index(0, Column.WORDS), typed)
    assert not model.setData(model.index(0, Column.NAME), typed.split(",")[0])
    assert len(messages) == 3
    assert all(sentence in text for _, text in messages)
    assert names(model) == ["cell", "Core"]
    prompts = (Prompt(("background",), 1), Prompt(("a",), 2, "Core"), Prompt(("core",)))
    assert model.load(PromptSet("made before", prompts=prompts))


def test_what_is_there_already_is_refused_with_one_sentence(model):
    model.add(["cell, cells"])
    messages = record(model.message_sent)
    added, refused = model.add(["nucleus", "Cells, body", "nucleus, core", "gland"])
    assert [p.name for p in added] == ["nucleus", "gland"]
    assert refused == ("Cells, body", "nucleus, core")
    assert messages == [
        (
            "warning",
            "'Cells' is in the table already. Keep it in one class only. 1 more "
            "left out, too.",
        )
    ]


@pytest.mark.slow
def test_more_classes_than_a_run_takes_are_refused(model):
    messages = record(model.message_sent)
    _, refused = model.add([f"class {n}" for n in range(MOST_CLASSES + 3)])
    assert len(refused) == 3
    assert model.rowCount() == MOST_CLASSES
    assert len(messages) == 1
    assert str(MOST_CLASSES) in messages[0][1]


def test_a_word_of_another_class_is_refused_in_a_cell(model):
    model.add(["cell, cells", "nucleus"])
    messages, changed = record(model.message_sent), record(model.changed)
    assert not model.setData(model.index(1, Column.WORDS), "nucleus, CELLS")
    assert len(messages) == 1
    assert "CELLS" in messages[0][1]
    assert model.state.prompts[1].words == ("nucleus",)
    assert not model.setData(model.index(1, Column.WORDS), " , ")
    assert len(messages) == 2
    assert changed == []
    assert model.setData(model.index(1, Column.WORDS), "nucleus, nuclei")
    assert model.state.prompts[1].words == ("nucleus", "nuclei")
    assert changed == [(False,)]


def test_cells_take_what_is_typed(model):
    model.add(["cell"])
    assert model.setData(model.index(0, Column.NAME), " My   cell ")
    assert model.setData(model.index(0, Column.THRESHOLD), 0.7)
    assert model.setData(
        model.index(0, Column.COLOR), 0, Qt.ItemDataRole.CheckStateRole
    )
    prompt = model.state.prompts[0]
    assert (prompt.name, prompt.threshold, prompt.on) == ("My cell", 0.7, False)
    assert not model.setData(model.index(0, Column.THRESHOLD), 2)
    model.setData(model.index(0, Column.NAME), "")
    assert model.state.prompts[0].name == "cell"


def test_the_same_again_is_no_change(model):
    model.add(["a, b"])
    changed = record(model.changed)
    assert model.setData(model.index(0, Column.WORDS), "a, b")
    assert model.setData(model.index(0, Column.NAME), "a")
    assert model.state.prompts[0].title == ""
    model.change(1, threshold=0.5)
    model.move([1], 0)
    assert changed == []
    model.undo()
    assert model.state.prompts == ()


def test_a_class_of_examples_keeps_its_name_without_words(model):
    model.add(["blob"])
    model.change(1, examples=(Example((1.0, 2.0)),))
    assert model.setData(model.index(0, Column.WORDS), "")
    assert model.state.prompts[0].words == ()
    assert model.state.prompts[0].name == "blob"
    messages = record(model.message_sent)
    assert not model.change(1, examples=())
    assert "neither words nor examples" in messages[0][1]


def test_a_movement_is_one_step_of_undo(model):
    model.add(["cell"])
    changed = record(model.changed)
    for value in (0.6, 0.7, 0.8):
        model.change(1, moving=True, threshold=value)
    model.change(1, threshold=0.8)
    assert changed == [(True,), (True,), (True,), (False,)]
    model.undo()
    assert model.state.prompts[0].threshold == 0.5
    model.redo()
    assert model.state.prompts[0].threshold == 0.8
    model.undo()
    model.undo()
    assert not model.history.can_undo
    assert model.state.prompts == ()


def test_a_movement_back_is_no_step(model):
    model.add(["cell"])
    changed = record(model.changed)
    model.change(1, moving=True, threshold=0.6)
    model.change(1, threshold=0.5)
    assert changed == [(True,), (False,)]
    model.undo()
    assert model.state.prompts == ()


def test_undo_in_a_movement_ends_it(model):
    model.add(["cell"])
    model.change(1, moving=True, threshold=0.6)
    changed = record(model.changed)
    model.undo()
    assert model.state.prompts[0].threshold == 0.5
    assert changed[-1] == (False,)


def test_loading_is_one_step(model):
    model.add(["dust"])
    model.set_background(("dark",))
    before = model.state
    fluorescence = read_set("fluorescence")
    assert model.load(fluorescence)
    first, *others = model.state.prompts
    assert (first.name, first.label) == ("Nucleus", 1), "nothing was looked for yet"
    assert tuple(others) == fluorescence.prompts[1:]
    assert model.state.background == fluorescence.background
    assert model.state.templates == fluorescence.templates
    assert model.state.origin.source == fluorescence.source
    model.undo()
    assert model.state == before


def test_a_class_that_was_never_looked_for_frees_its_id(model):
    model.add(["cell", "nuclie", "fibre"])
    model.remove([2])
    model.add(["nucleus"])
    assert labels(model) == [1, 3, 2]
    model.undo()
    model.undo()
    assert labels(model) == [1, 2, 3]
    assert names(model) == ["cell", "nuclie", "fibre"]
    model.redo()
    model.redo()
    assert names(model) == ["cell", "fibre", "nucleus"]
    assert labels(model) == [1, 3, 2]


def test_ids_of_a_set_are_reserved_until_another_is_loaded(model):
    red = (1.0, 0.0, 0.0)
    came = Prompt(("a",), 7, color=red), Prompt(("b",)), Prompt(("c",), 2)
    model.load(PromptSet("x", prompts=came))
    assert labels(model) == [7, 1, 2]
    model.remove([7, 1])
    model.add(["d", "A"])
    assert labels(model) == [2, 3, 7]
    assert model.state.prompts[1].color == class_color(2)
    model.load(PromptSet("y", prompts=(Prompt(("e",), 7),)))
    assert labels(model) == [7]
    model.undo()
    assert labels(model) == [2, 3, 7]
    model.remove([2, 3, 7])
    model.add(["f"])
    assert labels(model) == [1], "an empty table begins anew"


def test_a_set_gives_no_class_the_id_of_another(model):
    results = {}
    model._known = lambda: results
    model.add(["a", "b", "c"])
    results.update({1: "a", 2: "b", 3: "c"})
    model.remove([3])
    came = [Prompt(("c",), 1), Prompt(("B",), 3), Prompt(("d",), 2), Prompt(("e",), 9)]
    assert model.load(PromptSet("x", prompts=tuple(came)))
    assert labels(model) == [3, 2, 4, 9]
    model.undo()
    assert labels(model) == [1, 2]
    messages = record(model.message_sent)
    assert not model.load(PromptSet("x", prompts=(came[0], came[0])))
    assert messages[0][0] == "warning"
    assert labels(model) == [1, 2]


def test_ids_in_layers_are_reserved_while_there_are_results():
    results = {1: "painted", 4: "b"}
    model = PromptModel(known=lambda: results)
    model.add(["a", "B"])
    assert labels(model) == [2, 4]
    came = Prompt(("b",), 1), Prompt(("painted",), 2), Prompt(("c",), 4)
    assert model.load(PromptSet("x", prompts=came))
    assert labels(model) == [4, 1, 3]
    model.setData(model.index(0, Column.NAME), "renamed")
    model.load(PromptSet("x", prompts=(Prompt(("b",), 4),)))
    assert labels(model) == [2], "the user's new name counts"
    del results[4]  # the class is gone from the result, which undo may bring back
    model.add(["d"])
    assert labels(model) == [2, 3]
    results.clear()
    model.set_prompts([Prompt(("e",))])
    assert labels(model) == [1]


def test_undo_gives_no_class_the_id_that_a_result_has_for_another():
    results = {}
    model = PromptModel(known=lambda: results)
    model.add(["a", "b"])
    model.set_points({"image": {2: ((1.0, 3.0, 4.0),)}}, {})
    model.set_points({}, {})
    model.remove([2])
    model.add(["c"])
    assert labels(model) == [1, 2]
    results.update({1: "a", 2: "c"})
    model.undo()
    model.undo()
    assert (names(model), labels(model)) == (["a", "b"], [1, 3])
    model.undo()
    assert model.state.points == {"image": {3: ((1.0, 3.0, 4.0),)}}
    model.change(1, title="renamed")
    results[1] = "renamed"
    model.undo()
    assert (names(model), labels(model)) == (["a", "b"], [1, 3])


def test_ids_of_points_are_reserved(model):
    model.add(["a", "b"])
    model.set_points({"image": {2: ((1.0, 3.0, 4.0),)}}, {})
    model.remove([2])
    model.add(["c", "b"])
    assert labels(model) == [1, 3, 2]


def test_new_colours_differ_from_those_of_others(model):
    model.set_prompts([Prompt(("a",), color=class_color(1))])
    model.add(["b", "c"])
    colors = [prompt.color for prompt in model.state.prompts]
    assert colors == [class_color(n) for n in (1, 2, 3)]


def test_the_last_ids(model):
    model.set_prompts([Prompt(("a",), LARGEST_LABEL), Prompt(("b",), 1)])
    model.remove([1])
    model.add(["c"])
    assert labels(model) == [LARGEST_LABEL, 1]
    messages = record(model.message_sent)
    assert not model.set_prompts([Prompt(("a",), 3), Prompt(("b",), 3)])
    assert "label ids" in messages[0][1]


def test_forgetting_what_could_be_undone(model):
    model.add(["a"])
    model.set_prompts([Prompt(("b",))], undoable=False)
    assert not model.history.can_undo
    assert labels(model) == [1]


@pytest.mark.parametrize(
    ("moved", "row", "wanted"),
    [([1], 3, "bcad"), ([4], 0, "dabc"), ([3, 1], 4, "bdac"), ([2], 2, "abcd")],
)
def test_rows_are_dropped_between_others(model, moved, row, wanted):
    model.add(list("abcd"))
    data = model.mimeData([model.index(label - 1, 1) for label in moved])
    move = Qt.DropAction.MoveAction
    assert model.dropMimeData(data, move, row, 0, QModelIndex())
    assert names(model) == list(wanted)
    ids = dict(zip("abcd", (1, 2, 3, 4), strict=True))
    assert labels(model) == [ids[name] for name in wanted]
    assert not model.dropMimeData(QMimeData(), move, 0, 0, QModelIndex())
    if wanted != "abcd":
        model.undo()
        assert names(model) == list("abcd")


def test_shares_and_marks_are_shown(model):
    model.add(["a", "b"])
    model.show_shares({1: 0.034, 2: 0.5}, {2})
    share = [model.index(row, Column.SHARE).data() for row in (0, 1)]
    assert share == ["3.4 %", "not here?"]
    tips = [
        model.index(row, Column.NAME).data(Qt.ItemDataRole.ToolTipRole)
        for row in (0, 1)
    ]
    assert ["probably not here" in tip for tip in tips] == [False, True]
    assert model.index(1, 1).data(Qt.ItemDataRole.FontRole).italic()
    model.change(1, on=False)
    assert model.index(0, Column.SHARE).data() == ""


def test_every_cell_and_header_has_a_tooltip(model):
    model.add(["a"])
    role = Qt.ItemDataRole.ToolTipRole
    for column in Column:
        assert model.index(0, column).data(role)
        assert model.headerData(column, Qt.Orientation.Horizontal, role)


def test_a_colour_of_none_shows_that_of_the_label(model):
    model.set_prompts([Prompt(("a",), 3)])
    shown = model.index(0, 0).data(Qt.ItemDataRole.DecorationRole)
    assert shown == QColor.fromRgbF(*class_color(2))
    assert model.state.prompts[0].color is None


word = st.sampled_from("abcdefgh")
position = st.integers(0, 8)


class AnyOrder(RuleBasedStateMachine):
    """An id that was looked for keeps its class, and undo brings back what was."""

    def __init__(self):
        super().__init__()
        self.results = {}
        self.model = PromptModel(known=lambda: self.results)
        self.tester = QAbstractItemModelTester(
            self.model, QAbstractItemModelTester.FailureReportingMode.Fatal
        )
        self.words_of = {}
        self.past, self.future = [], []
        self.moving = None

    def _label(self, where):
        ids = labels(self.model)
        return ids[where % len(ids)] if ids else 1

    def _do(self, action):
        before = self.moving or self.model.state
        self.moving = None
        known = {prompt.label: prompt.name for prompt in self.model.state.prompts}
        was = self.model.state
        action()
        for prompt in self.model.state.prompts:
            if prompt.label not in known:
                expected = self.results.get(prompt.label, prompt.name)
                assert prompt.name == expected, "an id of a result changed its class"
        refused = self.model.state == was
        if not refused or before != self.model.state:
            self.past.append(before)
            self.future.clear()

    def _end(self):
        """A movement ends where it is, whatever comes next."""
        if self.moving is not None:
            self._do(lambda: self.model.change(self._label(0)))

    @rule(lines=st.lists(st.lists(word, max_size=3).map(",".join), max_size=3))
    def add(self, lines):
        self._end()
        self._do(lambda: self.model.add(lines))

    @rule(where=st.lists(position, max_size=2))
    def remove(self, where):
        self._end()
        self._do(lambda: self.model.remove([self._label(each) for each in where]))

    @rule(where=st.lists(position, max_size=2), row=position)
    def move(self, where, row):
        self._end()
        self._do(lambda: self.model.move([self._label(each) for each in where], row))

    @rule(where=position, words=st.lists(word, max_size=3).map(",".join))
    def type_words(self, where, words):
        self._end()
        cell = self.model.index(where, Column.WORDS)
        self._do(lambda: self.model.setData(cell, words))

    @rule(where=position, title=word)
    def rename(self, where, title):
        self._end()
        cell = self.model.index(where, Column.NAME)
        self._do(lambda: self.model.setData(cell, title))

    @rule(
        came=st.lists(
            st.tuples(word, st.integers(0, 5)), unique_by=lambda t: t[0], max_size=4
        )
    )
    def load(self, came):
        self._end()
        prompts = tuple(Prompt((each,), label) for each, label in came)
        self._do(lambda: self.model.load(PromptSet("x", prompts=prompts)))

    @rule()
    def run(self):
        """What was looked for stands in the only result, under its name of now."""
        self._end()
        self.results = {p.label: p.name for p in self.model.state.prompts}
        self.past.clear()
        self.future.clear()
        self.model.history.clear()

    @rule(where=position, on=st.booleans())
    def switch(self, where, on):
        self._end()
        self._do(lambda: self.model.change(self._label(where), on=on))

    @rule(where=position, value=st.sampled_from((0.1, 0.5, 0.9)))
    def drag(self, where, value):
        if labels(self.model):
            if self.moving is None:
                self.moving = self.model.state
            self.model.change(self._label(where), moving=True, threshold=value)

    @rule()
    def let_go(self):
        self._end()

    @rule(words=st.none() | st.lists(word, min_size=1, max_size=2).map(tuple))
    def background(self, words):
        self._end()
        self._do(lambda: self.model.set_background(words))

    @rule(words=st.lists(word, unique=True, max_size=3))
    def replace_by_new(self, words):
        self._end()
        self._do(lambda: self.model.set_prompts([Prompt((each,)) for each in words]))

    @rule()
    def undo(self):
        self._end()
        assert self.model.history.can_undo == bool(self.past)
        if self.past:
            self.future.append(self.model.state)
            wanted = self.past.pop()
        else:
            wanted = self.model.state
        self.model.undo()
        assert self.model.state == wanted

    @rule()
    def redo(self):
        self._end()
        assert self.model.history.can_redo == bool(self.future)
        if self.future:
            self.past.append(self.model.state)
            wanted = self.future.pop()
        else:
            wanted = self.model.state
        self.model.redo()
        assert self.model.state == wanted

    @invariant()
    def the_view_sees_what_is_there(self):
        prompts = self.model.state.prompts
        rows = [self.model.prompt_at(row) for row in range(self.model.rowCount())]
        assert tuple(rows) == prompts
        assert len(set(labels(self.model))) == len(prompts)
        words = [each for prompt in prompts for each in prompt.words]
        assert len(set(words)) == len(words)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# --- typing


def test_enter_adds_a_class_and_empties_the_line(table, qtbot):
    changed = record(table.changed)
    qtbot.keyClicks(table.edit, "nucleus, nuclei")
    assert changed == []
    qtbot.keyClick(table.edit, Qt.Key.Key_Return)
    assert table.prompts()[0].words == ("nucleus", "nuclei")
    assert table.edit.text() == ""
    assert table.current().label == 1
    assert changed == [(False,)]


def test_refused_text_stays_to_be_mended(table, qtbot):
    table.add_text("cell")
    messages = record(table.message_sent)
    qtbot.keyClicks(table.edit, "gland, cell")
    qtbot.keyClick(table.edit, Qt.Key.Key_Return)
    assert len(messages) == 1
    assert table.edit.text() == "gland, cell"
    assert names(table) == ["cell"]


def test_pasted_lines_become_classes(table):
    QApplication.clipboard().setText("cell, cells\n\nnucleus\r\n  \ngland")
    table.edit.paste()
    assert names(table) == ["cell", "nucleus", "gland"]
    assert table.edit.text() == ""
    table.model.undo()
    assert names(table) == []


def test_ctrl_enter_runs_with_what_was_typed(table, qtbot):
    qtbot.keyClicks(table.edit, "cell")
    with qtbot.waitSignal(table.run_requested):
        qtbot.keyClick(table.edit, Qt.Key.Key_Return, CONTROL)
    assert names(table) == ["cell"]
    qtbot.keyClicks(table.edit, "gland")
    with qtbot.waitSignal(table.run_requested):
        qtbot.keyClick(table.edit, Qt.Key.Key_Return, CONTROL)
    assert table.view.selected_labels() == [2]
    with qtbot.waitSignal(table.run_requested):
        qtbot.keyClick(table.view, Qt.Key.Key_Enter, CONTROL)
    table.background_words.expand()
    table.background_words.edit.setPlainText("dark, glass")
    with qtbot.waitSignal(table.run_requested):
        qtbot.keyClick(table.background_words.edit, Qt.Key.Key_Return, CONTROL)
    assert table.background() == ("dark", "glass")


def test_ctrl_enter_in_a_cell_runs_with_its_text(table, qtbot):
    table.add_text("cell")
    table.view.edit(table.model.index(0, Column.WORDS))
    editor = table.view.viewport().findChild(QWidget, "", _children())
    editor.setText("cell, cells")
    seen = []
    table.run_requested.connect(lambda: seen.append(table.prompts()[0].words))
    qtbot.keyClick(editor, Qt.Key.Key_Return, CONTROL)
    qtbot.waitUntil(lambda: bool(seen))
    assert seen == [("cell", "cells")]


def _children():
    return Qt.FindChildOption.FindDirectChildrenOnly


# --- keys


def test_undo_and_redo_by_keys(table, qtbot):
    for name in "abc":
        qtbot.keyClicks(table.edit, name)
        qtbot.keyClick(table.edit, Qt.Key.Key_Return)
    qtbot.keyClick(table.edit, Qt.Key.Key_Z, CONTROL)
    assert names(table) == ["a", "b"]
    qtbot.keyClick(table.view, Qt.Key.Key_Z, CONTROL)
    assert names(table) == ["a"]
    qtbot.keyClick(table.view, Qt.Key.Key_Z, CONTROL | SHIFT)
    qtbot.keyClick(table.edit, Qt.Key.Key_Y, CONTROL)
    assert names(table) == ["a", "b", "c"]


def test_undo_of_typing_stays_in_the_line(table, qtbot):
    table.add_text("a")
    qtbot.keyClicks(table.edit, "xy")
    qtbot.keyClick(table.edit, Qt.Key.Key_Z, CONTROL)
    assert table.edit.text() == ""
    assert names(table) == ["a"]


def test_keys_of_the_table_are_no_shortcuts_elsewhere(table):
    for key in (Qt.Key.Key_Z, Qt.Key.Key_Return):
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, CONTROL)
        event.ignore()
        QApplication.sendEvent(table.view, event)
        assert event.isAccepted()


def test_delete_removes_the_selected_rows(table, qtbot):
    table.add_text("a\nb\nc\nd")
    table.view.go_to(1)
    qtbot.keyClick(table.view, Qt.Key.Key_Down, SHIFT)
    qtbot.keyClick(table.view, Qt.Key.Key_Delete)
    assert names(table) == ["a", "d"]
    assert table.current() is not None
    table.model.undo()
    assert labels(table) == [1, 2, 3, 4]


def test_space_switches_and_alt_moves(table, qtbot):
    table.add_text("a\nb\nc")
    table.view.go_to(1)
    qtbot.keyClick(table.view, Qt.Key.Key_Space)
    assert [p.on for p in table.prompts()] == [True, False, True]
    alt = Qt.KeyboardModifier.AltModifier
    qtbot.keyClick(table.view, Qt.Key.Key_Up, alt)
    assert names(table) == ["b", "a", "c"]
    assert table.current().name == "b"
    qtbot.keyClick(table.view, Qt.Key.Key_Up, alt)
    qtbot.keyClick(table.view, Qt.Key.Key_Down, alt)
    assert names(table) == ["a", "b", "c"]


def test_next_and_previous_go_round(table):
    assert table.current() is None
    table.select_next()
    table.add_text("a\nb")
    seen = record(table.current_changed)
    table.select_next()
    table.select_previous()
    table.select_previous()
    assert [p.name for (p,) in seen] == ["a", "b", "a"]
    table._toggle(table.current().label)
    assert not table.prompts()[0].on


def test_the_current_class_is_told_when_it_is_another(table):
    table.add_text("a\nb")
    table.select_previous()
    seen = record(table.current_changed)
    table.select_next()
    table.model.change(2, threshold=0.3)
    table.model.move([2], 0)
    assert [p.label for (p,) in seen] == [2]
    table.set_prompts([Prompt(("c",), 9)])
    assert [p and p.label for (p,) in seen] == [2, 9]
    table.set_prompts(())
    assert seen[-1] == (None,)
    assert table.current() is None


# --- mouse


def swatch_point(view, index):
    """Return a place on the colour of a cell, in pixels of the viewport."""
    rect = view.visualRect(index)
    rect.setLeft(view.check_rect(index).right() + 1)
    return rect.center()


def press(view, kind, point, modifiers=NONE):
    types = {"press": QEvent.Type.MouseButtonPress, "move": QEvent.Type.MouseMove}
    left = Qt.MouseButton.LeftButton
    event = QMouseEvent(
        types.get(kind, QEvent.Type.MouseButtonRelease),
        QPointF(point),
        QPointF(view.viewport().mapToGlobal(point)),
        Qt.MouseButton.NoButton if kind == "move" else left,
        Qt.MouseButton.NoButton if kind == "release" else left,
        modifiers,
    )
    QApplication.sendEvent(view.viewport(), event)


def test_a_threshold_is_dragged(table):
    table.add_text("a\nb")
    view = table.view
    cell = view.visualRect(table.model.index(0, Column.THRESHOLD))
    changed = record(table.changed)
    start, width = cell.center(), view.columnWidth(Column.THRESHOLD)
    press(view, "press", start)
    press(view, "release", start)
    assert changed == []
    press(view, "press", start)
    press(view, "move", start + QPoint(width // 4, 0))
    press(view, "move", start + QPoint(10 * width, 3))
    assert changed == [(True,), (True,)]
    assert table.prompts()[0].threshold == 1
    press(view, "release", start)
    assert changed == [(True,), (True,), (False,)]
    assert table.prompts()[0].threshold == 1
    assert table.current().name == "a"
    table.model.undo()
    assert table.prompts()[0].threshold == 0.5


def test_shift_drags_a_threshold_finely_and_escape_gives_up(table, qtbot):
    table.add_text("a")
    view = table.view
    start = view.visualRect(table.model.index(0, Column.THRESHOLD)).center()
    way = QPoint(view.columnWidth(Column.THRESHOLD), 0)
    press(view, "press", start)
    press(view, "move", start + way, SHIFT)
    assert table.prompts()[0].threshold == pytest.approx(0.6)
    changed = record(table.changed)
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert table.prompts()[0].threshold == 0.5
    assert changed == [(False,)]
    press(view, "release", start + way)
    assert changed == [(False,)]


def test_a_threshold_is_typed(table, qtbot):
    table.add_text("a")
    cell = table.view.visualRect(table.model.index(0, Column.THRESHOLD)).center()
    viewport = table.view.viewport()
    left = Qt.MouseButton.LeftButton
    qtbot.mouseClick(viewport, left, pos=cell)
    qtbot.mouseDClick(viewport, left, pos=cell)
    editor = viewport.findChild(QWidget, "", _children())
    editor.setValue(0.25)
    changed = record(table.changed)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(changed))
    assert changed == [(False,)]
    assert table.prompts()[0].threshold == 0.25


def test_the_check_box_switches_and_the_colour_asks(table, qtbot):
    table.add_text("a\nb")
    view, left = table.view, Qt.MouseButton.LeftButton
    index = table.model.index(1, Column.COLOR)
    box = view.check_rect(index).center()
    qtbot.mouseClick(view.viewport(), left, pos=box)
    assert [p.on for p in table.prompts()] == [True, False]
    qtbot.mouseDClick(view.viewport(), left, pos=box)
    assert [p.on for p in table.prompts()] == [True, True]
    swatch = swatch_point(view, index)
    qtbot.mouseClick(view.viewport(), left, pos=swatch)
    qtbot.mouseDClick(view.viewport(), left, pos=swatch)
    assert [p.on for p in table.prompts()] == [True, True]
    (dialog,) = table.findChildren(QColorDialog)
    changed = record(table.changed)
    dialog.setCurrentColor(QColor(255, 0, 51))
    dialog.accept()
    assert table.prompts()[1].color == pytest.approx((1, 0, 0.2), abs=1e-4)
    assert changed == [(False,)]


def test_the_context_menu_shows_maps_and_removes(table):
    table.add_text("a\nb")
    menu = table.context_menu()
    texts = {action.text().split("\t")[0]: action for action in menu.actions()}
    assert all(a.toolTip() for a in menu.actions() if not a.isSeparator())
    toggled = []
    table.map_toggled.connect(toggled.append)
    texts["Show or hide map"].trigger()
    assert toggled == [table.current()]
    texts["Remove"].trigger()
    assert names(table) == ["a"]
    menu.close()


def test_a_row_is_dragged_with_the_mouse(table, qtbot):
    if QGuiApplication.platformName() != "xcb":
        pytest.skip("the mouse can be played to a drag on X11 only")
    table.add_text("a\nb\nc\nd")
    window, left = table.windowHandle(), Qt.MouseButton.LeftButton

    def at(row, down=0):
        center = table.view.visualRect(table.model.index(row, Column.NAME)).center()
        return table.view.viewport().mapTo(table, center + QPoint(0, down))

    below = table.view.visualRect(table.model.index(2, 0)).height() // 2 - 1
    changed = record(table.changed)

    def drop():
        # Qt's drag runs a loop of its own, in which this is called
        QTest.mouseMove(window, at(2))
        QTest.mouseMove(window, at(2, below))
        QTest.mouseRelease(window, left, NONE, at(2, below))

    QTimer.singleShot(1000, drop)
    QTest.mousePress(window, left, NONE, at(0))
    for point in (at(0, 5), at(1), at(1, 4)):
        QTest.mouseMove(window, point)
    qtbot.waitUntil(lambda: bool(changed), timeout=10_000)
    assert names(table) == ["b", "c", "a", "d"]
    assert labels(table) == [2, 3, 1, 4]
    assert table.current().name == "a"


def test_a_selected_row_shows_its_own_colour(table):
    table.set_prompts([Prompt(("a",), color=(1.0, 0.0, 0.0))])
    table.view.go_to(0)
    shown = table.view.grab().toImage()
    place = swatch_point(table.view, table.model.index(0, Column.COLOR))
    corner = table.view.viewport().mapTo(table.view, place)
    assert shown.pixelColor(corner) == QColor(255, 0, 0)


# --- background


def test_background_words_are_the_models_until_edited(table):
    words = table.background_words
    table.set_default_background(("sky", "ground"))
    assert table.background() is None
    assert words.edit.toPlainText() == "sky, ground"
    changed = record(table.changed)
    words.edit.setPlainText("sky\nwall, wall")
    assert table.background() == ("sky", "wall")
    assert changed == [(False,)]
    assert words.reset_button.isEnabled()
    table.set_default_background(("other",))
    assert table.background() == ("sky", "wall")
    words.reset_button.click()
    assert table.background() is None
    assert words.edit.toPlainText() == "other"
    table.model.undo()
    assert table.background() == ("sky", "wall")
    assert read_words(words.edit.toPlainText()) == ("sky", "wall")
    words.edit.setPlainText("  ")
    assert table.background() is None


def test_half_typed_background_words_outlive_other_changes(table):
    table.add_text("a")
    table.background_words.edit.setPlainText("dar")
    table._toggle(table.current().label)
    assert table.background_words.edit.toPlainText() == "dar"
    assert table.background() == ("dar",)


def test_background_words_are_set_from_elsewhere(table):
    table.set_default_background(("sky", "ground"))
    table.set_background(("sky", "ground"))
    assert table.background() is None
    table.set_background(["dark"])
    assert table.background() == ("dark",)
    table.set_background(None)
    assert table.background() is None


def test_background_words_count_after_a_pause(qtbot):
    words = BackgroundWords()
    qtbot.addWidget(words)
    with qtbot.waitSignal(words.edited, timeout=5000) as typed:
        words.edit.setPlainText("dark")
    assert typed.args == [("dark",)]


# --- sets, samples, examples


def test_the_menu_has_the_sets_and_tooltips(table):
    actions = [a for a in table.menu_button.menu().actions() if not a.isSeparator()]
    texts = [action.text().split("\t")[0] for action in actions]
    assert texts[: len(list_sets())] == [
        "Aerial",
        "Electron microscopy",
        "Fluorescence",
        "Histology",
        "Land cover",
    ]
    assert texts[len(list_sets()) :] == [
        "Load set…",
        "Save set…",
        "Undo",
        "Redo",
        "Clear",
    ]
    assert all(action.toolTip() for action in actions)
    messages = record(table.message_sent)
    actions[3].trigger()
    assert table.prompts() == read_set("histology").prompts
    assert "Untested" in messages[0][1]
    actions[-1].trigger()
    assert table.prompts() == ()
    table.model.undo()
    assert table.prompt_set() == read_set("histology")


def test_a_set_is_saved_and_loaded(table, tmp_path, monkeypatch):
    table.add_text("a, b\nc")
    table.model.change(2, on=False, threshold=0.2, color=(0.1, 0.2, 0.3))
    kept = Example(None, (1.0, 0.0), "m")
    examples = Example((3.0, 4.0), (1.0, 0.0), "m"), Example((5.0, 6.0))
    table.model.change(1, examples=examples)
    table.set_background(("dark",))
    path = tmp_path / "mine.json"
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(path.with_suffix("")), "")
    )
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    actions = {a.text(): a for a in table.menu_button.menu().actions()}
    messages = record(table.message_sent)
    actions["Save set…"].trigger()
    assert messages[-1][0] == "info"
    assert "1 examples" in messages[-1][1]
    saved = read_set(path)
    assert saved.name == "mine"
    assert saved.prompts[0].examples == (kept,)
    table.set_prompts(())
    actions["Load set…"].trigger()
    assert table.prompt_set() == saved
    path.write_text("{")
    actions["Load set…"].trigger()
    assert messages[-1][0] == "warning"
    assert table.prompt_set() == saved


def test_a_set_that_cannot_be_is_told(table, tmp_path):
    messages = record(table.message_sent)
    table.model.load(PromptSet("x", prompts=(Prompt(("a",), 1), Prompt(("A",), 2))))
    assert messages[0][0] == "warning"
    assert table.prompts() == ()
    table.add_text("a")
    table.save_set(tmp_path / "none" / "x.json")
    assert messages[-1][0] == "warning"


def layer_with(*lines):
    return SimpleNamespace(metadata={"napari_gem": {"prompts": list(lines)}})


def test_samples_bring_prompts_until_something_is_typed(table):
    table.suggest(None)
    table.suggest(SimpleNamespace(metadata={}))
    table.suggest(SimpleNamespace(metadata={"napari_gem": "?"}))
    assert table.prompts() == ()
    table.suggest(layer_with("nuclei, nucleus", "cells"))
    assert [p.words for p in table.prompts()] == [("nuclei", "nucleus"), ("cells",)]
    assert not table.model.history.can_undo
    first = table.prompts()
    table.suggest(layer_with("nuclei, nucleus", "cells"))
    assert table.prompts() == first
    table.suggest(layer_with("water"))
    assert names(table) == ["water"]
    table.model.change(table.prompts()[0].label, threshold=0.4)
    table.suggest(layer_with("sand"))
    assert names(table) == ["water"]


# --- looks


def test_words_that_are_the_name_are_not_said_twice(table):
    table.add_text("cell\nnucleus, nuclei")
    cells = [table.model.index(row, Column.WORDS) for row in (0, 1)]
    assert [cell.data() for cell in cells] == ["same as class", "nucleus, nuclei"]
    assert cells[0].data(Qt.ItemDataRole.EditRole) == "cell"
    assert cells[0].data(Qt.ItemDataRole.ToolTipRole) == "cell"
    assert table.model.setData(cells[0], "cell, cells")
    assert cells[0].data() == "cell, cells"


def test_long_names_and_words_share_the_width(table):
    table.add_text("a name that is far too long for its column, and so is this word")
    name, words = (table.view.columnWidth(c) for c in (Column.NAME, Column.WORDS))
    assert abs(name - (name + words) * 3 / 5) <= 1, "names say most"
    table.set_prompts([Prompt(("a name that is far too long for its column",))])
    name, words = (table.view.columnWidth(c) for c in (Column.NAME, Column.WORDS))
    assert name > words, "a hint needs no room"
    table.set_prompts([Prompt((f"purple nuclei {i}",)) for i in range(3)])
    needed = table.view.sizeHintForColumn(Column.NAME)
    assert table.view.columnWidth(Column.NAME) == needed, "the name is cut"
    assert table.view.textElideMode() == Qt.TextElideMode.ElideMiddle


def test_an_empty_table_says_what_to_type(table):
    def middle():
        """Colours of the rows in the middle, where only the sentence is."""
        image = table.view.viewport().grab().toImage()
        row = image.height() // ROWS
        places = range(row + 2, 3 * row - 2)
        return {image.pixel(x, y) for y in places for x in range(image.width())}

    assert len(middle()) > 2
    table.add_text("a")
    assert len(middle()) == 1


def test_it_fits_a_narrow_dock(table):
    table.model.load(read_set("fluorescence"))
    table.background_words.expand()
    assert table.minimumSizeHint().width() <= NARROW
    header = table.view.header()
    assert header.length() <= table.view.viewport().width()
    for column in (Column.NAME, Column.WORDS):
        assert table.view.columnWidth(column) >= 45


def test_large_fonts_get_room(table, qtbot):
    table.add_text("a")
    small = table.view.columnWidth(Column.SHARE)
    table.setStyleSheet("QWidget { font-size: 20pt; }")
    qtbot.waitUntil(lambda: table.view.columnWidth(Column.SHARE) > small)
    room = table.view.fontMetrics().horizontalAdvance("<0.1 %")
    assert table.view.columnWidth(Column.SHARE) > room
    assert table.minimumSizeHint().width() <= NARROW


def test_all_rows_are_shown_and_one_area_scrolls(table, qtbot, monkeypatch):
    area = QScrollArea()
    qtbot.addWidget(area)
    area.setWidgetResizable(True)
    area.setWidget(table)
    area.resize(NARROW, 200)
    area.show()
    qtbot.waitExposed(area)
    small = table.view.height()
    table.add_text("\n".join(map(str, range(25))))
    assert table.view.verticalScrollBar().maximum() == 0
    assert table.view.height() > 4 * small
    # no window is active on a screen without a window manager
    monkeypatch.setattr(QApplication, "focusWidget", lambda: table.edit)
    table.add_text("last")
    qtbot.waitUntil(
        lambda: (
            area.verticalScrollBar().value() > 300
            and table.edit.visibleRegion().boundingRect() == table.edit.rect()
        )
    )
    monkeypatch.setattr(QApplication, "focusWidget", lambda: None)
    for row in (0, 24, 12):
        table.view.go_to(row)
        qtbot.wait(1)
        shown = table.view.viewport().visibleRegion().boundingRect()
        assert shown.contains(table.view.visualRect(table.model.index(row, 1)))
    table.set_prompts(())
    assert table.view.height() == small
    area.takeWidget()


def test_every_control_has_a_tooltip(table):
    words = table.background_words
    for control in (
        table.edit,
        table.menu_button,
        words.edit,
        words.reset_button,
        words.toggleButton(),
    ):
        assert control.toolTip()


def test_a_renamed_class_comes_back_with_its_id():
    results = {1: "a"}
    model = PromptModel(known=lambda: results)
    model.add(["a"])
    model.change(1, title="b")
    model.load(PromptSet("nothing"))
    model.undo()
    assert [(p.name, p.label) for p in model.state.prompts] == [("b", 1)]


def test_a_quotation_mark_that_does_not_end_is_said(table):
    heard = []
    table.message_sent.connect(lambda *said: heard.append(said))
    assert table.add_text('"unclosed, quote') == ('"unclosed, quote',)
    assert "does not end" in heard[-1][1]
    assert not table.prompts()
    table.add_text('5" pipe, "red, white"')
    assert table.prompts()[0].words == ('5" pipe', "red, white")
    table.add_text("a" * 300)
    table.add_text("a" * 300)
    assert len(heard[-1][1]) < 120


def test_many_rows_are_laid_out_once(table, monkeypatch):
    calls = []
    monkeypatch.setattr(table.view, "sizeHintForColumn", lambda n: calls.append(n) or 9)
    table.add_text("\n".join(f"class {i}" for i in range(60)))
    table.view.selectAll()
    table._on_remove()
    table.model.undo()
    assert len(calls) < 30, "it would take seconds"
    assert table.view.height() > 60 * table.view.fontMetrics().height()


def test_a_decimal_comma_is_one(table, qtbot):
    table.add_text("a")
    index = table.model.index(0, Column.THRESHOLD)
    table.view.edit(index)
    box = table.view.findChild(QDoubleSpinBox)
    box.selectAll()
    QTest.keyClicks(box, "0,3")
    QTest.keyClick(box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: table.prompts()[0].threshold == pytest.approx(0.3))
