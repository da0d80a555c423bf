"""Files that the dock opens: their layers, bands and values for no data."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_gem.images.files import open_scene
from napari_gem.layers.opening import KEY, view_of
from napari_gem.widget.image import open_button
from napari_gem.widget.image.file_choice import AS_STORED
from napari_gem.widget.image.panel import ImagePanel
from tests.layers.test_opening import fluorescence, multispectral


class Dock:
    """The panel of a viewer, and the sentences that its opener says."""

    def __init__(self, qtbot):
        self.viewer, self.qtbot = ViewerModel(), qtbot
        self.panel = ImagePanel(self.viewer)
        self.sentences = []
        self.panel.opener.message_sent.connect(
            lambda *said: self.sentences.append(said)
        )
        self.panel.message_sent.connect(lambda *said: self.sentences.append(said))
        self.choice = self.panel.file_choice

    def wait(self):
        panel = self.panel
        self.qtbot.waitUntil(lambda: not panel.opener.busy, timeout=20000)
        self.qtbot.waitUntil(lambda: not panel._timer.isActive())

    def open(self, *paths):
        self.panel.opener.open(paths)
        self.wait()

    def type_bands(self, text):
        self.choice.bands.setEditText(text)
        self.choice.bands.lineEdit().editingFinished.emit()
        self.wait()

    def type_nodata(self, text):
        self.choice.nodata.setText(text)
        self.choice.nodata.editingFinished.emit()
        self.wait()

    def shown(self):
        return [view_of(layer).bands for layer in self.viewer.layers if layer.visible]

    def plane(self):
        return self.panel.read().file_plane


@pytest.fixture
def dock(qtbot):
    made = Dock(qtbot)
    qtbot.addWidget(made.panel, before_close_func=lambda panel: panel.detach())
    yield made
    made.panel.detach()


def test_channels_are_opened_and_taken_together(dock, tmp_path):
    path = fluorescence(tmp_path)
    dock.open(path)
    assert dock.panel.image_choice.currentText() == "cells.ome.tif (2 channels)"
    assert (dock.plane().bands, dock.plane().index) == ("1,2", (1,))
    assert dock.panel.read().pixel_size == ((0.5, 0.5), "µm")
    assert "0.5 µm" in dock.panel.detail_choice._size_text(1)
    assert dock.choice.bands_label.text() == "Channels"
    assert dock.choice.bands.currentText() == "DAPI, GFP"
    dock.viewer.layers[0].visible = False
    dock.wait()
    assert dock.plane().bands == "2"


def test_other_bands_of_the_file_are_shown_and_the_rest_is_hidden(dock, tmp_path):
    dock.open(multispectral(tmp_path))
    assert dock.shown() == ["1"]
    assert "5 bands" in dock.sentences[1][1]
    dock.type_bands("5,1,2")
    assert dock.shown() == ["1", "5", "2"]  # the first band was there already
    assert dock.plane().bands in ("1,5,2", "5,1,2")
    colors = {view_of(x).bands: x.colormap.name for x in dock.viewer.layers}
    assert colors == {"5": "red", "1": "green", "2": "blue"}
    dock.type_bands("3")
    assert dock.shown() == ["3"]
    assert len(dock.viewer.layers) == 4
    dock.type_bands("9")
    assert "no band '9'" in dock.sentences[-1][1]
    assert dock.shown() == ["3"]
    dock.type_bands(AS_STORED)
    assert dock.shown() == ["1"]


def test_another_value_for_no_data(dock, tmp_path):
    path = multispectral(tmp_path, 1)
    dock.open(path)
    (layer,) = dock.viewer.layers
    assert (layer.data[30, 20], dock.plane().nodata) == (0, "")
    dock.type_nodata("none")
    assert dock.plane().nodata == "none"
    assert [layer.visible for layer in dock.viewer.layers] == [False, True]
    dock.type_nodata("zero")
    assert "give a number, or none" in dock.sentences[-1][1]
    assert dock.plane().nodata == "none"
    # of layers that were not opened from a file
    pixels = np.full((30, 20), 7, np.uint8)
    pixels[:10] = 9
    plain = dock.viewer.add_image(pixels)
    dock.wait()
    dock.type_nodata("7")
    assert dock.panel.read().nodata == "7"
    assert not dock.panel.read().read()[10:].any()
    assert "No data: 7" in dock.panel.fold.text()
    dock.viewer.layers.selection.active = dock.viewer.layers[1]
    dock.wait()
    assert dock.plane().nodata == "none"
    dock.viewer.layers.selection.active = plain
    dock.wait()
    assert dock.panel.read().nodata == "7"


def test_what_cannot_be_opened_is_said(dock, tmp_path):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 nothing")
    dock.open(broken, tmp_path / "missing.tif", multispectral(tmp_path))
    errors = [sentence for kind, sentence in dock.sentences if kind == "error"]
    assert "'broken.tif' cannot be read" in errors[0]
    assert "There is no file" in errors[1]
    assert len(dock.viewer.layers) == 1


def test_sizes_that_napari_cannot_count_are_refused(dock, tmp_path):
    dock.open(multispectral(tmp_path))
    before = list(dock.viewer.layers)
    dock.open(fluorescence(tmp_path))
    assert "differ so much in size" in dock.sentences[-1][1]
    assert list(dock.viewer.layers) == before


def test_files_are_dropped_or_asked_for(dock, tmp_path, monkeypatch):
    path = multispectral(tmp_path, 1)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)), QUrl("https://example.org/a.tif")])
    dropped = QDropEvent(
        QPoint(2, 2).toPointF(),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    dock.panel.open_button.dropEvent(dropped)
    dock.wait()
    assert [layer.name for layer in dock.viewer.layers] == ["bands.tif"]
    assert dock.viewer.layers[0].metadata[KEY]["location"]["crs"] == "EPSG:32633"
    asked = [str(fluorescence(tmp_path))]
    dock.viewer.layers.clear()
    monkeypatch.setattr(
        open_button.QFileDialog, "getOpenFileNames", lambda *_: (asked, "")
    )
    dock.panel.open_button.ask_files()
    dock.wait()
    assert len(dock.viewer.layers) == 2


def test_a_recipe_asks_for_its_bands(dock, tmp_path):
    path = multispectral(tmp_path)
    dock.open(path)
    called = []
    assert dock.panel.show_bands("3,2", "", lambda: called.append(dock.plane().bands))
    dock.wait()
    dock.qtbot.waitUntil(lambda: bool(called))
    assert not dock.panel.show_bands("3,2", "", called.clear)
    scene = open_scene(path, bands="3,2")
    assert (dock.panel.read().read() == scene.pixels).all()
