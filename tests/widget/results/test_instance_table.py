"""The table of instances: what it lists, and that rows and objects go together."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_gem.widget.results.derived import DerivedLayers
from napari_gem.widget.results.instance_table import NAME, ROWS, InstanceTable
from tests.layers.test_derived import show

PATIENCE = 60_000
DOWN = Qt.SortOrder.DescendingOrder


def make_instances(viewer, qtbot, **place):
    """Instances of a result in a viewer."""
    labels = show(viewer, viewer.add_image(np.zeros((20, 30)), **place))
    derived = DerivedLayers(viewer)
    derived.make(labels, "instances")
    qtbot.waitUntil(lambda: not derived.busy, timeout=PATIENCE)
    derived.close()
    return viewer.layers[-1]


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def layer(viewer, qtbot):
    return make_instances(viewer, qtbot)


@pytest.fixture
def table(viewer, layer, qtbot):
    table = InstanceTable(viewer)
    qtbot.addWidget(table)
    table.show_layer(layer)
    return table


def column(table, name):
    """Texts of a column from the top."""
    names = list(table.instances.columns)
    cells = range(table.instances.rowCount())
    return [table.instances.index(row, names.index(name)).data() for row in cells]


def test_each_instance_is_listed_once_and_the_background_is_not(table, layer):
    names = list(table.instances.columns)
    assert names[:3] == ["instance", "class", "area (px)"]
    assert "index" not in names
    assert "area (pixel²)" not in names, "it would say the same twice"
    assert column(table, "instance") == ["1", "2", "3"]
    assert "background" not in column(table, "class")
    for row, number in enumerate(column(table, "instance")):
        area = np.count_nonzero(layer.data == int(number))
        assert column(table, "area (px)")[row] == str(area)


def test_numbers_are_as_exact_as_they_are_read(table, layer):
    features = layer.features.copy()
    features["mean probability"] = [np.nan, 0.920027, 0.5, 1]
    features["row (px)"] = [np.nan, 21.7715, 3.0, 4.0]
    layer.features = features
    assert column(table, "mean probability") == ["0.920", "0.500", "1.000"]
    assert column(table, "row (px)") == ["21.8", "3", "4"]


def test_areas_in_units_are_listed(viewer, qtbot):
    place = {"scale": (2, 2), "units": ("um", "um")}
    layer = make_instances(viewer, qtbot, **place)
    table = InstanceTable(viewer)
    qtbot.addWidget(table)
    table.show_layer(layer)
    areas = [float(each) for each in column(table, "area (px)")]
    assert [float(each) for each in column(table, "area (micrometer²)")] == [
        4 * area for area in areas
    ]


def test_a_row_and_its_object_are_chosen_together(table, layer):
    table.selectRow(1)
    assert layer.selected_label == 2
    layer.selected_label = 3
    assert table.currentIndex().row() == 2
    table.sortByColumn(0, DOWN)
    assert column(table, "instance") == ["3", "2", "1"]
    layer.selected_label = 1
    assert table.currentIndex().row() == 2
    layer.selected_label = 99  # none of the table
    assert layer.selected_label == 99


def test_sorting_is_by_number_and_what_has_no_value_comes_last(table, layer):
    features = layer.features.copy()
    features["mean probability"] = [np.nan, np.nan, 0.25, 10.0]
    layer.features = features
    place = list(table.instances.columns).index("mean probability")
    up = Qt.SortOrder.AscendingOrder
    for order, expected in (
        (DOWN, ["10.000", "0.250", ""]),
        (up, ["0.250", "10.000", ""]),
    ):
        table.sortByColumn(place, order)
        assert column(table, "mean probability") == expected


def test_a_double_click_brings_the_object_to_the_middle(table, viewer, layer):
    middle = np.argwhere(layer.data == 2).mean(0)
    table.doubleClicked.emit(table.instances.index(1, 0))
    assert viewer.scene.camera.center[-2:] == pytest.approx(layer.data_to_world(middle))


def test_rows_are_copied_for_a_spreadsheet(table, qtbot):
    table.selectRow(0)
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QApplication.clipboard().text().split("\n")
    assert lines[0].split("\t") == list(table.instances.columns)
    assert lines[1].split("\t")[0] == "1"
    assert len(lines) == 2


def test_a_layer_that_was_removed_is_left_alone(table, viewer, layer):
    viewer.layers.remove(layer)
    before = layer.selected_label
    table.selectRow(2)
    assert layer.selected_label == before


@pytest.mark.slow
def test_it_is_docked_below_the_canvas_with_room_for_ten_rows(
    make_napari_viewer, qtbot
):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 900)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    show(viewer, viewer.add_image(np.zeros((20, 30)), scale=(2, 2)))

    def press():
        qtbot.mouseClick(widget.results_panel.show_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not widget.derived_layers.busy, timeout=PATIENCE)
        qtbot.waitUntil(lambda: NAME in viewer.window.dock_widgets, timeout=PATIENCE)

    press()
    table = viewer.window.dock_widgets[NAME]
    row = table.verticalHeader().defaultSectionSize()
    qtbot.waitUntil(lambda: table.viewport().height() >= ROWS * row - 1)
    press()
    docks = [name for name in viewer.window.dock_widgets if NAME in name]
    assert docks == [NAME]
    assert viewer.window.dock_widgets[NAME] is table
    widget.controller.close()
