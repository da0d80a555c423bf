"""The instances as a table below the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QApplication, QTableView

from napari_gem.core.foreign_text import shown
from napari_gem.widget.parts.links import Links

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtCore import QObject
    from qtpy.QtGui import QKeyEvent
    from qtpy.QtWidgets import QWidget

NAME = "Instances"
ROWS = 10
"""Rows that the table has room for when it opens."""

ROOM = 8
"""Pixels above and below the text of a row, together."""

INDEX, INSTANCE = "index", "instance"
"""What napari and the table call the number of an instance."""

SAME_AS_PIXELS = "area (pixel²)"
"""The layer has no unit: this column says what ``area (px)`` says."""

NO_PARENT = QModelIndex()


class InstanceModel(QAbstractTableModel):
    """Rows are the instances of a labels layer; the background is none of them.

    Parameters
    ----------
    parent
        Owns it.

    Attributes
    ----------
    columns
        (rows,) arrays by the names in the header.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns: dict[str, Any] = {}
        self._order: Any = np.arange(0)
        self._sorted = (0, Qt.SortOrder.AscendingOrder)

    def show(self, features: Any) -> None:
        """Show a layer's features: a table with a column ``index``."""
        self.beginResetModel()
        instances = features[features[INDEX] > 0].rename(columns={INDEX: INSTANCE})
        names = [name for name in instances.columns if name != SAME_AS_PIXELS]
        self.columns = {name: instances[name].to_numpy() for name in names}
        self._order = np.arange(len(instances))
        self.endResetModel()
        self.sort(*self._sorted)

    def value(self, row: int, column: str) -> Any:
        """Value of a cell."""
        return self.columns[column][self._order[row]]

    def row_of(self, instance: int) -> int:
        """Row of an instance; -1 if there is none."""
        rows = np.flatnonzero(self.columns[INSTANCE][self._order] == instance)
        return int(rows[0]) if len(rows) else -1

    def rowCount(self, parent: QModelIndex = NO_PARENT) -> int:  # noqa: N802
        """Count the instances."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = NO_PARENT) -> int:  # noqa: N802
        """Count the columns."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(  # noqa: N802 (Qt's name)
        self, section: int, orientation: Qt.Orientation, role: int = 0
    ) -> str | None:
        """Name a column; rows have no number beside that of the instance."""
        if role != Qt.ItemDataRole.DisplayRole or section >= len(self.columns):
            return None
        is_column = orientation == Qt.Orientation.Horizontal
        return list(self.columns)[section] if is_column else None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Text of a cell; numbers stand on the right."""
        if not index.isValid():
            return None
        value = self.value(index.row(), list(self.columns)[index.column()])
        if role == Qt.ItemDataRole.DisplayRole:
            name = list(self.columns)[index.column()]
            return shown(value) if isinstance(value, str) else _number(value, name)
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def sort(
        self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder
    ) -> None:
        """Sort the rows; what has no value comes last."""
        self._sorted = (column, order)
        if not 0 <= column < len(self.columns):
            return
        self.layoutAboutToBeChanged.emit()
        values = list(self.columns.values())[column]
        if values.dtype == object:
            values = np.unique(values.astype(str), return_inverse=True)[1]
        down = order == Qt.SortOrder.DescendingOrder
        self._order = np.argsort(-values if down else values, kind="stable")
        self.layoutChanged.emit()


class InstanceTable(QTableView):
    """Table of the instances of one layer: a row and its object are chosen together.

    Parameters
    ----------
    viewer
        Its view goes to an instance that is double-clicked.
    parent
        Owns it.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self._links = Links(self._on_label, self)
        self._feature_links = Links(self._on_features, self)
        self.instances = InstanceModel(self)
        self.setModel(self.instances)
        self.setAccessibleName(NAME)
        self.setToolTip(
            "Click a column to sort, a row to choose its object; double-click shows "
            "it in the middle. Ctrl+C copies the chosen rows."
        )
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setSortingEnabled(True)
        rows = self.verticalHeader()
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + ROOM)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.selectionModel().currentRowChanged.connect(self._on_row)
        self.doubleClicked.connect(self._go_to)

    def show_layer(self, layer: Any) -> None:
        """Show the instances of a labels layer, and follow what is chosen in it."""
        if layer is not self._layer:
            self._layer = layer
            self._links.clear()
            self._feature_links.clear()
            self._links.connect([layer.events.selected_label])
            self._feature_links.connect([layer.events.features])
        self._on_features()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Have room for `ROWS` rows."""
        row = self.verticalHeader().defaultSectionSize()
        rows = ROWS * row + 2 * self.frameWidth()
        header = self.horizontalHeader().sizeHint().height()
        bar = self.horizontalScrollBar().sizeHint().height()
        return QSize(super().sizeHint().width(), header + rows + bar)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Copy the chosen rows, with the names of the columns, for a spreadsheet."""
        if not event.matches(QKeySequence.StandardKey.Copy):
            super().keyPressEvent(event)
            return
        rows = sorted(each.row() for each in self.selectionModel().selectedRows())
        columns = range(self.instances.columnCount())
        lines = [
            [str(self.instances.index(row, c).data()) for c in columns] for row in rows
        ]
        lines.insert(0, list(self.instances.columns))
        QApplication.clipboard().setText("\n".join("\t".join(each) for each in lines))

    def _on_features(self, _event: Any = None) -> None:
        self.instances.show(self._layer.features)
        self.resizeColumnsToContents()
        self._on_label()

    def _on_label(self, _event: Any = None) -> None:
        row = self.instances.row_of(self._layer.selected_label)
        if row >= 0 and row != self.currentIndex().row():
            self.setCurrentIndex(self.instances.index(row, 0))

    def _on_row(self, index: QModelIndex) -> None:
        if index.isValid() and self._layer in self._viewer.layers:
            number = int(self.instances.value(index.row(), INSTANCE))
            self._layer.selected_label = number

    def _go_to(self, index: QModelIndex) -> None:
        layer, dims = self._layer, self._viewer.dims
        names = [f"axis {axis} (px)" for axis in range(layer.ndim)]
        if layer.ndim == 2:
            names = ["row (px)", "column (px)"]
        pixel = [float(self.instances.value(index.row(), name)) for name in names]
        # a viewer with more axes has them in front
        place = (*[0.0] * (dims.ndim - layer.ndim), *layer.data_to_world(pixel))
        for axis in dims.not_displayed:
            dims.set_point(axis, place[axis])
        self._viewer.scene.camera.center = [place[axis] for axis in dims.displayed]


def show_instances(
    viewer: Any, layer: Any, table: InstanceTable | None
) -> InstanceTable:
    """Show the instances of a layer below the canvas.

    Parameters
    ----------
    viewer
        Whose window gets the dock.
    layer
        Labels, each an instance, with their features.
    table
        What this returned before; it stays where the user put it.

    Returns
    -------
    InstanceTable
        The table that shows them.
    """
    if table is not None and isalive(table):
        table.show_layer(layer)
        table.parentWidget().show()
        return table
    table = InstanceTable(viewer)
    table.show_layer(layer)
    viewer.window.add_dock_widget(table, name=NAME, area="bottom")
    return table


def _number(value: Any, name: str) -> str:
    """Write a number as exactly as its column is read."""
    if np.isnan(value):
        return ""
    if name == "mean probability":
        return f"{value:.3f}"
    # places in pixels are middles of objects
    return f"{value:.1f}" if name.endswith("(px)") and value % 1 else f"{value:.6g}"
