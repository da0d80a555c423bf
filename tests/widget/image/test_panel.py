"""What the model sees: the panel on napari's viewer model, and in a viewer."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QListWidget,
    QSlider,
    QWidget,
)

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.core.region import Region
from napari_gem.widget.image import channel_choice
from napari_gem.widget.image import panel as image_panel
from napari_gem.widget.image.detail_choice import STEPS
from napari_gem.widget.image.image_preview import READING
from napari_gem.widget.image.panel import ImagePanel, ModelPatch
from napari_gem.widget.image.patch_hint import NAME
from napari_gem.widget.image.region_choice import SHAPE, VISIBLE, WHOLE
from napari_gem.widget.image.slice_choice import ALL, RANGE

RNG = np.random.default_rng(3)
CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QListWidget, QSlider)
CHECKED, UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked


@pytest.fixture(params=["plain", "proxy"])
def viewer(request):
    """napari gives plugins' widgets a proxy of its viewer."""
    model = ViewerModel()
    return PublicOnlyProxy(model) if request.param == "proxy" else model


@pytest.fixture
def make_panel(qtbot):
    panels = []

    def make(viewer):
        panel = ImagePanel(viewer)
        qtbot.addWidget(panel, before_close_func=lambda panel: panel.detach())
        panel.changes, panel.sentences = [], []
        panel.changed.connect(lambda: panel.changes.append(1))
        panel.message_sent.connect(lambda *message: panel.sentences.append(message))
        panels.append(panel)
        rest(panel, qtbot)
        panel.changes.clear()
        return panel

    yield make
    for panel in panels:
        panel.detach()


def is_drawing(panel):
    return panel.preview._busy or panel.preview._timer.isActive()


def rest(panel, qtbot):
    qtbot.waitUntil(lambda: not panel._timer.isActive() and not is_drawing(panel))


def check(panel, *rows, state=CHECKED):
    for row in rows:
        panel.channel_choice.list.item(row).setCheckState(state)


# --- which image


@pytest.mark.slow
def test_the_panel_reads_what_is_chosen_and_follows_the_active_layer(
    viewer, make_panel, qtbot
):
    first = viewer.add_image(RNG.random((20, 30)), name="first")
    panel = make_panel(viewer)
    chosen = []
    panel.layer_changed.connect(chosen.append)
    assert panel.layer() == first
    second = viewer.add_image(RNG.random((10, 10)), name="second")
    assert panel.layer() == second
    assert chosen == [second]
    rest(panel, qtbot)
    assert panel.changes == [1]
    viewer.layers.selection.active = first
    assert panel.layers() == [first]
    assert np.array_equal(panel.read().read(), first.data)
    assert panel.appearance() == layers.read_appearance(first)
    assert panel.region() is None
    assert panel.positions() is None
    assert panel.detail() is None
    rest(panel, qtbot)
    assert panel.changes == [1, 1]
    assert panel.preview._image is not None


def test_no_image_is_told_and_raises_only_our_error(viewer, make_panel, qtbot):
    panel = make_panel(viewer)
    assert panel.layer() is None
    for method in (panel.read, panel.region, panel.positions, panel.appearance):
        with pytest.raises(GemError, match="There is no image layer"):
            method()
    viewer.add_image(RNG.random((20, 30)))
    viewer.layers.clear()
    rest(panel, qtbot)
    assert panel.preview._image is None
    assert panel.preview.sentence.startswith("Open an image")


def test_our_own_results_are_not_offered(viewer, make_panel):
    viewer.add_image(RNG.random((20, 30)), name="mine")
    ours = viewer.add_image(RNG.random((20, 30)), name="ours")
    ours.metadata = {layers.KEY: {"layer": str(ours.unique_id)}}
    read = viewer.add_image(RNG.random((20, 30)), name="a map from a file")
    read.metadata = {layers.KEY: {"role": "probability", "layer": "of another time"}}
    sample = viewer.add_image(RNG.random((20, 30)), name="a sample")
    sample.metadata = {layers.KEY: {"prompts": ["nuclei"]}}
    panel = make_panel(viewer)
    choice = panel.image_choice
    shown = [choice.itemText(index) for index in range(choice.count())]
    assert shown == ["a sample", "mine"]
    assert panel.channel_choice.list.count() == 1


# --- what is told


@pytest.mark.slow
def test_changes_that_need_a_new_encoding_are_told_once_they_rest(
    viewer, make_panel, qtbot
):
    stack = viewer.add_image(RNG.random((4, 20, 30)), contrast_limits=(0, 1))
    panel = make_panel(viewer)

    def told_by(change):
        panel.changes.clear()
        change()
        rest(panel, qtbot)
        return len(panel.changes)

    def drag():
        for high in np.linspace(0.9, 0.5, 20):
            stack.contrast_limits = (0, high)

    assert told_by(drag) == 1
    assert told_by(lambda: setattr(stack, "gamma", 0.5)) == 1
    assert told_by(lambda: setattr(stack, "colormap", "viridis")) == 1
    assert told_by(lambda: viewer.dims.set_current_step(0, 3)) == 1
    assert told_by(lambda: panel.set_detail(8.0)) == 1
    assert told_by(lambda: panel.slice_choice.which.setCurrentText(ALL)) == 1
    assert told_by(lambda: setattr(stack, "data", RNG.random((4, 20, 30)))) == 1
    # what changes nothing is not told
    assert told_by(lambda: setattr(stack, "name", "other")) == 0
    assert told_by(lambda: setattr(stack, "translate", (0, 5, 5))) == 0
    assert told_by(lambda: setattr(viewer.scene.camera, "zoom", 3)) == 0
    assert told_by(lambda: panel.set_model_patch(ModelPatch(16, 16.0))) == 0


def test_other_layers_are_not_listened_to(viewer, make_panel, qtbot):
    viewer.add_image(RNG.random((20, 30)))
    other = viewer.add_image(RNG.random((20, 30)))
    panel = make_panel(viewer)
    viewer.layers.selection.active = viewer.layers[0]
    rest(panel, qtbot)
    panel.changes.clear()
    other.gamma = 0.5
    assert not panel._timer.isActive()


def test_problems_are_told_and_never_raised(viewer, make_panel, qtbot):
    viewer.add_image(RNG.random((9, 20, 30)))
    viewer.add_image(RNG.random((3, 20, 30)), name="short")
    panel = make_panel(viewer)
    viewer.dims.set_current_step(0, 8)
    rest(panel, qtbot)
    kind, sentence = panel.sentences[-1]
    assert kind == "warning"
    assert sentence.startswith("'short' has nothing at the slice")
    assert panel.preview.sentence == sentence
    viewer.dims.set_current_step(0, 1)
    rest(panel, qtbot)
    assert panel.sentences[-1] == ("info", "")
    assert panel.preview._image is not None


def test_data_that_cannot_be_read_are_told_in_the_preview(viewer, make_panel, qtbot):
    class Broken(np.ndarray):
        def __getitem__(self, index):
            if threading.current_thread() is not threading.main_thread():
                raise OSError("disk gone")
            return super().__getitem__(index)

    panel = make_panel(viewer)
    data = RNG.random((20, 30)).view(Broken)
    viewer.add_image(data, contrast_limits=(0, 1))
    rest(panel, qtbot)
    assert "disk gone" in panel.preview.sentence
    assert panel.preview._image is None


def test_a_detached_panel_hears_nothing(viewer, make_panel):
    layer = viewer.add_image(RNG.random((20, 30)))
    panel = make_panel(viewer)
    panel.detach()
    layer.gamma = 0.5
    viewer.add_image(RNG.random((5, 5)))
    viewer.dims.ndisplay = 3
    assert panel.image_choice.count() == 1
    assert not panel._timer.isActive()


def test_a_panel_that_qt_deleted_is_not_called(viewer, qtbot):
    layer = viewer.add_image(RNG.random((20, 30)))
    outer = QWidget()
    panel = ImagePanel(viewer, outer)
    qtbot.waitUntil(lambda: not is_drawing(panel))
    outer.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    layer.gamma = 0.5
    layer.data = RNG.random((6, 6))
    viewer.add_image(RNG.random((5, 5)))
    viewer.layers.clear()


# --- channels


def test_layers_of_one_shape_are_shown_together(viewer, make_panel, qtbot):
    green = viewer.add_image(RNG.random((20, 30)), name="green", colormap="green")
    red = viewer.add_image(RNG.random((20, 30)), name="red", colormap="red")
    viewer.add_image(RNG.random((9, 9)), name="small")
    viewer.add_image(RNG.random((20, 30)), name="moved", translate=(5, 5))
    viewer.add_image(RNG.random((20, 30, 3)), name="photo", rgb=True)
    panel = make_panel(viewer)
    viewer.layers.selection.active = green
    shown = panel.channel_choice.list
    names = [shown.item(row).text() for row in range(shown.count())]
    assert names == ["moved", "red"]
    assert not shown.item(0).flags() & Qt.ItemFlag.ItemIsEnabled
    assert "another translate" in shown.item(0).toolTip()
    check(panel, 1)
    assert panel.layers() == [green, red]
    assert panel.read().read().shape == (20, 30, 2)
    assert panel.appearance() == layers.read_view_appearance([green, red])
    assert "2 together" in panel.channel_choice.text()
    rest(panel, qtbot)
    # its contrast is set without choosing it
    panel.changes.clear()
    viewer.layers.selection.active = red
    red.contrast_limits = (0.2, 0.8)
    rest(panel, qtbot)
    assert panel.layer() == green
    assert panel.changes == [1]
    viewer.layers.remove(red)
    assert panel.layers() == [green]


@pytest.mark.slow
def test_channels_of_an_array_are_one_image_from_the_start(viewer, make_panel, qtbot):
    panel = make_panel(viewer)
    first, second, third = viewer.add_image(RNG.random((3, 20, 30)), channel_axis=0)
    rest(panel, qtbot)
    assert panel.layers() == [first, third, second]
    assert panel.read().read().shape == (20, 30, 3)
    assert panel.preview._image is not None
    assert panel._left_out.isHidden()
    assert "3 together" in panel.channel_choice.text()
    # hidden, taken out, and shown alone
    panel.changes.clear()
    second.visible = False
    rest(panel, qtbot)
    assert panel.changes == [1]
    assert panel.layers() == [first, third]
    assert panel._left_out.text() == "Not taken: 'Image [1]' (hidden)"
    row = panel.channel_choice.list.item(1)
    assert "hidden" in row.toolTip()
    assert not row.flags() & Qt.ItemFlag.ItemIsEnabled
    second.visible = True
    check(panel, 0, state=UNCHECKED)
    assert panel.layers() == [first, second]
    assert panel.image_choice.currentText() == "Image (2 channels)"
    assert panel._left_out.text() == "Not taken: 'Image [2]'"
    choice = panel.image_choice
    choice.setCurrentIndex(choice.findText("Image [2]"))
    assert panel.layers() == [third]
    assert panel.channel_choice.layers() == []


def test_a_moved_layer_is_told_and_left_out(viewer, make_panel, qtbot):
    first = viewer.add_image(RNG.random((20, 30)), name="first")
    second = viewer.add_image(RNG.random((20, 30)), name="second")
    panel = make_panel(viewer)
    check(panel, 0)
    first.translate = (3, 3)
    rest(panel, qtbot)
    assert "differs from 'second' in its translate" in panel.sentences[-1][1]
    with pytest.raises(GemError, match="translate"):
        panel.read()
    assert panel.layer() == second


def test_channels_of_an_axis_and_their_colors(viewer, make_panel, qtbot, monkeypatch):
    data = RNG.random((5, 3, 20, 30)) * np.array([1, 10, 100])[:, None, None]
    layer = viewer.add_image(data, axis_labels=("z", "c", "y", "x"))
    panel = make_panel(viewer)
    choice = panel.channel_choice
    assert [choice.axis.itemText(i) for i in range(3)] == ["none", "z (5)", "c (3)"]
    choice.axis.setCurrentIndex(2)
    assert choice.channels() == (0, 1, 2)
    check(panel, 1, state=UNCHECKED)
    image = panel.read()
    assert np.array_equal(image.read(), np.moveaxis(data[2, [0, 2]], 0, -1))
    panel.slice_choice.which.setCurrentText(ALL)
    assert len(panel.positions()) == 5
    luts = [channel.lut[-1] for channel in image.appearance.channels]
    assert luts == [(1, 0, 1), (0, 1, 0)]
    chosen = channel_choice.QColor(255, 128, 0)
    monkeypatch.setattr(
        channel_choice.QColorDialog, "getColor", lambda *_: chosen, raising=True
    )
    choice.list.itemDoubleClicked.emit(choice.list.item(2))
    lut = panel.appearance().channels[1].lut
    assert lut[-1] == pytest.approx((1, 0.5, 0), abs=0.01)
    assert panel.appearance().channels[0].limits == tuple(layer.contrast_limits)
    choice.stretch.setChecked(True)
    rest(panel, qtbot)
    qtbot.waitUntil(lambda: not choice.wants_limits())
    first, last = (channel.limits for channel in panel.appearance().channels)
    assert first[1] == pytest.approx(1, abs=0.1)
    assert last[1] == pytest.approx(100, abs=10)
    rest(panel, qtbot)
    check(panel, 0, 2, state=UNCHECKED)
    assert panel.read().read().shape == (20, 30)


def test_an_axis_that_comes_on_the_screen_holds_no_channels(viewer, make_panel, qtbot):
    viewer.add_image(RNG.random((3, 20, 30)))
    panel = make_panel(viewer)
    panel.channel_choice.axis.setCurrentIndex(1)
    assert panel.channel_choice.channel_axis() == 0
    viewer.dims.order = (1, 0, 2)
    assert panel.channel_choice.channel_axis() is None
    rest(panel, qtbot)
    assert panel.read().shape == (3, 30)


def test_an_axis_is_chosen_and_given_up_again(viewer, make_panel, qtbot):
    beside = viewer.add_image(RNG.random((3, 20, 30)), name="beside")
    layer = viewer.add_image(RNG.random((3, 20, 30)), name="chosen")
    panel = make_panel(viewer)
    choice = panel.channel_choice
    check(panel, 0)
    assert panel.layers() == [layer, beside]
    choice.axis.setCurrentIndex(1)
    assert choice.channels() == (0, 1, 2)
    assert panel.layers() == [layer]
    choice.axis.setCurrentIndex(0)
    assert choice.channels() == ()
    assert panel.layers() == [layer]
    assert [choice.list.item(0).text(), choice.list.count()] == ["beside", 1]


# --- preview


def test_the_preview_is_what_the_model_sees(viewer, make_panel, qtbot):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = (255, 0, 0)
    pixels[:, 30:] = (0, 0, 255)
    viewer.add_image(pixels, rgb=True)
    panel = make_panel(viewer)
    panel.resize(300, 500)
    panel.show()
    rest(panel, qtbot)
    shot = panel.preview.grab().toImage()
    place = panel.preview._place().toRect()
    left, right = place.left() + 5, place.right() - 5
    height = place.center().y()
    assert shot.pixelColor(left, height).getRgb()[:3] == (255, 0, 0)
    assert shot.pixelColor(right, height).getRgb()[:3] == (0, 0, 255)


def test_pixels_are_read_on_another_thread_and_few_of_them(viewer, make_panel, qtbot):
    read = []

    class Noted(np.ndarray):
        def __getitem__(self, index):
            rows = super().__getitem__(index)
            if threading.current_thread() is not threading.main_thread():
                read.append(rows.shape)
            return rows

    panel = make_panel(viewer)
    viewer.add_image(np.zeros((2000, 3000), np.uint8).view(Noted))
    rest(panel, qtbot)
    assert read
    assert max(read[0]) <= image_panel.SIDE


def test_only_the_last_of_many_changes_is_drawn(viewer, make_panel, qtbot):
    layer = viewer.add_image(RNG.random((20, 30)), contrast_limits=(0, 1))
    panel = make_panel(viewer)
    drawn = []
    panel.preview.drawn.connect(lambda: drawn.append(1))
    for high in np.linspace(0.9, 0.1, 50):
        layer.contrast_limits = (0, high)
    rest(panel, qtbot)
    assert len(drawn) == 1


# --- detail


def test_the_size_of_a_patch_has_the_layers_unit(viewer, make_panel, qtbot):
    layer = viewer.add_image(
        RNG.random((20, 30)), scale=(0.25, 0.25), units=("um", "um")
    )
    panel = make_panel(viewer)
    panel.set_model_patch(ModelPatch(16, 16))
    assert panel.detail_choice.value.text() == "16 px per patch · 4 µm · default"
    layer.scale = (0.25, 0.5)
    rest(panel, qtbot)
    assert "4 x 8 µm" in panel.detail_choice.value.text()
    layer.units = ("um", "mm")
    rest(panel, qtbot)
    assert "4 µm x 8 mm" in panel.detail_choice.value.text()
    layer.units = ("pixel", "pixel")
    rest(panel, qtbot)
    text = "16 px per patch · pixel size not known · default"
    assert panel.detail_choice.value.text() == text


@pytest.mark.slow
def test_the_size_of_a_patch_is_drawn_and_goes_again(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((100, 100)), scale=(2, 2))
    panel = ImagePanel(viewer)
    viewer.window.add_dock_widget(panel)
    panel.set_model_patch(ModelPatch(16, 16))
    viewer.scene.camera.zoom = 3
    qtbot.wait(50)
    before = viewer.screenshot(flash=False)
    count = len(viewer.layers)
    panel.detail_choice.slider.setValue(STEPS.index(24))
    (top, left), (bottom, right) = viewer.canvas.overlays[NAME].position
    assert bottom - top == right - left == 24 * 2 * 3
    assert len(viewer.layers) == count
    drawn = viewer.screenshot(flash=False)
    rows, columns = np.nonzero(np.any(before != drawn, axis=-1))
    inner = rows > 5  # the box is not at the corner
    assert np.ptp(rows[inner]) == pytest.approx(144, abs=4)
    assert np.ptp(columns[inner]) == pytest.approx(144, abs=4)
    qtbot.waitUntil(lambda: NAME not in viewer.canvas.overlays, timeout=5000)
    after = viewer.screenshot(flash=False)
    assert np.array_equal(before, after)
    panel.detail_choice.slider.setValue(0)
    assert NAME in viewer.canvas.overlays
    panel.detach()
    assert NAME not in viewer.canvas.overlays


# --- where


def test_the_visible_area_follows_the_view(viewer, make_panel, qtbot):
    viewer.add_image(RNG.random((100, 100)))
    panel = make_panel(viewer)
    panel.region_choice.choose(VISIBLE)
    viewer.canvas.size = (200, 400)
    viewer.scene.camera.zoom = 10
    viewer.scene.camera.center = (0, 49.5, 49.5)
    assert panel.region() == Region((40, 60), (30, 70))
    rest(panel, qtbot)
    panel.changes.clear()
    viewer.scene.camera.center = (0, 19.5, 49.5)
    rest(panel, qtbot)
    assert panel.changes == [1]
    assert panel.region().rows == (10, 30)
    viewer.scene.camera.center = (0, 1000, 1000)
    rest(panel, qtbot)
    assert panel.sentences[-1][1].startswith("Nothing of 'Image' is visible")
    panel.region_choice.choose(WHOLE)
    assert panel.region() is None


def test_the_visible_area_is_what_a_viewer_shows(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    pixels = np.zeros((100, 120), np.uint8)
    viewer.add_image(pixels, scale=(2, 3), contrast_limits=(0, 255))
    panel = ImagePanel(viewer)
    viewer.window.add_dock_widget(panel)
    qtbot.wait(50)
    viewer.scene.camera.zoom *= 3
    qtbot.wait(50)
    panel.region_choice.choose(VISIBLE)
    region = panel.region()
    assert region.rows[1] - region.rows[0] < 100
    corners = viewer.layers[0].corner_pixels
    assert np.abs(corners[0] - (region.rows[0], region.columns[0])).max() <= 2
    assert np.abs(corners[1] - (region.rows[1], region.columns[1])).max() <= 2
    panel.detach()


def test_a_shape_is_drawn_and_taken(viewer, make_panel, qtbot):
    image = viewer.add_image(RNG.random((50, 60)), scale=(0.5, 0.5), units=("um", "um"))
    panel = make_panel(viewer)
    panel.region_choice.choose(SHAPE)
    with pytest.raises(GemError, match="Press Draw"):
        panel.region()
    assert not panel.region_choice.draw.isHidden()
    panel.region_choice.draw.click()
    shapes = viewer.layers[-1]
    assert shapes.mode == "add_rectangle"
    assert shapes.units == image.units
    assert panel.layer() == image
    assert panel.region_choice.draw.isHidden()
    with pytest.raises(GemError, match="has no shape"):
        panel.region()
    rest(panel, qtbot)
    panel.changes.clear()
    box = np.array([[5, 6], [5, 20], [30, 20], [30, 6]])
    shapes.add_rectangles(box)
    rest(panel, qtbot)
    assert panel.changes == [1]
    assert panel.region() == Region((5, 31), (6, 21))
    shapes.add_rectangles(box + 10)
    shapes.selected_data = {1}
    rest(panel, qtbot)
    assert panel.region().rows == (15, 41)
    assert panel.changes[-1]
    viewer.layers.remove(shapes)
    rest(panel, qtbot)
    with pytest.raises(GemError, match="no Shapes layer"):
        panel.region()


# --- slices


def test_slices_of_a_stack(viewer, make_panel):
    viewer.add_image(RNG.random((6, 20, 30)), axis_labels=("z", "y", "x"))
    panel = make_panel(viewer)
    viewer.dims.set_current_step(0, 3)
    assert not panel.slice_choice.isHidden()
    assert panel.positions() is None
    panel.slice_choice.which.setCurrentText(RANGE)
    panel.slice_choice.first.setValue(2)
    panel.slice_choice.last.setValue(4)
    assert panel.positions() == [{0: 3}, {0: 2}, {0: 4}]
    images = [panel.read(position) for position in panel.positions()]
    assert [image.position for image in images] == [{0: 3}, {0: 2}, {0: 4}]
    assert np.array_equal(images[1].read(), viewer.layers[0].data[2])
    viewer.dims.set_current_step(0, 0)
    assert panel.positions() == [{0: 2}, {0: 3}, {0: 4}]
    panel.slice_choice.last.setValue(1)
    with pytest.raises(GemError, match="2 to 1 is empty"):
        panel.positions()
    panel.slice_choice.which.setCurrentText(ALL)
    assert len(panel.positions()) == 6


def test_slices_of_more_axes(viewer, make_panel):
    viewer.add_image(RNG.random((2, 3, 20, 30)))
    panel = make_panel(viewer)
    viewer.dims.current_step = (1, 2, 0, 0)
    panel.slice_choice.which.setCurrentText(ALL)
    assert panel.positions()[0] == {0: 1, 1: 2}
    assert len(panel.positions()) == 6
    panel.slice_choice.which.setCurrentText(RANGE)
    panel.slice_choice.axis.setCurrentIndex(1)
    assert panel.positions() == [{0: 1, 1: 2}, {0: 1, 1: 0}, {0: 1, 1: 1}]
    # an axis of channels is no axis of slices
    panel.channel_choice.axis.setCurrentIndex(2)
    assert panel.channel_choice.channel_axis() == 1
    assert panel.positions() == [{0: 1}, {0: 0}]


def test_a_flat_image_has_no_slices(viewer, make_panel, qtbot):
    viewer.add_image(RNG.random((6, 20, 30)))
    panel = make_panel(viewer)
    panel.slice_choice.which.setCurrentText(ALL)
    viewer.add_image(RNG.random((20, 30)))
    rest(panel, qtbot)
    assert panel.slice_choice.isHidden()
    assert panel.positions() is None


# --- its look


def test_the_panel_fits_a_narrow_dock_and_says_what_is_what(viewer, make_panel, qtbot):
    viewer.add_image(
        RNG.random((3, 4, 20, 30)), name="a long name of a layer " * 4, units=["um"] * 4
    )
    viewer.add_shapes(name="a long name of shapes " * 4)
    panel = make_panel(viewer)
    panel.set_model_patch(ModelPatch(16, 16))
    panel.channel_choice.expand()
    panel.channel_choice.axis.setCurrentIndex(1)
    panel.region_choice.choose(SHAPE)
    panel.slice_choice.which.setCurrentText(RANGE)
    panel.show()
    assert panel.minimumSizeHint().width() <= 320
    for child in panel.findChildren(QWidget):
        if isinstance(child, CONTROLS) and not isinstance(child.parent(), CONTROLS):
            assert child.toolTip(), child


def test_another_level_that_is_locked_is_another_image(viewer, make_panel, qtbot):
    levels = [RNG.random((64 // 2**i, 80 // 2**i)) for i in range(3)]
    layer = viewer.add_image(levels, multiscale=True)
    panel = make_panel(viewer)
    assert panel.read().shape == (64, 80)
    layer.locked_data_level = 1
    qtbot.waitUntil(lambda: bool(panel.changes))
    assert panel.read().shape == (32, 40)


def test_a_detail_of_another_session_is_not_for_pyramids(viewer, make_panel):
    levels = [RNG.random((512 // 2**i, 640 // 2**i)) for i in range(4)]
    viewer.add_image(RNG.random((20, 30)))
    panel = make_panel(viewer)
    panel.recall_detail(4.0)
    assert panel.detail() == 4
    viewer.layers.selection.active = viewer.add_image(levels, multiscale=True)
    assert panel.detail() is None
    panel.recall_detail(4.0)
    assert panel.detail() is None
    panel.set_detail(8.0)
    viewer.layers.selection.active = viewer.layers[0]
    viewer.layers.selection.active = viewer.layers[1]
    assert panel.detail() == 8


def test_the_detail_chooses_the_resolution_of_a_pyramid(viewer, make_panel, qtbot):
    levels = [RNG.random((512 // 2**i, 640 // 2**i)) for i in range(4)]
    viewer.add_image(levels, multiscale=True, scale=(0.5, 0.5), units=("um", "um"))
    panel = make_panel(viewer)
    panel.set_model_patch(ModelPatch(8, 4))
    rest(panel, qtbot)
    text = panel.detail_choice.value.text
    assert text() == "4 px per patch · 2 µm · in 512 x 640 px · default"
    assert panel.detail_of(panel.read()) is None
    panel.changes.clear()
    panel.set_detail(32.0)
    qtbot.waitUntil(lambda: bool(panel.changes))
    image = panel.read()
    assert image.shape == (128, 160)
    assert panel.detail_of(image) == 8  # of its pixels
    assert text() == "32 px per patch · 16 µm · in 128 x 160 px"
    # with a model of larger patches a finer one is needed
    panel.set_model_patch(ModelPatch(16, 16))
    assert panel.read().shape == (256, 320)
    # the slider goes on to what the coarsest resolution shows
    panel.detail_choice.slider.setValue(0)
    assert panel.detail() == 64 * 8
    assert panel.read().shape == (64, 80)
    viewer.layers[0].locked_data_level = 0
    rest(panel, qtbot)
    assert text() == "512 px per patch · 256 µm · in 512 x 640 px"
    viewer.add_image(RNG.random((20, 30)))
    rest(panel, qtbot)
    assert panel.detail_choice.slider.maximum() == len(STEPS) - 1


class SlowImage:
    """Pixels that come when the test says so."""

    ndim, dtype, shape, size = 2, np.dtype("uint8"), (40, 30), 1200

    def __init__(self):
        self.may_come = threading.Event()
        self.may_come.set()

    def __array__(self, *args, **kwargs):
        return np.zeros(self.shape, self.dtype)

    def __getitem__(self, index):
        if threading.current_thread() is not threading.main_thread():
            assert self.may_come.wait(20)
        return np.zeros(self.shape, self.dtype)[index]


def test_an_image_that_is_being_read_is_said_to_be(viewer, make_panel, qtbot):
    panel = make_panel(viewer)
    preview = panel.preview
    first = viewer.add_image(np.ones((40, 30)), name="first")
    qtbot.waitUntil(lambda: preview._image is not None)
    slow = SlowImage()
    slow.may_come.clear()
    viewer.add_image(slow, name="slow", contrast_limits=(0, 255))
    qtbot.waitUntil(lambda: preview.sentence == READING)
    assert preview._image is None, "the picture of another image"
    viewer.layers.selection.active = first  # while the slow one is still read
    qtbot.wait(200)
    assert preview._image is None
    slow.may_come.set()
    qtbot.waitUntil(lambda: preview._image is not None)
    assert preview.sentence == ""


def test_a_picture_that_comes_after_the_end_harms_nobody(viewer, qtbot):
    panel = ImagePanel(viewer)
    slow = SlowImage()
    slow.may_come.clear()
    viewer.add_image(slow, contrast_limits=(0, 255))
    qtbot.waitUntil(lambda: panel.preview.sentence == READING)
    (thread,) = [t for t in threading.enumerate() if t.name == "napari-gem preview"]
    panel.detach()
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    slow.may_come.set()
    thread.join(20)  # what it raises is an error of this test
    assert not thread.is_alive()


def test_a_band_that_is_shown_as_opacity_is_told(make_panel, viewer, qtbot):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (90, 80, 4)).astype(np.uint8)
    viewer.add_image(pixels, rgb=True, name="infrared")
    panel = make_panel(viewer)
    assert "The fourth band is shown as opacity" in panel._left_out.text()
    assert not panel._left_out.isHidden()
    for opacity in (255, 255 * (pixels[..., 3] > 100)):
        pixels = pixels.copy()
        pixels[..., 3] = opacity
        viewer.add_image(pixels, rgb=True, name="transparent")
        rest(panel, qtbot)
        assert panel.layer().name.startswith("transparent")
        assert panel._left_out.text() == "" or "opacity" not in panel._left_out.text()
