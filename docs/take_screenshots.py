"""Takes the screenshots of the documentation: ``python docs/take_screenshots.py``.

Needs a screen; writes to ``docs/images``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

FOLDER = Path(__file__).parent / "images"
SIZE = (1280, 760)


def main() -> None:
    """Run two samples and save the window before, during and after."""
    FOLDER.mkdir(exist_ok=True)
    viewer = napari.Viewer(title="napari")
    viewer.window.resize(*SIZE)
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")

    def save(name: str) -> None:
        wait(lambda: False, 1)
        path = FOLDER / f"{name}.png"
        viewer.screenshot(str(path), canvas_only=False, flash=False)
        sys.stdout.write(f"{path}\n")

    widget.run()
    save("error")
    viewer.open_sample("napari-gem", "fluorescence")
    viewer.scene.camera.zoom *= 0.9
    widget.run_bar.tell("info", "")
    save("before")
    stages: list[str] = []
    widget.controller.progressed.connect(lambda step: stages.append(step.stage))
    widget.run()
    wait(lambda: stages.count("Encoding") > 3, 1200)
    save("during")
    wait(lambda: not widget.controller.busy, 1200)
    save("after")
    viewer.layers.clear()
    viewer.open_sample("napari-gem", "aerial")
    viewer.reset_view()
    widget.run()
    wait(lambda: not widget.controller.busy, 1200)
    save("aerial")
    viewer.close()


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Let Qt work until something holds or the time is up."""
    timer = QTimer()
    timer.setSingleShot(True)
    timer.start(round(seconds * 1000))
    while timer.isActive() and not condition():
        QApplication.processEvents()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
