"""What is in sight at once, and what those get who use keys or a screen reader."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QScrollArea,
    QScrollBar,
    QWidget,
)

from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.two_lines import TwoLines

CONTROLS = (
    *(QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit),
    *(QPlainTextEdit, QAbstractItemView, QProgressBar),
)


@pytest.fixture
def dock(make_napari_viewer):
    """A viewer of 1280 x 720 and the widget, docked as the menu does it."""
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    widget.window().setGeometry(0, 0, 1280, 720)
    yield viewer, widget
    widget.controller.close()


def controls(widget):
    """All controls but those that Qt makes as parts of others."""
    for control in widget.findChildren(QWidget):
        is_part = isinstance(control, QScrollBar) or control.objectName().startswith(
            "qt_"
        )
        inside = control.parentWidget()
        while inside is not widget and inside is not None:
            is_part |= isinstance(inside, (QComboBox, QAbstractSpinBox, QLineEdit))
            is_part |= isinstance(inside, QAbstractItemView)
            inside = inside.parentWidget()
        if isinstance(control, CONTROLS) and not is_part:
            yield control


def spoken_name(control):
    """What a screen reader says of a control."""
    labels = control.window().findChildren(QLabel)
    beside = [label.text() for label in labels if label.buddy() is control]
    text = control.text() if isinstance(control, QAbstractButton) else ""
    return control.accessibleName() or text or " ".join(beside)


def test_every_control_has_a_name_and_a_tooltip(dock):
    _, widget = dock
    seen = list(controls(widget))
    assert len(seen) > 40
    unnamed = [x for x in seen if sum(map(str.isalpha, spoken_name(x))) < 2]
    assert not [(type(x.parentWidget()), x.toolTip()) for x in unnamed]
    untold = []
    for control in seen:
        around = control
        while around is not widget and not around.toolTip():
            around = around.parentWidget()
        if around is widget:
            untold.append((control, spoken_name(control)))
    assert not untold


@pytest.mark.parametrize("unfolded", [False, True])
def test_the_tab_key_goes_down_as_the_eye_does(dock, qtbot, unfolded):
    viewer, widget = dock
    viewer.open_sample("napari-gem", "fluorescence")
    for fold in widget.findChildren(Fold):
        if unfolded:
            fold.expand()
    qtbot.wait(50)
    first = widget.image_panel.image_choice
    order, control = [], first
    while True:
        takes_tab = bool(control.focusPolicy() & Qt.FocusPolicy.TabFocus)
        if takes_tab and control.isVisible() and control.isEnabled():
            order.append(control)
        control = control.nextInFocusChain()
        if control is first or not widget.isAncestorOf(control):
            break
    assert widget.run_bar.run_button in order
    lowest = -(1 << 16)  # it may be scrolled
    for control in order:
        place = control.mapTo(widget, QPoint(0, 0)).y() + control.height() // 2
        if widget.run_bar.isAncestorOf(control):
            place += 1 << 16  # below what scrolls
        assert place > lowest - 12, (control, spoken_name(control))
        lowest = place


def test_the_first_things_are_in_sight(dock, qtbot):
    viewer, widget = dock
    viewer.open_sample("napari-gem", "fluorescence")
    widget.run_bar.show_message("warning", "A long sentence about a run. " * 20)
    area = widget.findChild(QScrollArea)
    view = widget.prompt_table.view
    needed = (
        *(widget.image_panel.image_choice, widget.image_panel.preview, view),
        *(widget.prompt_table.edit, widget.model_fold.toggleButton()),
        *(widget.run_bar.run_button, widget.run_bar.current, widget.run_bar.status),
    )
    qtbot.waitUntil(lambda: area.viewport().height() > 300)
    preview = widget.image_panel.preview
    with qtbot.waitSignal(
        preview.drawn, timeout=60_000, check_params_cb=lambda: not preview.sentence
    ):
        widget.image_panel._update_later()
    qtbot.wait(50)
    assert widget.window().height() == 720
    for part in needed:
        assert part.visibleRegion().boundingRect() == part.rect(), part
    assert view.viewport().height() >= 3 * view.sizeHintForRow(0)


def test_a_long_sentence_takes_two_lines(qtbot):
    label = TwoLines()
    qtbot.addWidget(label)
    label.resize(300, 100)
    label.setText("A sentence that is far too long. " * 10)
    label.show()
    assert label.height() < 2.5 * label.fontMetrics().lineSpacing()
    assert QLabel.text(label).endswith("…")
    assert label.toolTip() == label.text() == "A sentence that is far too long. " * 10
    assert QLabel.text(label).count("far too long") > 1
    label.setText("Done.")
    assert QLabel.text(label) == label.text() == "Done."
    assert not label.toolTip()


@pytest.mark.parametrize("font", [9, 13])
def test_no_button_is_cut(dock, qtbot, font):
    _, widget = dock
    widget.setStyleSheet(f"{widget.styleSheet()} * {{ font-size: {font}pt; }}")
    for fold in widget.findChildren(Fold):
        fold.expand()
    qtbot.wait(100)
    for button in widget.findChildren(QAbstractButton):
        if button.isVisible() and button.text() and not button.icon().availableSizes():
            text = button.fontMetrics().horizontalAdvance(button.text().strip("&"))
            assert text <= button.width(), (button.text(), text, button.width())


def test_folds_are_as_they_were_left(make_napari_viewer):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    assert not any(fold.isExpanded() for fold in widget.folds.values())
    widget.folds["settings"].expand()
    viewer.add_image(np.zeros((8, 8)))
    widget.prompt_table.add_text("cell")
    widget.run()
    widget.controller.cancel()
    viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    unfolded = [name for name, fold in again.folds.items() if fold.isExpanded()]
    assert unfolded == ["settings"]
    again.controller.close()


def test_a_fold_says_what_is_not_as_usual(dock):
    _, widget = dock
    assert "Embedded" in widget.model_fold.text()
    assert widget.settings_fold.text() == "▸ Settings"
    widget.advanced_panel._controls["smoothing"].value = 3
    assert widget.settings_fold.text() == "▸ Settings: smoothing changed"
    widget.image_panel.set_detail(8)
    widget.image_panel._update()
    assert "Detail: 8 px" in widget.image_panel.fold.text()
