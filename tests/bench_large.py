"""Memory and time of images of any size with the embedded model, from end to end.

For each SIDE this makes an RGB image of SIDE x SIDE pixels as zarr (or of ``--rows``
and SIDE columns, since memory grows with the width), segments it in a process of its
own, and tells the time of a tile, the peak of memory over that of the loaded model, and
the time of a second run, which finds the features. Before it measures, the process
segments a small image in the same way, so that nothing is counted that comes once. Of
images with few tiles the median of several runs is told, each of which encodes anew.
Several sides tell whether the time of a tile stays flat; where other programs run, look
at the processor time, with OMP_NUM_THREADS=1::

    python -m tests.bench_large 64 256 1000 2000
    python -m tests.bench_large 20000 --zoom 1

``--no-tower`` puts the mean colours of patches in the place of the tower's features:
all but the tower is measured, so that the memory of large images is known soon.
``--no-edges`` leaves out that labels are drawn to the edges of the image, which tells
what that takes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
LIMIT = 2.5 * 2**30
FLAT = 1.1
"""Slowest to fastest time of a tile."""

RUNS, TILES = 9, 900
"""Runs of one image at most, and tiles of all of its runs, about."""

WORDS = ["forest, trees", "water, lake", "building", "road"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sides", type=int, nargs="*", default=[64, 256, 1000, 2000])
    parser.add_argument("--zoom", type=float)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--no-tower", action="store_true")
    parser.add_argument("--no-edges", action="store_true")
    parser.add_argument("--rows", type=int, help="height, if it is not SIDE")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-large-", dir=given.folder))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} processors, load {load:.1f}; {folder}", flush=True)
    try:
        measured = [bench(folder, side, given) for side in given.sides]
    finally:
        if not given.keep:
            shutil.rmtree(folder)
    if len(measured) > 1:
        for name, quantity in (("tile", "time"), ("busy", "processor time")):
            times = [one[name] for one in measured]
            ratio = max(times) / min(times)
            flat = "within" if ratio <= FLAT else "ABOVE"
            print(f"slowest to fastest {quantity} of a tile {ratio:.2f}: {flat} {FLAT}")
    most = max(one["peak"] for one in measured)
    verdict = "within" if most <= LIMIT else "ABOVE"
    print(f"peak over the loaded model {most / 2**30:.2f} GiB: {verdict} 2.5 GiB")


def bench(folder: Path, side: int, given: argparse.Namespace) -> dict[str, float]:
    image = folder / f"{side}.zarr"
    write_image(image, given.rows or side, side)
    lines = []
    for _ in range(2):
        more = str(given.zoom or 0), str(int(given.no_tower)), "0" * given.no_edges
        done = subprocess.run(
            [sys.executable, __file__, "--worker", str(image), *more],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        )
        lines.append(json.loads(done.stdout))
    first, again = lines
    print(
        f"{side:6d} px, {first['tiles']:7.0f} tiles: "
        f"{1000 * first['tile']:6.1f} ms a tile (median of {first['runs']:.0f}, "
        f"{1000 * first['fastest']:.1f} to {1000 * first['slowest']:.1f}; "
        f"{1000 * first['busy']:.1f} of processors), "
        f"{first['encoding']:7.1f} s to encode, "
        f"{first['rest']:6.1f} s to score and write "
        f"({first['rest_busy']:.1f} of processors), "
        f"peak {first['peak'] / 2**20:5.0f} MiB over {first['model'] / 2**20:.0f} MiB; "
        f"again: {again['tiles']:.0f} tiles, {again['encoding']:.1f} s to find, "
        f"{again['rest']:.1f} s",
        flush=True,
    )
    return first


def write_image(path: Path, height: int, side: int) -> None:
    import zarr

    from napari_gem.images.samples import read_sample

    pixels = read_sample("aerial")[0].pixels[..., :3]
    chunk = min(side, 512)
    array = zarr.create_array(
        store=str(path),
        shape=(height, side, 3),
        chunks=(chunk, chunk, 3),
        dtype="uint8",
    )
    times = -(-side // pixels.shape[1]) + 1
    wide = np.tile(pixels, (-(-chunk // len(pixels)) + 1, times, 1))
    for top in range(0, height, chunk):
        rows = min(chunk, height - top)
        shifted = np.roll(wide, 37 * top // chunk, axis=(0, 1))
        array[top : top + rows] = shifted[:rows, :side]


def worker(image: Path, zoom: float, tower: bool, edges: bool) -> None:
    import zarr

    from napari_gem import encode, load_model, segment

    model = load_model("embedded")
    warm = np.zeros((64, 64, 3), np.uint8)
    segment(encode(warm, model), "forest", model)  # imports what a run imports
    if not tower:
        model = replace(model, backbone=NoTower(model.backbone))
    encoding = replace(model.card.encode, zoom=zoom or model.card.encode.zoom)
    score = model.card.score if edges else replace(model.card.score, refinement=0)
    model = replace(model, card=replace(model.card, encode=encoding, score=score))
    before = peak()
    small = image.parent / "warm.zarr"
    if not small.exists():
        write_image(small, 96, 96)
    run(zarr.open_array(str(small), mode="r"), small, model)
    shutil.rmtree(small.with_suffix(".cache"))
    pixels = zarr.open_array(str(image), mode="r")
    runs = [run(pixels, image, model)]
    most = peak() - before
    tiles = int(runs[0]["tiles"])
    for _ in range(min(RUNS, TILES // tiles) - 1 if tiles else 0):
        shutil.rmtree(image.with_suffix(".cache"))
        runs.append(run(pixels, image, model))
    result = {name: median(one[name] for one in runs) for name in runs[0]}
    result |= {
        "runs": len(runs),
        "fastest": min(one["tile"] for one in runs),
        "slowest": max(one["tile"] for one in runs),
        "model": before,
        "peak": most,
    }
    print(json.dumps(result))


def run(pixels: Any, image: Path, model: Any) -> dict[str, float]:
    """Segment an image once, and tell the tiles that were encoded and the times."""
    from napari_gem import FeatureCache, segment_large

    steps = [0]
    moments: dict[str, float] = {}
    busy: list[float] = []
    read = [0.0]

    def progress(step: Any) -> None:
        moments[step.stage] = perf_counter()
        if step.stage == "Reading words":
            read[0] = process_time()
        if step.stage == "Encoding":
            steps.append(step.done)
            busy.append(process_time())
            moments.setdefault("first", perf_counter())

    start = perf_counter()
    segment_large(
        pixels,
        WORDS,
        image.with_suffix(".out"),
        model,
        cache=FeatureCache(image.with_suffix(".cache"), limit=1 << 40),
        progress=progress,
    )
    end, worked = perf_counter(), process_time()
    tiles = max(steps)
    encoding = moments.get("Encoding", start) - moments.get("first", start)
    words = moments.get("Reading words", start)
    return {
        "tiles": tiles,
        "tile": encoding / max(1, tiles),
        "busy": (busy[-1] - busy[0]) / max(1, tiles) if busy else 0.0,
        "encoding": encoding if tiles else words - start,
        "rest": end - words,
        "rest_busy": worked - read[0],
    }


class NoTower:
    """A backbone that looks at the colours of patches only."""

    def __init__(self, backbone: Any) -> None:
        import torch

        self._backbone = backbone
        rng = np.random.default_rng(0)
        mixed = rng.normal(size=(3, backbone.channels)).astype(np.float32)
        self._mixed = torch.from_numpy(mixed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def encode_patches(self, pixels: Any, parameters: Any) -> Any:
        import torch

        from napari_gem.backbones import PatchFeatures

        means = torch.nn.functional.avg_pool2d(pixels, self._backbone.patch_size)
        patches = means.movedim(1, -1) @ self._mixed
        return PatchFeatures(patches, patches.mean(dim=(1, 2)))


def peak() -> float:
    """Bytes that this process took at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(
            Path(sys.argv[2]),
            float(sys.argv[3]),
            sys.argv[4] == "0",
            not any(sys.argv[5:]),
        )
    else:
        main()
