"""'Segment a folder': a form, a batch in a worker process, a table of its images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, LineEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_gem.core.appearance import PERCENTILES
from napari_gem.core.batch import IMAGES, BatchOptions
from napari_gem.core.errors import GemError
from napari_gem.images.rendering import with_percentiles
from napari_gem.results.recipe import NAME, read_recipe
from napari_gem.widget.actions import find_widget
from napari_gem.widget.batch.outcome_table import (
    OVERWRITE,
    RESUME,
    OutcomeTable,
    for_form,
)
from napari_gem.widget.image.file_opener import FileOpener
from napari_gem.widget.parameters.settings import read_settings
from napari_gem.widget.parts.plain import Label
from napari_gem.widget.parts.progress_text import progress_text
from napari_gem.widget.recipes.from_dock import recipe_of_inputs
from napari_gem.worker.client import WorkerClient
from napari_gem.worker.messages import (
    BatchFinished,
    BatchOrder,
    Cancelled,
    Failed,
    ImageFinished,
    NeedsDownload,
    Progressed,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer

    from napari_gem.core.batch import BatchReport, ImageOutcome
    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Recipe
    from napari_gem.widget.dock import GemWidget
    from napari_gem.worker.messages import Event

RECIPE, MEASURED = "As chosen there", "Percentiles of each image"

OF_DOCK, OF_RECIPE = "Words and settings of the GEM widget", "A recipe"

WELCOME = (
    "Try words on one image in the GEM widget. Here the same is done with all images "
    "of a folder, or what a recipe says (Recipe > Save recipe in the GEM widget)."
)
NO_DOCK = (
    "The GEM widget is not open. Open it and type the words there, or choose a recipe."
)
DOWNLOAD = (
    "The recipe's model {name} is not on this computer. Choose it in the GEM widget, "
    "which downloads it, and press Run here again."
)


class SegmentFolder(QWidget):
    """Does with the images of a folder what the dock would, or a recipe says.

    Parameters
    ----------
    viewer
        Where images and results are opened.
    make_client
        Called once with the function that takes events; None starts a worker process.
    find_dock
        Gives the GEM widget if it is open; None looks for it in the viewer.
    """

    _event_came = Signal(object)

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        make_client: Callable[[Callable[[Event], object]], WorkerClient] | None = None,
        find_dock: Callable[[], GemWidget | None] | None = None,
    ) -> None:
        super().__init__()
        settings = read_settings()
        self._device = settings.device
        self._folder = Path()
        self._fields: dict[str, Any] = {
            "what": ComboBox(label="Do", choices=[OF_DOCK, OF_RECIPE]),
            "recipe": FileEdit(label="Recipe", mode="r", filter="Recipes (*.json)"),
            "images": FileEdit(label="Images in", mode="d"),
            "pattern": LineEdit(label="Only", value=""),
            "output": FileEdit(label="Results to", mode="d"),
            "contrast": ComboBox(label="Contrast", choices=[RECIPE, MEASURED]),
            "resume": CheckBox(text=RESUME, value=True),
            "overwrite": CheckBox(text=OVERWRITE, value=False),
        }
        for name in ("recipe", "images", "output"):
            self._fields[name].line_edit.value = ""
        self._fields["pattern"].native.setPlaceholderText("all images; or **/*.tif")
        self._find_dock = find_dock or partial(_docked, viewer)
        if self._find_dock() is None:
            self._fields["what"].value = OF_RECIPE
        self.form = Container(widgets=list(self._fields.values()), labels=True)
        self.run_button, self.cancel_button = QPushButton("Run"), QPushButton("Cancel")
        self.bar, self.message = QProgressBar(), Label(WELCOME)
        self.message.setWordWrap(True)
        self.bar.setTextVisible(False)
        self.table = OutcomeTable()
        self._opener = FileOpener(viewer, self)
        self._opener.message_sent.connect(self._on_message)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button)
        buttons.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.form.native)
        layout.addLayout(buttons)
        for widget in (self.bar, self.message, self.table):
            layout.addWidget(widget)
        layout.setStretchFactor(self.table, 1)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.cancel)
        self.table.chosen.connect(self.open_image)
        self._fields["what"].changed.connect(self._on_what)
        self._on_what(self._fields["what"].value)
        self._event_came.connect(self._on_event)
        make = make_client or partial(WorkerClient, storage=settings.storage)
        self._client = make(self._event_came.emit)
        self.destroyed.connect(partial(_close, self._client))
        self._set_busy(False)

    def run(self) -> None:
        """Check the form, and begin."""
        values = {name: field.value for name, field in self._fields.items()}
        try:
            recipe = self._recipe(values)
            for name, what in (("images", "images"), ("output", "results")):
                if not self._fields[name].line_edit.value:
                    raise GemError(f"Choose the folder of the {what}.")
        except GemError as error:
            self.message.setText(str(error))
            return
        self._folder = Path(values["output"])
        order = BatchOrder(
            recipe,
            (str(values["images"]),),
            str(self._folder),
            values["pattern"],
            BatchOptions(resume=values["resume"], overwrite=values["overwrite"]),
        )
        job = replace(recipe, device=self._device)
        self.table.clear_outcomes()
        self._set_busy(True)
        self.message.setText("Starting...")
        self._client.submit(None, Request(0, job, batch=order))

    def cancel(self) -> None:
        """Stop within a tile; what is done stays."""
        self._client.cancel()

    def open_image(self, outcome: ImageOutcome) -> None:
        """Open an image, and its labels if it has any."""
        self._opener.open([outcome.path])
        recipe = self._folder / outcome.name / NAME
        if not outcome.problem and recipe.exists():
            self._opener.open_result(recipe)

    def _on_message(self, kind: str, text: str) -> None:
        if kind != "info":
            self.message.setText(text)

    def _on_what(self, what: str) -> None:
        self._fields["recipe"].enabled = what == OF_RECIPE

    def _recipe(self, values: dict[str, Any]) -> Recipe:
        if values["what"] == OF_DOCK:
            recipe = self._recipe_of_dock()
        else:
            recipe = self._recipe_of_file(values)
        if values["contrast"] == MEASURED:
            look = with_percentiles(recipe.appearance, PERCENTILES)
            recipe = replace(recipe, appearance=look)
        return recipe

    def _recipe_of_dock(self) -> Recipe:
        dock = self._find_dock()
        if dock is None:
            raise GemError(NO_DOCK)
        dock.prompt_table.take_typed()
        return recipe_of_inputs(dock.inputs(), dock.recipe_menu.recipe)

    def _recipe_of_file(self, values: dict[str, Any]) -> Recipe:
        if not self._fields["recipe"].line_edit.value:
            raise GemError(f"Choose a recipe: the {NAME} of a folder of results.")
        return read_recipe(values["recipe"])

    def _set_busy(self, busy: bool) -> None:
        self.form.enabled = not busy
        if not busy:
            self._on_what(self._fields["what"].value)
        self.run_button.setEnabled(not busy)
        self.cancel_button.setEnabled(busy)
        self.bar.setVisible(busy)
        self.bar.setRange(0, 0)

    def _on_event(self, event: Event) -> None:
        if event.run == 0:
            return
        if isinstance(event, Progressed):
            self._show(event.progress)
        elif isinstance(event, ImageFinished):
            self.table.add(event.outcome)
        else:
            self._set_busy(False)
            self.message.setText(for_form(_last_words(event)))

    def _show(self, progress: Progress) -> None:
        if progress.stage == IMAGES:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
            of = f"{progress.done} of {progress.total} images"
            _, _, left = progress_text(progress).partition(", ")
            self.message.setText(f"{of}, {left}" if left else of)
        elif self.bar.maximum() == 0:
            self.message.setText(progress_text(progress))


def _docked(viewer: Any) -> GemWidget | None:
    """Find the GEM widget; napari hands plugins a proxy of the viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    return find_widget(viewer) if hasattr(viewer, "window") else None


def _last_words(event: Event) -> str:
    """Say how a batch ended."""
    if isinstance(event, BatchFinished):
        return _report(event.report)
    if isinstance(event, NeedsDownload):
        return DOWNLOAD.format(name=event.card.name)
    if isinstance(event, Failed):
        return event.message
    if isinstance(event, Cancelled):
        return "Cancelled. What is done stays; Run goes on with the rest."
    return ""


def _report(report: BatchReport) -> str:
    done = len(report.outcomes) - len(report.problems)
    said = f"{done} of {len(report.outcomes)} images are done."
    if report.problems:
        said += f" {len(report.problems)} were not: the table says why."
    more = f"{report.folder}: report.csv, contact-sheet.html"
    return " ".join([said, *report.notices, f"Results in {more}"])


def _close(client: WorkerClient, *_: object) -> None:
    client.close()
