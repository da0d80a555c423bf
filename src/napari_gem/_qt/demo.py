"""napari with a sample image, the dock widget and its result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from napari_gem.samples import SAMPLES

SETTLE = 1500
"""Milliseconds until everything that a run brought is drawn."""


def main(arguments: list[str] | None = None) -> int:
    """Open a sample, press Run, and either stay open or save a screenshot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", choices=SAMPLES)
    parser.add_argument("--screenshot", type=Path, help="save it here and end")
    asked = parser.parse_args(arguments)
    viewer = napari.Viewer(title=f"napari-gem: {asked.sample}")
    viewer.open_sample("napari-gem", asked.sample)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    said: list[tuple[str, str]] = []
    widget.controller.told.connect(lambda *told: said.append(told))
    if asked.screenshot:

        def finish() -> None:
            viewer.screenshot(str(asked.screenshot), canvas_only=False, flash=False)
            viewer.close()

        def on_busy(busy: bool) -> None:
            if not busy:
                QTimer.singleShot(SETTLE, finish)

        viewer.window.resize(1400, 850)
        widget.controller.busy_changed.connect(on_busy)
    QTimer.singleShot(0, widget.run)
    napari.run()
    failed = [sentence for kind, sentence in said if kind == "error"]
    if failed:
        sys.stderr.write("\n".join(failed) + "\n")
    return 1 if failed and asked.screenshot else 0


if __name__ == "__main__":
    sys.exit(main())
