"""Keys and commands that work anywhere in the viewer."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from qtpy.QtCore import Qt

from napari_gem.core.errors import GemError
from napari_gem.widget import actions
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.keys import KEYS, KeyBindings, help_text

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def counting():
    """An action for each key, and how often each was called."""
    called = []
    return {key.action: lambda n=key.action: called.append(n) for key in KEYS}, called


def napari_keys():
    """All keys of napari's actions, layers, viewer and menus."""
    from napari._app_model import get_app_model
    from napari.utils.shortcuts import default_shortcuts

    keys = {str(key) for bindings in default_shortcuts.values() for key in bindings}
    for kind in (ViewerModel, Image, Labels, Points, Shapes):
        keys |= {str(key) for key in kind.class_keymap}
    keys |= {str(rule.keybinding) for rule in get_app_model().keybindings}
    return keys


def test_no_key_is_one_of_naparis(make_napari_viewer):
    from napari.utils.key_bindings import coerce_keybinding

    make_napari_viewer()
    theirs = napari_keys()
    assert "Ctrl+Shift+P" in theirs  # the command palette
    assert "Ctrl+G" in theirs
    ours = [str(coerce_keybinding(key.keys)) for key in KEYS]
    assert len(set(ours)) == len(KEYS)
    assert not theirs & set(ours)
    assert all("Ctrl+" in keys for keys in ours)


def test_keys_work_in_the_canvas_until_they_are_detached(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_labels(np.zeros((8, 8), int))
    viewer.layers.selection.active = layer
    functions, called = counting()
    bindings = KeyBindings(viewer, functions)
    presses = (
        (Qt.Key.Key_Return, CONTROL),
        (Qt.Key.Key_X, CONTROL | SHIFT),
        (Qt.Key.Key_PageDown, CONTROL),
        (Qt.Key.Key_PageUp, CONTROL),
        (Qt.Key.Key_M, CONTROL | SHIFT),
        (Qt.Key.Key_E, CONTROL | SHIFT),
        (Qt.Key.Key_N, CONTROL | SHIFT),
        (Qt.Key.Key_U, CONTROL | SHIFT),
    )
    canvas = viewer.window._qt_viewer.canvas.native
    for key, modifiers in presses:
        qtbot.keyClick(canvas, key, modifiers)
    assert called == [key.action for key in KEYS]
    called.clear()
    bindings.detach()
    bindings.detach()
    for key, modifiers in presses:
        qtbot.keyClick(canvas, key, modifiers)
    assert called == []
    assert not viewer.keymap
    KeyBindings(viewer, functions).detach()


def test_keys_of_others_are_left_to_them(caplog):
    viewer = ViewerModel()
    functions, called = counting()

    def theirs(viewer):
        called.append("theirs")

    viewer.bind_key("Control-Enter", theirs)
    bindings = KeyBindings(viewer, functions)
    assert "Control-Enter is taken" in caplog.text
    assert [key.action for key in bindings.bound] == [key.action for key in KEYS[1:]]
    assert "Run" not in bindings.help_text()
    # and one that is taken over later
    viewer.bind_key(KEYS[1].keys, theirs, overwrite=True)
    bindings.detach()
    assert list(viewer.keymap.values()) == [theirs, theirs]


def test_only_given_actions_are_bound():
    viewer = ViewerModel()
    bindings = KeyBindings(viewer, {"run": lambda: None})
    assert [key.action for key in bindings.bound] == ["run"]
    assert len(viewer.keymap) == 1


def test_the_help_lists_every_key():
    text = help_text()
    for key in KEYS:
        assert key.native_text()
        assert key.native_text() in text
        assert key.description in text


# --- the command palette


@pytest.mark.contact("palette")
@pytest.mark.slow
def test_the_palette_offers_what_needs_nothing_more(make_napari_viewer, tmp_path):
    """Readers and writers are commands too, and the palette has no path for them."""
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    palette = viewer.window._qt_window._command_palette
    viewer.window._toggle_command_palette()
    offered = {
        command.id: command.title
        for command in palette._list.iter_top_hits("")
        if command.id.startswith("napari-gem.")
    }
    assert offered == {
        "napari-gem.open": "GEM (GEM)",
        "napari-gem.run": "Run (GEM)",
        "napari-gem.cancel": "Cancel (GEM)",
        "napari-gem.open_files": "Open images with place and bands (GEM)",
        "napari-gem.segment_folder": "Segment a folder (GEM)",
        "napari-gem.fluorescence": "Fluorescence",
        "napari-gem.histology": "Histology",
        "napari-gem.aerial": "Aerial",
        "napari-gem.immunohistochemistry": "Immunohistochemistry (real, scikit-image)",
    }
    palette._line.setText("saved layers gem")
    rows = [row for row in palette._list._label_widgets if row.command()]
    files = [row for row in rows if row.command().id.endswith("_layers")]
    assert not any(row.isEnabled() for row in files)  # who searches finds them grey
    palette.hide()
    execute = get_app_model().commands.execute_command
    with pytest.raises(GemError, match="Choose File, Open Files"):
        execute("napari-gem.read_layers").result()
    with pytest.raises(GemError, match="choose File, Save Selected Layers"):
        execute("napari-gem.write_layers").result()
    # napari still reads and writes by them
    layer = viewer.add_labels(np.eye(4, dtype=int), name="mine")
    path = tmp_path / "mine.gem"
    viewer.layers.selection = {layer}
    written = viewer.layers.save(str(path), selected=True, plugin="napari-gem")
    assert written
    viewer.layers.clear()
    viewer.open(str(path), plugin="napari-gem")
    assert [layer.name for layer in viewer.layers] == ["mine"]


def test_the_palette_has_run_and_cancel(make_napari_viewer, monkeypatch):
    from napari._app_model import get_app_model

    ran, cancelled = [], []
    monkeypatch.setattr(GemWidget, "run", lambda widget: ran.append(widget))
    viewer = make_napari_viewer()
    palette = viewer.window._qt_window._command_palette
    viewer.window._toggle_command_palette()
    palette._line.setText("gem run")
    titles = [command.title for command in palette._list.iter_command()]
    assert titles[0] == "Run (GEM)"  # others are further away
    palette.hide()
    app = get_app_model()
    app.commands.execute_command("napari-gem.cancel").result()
    assert actions.find_widget(viewer) is None
    app.commands.execute_command("napari-gem.run").result()
    widget = actions.find_widget(viewer)
    assert isinstance(widget, GemWidget)
    app.commands.execute_command("napari-gem.run").result()
    assert ran == [widget, widget]
    assert actions.open_widget(viewer) is widget
    assert len(viewer.window.dock_widgets) == 1
    widget.controller.cancel = lambda: cancelled.append(True)
    app.commands.execute_command("napari-gem.cancel").result()
    assert cancelled == [True]
    widget.controller.close()
