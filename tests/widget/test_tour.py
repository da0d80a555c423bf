"""The tour of the documentation: its cheap steps, and that its pictures are there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CHEAP = ("open_sample", "type_classes", "edit_table", "prompt_sets", "detail", "keys")


@pytest.fixture
def module(monkeypatch):
    spec = importlib.util.spec_from_file_location("tour", DOCS / "tour.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tour", module)  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_steps_without_a_run_hold(module, make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    tour = module.Tour(viewer, widget, tmp_path)
    named = {step.__name__: step for step in module.STEPS}
    for name in CHEAP:
        named[name](tour)
    widget.controller.close()


def test_each_step_says_what_the_user_gets(module):
    assert len(module.STEPS) > 20
    assert all(step.__doc__ for step in module.STEPS)


def test_the_guide_shows_pictures_that_the_tour_takes(module):
    source = (DOCS / "tour.py").read_text(encoding="utf-8")
    pages = (DOCS / "guide.md", DOCS.parent / "README.md")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    shown = set(re.findall(r"images/(\w+)\.png", text))
    names = {path.stem for path in module.IMAGES.glob("*.png")}
    assert shown == names
    assert all(f'"{name}"' in source for name in names)


@pytest.mark.slow
def test_units_are_read_before_another_thread_makes_layers():
    # in a process of its own: units are read once in each
    code = """
import napari, pint
from napari_gem.widget.run.controller import Controller
Controller.start = lambda self: print(type(pint.get_application_registry().get()))
viewer = napari.Viewer()
viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
viewer.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert "UnitRegistry" in done.stdout, done.stderr
