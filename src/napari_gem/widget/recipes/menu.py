"""Button with what can be done with the recipe of the last result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from napari_gem.core.errors import GemError
from napari_gem.images.files import SUFFIXES
from napari_gem.results.as_command import as_command, needs_file
from napari_gem.results.as_python import as_python
from napari_gem.results.recipe import read_recipe, write_recipe
from napari_gem.widget.parts.dialogs import path_to_open
from napari_gem.widget.parts.plain import ask

if TYPE_CHECKING:
    from napari_gem.core.results import Recipe
    from napari_gem.widget.state import LastResult

FILTER = "Recipes (*.json)"


CHANNELS = (
    "There is no command for channels that are shown together, since a command reads "
    "one plane of a file. Copy as Python, or save the recipe."
)
NO_PLANE = (
    "There is no command for this result: what was segmented is no single plane of the "
    "file, but a thick slice, another view or a coarser level. Save the recipe."
)
NO_FILE = "image.tif"


class RecipeMenu(QPushButton):
    """Copies, saves and opens recipes."""

    message_sent = Signal(str, str)
    """``info`` or ``error``, and a sentence for the user."""
    opened = Signal(object)
    """`Recipe` that the user opened, to be done with the chosen image."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Recipe", parent)
        self.setToolTip("How the last result was made: copy, save, or do it again")
        self._recipe: Recipe | None = None
        self._image = NO_FILE
        self._index: tuple[int, ...] | None = ()
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.copy_python = menu.addAction("Copy as Python", self._on_python)
        self.copy_python.setToolTip("A script that makes the same result")
        self.copy_command = menu.addAction("Copy as command", self._on_command)
        self.copy_command.setToolTip("A line for a terminal that makes it")
        self.save = menu.addAction("Save recipe…", self._on_save)
        self.save.setToolTip("A file that makes it again, here or on another computer")
        menu.addSeparator()
        self.open = menu.addAction("Open recipe…", self._on_open)
        self.open.setToolTip("Do with the chosen image what a recipe says")
        self.setMenu(menu)
        self.set_result(None)

    @property
    def recipe(self) -> Recipe | None:
        """Recipe of the last result; None if there is none."""
        return self._recipe

    def set_result(self, last: LastResult | None) -> None:
        """Take the result whose recipe is copied and saved; None if there is none."""
        recipe = None if last is None else last.recipe
        if last is not None:
            recipe = replace(last.recipe, index=last.index or ())
            usual = Path(last.file).suffix.lower() in SUFFIXES
            readable = last.is_opened or usual
            self._image = last.file if readable else NO_FILE
            self._index = last.index
        self._recipe = recipe
        for action in (self.copy_python, self.copy_command, self.save):
            action.setEnabled(recipe is not None)

    def _on_python(self) -> None:
        if self._recipe is None:
            return
        _copy(as_python(self._recipe, self._image, index=self._index or ()))
        sentence = "Copied as Python."
        if self._has_layers() or self._index is None:
            sentence += " Fill in how the pixels are read: they are no plane of a file."
        self.message_sent.emit("info", sentence + self._about_file())

    def _on_command(self) -> None:
        if self._recipe is None:
            return
        if self._has_layers() or self._index is None:
            why = CHANNELS if self._has_layers() else NO_PLANE
            self.message_sent.emit("warning", why)
            return
        _copy(as_command(self._recipe, self._image, index=self._index))
        sentence = "Copied as a command."
        if needs_file(self._recipe):
            sentence = (
                "Copied as a command that reads recipe.json: save the recipe too."
            )
        self.message_sent.emit("info", sentence + self._about_file())

    def _has_layers(self) -> bool:
        """Tell whether layers were shown together that are no bands of a file."""
        recipe = self._recipe
        return recipe is not None and bool(
            recipe.appearance.channels and not recipe.bands
        )

    def _about_file(self) -> str:
        if self._image != NO_FILE:
            return ""
        return f" Save the image as {NO_FILE}, or put its path in."

    def _on_save(self) -> None:
        if self._recipe is None:
            return
        dialog = QFileDialog(self, "Save recipe", "recipe.json", FILTER)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        # so that the dialog asks before it replaces the file that is meant
        dialog.setDefaultSuffix("json")
        if not ask(self, dialog.exec):
            return
        path = Path(dialog.selectedFiles()[0])
        try:
            write_recipe(self._recipe, path)
        except GemError as error:
            self.message_sent.emit("error", str(error))
        else:
            self.message_sent.emit("info", f"Saved {path.name}.")

    def _on_open(self) -> None:
        name = path_to_open(self, "Open recipe", FILTER)
        if not name:
            return
        try:
            recipe = read_recipe(name)
        except GemError as error:
            self.message_sent.emit("error", str(error))
        else:
            self.opened.emit(recipe)


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)
