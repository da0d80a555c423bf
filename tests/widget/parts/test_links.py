"""The viewer and its settings outlive the dock, in whatever order they go."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from napari.settings import get_settings
from napari.utils.events import EventEmitter
from qtpy.QtCore import QCoreApplication, QEvent, QObject
from qtpy.QtWidgets import QLabel

from napari_gem.widget.parts.links import Links

pytestmark = pytest.mark.contact("Qt bindings")


class Ear(QLabel):
    """Touches Qt when it hears something, which fails once it is deleted."""

    def __init__(self, *emitters):
        super().__init__()
        self.heard = 0
        self.links = Links(self._on_event, self)
        self.links.connect(emitters)

    def _on_event(self, _event=None):
        self.heard += 1
        self.setText(str(self.heard))


def delete(thing):
    thing.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()


def test_what_qt_deleted_is_neither_called_nor_asked(qapp):
    first, second = EventEmitter(type_name="first"), EventEmitter(type_name="second")
    ear, other = Ear(first, second, first), Ear(first)
    first()
    second()
    assert (ear.text(), other.text()) == ("2", "1")
    delete(ear)
    first()
    second()
    assert ear.heard == 2
    assert other.heard == 2
    assert len(first.callbacks) == 1, "what is gone stays connected"
    assert not second.callbacks
    ear.links.clear()
    ear.links.connect([second])  # a slot that is gone: connecting it harms nobody
    ear.links.clear()
    other.links.clear()
    delete(other)
    first()
    assert other.heard == 2


def test_what_ended_during_an_event_is_not_called_by_it(qapp):
    emitter = EventEmitter(type_name="event")
    late = Ear(emitter)
    emitter.connect(lambda: delete(late), position="first")
    emitter()
    assert late.heard == 0


def close_dock(viewer, dock, _widget):
    viewer.window.remove_dock_widget(dock)


def close_widget(_viewer, _dock, widget):
    widget.close()


def close_viewer(viewer, _dock, _widget):
    viewer.close()


def delete_widget(_viewer, _dock, widget):
    delete(widget)


def delete_dock(_viewer, dock, _widget):
    delete(dock)


def forget(_viewer, _dock, _widget):
    gc.collect()


ORDERS = [
    (close_viewer,),
    (close_dock, close_viewer),
    (close_widget, close_viewer),
    (delete_widget, close_viewer),
    (delete_dock, close_viewer),
    (close_widget, close_dock, forget, close_viewer),
    (close_dock, delete_widget, close_viewer),
    (close_viewer, forget, close_widget),
]


@pytest.mark.early_worker
@pytest.mark.parametrize(
    "order", ORDERS, ids=lambda order: "-".join(step.__name__ for step in order)
)
def test_dock_and_viewer_go_in_any_order(make_napari_viewer, qtbot, order):
    """A slot that raises is an error: pytest-qt catches those that Qt swallows."""
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((20, 30)))
    dock, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    widget.prompt_table.add_text("dark")
    widget.example_bar.start(positive=True)
    controller = widget.controller
    font = get_settings().appearance
    before = font.font_size
    try:
        for step in order:
            try:
                step(viewer, dock, widget)
            except RuntimeError as error:  # napari asks docks that were deleted
                assert "deleted" in str(error)
                assert step is not close_viewer
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            QCoreApplication.processEvents()
            font.font_size = before + 1
            font.font_size = before
            viewer.layers.selection.clear()
            image.gamma = 0.5 if image.gamma == 1 else 1
            image.translate = image.translate + 1
    finally:
        font.font_size = before
        controller.close()
    viewer.layers.clear()
    assert controller.worker_id is None


def test_a_link_needs_no_qt_to_end(qapp):
    """Not even while the interpreter ends, when Qt is half gone."""
    emitter = EventEmitter(type_name="event")
    owner = QObject()
    links = Links(lambda event: None, owner)
    links.connect([emitter])
    del owner
    gc.collect()
    assert not emitter.callbacks
    links.clear()
