"""What napari opens as the dock."""

from __future__ import annotations

import os
import subprocess
import sys

import napari
import pytest
from npe2 import PluginManifest

from napari_gem.core.errors import GemError
from napari_gem.core.napari_version import OLDEST
from napari_gem.widget import actions, entry
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.entry import TooOld
from tests.old_napari import pretend

pytestmark = pytest.mark.contact("versions")

OPEN = """
import sys
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication
manifest = PluginManifest.from_distribution("napari-gem")
opened = next(x for x in manifest.contributions.widgets).command
command = next(x for x in manifest.contributions.commands if x.id == opened)
app = QApplication([])
import importlib
module, _, name = command.python_name.partition(":")
widget = getattr(importlib.import_module(module), name)()
widget.show()
print(widget.text())
assert "napari" not in sys.modules
"""


def command(name):
    """Python name of a command of the manifest."""
    manifest = PluginManifest.from_distribution("napari-gem")
    commands = {one.id: one.python_name for one in manifest.contributions.commands}
    return commands[f"napari-gem.{name}"]


def test_the_dock_is_the_widget():
    module, name = str(command("open")).split(":")
    assert getattr(sys.modules[module], name) is GemWidget
    with pytest.raises(AttributeError, match="Other"):
        getattr(sys.modules[module], "Other")  # noqa: B009 (as napari asks)


def test_an_old_napari_is_told_before_anything_of_it_is_imported(tmp_path):
    pretend(tmp_path, "0.6.6")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-c", OPEN], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "0.6.6" in done.stdout
    assert OLDEST in done.stdout


def test_an_old_napari_shows_the_sentence_in_the_dock(
    make_napari_viewer, tmp_path, monkeypatch
):
    pretend(tmp_path, "0.6.6")
    monkeypatch.syspath_prepend(tmp_path)
    viewer = make_napari_viewer()
    # not by napari's menu: npe2 remembers what it opened once
    widget = entry.Dock()
    viewer.window.add_dock_widget(widget)
    assert isinstance(widget, TooOld)
    assert widget.text().count("0.6.6") == 1
    assert widget.sizeHint().width() < 600


@pytest.mark.parametrize("action", [actions.run, actions.cancel])
def test_commands_of_an_old_napari_say_so(tmp_path, monkeypatch, action):
    pretend(tmp_path, "0.6.6")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(napari, "current_viewer", lambda: pytest.fail("too late"))
    with pytest.raises(GemError, match=r"0\.6\.6"):
        action()
