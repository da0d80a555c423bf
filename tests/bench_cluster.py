"""Two workers against one: a dask cluster of processes on this machine.

The embedded model encodes an aerial image of SIDE x SIDE pixels, with one worker and
then with more, one thread each; beside the measured time stands what the simulation of
`tests.bench_scaling` expects from that of one worker. All see the image and the
features. Rounds alternate, so that other load meets both; the median counts::

    python -m tests.bench_cluster [SIDE] [--workers 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np
import zarr

from napari_gem import load_model
from napari_gem.cluster.connection import Cluster
from napari_gem.cluster.schedule import OnCluster
from napari_gem.core.progress import run
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.images.references import reference_to_array
from napari_gem.images.rendering import stretch
from tests.bench_scaling import aerial, simulate
from tests.dask_processes import Processes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", type=int, nargs="?", default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        scene = zarr.create_array(
            str(folder / "scene.zarr"),
            shape=(given.side, given.side, 3),
            chunks=(512, 512, 3),
            dtype="u1",
        )
        scene[:] = aerial(given.side)
        clusters = {}
        for workers in (1, given.workers):
            (folder / str(workers)).mkdir()
            started = Processes(folder / str(workers), workers)
            stack.callback(started.end)
            cluster = stack.enter_context(Cluster(started.address))
            while len(cluster.workers()) < workers:
                sleep(0.1)
            run(cluster.report_steps(load_model("embedded").card))  # loads it there
            clusters[workers] = cluster
        times: dict[int, list[float]] = {workers: [] for workers in clusters}
        tiles = 0
        for number in range(given.rounds):
            for workers, cluster in clusters.items():
                cache = folder / f"cache-{number}-{workers}"
                seconds, tiles = encode(cluster, scene, cache)
                times[workers].append(seconds)
    one = median(times[1])
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{os.cpu_count()} processors, load {load:.1f}; {tiles} tiles, median of rounds"
    )
    for workers, seconds in times.items():
        time = median(seconds)
        expected = simulate(tiles, workers, one / tiles, 1e-3)
        print(
            f"{workers} workers: {time:.1f} s, {tiles / time:.1f} tiles/s, "
            f"{one / time:.2f} times one; expected {expected:.1f} s"
        )
    ratios = [a / b for a, b in zip(times[1], times[given.workers], strict=True)]
    print(f"rounds: {np.round(ratios, 2).tolist()} times one")


def encode(cluster: Cluster, scene: zarr.Array, cache: Path) -> tuple[float, int]:
    """Give the seconds from the first tile to the last, and how many there are."""
    model = run(cluster.model_steps(load_model("embedded")))
    schedule = OnCluster(cluster, model, reference_to_array(scene))
    moments: list[tuple[float, int]] = []

    def note(step) -> None:
        if step.stage == "Encoding":
            moments.append((perf_counter(), step.done))

    steps = FeatureCache(cache).encode_steps(
        model, scene, stretch(scene), schedule=schedule
    )
    run(steps, note)
    return moments[-1][0] - moments[0][0], moments[-1][1]


if __name__ == "__main__":
    main()
