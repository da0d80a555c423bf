"""What encoding an image costs beside its tower: reading, blending, handing over.

The whole of `encode_steps` takes turns with bare calls of the image tower on the same
tiles, which are in memory. What counts is the median of the ratios of neighbours::

    python -m tests.bench_batches [MODEL] [--side 512] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
from statistics import median
from time import perf_counter

import numpy as np
import torch

from napari_gem import load_model
from napari_gem.core.progress import run
from napari_gem.encoding.encode import encode_steps
from napari_gem.encoding.scheduling import TileWork
from napari_gem.images import samples
from napari_gem.images.rendering import stretch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="embedded")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    model = load_model(given.model)
    (pixels, _, _), *_ = samples.load_aerial()
    times = [-(-given.side // length) for length in pixels.shape[:2]]
    scene = np.tile(pixels, (*times, 1))[: given.side, : given.side]
    parameters, shown = model.card.encode, stretch(scene)
    work = TileWork(scene, shown, parameters, model.backbone.patch_size)
    count = len(work.tiles)
    tiles = [
        torch.from_numpy(work.read(number)[None]).movedim(-1, 1)
        for number in range(count)
    ]

    def bare() -> float:
        started = perf_counter()
        with torch.inference_mode():
            for tile in tiles:
                model.backbone.encode_patches(tile, parameters.gem)
        return perf_counter() - started

    def ours() -> float:
        started = perf_counter()
        run(encode_steps(model, scene, shown, parameters))
        return perf_counter() - started

    bare()
    pairs = [(ours(), bare()) for _ in range(given.rounds)]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    ratio = median(one / other for one, other in pairs)
    seconds, alone = (median(times) for times in zip(*pairs, strict=True))
    print(
        f"{given.model}, {count} tiles of {tuple(tiles[0].shape[2:])}: encoding "
        f"{seconds:.2f} s, bare tower {alone:.2f} s, median ratio {ratio:.2f} "
        f"({os.cpu_count()} processors, load {load:.1f})"
    )


if __name__ == "__main__":
    main()
