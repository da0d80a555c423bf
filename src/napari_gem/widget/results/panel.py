"""What can be made of a result: buttons, and how it is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.fields import parameters_of, with_values
from napari_gem.core.sentences import some_of
from napari_gem.layers.derived import DerivedOptions
from napari_gem.widget.keys import key_of
from napari_gem.widget.parts.controls import form, list_control, number_control
from napari_gem.widget.parts.dialogs import path_to_save
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.plain import Label, tip
from napari_gem.widget.results.merge_button import MergeButton

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_gem.widget.results.map_layers import MapChoice

MAPS = (
    ("Current class", "current"),
    ("Chosen classes", "chosen"),
    ("All classes", "all"),
)
MAPS_HINT = (
    "Which maps are in the list of layers, hidden at first.\n"
    "Current class: one layer, which shows the class that is chosen in the table.\n"
    "Chosen classes: a layer for each class whose map was shown ({key}).\n"
    "All classes: a layer for each; napari needs a tenth of a second for each."
)
METHODS = (("Connected regions", "components"), ("Watershed", "watershed"))


class ResultsPanel(QWidget):
    """Buttons that make something of the labels and maps; folded away at first.

    Parameters
    ----------
    parent
        Widget that it is part of.
    merge_targets
        Gives the layers that `MergeButton` offers.
    """

    instances_requested = Signal(object)
    """`DerivedOptions`, which most signals here carry."""
    boxes_requested = Signal(object)
    uncertainty_requested = Signal(object)
    peaks_requested = Signal(object)
    table_requested = Signal(object, str)
    """`DerivedOptions` and the path of the CSV file to be written."""
    table_shown = Signal(object)
    paint_requested = Signal()
    map_choice_changed = Signal(str)
    """`MapChoice`."""

    def __init__(
        self,
        parent: QWidget | None = None,
        merge_targets: Callable[[], Sequence[Any]] = tuple,
    ) -> None:
        super().__init__(parent)
        self.controls: dict[str, Any] = {}
        for each in parameters_of(DerivedOptions):
            control = list_control(METHODS) if each.choices else number_control(each)
            control.native.setToolTip(tip(each.about.help))
            self.controls[each.name] = control
        self.maps_control = list_control(MAPS)
        self.maps_control.native.setAccessibleName("Maps")
        self.maps_control.native.setToolTip(MAPS_HINT.format(key=key_of("toggle_map")))
        self.instances_button = _button(
            "Instances",
            "A labels layer with a number for each object, its class, area and mean "
            "probability",
        )
        self.boxes_button = _button(
            "Boxes",
            "A shapes layer with a box around each instance, as prompts for other "
            "plugins",
        )
        self.peaks_button = _button(
            "Peaks",
            "A points layer with the places where each class is most probable, as "
            "prompts for other plugins",
        )
        self.uncertainty_button = _button(
            "Uncertainty",
            "An image layer: bright where the two most probable classes are close.\n"
            "A good place to check first; it does not tell whether a label is right.",
        )
        self.show_button = _button(
            "Show table",
            "Make instances and list them below the image: click a column to sort, a\n"
            "row to choose its object",
        )
        self.paint_button = _button(
            "Paint copy",
            "Labels of an image of more than 16 million pixels are shown from disk\n"
            "and cannot be painted on. This adds a copy that can.",
        )
        self.merge_button = MergeButton(merge_targets)
        self.stale = Label()
        self.stale.setWordWrap(True)
        self.stale.hide()
        self.table_button = _button(
            "Save table (CSV)...",
            "Class, area, mean probability and place of each instance",
        )
        self._lay_out()
        self._connect()
        self._on_method()

    def options(self) -> DerivedOptions:
        """Read how it is to be done."""
        values = {name: control.value for name, control in self.controls.items()}
        return with_values(DerivedOptions(), values)

    def map_choice(self) -> MapChoice:
        """Read which maps have a layer."""
        choice: MapChoice = self.maps_control.value
        return choice

    def set_map_choice(self, choice: MapChoice) -> None:
        """Choose which maps have a layer."""
        self.maps_control.value = choice

    def set_busy(self, busy: bool) -> None:
        """Allow no further request while one is worked on."""
        for button in self._buttons():
            button.setEnabled(not busy)

    def show_stale(self, names: list[str]) -> None:
        """Say which layers were made from earlier labels."""
        listed = some_of(names, quoted=True)
        self.stale.setText(
            f"Made from earlier labels: {listed}. Make again." if names else ""
        )
        self.stale.setVisible(bool(names))

    def _buttons(self) -> list[QPushButton]:
        return [
            self.paint_button,
            self.merge_button,
            self.instances_button,
            self.boxes_button,
            self.show_button,
            self.table_button,
            self.peaks_button,
            self.uncertainty_button,
        ]

    def _lay_out(self) -> None:
        rows = {
            each.name: (Label(each.label), self.controls[each.name].native)
            for each in parameters_of(DerivedOptions)
        }
        peaks = form(row for name, row in rows.items() if name.startswith("peak"))
        objects = form(row for name, row in rows.items() if not name.startswith("peak"))
        grid = QGridLayout()
        grid.addWidget(self.instances_button, 0, 0)
        grid.addWidget(self.boxes_button, 0, 1)
        grid.addWidget(self.show_button, 1, 0)
        grid.addWidget(self.table_button, 1, 1)
        more = QGridLayout()
        more.addWidget(self.peaks_button, 0, 0)
        more.addWidget(self.uncertainty_button, 0, 1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        maps = form([(Label("Maps"), self.maps_control.native)])
        for layout in (maps, objects, grid, peaks, more):
            column.addLayout(layout)
        more.addWidget(self.paint_button, 1, 0)
        more.addWidget(self.merge_button, 1, 1)
        column.addWidget(self.stale)
        self.fold = Fold("Results")
        self.fold.set_tooltip(
            "Instances, boxes, peaks, uncertainty, tables and merged labels"
        )
        self.fold.hold(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)

    def _connect(self) -> None:
        self.maps_control.changed.connect(self.map_choice_changed.emit)
        self.controls["method"].changed.connect(self._on_method)
        for button, signal in (
            (self.instances_button, self.instances_requested),
            (self.boxes_button, self.boxes_requested),
            (self.show_button, self.table_shown),
            (self.peaks_button, self.peaks_requested),
            (self.uncertainty_button, self.uncertainty_requested),
        ):
            button.clicked.connect(lambda _=False, s=signal: s.emit(self.options()))
        self.table_button.clicked.connect(self._on_table)
        self.paint_button.clicked.connect(self.paint_requested)

    def _on_method(self) -> None:
        by_watershed = self.controls["method"].value == "watershed"
        self.controls["seed_distance"].enabled = by_watershed

    def _on_table(self) -> None:
        path = path_to_save(
            self, "Save the table of instances", "instances.csv", "CSV (*.csv)"
        )
        if path:
            self.table_requested.emit(self.options(), path)


def _button(text: str, hint: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(hint)
    button.setAccessibleName(text.strip("."))
    return button
