"""What a large image takes in the dock widget: memory of viewer and worker, and time.

With the real widget and worker, and the embedded model, on a zarr array::

    python tests/screen.py --always python -m tests.bench_large_dock SIDE [--detail N]

Pictures of the window while the labels fill in, and at the end, go to a folder if one
is given with ``--pictures``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zarr
from qtpy.QtCore import QCoreApplication

from napari_gem.images import samples
from tests.bench_widget import docked, spin, type_classes, wait_until

CLASSES = "building, buildings\nroad, roads"
EVERY = 0.5
"""Seconds between two looks at the memory."""


def write_scene(folder: str, side: int) -> Any:
    """Write a sample again and again until it is as large as wanted."""
    (pixels, _, _), *_ = samples.load_aerial()
    array = zarr.create_array(
        store=f"{folder}/scene.zarr",
        shape=(side, side, 3),
        chunks=(min(side, 1024), min(side, 1024), 3),
        dtype="u1",
    )
    height, width = pixels.shape[:2]
    across = np.tile(pixels, (1, -(-side // width), 1))[:, :side]
    for row in range(0, side, height):
        array[row : row + height] = across[: min(height, side - row)]
    return array


class Watched:
    """Private memory of some processes, now and at most, beyond what it was."""

    def __init__(self, **processes: int) -> None:
        self._processes = {n: psutil.Process(p) for n, p in processes.items()}
        self.start = self.now()
        self.most = dict(self.start)

    def now(self) -> dict[str, float]:
        memory = self._processes.items()
        return {name: each.memory_full_info().uss / 2**20 for name, each in memory}

    def look(self) -> None:
        self.most = {name: max(self.most[name], n) for name, n in self.now().items()}

    def tell(self, when: str, memory: dict[str, float]) -> None:
        more = (f"{name} {n - self.start[name]:.0f} MiB" for name, n in memory.items())
        print(f"{when}, beyond before: {', '.join(more)}", flush=True)


def measure(side: int, detail: float, pictures: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder, docked() as (viewer, widget):
        viewer.add_image(write_scene(folder, side), rgb=True, name="scene")
        controller = widget.controller
        wait_until(lambda: controller.worker_id is not None)
        widget.image_panel.set_detail(detail)
        type_classes(widget, CLASSES)
        spin(8)
        memory = Watched(viewer=psutil.Process().pid, worker=controller.worker_id)
        print(f"before: {memory.start}")
        started, due, stall = time.perf_counter(), 0.0, 0.0
        widget.run()
        while controller.busy:
            turn = time.perf_counter()
            QCoreApplication.processEvents()
            stall = max(stall, time.perf_counter() - turn)
            time.sleep(0.002)
            if turn > due:
                memory.look()
                due = turn + EVERY
                if pictures and len(viewer.layers) > 1:
                    _picture(viewer, pictures / "filling.png")
        print(f"run: {time.perf_counter() - started:.0f} s")
        print(f"longest turn of the event loop: {stall * 1e3:.0f} ms")
        memory.tell("most in the run", memory.most)
        memory.tell("after the run", memory.now())
        if pictures:
            _picture(viewer, pictures / "done.png")
        scored: list[int] = []
        controller.scored.connect(lambda event: scored.append(event.step))
        started = time.perf_counter()
        widget.prompt_table.model.change(1, words=("tree", "trees"))
        wait_until(lambda: bool(scored))
        print(f"changed words, preview: {time.perf_counter() - started:.2f} s")


def _picture(viewer: Any, path: Path) -> None:
    viewer.window.screenshot(str(path), canvas_only=False, flash=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", type=int, help="pixels along each axis")
    parser.add_argument("--detail", type=float, default=64, help="pixels per patch")
    parser.add_argument("--pictures", type=Path, help="folder")
    given = parser.parse_args()
    measure(given.side, given.detail, given.pictures)


if __name__ == "__main__":
    main()
