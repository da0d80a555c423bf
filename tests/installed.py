"""The first minutes with an installed napari-gem: ``python -I installed.py``.

It imports nothing but the environment, which has the package as it was installed. The
dock is opened as napari does it, a sample is run, results are saved and read back,
the viewer is closed; then a file is segmented on the command line. ``tests/wheel.py``
makes the environment. Needs a screen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

PATIENCE = 900
"""Seconds that a step may take on a busy computer."""

CLASSES = ("nuclei", "filaments")


def wait(condition: Callable[[], bool], event: str) -> None:
    """Let Qt work until something holds."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"did not happen: {event}"
        QApplication.processEvents()
        time.sleep(0.02)


def use_dock(folder: Path) -> None:
    """Open the dock, type classes, run, save, read back and close."""
    import napari
    import numpy as np
    import psutil
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    viewer = napari.Viewer()
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    viewer.open_sample("napari-gem", "fluorescence")
    table, controller = widget.prompt_table, widget.controller
    table.set_prompts(())
    for name in CLASSES:
        QTest.keyClicks(table.edit, name)
        QTest.keyClick(table.edit, Qt.Key.Key_Return)
    assert tuple(prompt.name for prompt in table.prompts()) == CLASSES
    messages: list[tuple[str, str]] = []
    controller.message_sent.connect(lambda kind, text, _: messages.append((kind, text)))
    run = widget.run_bar.run_button
    wait(run.isEnabled, "Run can be pressed")
    QTest.mouseClick(run, Qt.MouseButton.LeftButton)
    assert controller.busy, widget.run_bar.status.text()
    wait(lambda: not controller.busy, "the end of the run")
    assert messages[-1][0] != "error", messages
    assert messages[-1][1].startswith("Done: labels and 2 maps."), messages

    image, *maps, labels = viewer.layers
    assert [role(layer) for layer in maps] == ["probability"]
    assert role(labels) == "labels"
    assert labels.data.shape == image.data.shape[:2]
    ids = {prompt.label for prompt in table.prompts()}
    assert ids <= set(np.unique(labels.data).tolist()) <= {0, *ids}

    assert viewer.layers.save(str(folder / "result.gem"), plugin="napari-gem")
    again = napari.components.ViewerModel()
    again.open(str(folder / "result.gem"), plugin=None)
    assert [layer.name for layer in again.layers] == [x.name for x in viewer.layers]
    assert np.array_equal(again.layers[-1].data, labels.data)

    image.save(str(folder / "sample.tif"))
    worker = psutil.Process().children()
    assert worker, "there is no worker process"
    viewer.close()
    wait(lambda: not any(map(is_alive, worker)), "the worker ends with the dock")


def role(layer: Any) -> str | None:
    """Tell what a layer is of a result."""
    said = layer.metadata.get("napari_gem", {}).get("role")
    return said if isinstance(said, str) else None


def is_alive(process: Any) -> bool:
    """Tell whether a process runs."""
    return bool(process.is_running() and process.status() != "zombie")


def use_command_line(folder: Path) -> None:
    """Segment a file on the command line."""
    command = Path(sysconfig.get_path("scripts"), "napari-gem")
    words = ["-p", CLASSES[0], "-p", CLASSES[1]]
    output = folder / "output"
    subprocess.run(
        [command, "segment", folder / "sample.tif", *words, "-o", output], check=True
    )
    names = {path.name for path in output.rglob("*") if path.is_file()}
    assert any(name.endswith(".tif") for name in names), names
    assert any(name.endswith(".png") for name in names), names
    recipe = json.loads(next(output.rglob("*recipe.json")).read_text("utf-8"))
    assert recipe["prompts"], recipe


def main() -> int:
    """Use the dock, then the command line."""
    from qtpy import API_NAME

    import napari_gem

    assert Path(napari_gem.__file__).is_relative_to(sys.prefix), napari_gem.__file__
    print(f"napari {version('napari')}, {API_NAME}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for kept in ("CONFIG", "CACHE", "WEIGHTS"):
            os.environ[f"NAPARI_GEM_{kept}"] = str(folder / kept.lower())
        use_dock(folder)
        print("The dock opened, ran, saved and closed.", flush=True)
        use_command_line(folder)
        print("The command line segmented a file.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
