"""Table of what came of each image of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_gem.core.foreign_text import shown
from napari_gem.widget.parts.plain import tip

if TYPE_CHECKING:
    from napari_gem.core.batch import ImageOutcome


RESUME, OVERWRITE = "Leave out finished images", "Replace other results"
"""Boxes of the form."""


class OutcomeTable(QTableWidget):
    """A row for each image: its name, and the share of each class or what is wrong."""

    chosen = Signal(object)
    """`ImageOutcome` that the user wants to see."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self._outcomes: list[ImageOutcome] = []
        self.setHorizontalHeaderLabels(["Image", "Result"])
        self.setAccessibleName("Images of the batch")
        self.setToolTip("Double-click an image to open it with its result.")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        self.setColumnWidth(0, 140)
        self.itemDoubleClicked.connect(self._on_double_click)

    def clear_outcomes(self) -> None:
        """Begin anew."""
        self._outcomes.clear()
        self.setRowCount(0)

    def add(self, outcome: ImageOutcome) -> None:
        """Add a row."""
        row = self.rowCount()
        self._outcomes.append(outcome)
        self.insertRow(row)
        for column, text in enumerate((outcome.name, for_form(_result(outcome)))):
            item = QTableWidgetItem(shown(text))
            item.setToolTip(tip(f"{outcome.path}\n{text}"))
            self.setItem(row, column, item)
        self.scrollToBottom()

    def _on_double_click(self, item: QTableWidgetItem) -> None:
        self.chosen.emit(self._outcomes[item.row()])


def for_form(sentence: str) -> str:
    """Name the boxes of the form in place of the command line's options."""
    for option, box in (("--resume", RESUME), ("--overwrite", OVERWRITE)):
        sentence = sentence.replace(option, f"'{box}'")
    return sentence


def _result(outcome: ImageOutcome) -> str:
    if outcome.problem:
        return f"Not done: {outcome.problem}"
    shares = (f"{one.name} {one.share:.1%}" for one in outcome.classes)
    return ", ".join(shares)
