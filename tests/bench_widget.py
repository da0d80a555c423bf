"""How calm the viewer stays: latency, stalls of the event loop, cancel, memory.

With the real dock widget, the real worker and the embedded model, on a drawn image::

    python tests/screen.py --always python -m tests.bench_widget [PART ...] [--OPTIONS]

Other load on the machine makes the times on the clock longer, the processor time of the
main thread less so; both are told. Parts: ``latency``, ``stalls``, ``cancel``,
``memory``; all of them if none is named.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import napari
import numpy as np
import psutil
from qtpy.QtCore import QCoreApplication, QEvent, QTimer

from napari_gem import samples
from napari_gem._qt.widget import GemWidget

CLASSES = (
    "nuclei, nucleus\nfilaments, filament\nmitochondria\nmembrane\nvesicle\n"
    "gland\nstroma\nbuilding, roof\nroad\ntree, trees"
)
PATIENCE = 1800.0
DETAIL = 16.0


@dataclass
class Stalls:
    """Longest turns of the event loop by phase."""

    phase: str = ""
    clock: dict[str, float] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)
    trace: float = 0.0

    def __post_init__(self) -> None:
        self.timer = QTimer()
        self.timer.timeout.connect(self._tick)
        self._last = time.perf_counter(), time.thread_time()

    def begin(self, phase: str) -> None:
        if self.timer.isActive():
            self._tick()
        self.phase = phase
        self._last = time.perf_counter(), time.thread_time()
        self.timer.start(5)

    def _tick(self) -> None:
        now = time.perf_counter(), time.thread_time()
        clock, processor = (a - b for a, b in zip(now, self._last, strict=True))
        if self.trace and clock > self.trace:
            print(
                f"^ {self.phase}: {clock * 1e3:.0f} ms, processor "
                f"{processor * 1e3:.0f} ms",
                file=sys.stderr,
            )
        self.clock[self.phase] = max(clock, self.clock.get(self.phase, 0))
        self.processor[self.phase] = max(processor, self.processor.get(self.phase, 0))
        self._last = time.perf_counter(), time.thread_time()
        if self.trace:
            faulthandler.dump_traceback_later(self.trace, exit=False)

    def end(self) -> None:
        self._tick()
        self.timer.stop()
        faulthandler.cancel_dump_traceback_later()

    def show(self) -> None:
        print(f"{'longest turn of the event loop (ms)':48s} {'clock':>7s} {'CPU':>7s}")
        for phase, clock in self.clock.items():
            cpu = self.processor[phase]
            print(f"  {phase:46s} {clock * 1e3:7.0f} {cpu * 1e3:7.0f}")


def spin(seconds: float) -> None:
    """Let Qt work for a while."""
    wait_until(lambda: False, seconds, strict=False)


def wait_until(
    done: Callable[[], bool], seconds: float = PATIENCE, *, strict: bool = True
) -> None:
    """Let Qt work until something is so, as it does in the application."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            if strict:
                raise TimeoutError
            return
        QCoreApplication.processEvents()
        time.sleep(0.0005)


def drawn_image(size: int, rgb: bool) -> np.ndarray:
    """A sample, repeated: colours, or one channel of 16 bit."""
    name = "aerial" if rgb and "aerial" in samples.SAMPLES else "fluorescence"
    (pixels, _, _), *_ = getattr(samples, f"load_{name}")()
    times = -(-size // pixels.shape[0])
    large = np.tile(pixels, (times, times, 1))[:size, :size]
    if rgb:
        return np.ascontiguousarray(large)
    return large.mean(axis=-1).astype(np.uint16) * 200


@contextmanager
def docked(stalls: Stalls | None = None) -> Iterator[tuple[Any, GemWidget]]:
    """A viewer with the dock; everything is taken away afterwards."""
    viewer = napari.Viewer()
    spin(0.5)
    if stalls:
        stalls.begin("open the dock")
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    if stalls:
        stalls.begin("worker starts, layers are warmed up")
    try:
        yield viewer, widget
    finally:
        viewer.close()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        spin(0.2)


def type_classes(widget: GemWidget, text: str) -> None:
    widget.prompt_table.set_prompts(())
    widget.prompt_table.add_text(text)


def run(widget: GemWidget) -> float:
    """Press Run and wait; the seconds it took."""
    told: list[tuple[str, str, str]] = []
    controller = widget.controller
    controller.told.connect(lambda *what: told.append(what))
    started = time.perf_counter()
    widget.run()
    wait_until(lambda: not controller.busy)
    if told[-1][0] == "error":
        raise RuntimeError(told[-1])
    return time.perf_counter() - started


# ------------------------------------------------------------------------- latency


def measure_latency(size: int, detail: float | None, repeats: int, rgb: bool) -> None:
    """From a changed control to its preview, and to the full size."""
    with docked() as (viewer, widget):
        viewer.add_image(drawn_image(size, rgb), rgb=rgb, name="image")
        widget.image_panel.set_detail(detail)
        for count in (3, 10):
            type_classes(widget, "\n".join(CLASSES.splitlines()[:count]))
            spin(0.5)
            seconds = run(widget)
            kind = "RGB" if rgb else "uint16"
            print(
                f"{size} x {size} {kind}, {count} classes, detail "
                f"{detail or 'default'}: run {seconds:.1f} s"
            )
            spin(2)
            for name, change in changes(widget).items():
                times = [live(viewer, widget, change, i) for i in range(repeats)]
                preview, drawn, full = (
                    median(t[i] for t in times) * 1e3 for i in (0, 1, 2)
                )
                print(
                    f"  {name:20s} preview {preview:5.0f} ms (drawn {drawn:5.0f}), "
                    f"full size {full:5.0f} ms"
                )


def changes(widget: GemWidget) -> dict[str, Callable[[int], object]]:
    """What a user can change, by name; each is called with the number of the call."""
    model = widget.prompt_table.model
    label = widget.prompt_table.prompts()[0].label
    last = widget.prompt_table.prompts()[-1].label
    fields = widget.advanced_panel._fields
    words = ("cell", "leaf", "water", "fibre", "sky", "stone", "sand", "fat")

    def new_word(i: int) -> None:
        model.change(label, words=("nuclei", words[i % len(words)]))

    return {
        "threshold": lambda i: model.change(label, threshold=0.4 + i / 50, moving=True),
        "on and off": lambda i: model.change(last, on=bool(i % 2)),
        "smoothing": lambda i: fields["smoothing"].setValue(2 + i),
        "minimum size": lambda i: fields["minimum_size"].setValue(50 + 10 * i),
        "background weight": lambda i: fields["background_weight"].setValue(
            1.05 + i / 20
        ),
        "new word": new_word,
    }


def live(
    viewer: Any, widget: GemWidget, change: Callable[[int], object], number: int
) -> tuple[float, float, float]:
    """Seconds from a change to the preview in the layer, on screen, and full size."""
    scored: list[tuple[int, float]] = []
    draws: list[float] = []
    controller = widget.controller
    canvas = viewer.window._qt_viewer.canvas._scene_canvas

    def note(event: Any) -> None:
        scored.append((event.step, time.perf_counter()))

    def drew(_event: Any) -> None:
        draws.append(time.perf_counter())

    controller.scored.connect(note)
    canvas.events.draw.connect(drew, position="last")
    started = time.perf_counter()
    change(number)
    wait_until(lambda: bool(scored) and scored[-1][0] == 1, 120)
    spin(0.3)
    controller.scored.disconnect(note)
    canvas.events.draw.disconnect(drew)
    preview = next(when for _, when in scored)
    drawn = next((when for when in draws if when >= preview), preview)
    return preview - started, drawn - started, scored[-1][1] - started


# -------------------------------------------------------------------------- stalls


def measure_stalls(size: int, rgb: bool, trace: float) -> None:
    """Longest turns of the event loop, ours and those of bare napari."""
    stalls = Stalls(trace=trace)
    with docked(stalls) as (viewer, widget):
        ready: list[object] = []
        controller = widget.controller
        controller._event_came.connect(lambda event, _: ready.append(event))
        wait_until(lambda: bool(ready))  # the worker's first event: it is ready
        spin(2)
        stalls.begin("add the image (napari)")
        viewer.add_image(drawn_image(size, rgb), rgb=rgb, name="image")
        spin(1)
        stalls.begin("after the image is added")
        spin(2)
        widget.image_panel.set_detail(DETAIL)
        type_classes(widget, "\n".join(CLASSES.splitlines()[:5]))
        spin(1)
        stages: list[str] = []
        controller.progressed.connect(lambda p: stages.append(p.stage))
        stalls.begin("press Run, load, encode, score")
        controller.scored.connect(lambda _: stalls.begin("after layers are there"))
        show = controller._show

        def shown(*arguments: Any) -> None:
            stalls.begin("our layers are added or updated")
            show(*arguments)

        controller._show = shown
        run(widget)
        spin(1.5)
        stalls.show()
        stalls.clock.clear()
        stalls.processor.clear()
        model = widget.prompt_table.model
        label = widget.prompt_table.prompts()[0].label
        for i in range(5):
            stalls.begin("live change, worker scores")
            scored: list[int] = []
            controller.scored.connect(lambda e, to=scored: to.append(e.step))
            model.change(label, threshold=0.3 + i / 20, moving=True)
            wait_until(lambda to=scored: 1 in to, 60)
            spin(0.5)
        stalls.show()
        stalls.clock.clear()
        stalls.processor.clear()
        arrays = [np.array(layer.data) for layer in viewer.layers[1:]]
        colors = [layer.colormap for layer in viewer.layers[1:-1]]
        table = viewer.layers[-1].colormap
        stalls.begin("take our layers away")
        del viewer.layers[1:]
        spin(1)
        stalls.begin("bare napari adds 5 maps and labels")
        maps = [
            viewer.add_image(
                array,
                colormap=color,
                contrast_limits=(0, 1),
                blending="additive",
                visible=False,
            )
            for array, color in zip(arrays[:-1], colors, strict=True)
        ]
        labels = viewer.add_labels(arrays[-1], colormap=table, opacity=0.6)
        stalls.begin("after that")
        spin(1)
        for _ in range(5):
            stalls.begin("bare napari updates 5 maps and labels")
            for layer, array in zip(maps, arrays[:-1], strict=True):
                layer.data = array.copy()
            labels.data = arrays[-1].copy()
            stalls.begin("after that")
            spin(0.5)
        stalls.end()
        stalls.show()


# -------------------------------------------------------------------------- cancel


def measure_cancel(size: int, repeats: int) -> None:
    """From the click on Cancel to everything being as before."""
    times = []
    with docked() as (viewer, widget):
        viewer.add_image(drawn_image(size, False), name="image")
        type_classes(widget, "\n".join(CLASSES.splitlines()[:5]))
        controller = widget.controller
        for number in range(repeats):
            stages: list[str] = []
            controller.progressed.connect(lambda p, to=stages: to.append(p.stage))
            widget.run()
            wait_until(lambda to=stages: "Encoding" in to)
            spin(0.3 + 0.2 * number)
            started = time.perf_counter()
            widget.run_bar.cancel_button.click()
            wait_until(lambda: not controller.busy)
            times.append(time.perf_counter() - started)
            alive = controller.worker_id is not None
            print(
                f"  {times[-1] * 1e3:.0f} ms: {widget.run_bar.status.text()} "
                f"{len(viewer.layers)} layers, worker {'kept' if alive else 'killed'}"
            )
    print(
        f"cancel while encoding, {size} x {size}: median {median(times) * 1e3:.0f} ms, "
        f"most {max(times) * 1e3:.0f} ms of {repeats}"
    )


# -------------------------------------------------------------------------- memory


def measure_memory(runs: int) -> None:
    """Memory of both processes over many runs and changes in one viewer."""
    me = psutil.Process()
    told: dict[int, tuple[float, float]] = {}
    with docked() as (viewer, widget):
        viewer.add_image(drawn_image(256, False), name="image")
        type_classes(widget, "\n".join(CLASSES.splitlines()[:3]))
        model = widget.prompt_table.model
        label = widget.prompt_table.prompts()[0].label
        for number in range(1, runs + 1):
            if number % 2:
                run(widget)
            else:
                scored: list[int] = []
                widget.controller.scored.connect(lambda e, to=scored: to.append(e.step))
                words = ("nuclei", f"cell {number}")
                model.change(label, threshold=0.3 + number % 40 / 100, words=words)
                wait_until(lambda to=scored: bool(to), 60)
            if number in (1, 5, 20, 50, 100, 150, 200, 300, 400):
                worker = psutil.Process(widget.controller.worker_id)
                told[number] = (
                    me.memory_info().rss / 2**20,
                    worker.memory_info().rss / 2**20,
                )
                viewer_mb, worker_mb = told[number]
                print(
                    f"  after {number:3d} runs: viewer {viewer_mb:.1f} MB, worker "
                    f"{worker_mb:.1f} MB, {len(viewer.layers)} layers, "
                    f"{me.num_threads()} threads, {me.num_fds()} files",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parts = ("latency", "stalls", "cancel", "memory")
    parser.add_argument("parts", nargs="*", default=parts)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rgb", action="store_true")
    parser.add_argument(
        "--detail", type=float, default=DETAIL, help="for latency; 0: the model's own"
    )
    parser.add_argument(
        "--trace", type=float, default=0.0, help="seconds: tell where stalls are"
    )
    chosen = parser.parse_args()
    # nothing that was used last comes in, and nothing of this is kept
    os.environ["NAPARI_GEM_CONFIG"] = tempfile.mkdtemp(prefix="napari-gem-bench-")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} processors, load {load:.1f}")
    if "latency" in chosen.parts:
        measure_latency(chosen.size, chosen.detail or None, chosen.repeats, chosen.rgb)
    if "stalls" in chosen.parts:
        measure_stalls(chosen.size, chosen.rgb, chosen.trace)
    if "cancel" in chosen.parts:
        measure_cancel(chosen.size, chosen.repeats)
    if "memory" in chosen.parts:
        measure_memory(chosen.runs)


if __name__ == "__main__":
    main()
