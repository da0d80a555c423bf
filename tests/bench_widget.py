"""How calm the viewer stays: latency, stalls of the event loop, cancel, memory.

With the real dock widget, the real worker and the embedded model, on a drawn image::

    python tests/screen.py --always python -m tests.bench_widget [PART ...] [--OPTIONS]

Other load on the machine makes the times longer. So what we do to the viewer's layers
takes turns with the same calls of bare napari, and medians are told, each with its
target and a verdict. Parts: ``latency``, ``stalls``, ``maps``, ``cancel``, ``records``,
``memory``; all of them if none is named. On a calm machine this takes some minutes.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import subprocess
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

from napari_gem.core import json_records
from napari_gem.core.appearance import Appearance
from napari_gem.core.progress import Progress
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job, Recipe, StoredSegmentation
from napari_gem.images import samples
from napari_gem.layers import KEY, read_layer, result_layers
from napari_gem.models.find import find_model
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.results.result_layers import ResultLayers
from napari_gem.worker.messages import Finished, Progressed, Request, from_line, to_line

CLASSES = (
    "nuclei, nucleus\nfilaments, filament\nmitochondria\nmembrane\nvesicle\n"
    "gland\nstroma\nbuilding, roof\nroad\ntree, trees"
)
PATIENCE = 1800.0
DETAIL = 16.0


PREVIEW, FULL = 150, 2000
"""Milliseconds from a change to what shows it."""
STALL = 100
"""Milliseconds that a turn of the event loop may take, beyond bare napari's."""
CANCEL = 1000
FIRST = "first-bare"
BARE = {
    "ours: first layers": "bare: layers added",
    "ours: layers added": "bare: layers added",
    "ours: layers updated": "bare: layers updated",
}
"""What a phase is compared with: bare napari's same calls in the same process."""
RECORD = 1
"""Milliseconds of the processor that a message may take, written and read."""
GROWTH = 25
"""kB a run, after the first 5: 5 MB in 200 runs. Less is no leak: pandas keeps up to
500 dead references a table, and freed memory lies in pieces."""

verdicts: list[bool] = []


def judge(name: str, value: float, target: float, unit: str = "ms") -> None:
    """Tell a figure, its target, and whether it is met."""
    verdicts.append(value <= target)
    verdict = "ok " if value <= target else "NOT"
    shown = f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
    print(f"{verdict} {name}: {shown} {unit}, at most {target:.0f}", flush=True)


@dataclass
class Stalls:
    """Longest turn of the event loop in each phase, each time it comes."""

    trace: float = 0.0
    phase: str = ""
    turns: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.timer = QTimer()
        self.timer.timeout.connect(self._tick)
        self._last = time.perf_counter()

    def begin(self, phase: str) -> None:
        if self.timer.isActive():
            self._tick()
        if "layers" in phase:
            gc.collect()  # else it falls into one of the phases that are compared
        self.phase = phase
        self.turns.setdefault(phase, []).append(0.0)
        self._last = time.perf_counter()
        self.timer.start(5)

    def _tick(self) -> None:
        clock = time.perf_counter() - self._last
        if self.trace and clock > self.trace:
            print(f"^ {self.phase}: {clock * 1e3:.0f} ms", file=sys.stderr)
        times = self.turns[self.phase]
        times[-1] = max(times[-1], clock * 1e3)
        self._last = time.perf_counter()
        if self.trace:
            faulthandler.dump_traceback_later(self.trace, exit=False)

    def end(self) -> None:
        self._tick()
        self.timer.stop()
        faulthandler.cancel_dump_traceback_later()

    def median(self, phase: str) -> float:
        return median(self.turns[phase])


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
    """A viewer with the dock; everything is taken away afterwards.

    Nothing that was used last comes in, no image is found encoded on disk, and nothing
    of this is kept.
    """
    with tempfile.TemporaryDirectory(prefix="napari-gem-bench-") as folder:
        os.environ["NAPARI_GEM_CONFIG"] = f"{folder}/config"
        os.environ["NAPARI_GEM_CACHE"] = f"{folder}/features"
        with _docked(stalls) as docks:
            yield docks


@contextmanager
def _docked(stalls: Stalls | None) -> Iterator[tuple[Any, GemWidget]]:
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


@contextmanager
def heard(signal: Any, slot: Callable[..., object]) -> Iterator[None]:
    """Listen to a signal for a while."""
    connection = signal.connect(slot)
    try:
        yield
    finally:
        signal.disconnect(connection)


def type_classes(widget: GemWidget, text: str) -> None:
    widget.prompt_table.set_prompts(())
    widget.prompt_table.add_text(text)


def run(widget: GemWidget) -> float:
    """Press Run and wait; the seconds it took."""
    messages: list[tuple[str, str, str]] = []
    controller = widget.controller
    with heard(controller.message_sent, lambda *message: messages.append(message)):
        started = time.perf_counter()
        widget.run()
        wait_until(lambda: not controller.busy)
    if messages[-1][0] == "error":
        raise RuntimeError(messages[-1])
    return time.perf_counter() - started


# ------------------------------------------------------------------------- latency


def measure_latency(size: int, detail: float | None, repeats: int, rgb: bool) -> None:
    """From a changed control to its preview, and to the full size."""
    with docked() as (viewer, widget):
        viewer.add_image(drawn_image(size, rgb), rgb=rgb, name="image")
        widget.image_panel.set_detail(detail)
        for first, count in ((0, 3), (repeats, 10)):
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
                numbers = range(first, first + repeats)  # each value is a new one
                times = [live(viewer, widget, change, i) for i in numbers]
                preview, drawn, full = (
                    median(t[i] for t in times) * 1e3 for i in (0, 1, 2)
                )
                judge(f"{name}, preview (drawn after {drawn:.0f})", preview, PREVIEW)
                judge(f"{name}, full size", full, FULL)


def changes(widget: GemWidget) -> dict[str, Callable[[int], object]]:
    """What a user can change, by name; each is called with the number of the call."""
    model = widget.prompt_table.model
    label = widget.prompt_table.prompts()[0].label
    last = widget.prompt_table.prompts()[-1].label
    controls = widget.advanced_panel._controls
    words = ("cell", "leaf", "water", "fibre", "sky", "stone", "sand", "fat")

    def is_on() -> bool:
        return bool(widget.prompt_table.prompts()[-1].on)

    def new_word(i: int) -> None:
        model.change(label, words=("nuclei", words[i % len(words)]))

    return {
        "threshold": lambda i: model.change(label, threshold=0.4 + i / 50, moving=True),
        "on and off": lambda _: model.change(last, on=not is_on()),
        "smoothing": lambda i: setattr(controls["smoothing"], "value", 2 + i),
        "minimum size": lambda i: setattr(
            controls["minimum_size"], "value", 50 + 10 * i
        ),
        "background weight": lambda i: setattr(
            controls["background_weight"], "value", 1.05 + i / 20
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


def measure_stalls(size: int, rgb: bool, trace: float, repeats: int) -> None:
    """Longest turns of the event loop, ours in turns with those of bare napari."""
    stalls = Stalls(trace=trace)
    with docked(stalls) as (viewer, widget):
        ready: list[object] = []
        controller = widget.controller
        with heard(controller._event_came, lambda event, _: ready.append(event)):
            wait_until(lambda: bool(ready))  # the worker's first event: it is ready
        spin(2)
        stalls.begin("bare: add the image")
        viewer.add_image(drawn_image(size, rgb), rgb=rgb, name="image")
        spin(1)
        stalls.begin("after the image is added")
        spin(2)
        widget.image_panel.set_detail(DETAIL)
        type_classes(widget, "\n".join(CLASSES.splitlines()[:5]))
        spin(1)
        show, phase = controller._show, "ours: first layers"

        def shown(*arguments: Any) -> None:
            stalls.begin(phase)
            show(*arguments)

        controller._show = shown
        stalls.begin("press Run, load, encode, score")
        run(widget)
        spin(1)
        phase = "ours: layers added"
        for _ in range(repeats):
            stalls.begin("between")
            copies = [
                (np.array(x.data), x.colormap, x.opacity) for x in viewer.layers[1:]
            ]
            controller.undo()
            spin(0.3)
            stalls.begin("bare: layers added")
            add_bare(viewer, copies)
            spin(1)
            stalls.begin("between")
            del viewer.layers[1:]
            spin(0.3)
            stalls.begin("press Run, score")
            run(widget)
            spin(1)
        phase = "ours: layers updated"
        model = widget.prompt_table.model
        label = widget.prompt_table.prompts()[0].label
        for i in range(repeats):
            steps: list[int] = []
            with heard(controller.scored, lambda e, to=steps: to.append(e.step)):
                stalls.begin("change, worker scores")
                model.change(label, threshold=0.3 + i / 20, moving=True)
                wait_until(lambda to=steps: 1 in to, 60)
                spin(0.5)
            stalls.begin("bare: layers updated")
            for layer in viewer.layers[1:]:
                layer.data = np.array(layer.data)
            spin(0.5)
        stalls.end()
    print(f"    bare: first layers, in a process of its own: {first_bare(size):.0f} ms")
    for name in stalls.turns:
        if name.startswith("ours"):
            bare = stalls.median(BARE[name])
            judge(
                f"{name}, beyond the {bare:.0f} ms of bare napari",
                stalls.median(name) - bare,
                STALL,
            )
        elif name == "open the dock":
            print(f"    {name}: {stalls.median(name):.0f} ms")
        elif not name.startswith(("between", "bare")):
            judge(f"{name}, longest turn", stalls.median(name), STALL)


def first_bare(size: int) -> float:
    """Longest turn when bare napari, in a process of its own, adds its first layers.

    The first layers of a process take longer: napari imports and compiles.
    """
    command = [sys.executable, "-m", "tests.bench_widget", FIRST, "--size", str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def measure_first_bare(size: int) -> None:
    """Print what `first_bare` reads."""
    viewer = napari.Viewer()
    spin(2)
    viewer.add_image(drawn_image(size, False), name="image")
    spin(2)
    maps = [(np.zeros((size, size), np.float32), "red", 1.0)] * 5
    colors = {None: "gray", 0: "transparent", 1: "red"}
    labels = np.zeros((size, size), np.uint8), colors, 0.6
    stalls = Stalls()
    stalls.begin("bare: first layers")
    add_bare(viewer, [*maps, labels])
    spin(1)
    stalls.end()
    print(stalls.median("bare: first layers"))
    viewer.close()


def add_bare(viewer: Any, copies: list[Any]) -> None:
    """Add maps and labels by napari's own calls alone."""
    *maps, (labels, colors, opacity) = copies
    for data, colormap, _ in maps:
        viewer.add_image(
            data,
            colormap=colormap,
            contrast_limits=(0, 1),
            blending="additive",
            visible=False,
        )
    viewer.add_labels(labels, colormap=colors, opacity=opacity)


# ---------------------------------------------------------------------------- maps


def measure_maps(size: int, repeats: int) -> None:
    """Time on the main thread to show a result of 2, 21 and 60 classes.

    Bare napari adds the same layers, in turns with ours.
    """
    pixels = drawn_image(size, False)
    for count in (2, 21, 60):
        prompts = tuple(Prompt((f"class {i}",), label=i) for i in range(1, count + 1))
        for choice, times in (("current", repeats), ("all", 1)):
            ours, bare, update, follow = [], [], [], []
            for _ in range(times):
                viewer = napari.Viewer()
                layer = viewer.add_image(pixels, name="image")
                image = read_layer(layer, viewer.dims)
                shown = ResultLayers(viewer)
                shown.map_layers.set_choice(choice)
                results = [made_results(image, prompts) for _ in range(2)]
                spin(0.5)
                ours.append(_turn(shown.show, image, results[0]))
                update.append(_turn(shown.show, image, results[1]))
                shown.map_layers.set_current(prompts[0])
                follow.append(_turn(shown.map_layers.set_current, prompts[-1]))
                copies = [
                    (np.array(x.data), x.colormap, x.opacity) for x in viewer.layers[1:]
                ]
                del viewer.layers[1:]
                spin(0.5)
                bare.append(_turn(add_bare, viewer, copies))
                viewer.close()
                QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
                spin(0.2)
            added = len(copies)
            title = f"{count} classes, maps: {choice}"
            print(
                f"    {title}: {added} layers, {median(ours):.0f} ms (bare napari "
                f"{median(bare):.0f}), update {median(update):.0f} ms"
            )
            beyond = median(ours) - median(bare)
            judge(f"{title}, beyond bare napari", beyond, STALL)
            if choice == "current":
                judge(f"{title}, result updated", median(update), STALL)
                judge(f"{title}, another class chosen", median(follow), STALL)


def made_recipe(prompts: tuple[Prompt, ...]) -> Recipe:
    """How the embedded model would say that it made a result."""
    card = find_model("embedded")
    return Recipe(
        version="1",
        model=card.id,
        revision="r" * 64,
        prompts=prompts,
        encode=card.encode,
        score=card.score,
        appearance=Appearance(),
        device="cpu",
        precision="float32",
    )


def made_results(image: Any, prompts: tuple[Prompt, ...]) -> list[Any]:
    """Layer data of a result, as the client's thread makes them."""
    recipe = made_recipe(prompts)
    labels = np.zeros(image.shape, np.uint8)
    maps = np.zeros((len(prompts), *image.shape), np.float32)
    for i, plane in enumerate(maps):
        plane[i :: len(prompts)] = 0.9
        labels[i :: len(prompts)] = i + 1
    return result_layers(maps, labels, recipe, image, classes=prompts)


def _turn(call: Callable[..., object], *arguments: Any) -> float:
    """Milliseconds until a call and what Qt does because of it are done."""
    gc.collect()
    started = time.perf_counter()
    call(*arguments)
    QCoreApplication.processEvents()
    return (time.perf_counter() - started) * 1e3


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
            with heard(controller.progressed, lambda p, to=stages: to.append(p.stage)):
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
    judge(f"cancel while encoding, {size} x {size}, longest", max(times) * 1e3, CANCEL)


# ------------------------------------------------------------------------- records


def measure_records(repeats: int = 50) -> None:
    """Processor time of one message, written and read, with and without what is kept.

    What checks the fields is kept for each class of records; without it, it is made
    for each message.
    """
    (_, kwargs, _), *_ = samples.load_fluorescence()
    lines = kwargs["metadata"][KEY]["prompts"]
    prompts = parse_prompts("\n".join(lines))
    recipe = made_recipe(prompts)
    result = StoredSegmentation(
        labels="labels", probabilities="maps", shape=(9, 9), patch=1, recipe=recipe
    )
    for message in (
        Request(1, Job(appearance=Appearance(), prompts=prompts), "pixels"),
        Progressed(1, Progress("Encoding", 1, 9, 3.0)),
        Finished(1, result, is_new=True),
    ):
        kept = _processor_time(message, repeats, forget=False)
        creation = _processor_time(message, max(3, repeats // 10), forget=True)
        name = type(message).__name__
        print(f"    {name}: {kept:.2f} ms, {creation:.1f} ms if nothing were kept")
        judge(f"{name} as a message", kept, RECORD)


def _processor_time(message: Any, repeats: int, *, forget: bool) -> float:
    """Milliseconds of one message; the first one is not counted."""
    times = []
    for _ in range(repeats + 1):
        if forget:
            json_records._adapter.cache_clear()
        started = time.thread_time()
        from_line(to_line(message))
        times.append(time.thread_time() - started)
    return median(times[1:]) * 1e3


# -------------------------------------------------------------------------- memory


def measure_memory(runs: int) -> None:
    """Memory of both processes over many runs and changes in one viewer."""
    me = psutil.Process()
    measured: list[tuple[int, float, float]] = []
    messages: list[tuple[str, str, str]] = []
    scored: list[int] = []
    with docked() as (viewer, widget):
        # connected once, since Qt's Python side keeps each function it ever called
        controller = widget.controller
        controller.message_sent.connect(lambda *message: messages.append(message))
        controller.scored.connect(lambda event: scored.append(event.step))
        viewer.add_image(drawn_image(256, False), name="image")
        type_classes(widget, "\n".join(CLASSES.splitlines()[:3]))
        model = widget.prompt_table.model
        label = widget.prompt_table.prompts()[0].label
        for number in range(1, runs + 1):
            messages.clear()
            scored.clear()
            if number % 2:
                widget.run()
                wait_until(lambda: not controller.busy)
                if messages[-1][0] == "error":
                    raise RuntimeError(messages[-1])
            else:
                words = ("nuclei", f"cell {number}")
                model.change(label, threshold=0.3 + number % 40 / 100, words=words)
                wait_until(lambda: bool(scored), 60)
            worker = psutil.Process(widget.controller.worker_id)
            sizes = (each.memory_info().rss / 2**10 for each in (me, worker))
            measured.append((number, *sizes))
            if number in (1, 5, 20) or number % 50 == 0:
                viewer_mb, worker_mb = (kb / 1024 for kb in measured[-1][1:])
                print(
                    f"    after {number:3d} runs: viewer {viewer_mb:.1f} MB, worker "
                    f"{worker_mb:.1f} MB, {len(viewer.layers)} layers, "
                    f"{me.num_threads()} threads, {me.num_fds()} files",
                    flush=True,
                )
    later = np.array(measured[min(5, runs // 2) :])
    for column, name in ((1, "viewer"), (2, "worker")):
        growth = np.polyfit(later[:, 0], later[:, column], 1)[0]
        judge(f"memory of the {name}, growth a run", growth, GROWTH, "kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parts = ("latency", "stalls", "maps", "cancel", "records", "memory")
    parser.add_argument("parts", nargs="*", default=parts)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rgb", action="store_true")
    parser.add_argument(
        "--detail", type=float, default=DETAIL, help="for latency; 0: the model's own"
    )
    parser.add_argument(
        "--trace", type=float, default=0.0, help="seconds: tell where stalls are"
    )
    chosen = parser.parse_args()
    if FIRST in chosen.parts:
        measure_first_bare(chosen.size)
        return
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} processors, load {load:.1f}")
    detail = chosen.detail or None
    measures: dict[str, Callable[[], None]] = {
        "latency": lambda: measure_latency(
            chosen.size, detail, chosen.repeats, chosen.rgb
        ),
        "stalls": lambda: measure_stalls(
            chosen.size, chosen.rgb, chosen.trace, chosen.repeats
        ),
        "maps": lambda: measure_maps(chosen.size, chosen.repeats),
        "cancel": lambda: measure_cancel(chosen.size, chosen.repeats),
        "records": measure_records,
        "memory": lambda: measure_memory(chosen.runs),
    }
    for part, measure in measures.items():
        if part in chosen.parts:
            started = time.perf_counter()
            measure()
            print(f"    {part} took {time.perf_counter() - started:.0f} s", flush=True)
    print(f"{sum(verdicts)} of {len(verdicts)} targets are met")


if __name__ == "__main__":
    main()
