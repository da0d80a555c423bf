"""Takes the viewer with the dock at several sizes: ``python docs/sizes.py FOLDER``.

Themes and screens as people have them, with a sample and its result. Needs a screen:
``python tests/screen.py --always python docs/sizes.py FOLDER``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOOKS = (
    ("dark", 1600, 1000, "1"),
    ("dark", 1280, 720, "1"),
    ("light", 1280, 720, "1"),
    ("light", 1066, 666, "1.5"),
)
"""Theme, width and height of the window in Qt's pixels, and Qt's scale."""


def take(theme: str, width: int, height: int, path: str) -> None:
    """Take one picture before the run and one after it."""
    import napari
    from napari.settings import get_settings
    from qtpy.QtWidgets import QApplication

    def wait(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.02)

    get_settings().appearance.theme = theme
    viewer = napari.Viewer(title="napari")
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    window = widget.window()
    window.setGeometry(0, 0, width, height)
    viewer.open_sample("napari-gem", "fluorescence")
    wait(3)
    viewer.screenshot(f"{path}-before-run.png", canvas_only=False, flash=False)
    widget.run()
    end = time.monotonic() + 300
    while widget.controller.busy and time.monotonic() < end:
        wait(0.1)
    wait(1)
    viewer.screenshot(f"{path}-result.png", canvas_only=False, flash=False)
    viewer.close()


def main(arguments: list[str]) -> int:
    """Take all pictures, each in a process of its own."""
    if len(arguments) == 4:
        theme, width, height, path = arguments
        take(theme, int(width), int(height), path)
        return 0
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for theme, width, height, scale in LOOKS:
            name = f"{theme}-{width}x{height}-{float(scale):.0%}"
            environment = {
                **os.environ,
                "QT_SCALE_FACTOR": scale,
                "NAPARI_GEM_CONFIG": f"{place}/{name}",
                "NAPARI_GEM_CACHE": f"{place}/features",
            }
            command = [sys.executable, __file__, theme, str(width), str(height)]
            command.append(str(folder / name))
            subprocess.run(command, env=environment, check=True, timeout=600)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
