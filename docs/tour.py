"""Drives the real dock widget through all it does: ``python docs/tour.py``.

Each step asserts what it shows; the pictures for ``docs`` are written on the way.
Needs a screen: ``python tests/screen.py --always python docs/tour.py``. Names of steps
as arguments run only those, after the first ones that open the sample and run it.
"""

# steps are read as what the user gets, and end where one is not true
# ruff: noqa: D401, S101

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from PIL import Image as Picture
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox, QScrollArea, QWidget

from napari_gem.layers import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.widget.dock import GemWidget

IMAGES = Path(__file__).parent / "images"
WINDOW = (1240, 960)
NARROW = 320
PATIENCE = 900
"""Seconds that a run may take on a busy computer."""
COLORS = 256
"""Colours of a picture: enough for screenshots, in a third of the bytes."""


@dataclass
class Tour:
    """Where the tour is.

    Attributes
    ----------
    viewer, widget
        What is driven.
    files
        Folder for what the steps save.
    images
        Folder for pictures; None takes none.
    scored, stages, messages
        What the controller said since the last `forget`.
    recipe
        Of the last result.
    encoded
        `Progress` of encoding since the last `forget`: now and then, the first always.
    """

    viewer: Any
    widget: GemWidget
    files: Path
    images: Path | None = None
    scored: list[Any] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)
    recipe: Any = None
    encoded: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen to the controller."""
        controller = self.widget.controller
        controller.scored.connect(self._on_scored)
        controller.progressed.connect(self._on_progressed)
        controller.message_sent.connect(
            lambda kind, text, _: self.messages.append((kind, text))
        )

    def _on_progressed(self, step: Any) -> None:
        self.stages.append(step.stage)
        if step.stage == "Encoding":
            self.encoded.append(step)

    def _on_scored(self, event: Any) -> None:
        self.scored.append(event)
        self.recipe = event.result.recipe

    @property
    def table(self) -> Any:
        """Prompt table."""
        return self.widget.prompt_table

    @property
    def names(self) -> list[str]:
        """Names of all classes in the table."""
        return [prompt.name for prompt in self.table.prompts()]

    def forget(self) -> None:
        """Forget what the controller said."""
        for said in (self.scored, self.stages, self.messages, self.encoded):
            said.clear()

    def settle(self, seconds: float = 0.4) -> None:
        """Let Qt draw."""
        wait(lambda: False, seconds)

    def until(self, condition: Callable[[], bool], event: str) -> None:
        """Wait for something, or fail."""
        assert wait(condition, PATIENCE), f"did not happen: {event}; {self.messages}"

    def run(self) -> None:
        """Press Run and wait for the end."""
        self.forget()
        # the box that `answer` waits for may come first
        click(self.widget.run_bar.run_button)
        assert self.widget.controller.busy, self.widget.run_bar.status.text()
        self.until(lambda: not self.widget.controller.busy, "the end of a run")
        assert self.messages[-1][0] != "error", self.messages

    def at_rest(self) -> Any:
        """Wait for maps at full size that follow a change; return the event."""
        self.until(
            lambda: bool(self.scored) and self.scored[-1].step == 1, "maps at full size"
        )
        self.settle()
        assert not self.scored[-1].is_new
        assert "Encoding" not in self.stages
        return self.scored[-1]

    def find(self, role: str) -> list[Any]:
        """Result layers of a kind, the lowest first."""
        return [
            x for x in self.viewer.layers if x.metadata.get(KEY, {}).get("role") == role
        ]

    @property
    def labels(self) -> Any:
        """The labels layer of the last result."""
        return self.find("labels")[-1]

    def clear(self) -> None:
        """Begin with an empty viewer and the defaults."""
        self.viewer.layers.clear()
        self.widget.image_panel.region_choice.choose("Whole image")
        self.widget.image_panel.set_detail(None)
        self.widget.advanced_panel.reset()
        self.table.set_background(None)
        self.table.set_prompts(())
        self.settle()

    def window(self) -> QWidget:
        """Napari's window."""
        return self.widget.window()

    # --- pictures

    def picture(self, name: str, shown: QWidget | None = None) -> None:
        """Save a widget, or the whole window, if pictures are asked for."""
        self.settle(0.8)
        if self.images is None:
            return
        path = self.images / f"{name}.png"
        if shown is None:
            self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        else:
            shown.grab().save(str(path))
        shrink(path)

    def canvas(self, name: str) -> None:
        """Save the canvas."""
        self.settle(0.8)
        if self.images is not None:
            path = self.images / f"{name}.png"
            self.viewer.screenshot(str(path), canvas_only=True, flash=False)
            picture = Picture.open(path).convert("RGB")
            picture.crop(picture.getbbox()).save(path)
            shrink(path)


# ------------------------------------------------------------------------- the steps


def open_sample(tour: Tour) -> None:
    """A sample brings its prompts; nothing is encoded yet."""
    tour.clear()
    tour.viewer.open_sample("napari-gem", "fluorescence")
    tour.settle()
    assert tour.names == ["nuclei", "cells", "filaments", "spots"]
    assert tour.widget.image_panel.layer().name == "Fluorescence"
    assert tour.recipe or "Not encoded" in tour.widget.run_bar.current.text()


def type_classes(tour: Tour) -> None:
    """Type and Enter adds a class; pasted lines become one class each."""
    before = tour.names
    edit = tour.table.edit
    edit.setFocus()
    QTest.keyClicks(edit, "mitochondria, mitochondrion")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert tour.names == [*before, "mitochondria"]
    QGuiApplication.clipboard().setText("bacteria, rod bacteria\ndebris\n")
    QTest.keyClick(edit, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert tour.names[-2:] == ["bacteria", "debris"]
    assert tour.table.prompts()[-2].words == ("bacteria", "rod bacteria")
    assert not edit.text()
    QTest.keyClicks(edit, "nuclei")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert "in the table already" in tour.widget.run_bar.status.text()
    edit.clear()


def edit_table(tour: Tour) -> None:
    """Reorder, switch off, delete, undo: ids stay."""
    table, view = tour.table, tour.table.view
    ids = {prompt.name: prompt.label for prompt in table.prompts()}
    first = tour.names[0]
    view.setFocus()
    view.go_to(0)
    QTest.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert tour.names[1] == first
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert not table.prompts()[1].on
    QTest.keyClick(view, Qt.Key.Key_Delete)
    assert first not in tour.names
    for _ in range(3):
        QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert tour.names[0] == first
    assert {p.name: p.label for p in table.prompts()} == ids
    assert all(prompt.on for prompt in table.prompts())


def prompt_sets(tour: Tour) -> None:
    """A set replaces the table with background words; Undo brings it back."""
    before = tour.names
    tour.table.load_set("fluorescence")
    assert len(tour.names) >= 10
    assert tour.table.background()
    assert "need a CLIP model" in tour.widget.run_bar.status.text()
    path = tour.files / "mine.prompts.json"
    tour.table.save_set(path)
    assert path.exists()
    tour.table.model.undo()
    assert tour.names == before
    assert tour.table.background() is None


def run(tour: Tour) -> None:
    """Run encodes once; maps, labels and shares appear."""
    tour.table.set_prompts(tour.table.prompts()[:4])
    tour.run()
    assert tour.scored[-1].is_new
    assert "Encoding" in tour.stages
    assert len(tour.find("probability")) == 1
    assert not any(layer.visible for layer in tour.find("probability"))
    assert tour.viewer.layers[-1] is tour.labels
    assert tour.labels.visible
    assert "Encoded" in tour.widget.run_bar.current.text()
    share = tour.table.model.index(0, 4).data()
    assert share.endswith("%"), share
    expected = 100 * np.mean(tour.labels.data == tour.table.prompts()[0].label)
    assert abs(float(share.split()[0]) - expected) < 0.6
    tour.picture("window")


def threshold(tour: Tour) -> None:
    """A dragged threshold shows at once, without a new encoding."""
    view = tour.table.view
    row = tour.names.index("cells")
    label = tour.table.prompts()[row].label
    before = np.count_nonzero(tour.labels.data == label)
    drag_threshold(tour, view, row, 15)
    tour.at_rest()
    after = np.count_nonzero(tour.labels.data == label)
    assert tour.table.prompts()[row].threshold > 0.55
    assert after < before, (before, after)
    tour.forget()
    tour.table.model.undo()
    tour.at_rest()
    assert np.count_nonzero(tour.labels.data == label) == before


def drag_threshold(tour: Tour, view: Any, row: int, way: int) -> None:
    """Drag the bar of a row with the mouse."""
    tour.forget()
    start = view.visualRect(tour.table.model.index(row, 3)).center()
    left, port = Qt.MouseButton.LeftButton, view.viewport()
    QTest.mousePress(port, left, pos=start)
    for step in range(3, way + 1, 3):
        QTest.mouseMove(port, start + QPoint(step, 0))
        tour.settle(0.05)
    QTest.mouseRelease(port, left, pos=start + QPoint(way, 0))


def background(tour: Tour) -> None:
    """Background words can be read, changed and reset."""
    words = tour.table.background_words
    words.expand()
    tour.settle()
    assert words.edit.toPlainText()
    tour.forget()
    words.edit.setPlainText("dark background, noise")
    tour.at_rest()
    assert tour.table.background() == ("dark background", "noise")
    words_used = tour.scored[-1].result.recipe.score.background
    assert words_used == ("dark background", "noise")
    tour.forget()
    click(words.reset_button)
    tour.at_rest()
    assert tour.table.background() is None
    words.collapse()


def smoothing(tour: Tour) -> None:
    """Smoothing and minimum size act on the labels; Reset takes them back."""
    panel = tour.widget.advanced_panel
    tour.widget.settings_fold.expand()
    tour.settle()
    regions = count_regions(tour.labels.data)
    tour.forget()
    panel._controls["minimum_size"].value = 200
    tour.at_rest()
    assert tour.scored[-1].result.recipe.label.minimum_size == 200
    assert count_regions(tour.labels.data) < regions
    tour.forget()
    panel._controls["smoothing"].value = 6
    tour.at_rest()
    assert tour.scored[-1].result.recipe.score.smoothing == 6
    tour.forget()
    click(panel.reset_button)
    tour.at_rest()
    assert count_regions(tour.labels.data) == regions
    tour.widget.settings_fold.collapse()


def absent(tour: Tour) -> None:
    """A class whose words are probably nowhere in the image is marked."""
    tour.forget()
    tour.table.add_text("ship, ships\nroad, roads")
    event = tour.at_rest()
    assert {"ship", "road"} & set(event.result.absent), event.result.absent
    row = tour.names.index(next(iter({"ship", "road"} & set(event.result.absent))))
    assert tour.table.model.index(row, 4).data() == "not here?"
    tip = tour.table.model.index(row, 1).data(Qt.ItemDataRole.ToolTipRole)
    assert "probably not here" in tip
    tour.picture("table", tour.table)
    tour.forget()
    tour.table.model.undo()
    tour.at_rest()


def examples(tour: Tour) -> None:
    """Clicks and painted patches say what a class looks like."""
    bar, view = tour.widget.example_bar, tour.table.view
    row = tour.names.index("nuclei")
    label = tour.table.prompts()[row].label
    view.go_to(row)
    (shown,) = tour.find("probability")
    assert shown.metadata[KEY]["label"] == label
    before = shown.data.copy()
    nuclei = tour.labels.data == tour.table.prompts()[0].label
    y, x = np.argwhere(nuclei)[len(np.argwhere(nuclei)) // 2]
    tour.forget()
    click(bar.positive)
    assert bar.points.adding == label
    assert bar.points.layer.mode == "add"
    bar.points.layer.add((y, x))
    tour.at_rest()
    click(bar.negative)
    tour.forget()
    bar.points.layer.add((10, 10))
    tour.at_rest()
    kept = tour.table.prompts()[row].examples
    assert [each.positive for each in kept] == [True, False]
    assert not np.array_equal(shown.data, before)
    click(bar.negative)
    assert not bar.points.adding
    painted = tour.viewer.add_labels(
        np.zeros(tour.labels.data.shape, np.uint8),
        name="painted",
        scale=tour.labels.scale,
        units=tour.labels.units,
    )
    painted.data[y - 4 : y + 5, x - 4 : x + 5] = 1
    painted.refresh()
    tour.viewer.layers.selection.active = painted
    tour.forget()
    click(bar.from_labels)
    tour.at_rest()
    assert len(tour.table.prompts()[row].examples) > 2
    tour.viewer.layers.remove(painted)
    tour.viewer.layers.selection.active = bar.points.layer
    tour.picture("examples")
    tour.forget()
    tour.viewer.layers.remove(bar.points.layer)
    tour.at_rest()
    assert not tour.table.prompts()[row].examples


def hover(tour: Tour) -> None:
    """The status bar tells class and probabilities under the cursor."""
    viewer = tour.viewer
    inside = np.argwhere(tour.labels.data == tour.table.prompts()[0].label)
    viewer.layers.selection.active = tour.widget.image_panel.layer()
    viewer.mouse_over_canvas = True
    viewer.cursor.position = tour.labels.data_to_world(inside[len(inside) // 2])
    viewer.update_status_from_cursor()
    assert "nuclei: nuclei 0." in str(viewer.status), viewer.status


def results(tour: Tour) -> None:
    """Instances, boxes, peaks, uncertainty, merged labels; tables."""
    panel, extras = tour.widget.results_panel, tour.widget.derived_layers
    panel.fold.expand()
    tour.settle()
    panel.controls["minimum_size"].value = 40
    for kind in ("instances", "boxes", "peaks", "uncertainty"):
        click(getattr(panel, f"{kind}_button"))
        tour.until(lambda: not extras.busy, kind)
        assert tour.find(kind), tour.widget.run_bar.status.text()
        assert tour.widget.image_panel.layer().name == "Fluorescence"
    path = tour.files / "instances.csv"
    extras.make_table(None, panel.options(), path)
    tour.until(lambda: not extras.busy, "the table")
    lines = path.read_text().splitlines()
    count = len(np.unique(tour.find("instances")[0].data)) - 1
    assert len(lines) == count + 1
    assert "area" in lines[0]
    click(panel.show_button)
    tour.until(lambda: not extras.busy, "the table below the canvas")
    table = tour.viewer.window.dock_widgets["Instances"]
    assert table.instances.rowCount() == count
    table.selectRow(3)
    tour.picture("instances")
    tour.viewer.window.remove_dock_widget(table)
    tour.find("uncertainty")[0].visible = False
    tour.find("instances")[0].visible = False
    tour.canvas("results")
    for kind in ("instances", "boxes", "peaks", "uncertainty"):
        tour.viewer.layers.remove(tour.find(kind)[0])
    merge(tour)
    panel.fold.collapse()


def merge(tour: Tour) -> None:
    """Merge the result into a copy of the user's labels."""
    own = np.zeros_like(tour.labels.data)
    own[:20] = 50
    mine = tour.viewer.add_labels(own.copy(), name="mine")
    menu = tour.widget.results_panel.merge_button.menu()
    menu.aboutToShow.emit()
    into = next(x for x in menu.actions() if "'mine'" in x.text())
    into.menu().actions()[0].trigger()
    tour.until(lambda: not tour.widget.derived_layers.busy, "the merged labels")
    merged = tour.viewer.layers["mine · merged"]
    assert np.array_equal(merged.data[20:], tour.labels.data[20:])
    assert (merged.data[:20] == 50).all()
    assert np.array_equal(mine.data, own)
    for layer in (merged, mine):
        tour.viewer.layers.remove(layer)


def toggle_map(tour: Tour) -> None:
    """A key shows and hides the map of the class."""
    tour.table.view.go_to(0)
    label = tour.table.prompts()[0].label
    layer = next(
        x for x in tour.find("probability") if x.metadata[KEY]["label"] == label
    )
    for shown in (True, False):
        tour.widget.setFocus()
        modifiers = (
            Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        )
        QTest.keyClick(tour.window(), Qt.Key.Key_M, modifiers)
        assert layer.visible is shown


def recipes(tour: Tour) -> None:
    """A recipe is copied as Python and command; saved, it gives the same labels."""
    from napari_gem.results.recipe import read_recipe, write_recipe

    menu = tour.widget.recipe_menu
    menu.copy_python.trigger()
    text = QGuiApplication.clipboard().text()
    compile(text, "recipe", "exec")
    assert "napari_gem" in text
    menu.copy_command.trigger()
    assert QGuiApplication.clipboard().text().startswith("napari-gem segment")
    path = tour.files / "recipe.json"
    write_recipe(tour.recipe, path)
    before = tour.labels.data.copy()
    tour.forget()
    menu.opened.emit(read_recipe(path))
    assert tour.widget.controller.busy
    tour.until(lambda: not tour.widget.controller.busy, "a run of the recipe")
    assert np.array_equal(tour.labels.data, before)


def save_and_reopen(tour: Tour) -> None:
    """Layers come back from files with names, colours and recipe."""
    path = tour.files / "result.gem"
    labels = tour.labels
    written = tour.viewer.layers.save(str(path), plugin="napari-gem")
    assert written
    other = napari.components.ViewerModel()
    other.open(str(path), plugin=None)
    again = next(
        x for x in other.layers if x.metadata.get(KEY, {}).get("role") == "labels"
    )
    assert np.array_equal(again.data, labels.data)
    assert again.name == labels.name
    assert again.metadata[KEY]["recipe"] == labels.metadata[KEY]["recipe"]
    assert list(again.features["class"]) == list(labels.features["class"])


def painted(tour: Tour) -> None:
    """Painted labels are not overwritten: a box asks; fill keeps; Undo goes back."""
    labels = tour.labels
    labels.data[100:130, 100:130] = 9
    labels.data[0:20, 0:20] = 0
    labels.refresh()
    before = labels.data.copy()
    answer(tour, "fill", "policy")
    tour.run()
    assert (tour.labels.data[100:130, 100:130] == 9).all()
    assert tour.labels is labels
    click(tour.widget.run_bar.undo_button)
    assert np.array_equal(tour.labels.data, before)


def cancel(tour: Tour) -> None:
    """Cancel ends a run within a tile; the layers are as before."""
    tour.widget.image_panel.set_detail(3)
    tour.settle()
    assert "Not encoded yet" in tour.widget.run_bar.current.text()
    tour.viewer.layers.remove(tour.labels)
    names = [layer.name for layer in tour.viewer.layers]
    tour.forget()
    click(tour.widget.run_bar.run_button)
    tour.until(lambda: tour.stages.count("Encoding") > 2, "encoding")
    start = time.monotonic()
    click(tour.widget.run_bar.cancel_button)
    tour.until(lambda: not tour.widget.controller.busy, "the end of a cancelled run")
    print(f"cancelled after {time.monotonic() - start:.1f} s", flush=True)
    assert tour.messages[-1][1] == "Cancelled."
    assert [layer.name for layer in tour.viewer.layers] == names
    tour.widget.image_panel.set_detail(None)


def large_preview(tour: Tour) -> None:
    """Of a large image a preview comes while a threshold moves, then all of it."""
    pixels = sample()
    tour.clear()
    tour.viewer.add_image(pixels.repeat(2, 0).repeat(2, 1), name="large")
    tour.table.add_text("nuclei, nucleus, cell nuclei\ncells, cell, cell body")
    tour.widget.image_panel.set_detail(16)
    tour.settle()
    tour.run()
    drag_threshold(tour, tour.table.view, 0, 12)
    tour.at_rest()
    assert tour.scored[0].step == 2
    assert tour.labels.data.shape == (1024, 1024)


def channels(tour: Tour) -> None:
    """Channels of one image are one picture for the model, too."""
    tour.clear()
    tour.viewer.add_image(
        sample()[..., 1:],
        channel_axis=-1,
        name=["actin", "DAPI"],
        colormap=["green", "blue"],
    )
    panel = tour.widget.image_panel
    panel.fold.expand()
    panel.channel_choice.expand()
    tour.settle()
    assert len(panel.layers()) == 2
    assert panel.image_choice.currentText() == "actin + DAPI (2 channels)"
    assert len(panel.read().appearance.channels) == 2
    tour.table.add_text("nuclei, nucleus, cell nuclei\ncells, cell, cell body")
    tour.settle()
    tour.picture("channels", panel)
    tour.run()
    assert len(tour.scored[-1].result.recipe.appearance.channels) == 2
    panel.channel_choice.collapse()
    panel.fold.collapse()


def detail(tour: Tour) -> None:
    """Detail tells pixels and µm per patch and draws a patch in the viewer."""
    open_sample(tour)
    choice = tour.widget.image_panel.detail_choice
    choice.slider.setValue(choice.slider.value() + 1)
    choice.slider.setValue(6)
    tour.settle()
    assert "8 px per patch" in choice.value.text(), choice.value.text()
    assert "4 µm" in choice.value.text()
    assert "gem_patch" in tour.viewer.canvas.overlays
    tour.widget.image_panel.set_detail(None)
    tour.until(lambda: "gem_patch" not in tour.viewer.canvas.overlays, "the box goes")


def visible_area(tour: Tour) -> None:
    """The visible area is quick; the whole image goes on from it."""
    tour.clear()
    # not the sample itself, which is encoded already
    tour.viewer.add_image(sample()[::-1].copy(), name="flipped")
    tour.table.add_text("nuclei, nucleus, cell nuclei\ncells, cell, cell body")
    tour.widget.image_panel.region_choice.choose("Visible area")
    tour.viewer.scene.camera.zoom *= 3
    tour.settle()
    region = tour.widget.image_panel.region()
    assert region is not None
    tour.run()
    first = tour.encoded[0]
    assert not first.done
    assert not tour.labels.data[: region.rows[0]].any()
    tour.widget.image_panel.region_choice.choose("Whole image")
    tour.settle()
    tour.run()
    rest = tour.encoded[0]
    tour.viewer.reset_view()
    print(
        f"tiles: {first.total} of the visible area, then all {rest.total}", flush=True
    )
    assert 0 < first.total < rest.total
    assert rest.done == first.total, "encoded again"


def polygon(tour: Tour) -> None:
    """A polygon of a Shapes layer is segmented, nothing outside."""
    open_sample(tour)
    corners = np.array([(60, 80), (120, 400), (330, 440), (420, 200)])
    scale = tour.viewer.layers[0].scale
    shapes = tour.viewer.add_shapes(
        [corners], shape_type="polygon", name="region", scale=scale,
        units=tour.viewer.layers[0].units, face_color="transparent",
        edge_color="yellow", edge_width=3,
    )  # fmt: skip
    tour.widget.image_panel.region_choice.choose("Shape")
    tour.settle()
    assert tour.widget.image_panel.region().polygon
    tour.run()
    inside = shapes.to_masks(tour.labels.data.shape)[0]
    outside = ~inside & (tour.labels.data > 0)
    # but for pixels that the outline crosses
    assert outside.sum() < 0.01 * inside.sum()
    assert (tour.labels.data > 0).any()
    tour.canvas("polygon")


def stack(tour: Tour) -> None:
    """All slices of a stack go into one labels layer."""
    pixels = sample()[:128, :128]
    tour.clear()
    tour.viewer.add_image(
        np.stack([pixels, pixels[::-1], pixels[:, ::-1]]), name="stack"
    )
    tour.table.add_text("nuclei, nucleus, cell nuclei\ncells, cell, cell body")
    choice = tour.widget.image_panel.slice_choice
    choice.which.setCurrentText("All slices")
    tour.settle()
    assert len(tour.widget.image_panel.positions()) == 3
    tour.run()
    assert tour.labels.data.shape == (3, 128, 128)
    assert all(plane.any() for plane in tour.labels.data)
    choice.which.setCurrentText("Shown slice")


def errors(tour: Tour) -> None:
    """What is wrong is one sentence with a way out."""
    tour.clear()
    click(tour.widget.run_bar.run_button)
    assert not tour.widget.controller.busy
    sentence = tour.widget.run_bar.status.text()
    assert "image" in sentence, sentence
    tour.viewer.add_image(sample()[:64, :64], name="small")
    tour.table.add_text("wombat")
    tour.settle()
    tour.run()
    assert tour.messages[-1][0] == "warning"
    assert "wombat" in tour.messages[-1][1]
    tour.picture("notice", tour.widget.run_bar)


def keys(tour: Tour) -> None:
    """The help button lists the keys."""
    click(tour.widget.run_bar.help_button)
    tour.settle()
    box = next(
        x for x in tour.widget.run_bar.findChildren(QMessageBox) if x.isVisible()
    )
    assert "Ctrl+Return" in box.text()
    tour.picture("keys", box)
    box.close()


def looks(tour: Tour) -> None:
    """Light and dark, 125 to 200 %, 320 px wide: each in a process of its own."""
    if tour.images is None:
        return
    looks = (("light", "1"), ("dark", "1.5"), ("dark", "1.25"), ("light", "2"))
    for number, (theme, scale) in enumerate(looks):
        folder = tour.images if number < 2 else tour.files
        path = folder / f"{theme}.png"
        environment = {**os.environ, "QT_SCALE_FACTOR": scale}
        subprocess.run(
            [sys.executable, __file__, "--look", theme, str(path)],
            env=environment,
            check=True,
            timeout=PATIENCE,
        )
        assert path.exists()


STEPS = (
    open_sample, type_classes, edit_table, prompt_sets, run, threshold, background,
    smoothing, absent, examples, hover, results, toggle_map, recipes, save_and_reopen,
    painted, cancel, polygon, visible_area, detail, channels, large_preview, stack,
    errors, keys, looks,
)  # fmt: skip
FIRST = (open_sample, run)


# ------------------------------------------------------------------------- what helps


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Let Qt work until something holds or the time is up; tell whether it holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.02)
    return condition()


def click(button: QWidget) -> None:
    """Press a button with the mouse, after scrolling to it."""
    area = button.parentWidget()
    while area is not None and not isinstance(area, QScrollArea):
        area = area.parentWidget()
    if area is not None:
        area.ensureWidgetVisible(button)
    assert button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def named(parent: QWidget, name: str) -> Any:
    """Find a control by its accessible name."""
    return next(x for x in parent.findChildren(QWidget) if x.accessibleName() == name)


def sample() -> Any:
    """Pixels of the fluorescence sample."""
    from napari_gem.images.samples import read_sample

    return read_sample("fluorescence")[0].pixels


def count_regions(labels: Any) -> int:
    """Count connected regions of all classes."""
    from scipy import ndimage

    return sum(ndimage.label(labels == one)[1] for one in np.unique(labels) if one)


def answer(tour: Tour, choice: str, picture: str) -> None:
    """Press a button in the next box that asks, after a picture of it."""

    def press() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(100, press)
            return
        if tour.images is not None:
            path = tour.images / f"{picture}.png"
            box.grab().save(str(path))
            shrink(path)
        button = next(x for x in box.buttons() if x.objectName() == choice)
        button.click()

    QTimer.singleShot(500, press)


def shrink(path: Path) -> None:
    """Save a picture with few colours."""
    picture = Picture.open(path).convert("RGB")
    # it keeps rare colours, those of small classes, and greys as they are
    few = picture.quantize(COLORS, Picture.Quantize.FASTOCTREE, dither=0)
    few.save(path, optimize=True)


def look(theme: str, path: str) -> None:
    """Draw the dock once, in a theme."""
    from napari.settings import get_settings

    get_settings().appearance.theme = theme
    viewer = napari.Viewer(title="napari")
    viewer.window.resize(900, 900)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    viewer.open_sample("napari-gem", "fluorescence")
    wait(lambda: False, 2)
    assert widget.minimumSizeHint().width() <= NARROW
    dock.grab().save(path)
    shrink(Path(path))
    viewer.close()


def main(arguments: list[str]) -> int:
    """Take the tour, or a part of it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_GEM_CONFIG"] = str(Path(folder) / "config")
        os.environ["NAPARI_GEM_CACHE"] = str(Path(folder) / "features")
        if arguments[:1] == ["--look"]:
            look(*arguments[1:])
            return 0
        IMAGES.mkdir(exist_ok=True)
        viewer = napari.Viewer(title="napari")
        viewer.window.resize(*WINDOW)
        _dock, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
        tour = Tour(viewer, widget, Path(folder), IMAGES)
        steps = STEPS
        if arguments:
            wanted = [step for step in STEPS if step.__name__ in arguments]
            steps = tuple(dict.fromkeys((*FIRST, *wanted)))
        for step in steps:
            start = time.monotonic()
            step(tour)
            took = time.monotonic() - start
            print(f"{step.__name__}: {step.__doc__} ({took:.1f} s)", flush=True)
        viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
