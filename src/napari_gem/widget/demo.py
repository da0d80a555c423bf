"""napari with a sample, the dock widget and its result.

``python -m napari_gem.widget.demo SAMPLE [--screenshot FILE]``; with a file the window
is saved there and closed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from qtpy.QtCore import QTimer

from napari_gem.core.terminal import say, show_anything
from napari_gem.images.samples import SAMPLES
from napari_gem.models.own_list import FRESH

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTLE = 1000
"""Milliseconds that the canvas gets to draw the result."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Open napari, run the sample's prompts, and wait for the user or save a picture.

    Returns
    -------
    int
        0, or 1 if a picture was asked for and the run failed.
    """
    show_anything()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", choices=SAMPLES)
    parser.add_argument("--screenshot", type=Path)
    options = parser.parse_args(arguments)
    os.environ[FRESH] = "1"  # neither the last cluster nor the last model
    viewer = napari.Viewer(title="napari-gem")
    viewer.open_sample("napari-gem", options.sample)
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    status = 0

    def save() -> None:
        viewer.screenshot(str(options.screenshot), canvas_only=False, flash=False)
        viewer.close()

    def end(kind: str, sentence: str, _details: str) -> None:
        nonlocal status
        if widget.controller.busy or not sentence:
            return
        if kind == "error":
            status = 1
            say(sentence, aside=True)
        QTimer.singleShot(SETTLE, save)

    if options.screenshot is not None:
        widget.controller.message_sent.connect(end)
    widget.run()
    napari.run()
    return status


if __name__ == "__main__":
    sys.exit(main())
