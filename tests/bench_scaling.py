"""What an image costs: a model of time and bytes, and a simulation of a cluster.

Operations are those of the real architectures, counted by torch on tensors without
content (no weights, no numbers are made). Bytes follow from tiles and channels::

    python -m tests.bench_scaling                # the table of models
    python -m tests.bench_scaling --simulate     # shares of one core, 1 TB on N GPUs

`docs/scaling.md` tells how the figures are used.
"""

from __future__ import annotations

import argparse
import heapq
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np

MODELS = ("embedded", "ViT-B-32", "ViT-B-16", "ViT-L-14", "PE-Core-B-16")
TILE_SIDE = 448
OVERLAP = 0.25
"""Part of a tile's side that it shares with the next, as the embedded model has it."""

RATES = {"400 TFLOP/s": 400e12, "100 TFLOP/s": 100e12, "20 TFLOP/s": 20e12}
"""Operations a second of the tower: assumed, about half of what is stated for H100,
A100 and T4 in half precision. Not measured."""


@dataclass(frozen=True)
class Cost:
    """Of one tile.

    Attributes
    ----------
    side, fresh
        Pixels of its side, and of the stride to the next tile.
    patch, channels
        Of the features.
    flops
        Operations: a multiplication and an addition are two.
    """

    name: str
    side: int
    fresh: int
    patch: int
    channels: int
    flops: int

    @property
    def pixels(self) -> int:
        """Pixels of the image that it stands for."""
        return self.fresh**2

    @property
    def handed(self) -> int:
        """Bytes that a worker writes of it, float32."""
        return 4 * self.channels * ((self.side // self.patch) ** 2 + 1)

    @property
    def stored(self) -> float:
        """Bytes of features kept a pixel of the image, float16."""
        return 2 * self.channels / self.patch**2


def cost(name: str) -> Cost:
    """Count the operations of a tile of GEM on the meta device."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from napari_gem.backbones import build_backbone
    from napari_gem.backbones.open_clip_import import import_open_clip
    from napari_gem.models.catalogue import PACKAGE
    from napari_gem.models.find import find_model
    from tests.bench_models import MEAN, STD, Tokenizer

    open_clip = import_open_clip()
    encode = None
    with torch.device("meta"):
        if name == "embedded":
            import json

            text = (PACKAGE / "embedded" / "open_clip_config.json").read_text()
            clip = open_clip.model.CLIP(**json.loads(text)["model_cfg"])
            encode = find_model(name).encode
        else:
            clip = open_clip.create_model(name, load_weights=False, device="meta")
        backbone = build_backbone(
            clip.eval().requires_grad_(False), Tokenizer(), MEAN, STD
        )
        patch = backbone.patch_size
        count = encode.tile if encode else TILE_SIDE // patch
        overlap = encode.overlap if encode else int(OVERLAP * count)
        pixels = torch.empty(1, 3, count * patch, count * patch)
        more = () if encode is None else (encode.gem,)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone.encode_patches(pixels, *more)
    return Cost(
        name=name,
        side=count * patch,
        fresh=(count - overlap) * patch,
        patch=patch,
        channels=backbone.channels,
        flops=counter.get_total_flops(),
    )


def table(costs: list[Cost]) -> None:
    heads = "model", "tile, stride in px", "GFLOP a tile", "kFLOP a px"
    print(row(*heads, "bytes a px handed on", "bytes a px kept"))
    print("|---" * 6 + "|")
    for one in costs:
        cells = (
            one.name,
            f"{one.side}, {one.fresh}",
            f"{one.flops / 1e9:.2f}",
            f"{one.flops / one.pixels / 1e3:.0f}",
            f"{one.handed / one.pixels:.1f}",
            f"{one.stored:.1f}",
        )
        print(row(*cells))


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


# ------------------------------------------------------------------------- measured


@dataclass(frozen=True)
class Shares:
    """Seconds of processor time a tile beside the tower.

    Attributes
    ----------
    read
        From zarr to what the model sees.
    put, get
        Features to the disk that all see, and back.
    blend
        To patch rows on the disk.
    score
        From features to labels and probabilities on the disk.
    """

    read: float
    put: float
    get: float
    blend: float
    score: float


def measure(one: Cost, zoom: float = 1.0) -> Shares:
    """Measure each stage apart on tiles of a model's size, 8-bit RGB in zarr."""
    import torch
    import zarr

    from napari_gem.cluster.stored_tiles import make_tiles
    from napari_gem.core.parameters import EncodeParameters
    from napari_gem.encoding.blending import Blending
    from napari_gem.encoding.scheduling import TileWork
    from napari_gem.encoding.stored_features import RowWriter, create_features
    from napari_gem.images.rendering import stretch

    torch.set_num_threads(1)
    count, overlap = one.side // one.patch, (one.side - one.fresh) // one.patch
    length = int((4 * one.fresh + one.side) / zoom)
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        pixels = zarr.create_array(
            str(folder / "a.zarr"),
            shape=(length, length, 3),
            chunks=(512, 512, 3),
            dtype="u1",
        )
        pixels[:] = aerial(length)
        encode = EncodeParameters(tile=count, overlap=overlap, zoom=zoom)
        work = TileWork(pixels, stretch(pixels), encode, one.patch)
        numbers = range(len(work.tiles))
        read = [timed(lambda n=n: work.read(n)) for n in numbers]
        patches = rng.normal(size=(count, count, one.channels)).astype(np.float32)
        outputs = patches, patches[0, 0]
        tiles = make_tiles(
            folder / "tiles", len(work.tiles), (count, count), one.channels
        )
        put = [timed(lambda n=n: tiles.put(n, outputs)) for n in numbers]
        get = [timed(lambda n=n: tiles.get(n)) for n in numbers]
        array = create_features(folder / "f", (*work.grid, one.channels))
        writer = RowWriter(array)
        blending = Blending(
            work.grid,
            encode.overlap,
            lambda rows, part: writer.write(rows, part.astype(np.float16)),
        )

        def blend() -> None:
            for tile in work.tiles:
                blending.add(tile, patches)
            blending.close()
            writer.close()

        blended = timed(blend) / len(work.tiles)
        score = timed_score(folder, length, one.patch / zoom)
    return Shares(
        read=median(read),
        put=median(put),
        get=median(get),
        blend=blended,
        score=score * one.pixels / zoom**2,
    )


def timed_score(folder: Path, length: int, patch: float) -> float:
    """Seconds a pixel of four classes; colours stand for the embedded model's tower."""
    from napari_gem import load_model
    from napari_gem.core.progress import run
    from napari_gem.encoding.feature_cache import FeatureCache
    from napari_gem.images.rendering import stretch
    from napari_gem.prompts.parsing import parse_prompts
    from napari_gem.segmentation.large import segment_large_steps
    from tests.bench_large import NoTower

    model = load_model("embedded", device="cpu")
    model = replace(model, backbone=NoTower(model.backbone))
    encode = replace(model.card.encode, zoom=model.backbone.patch_size / patch)
    pixels = aerial(length)
    cache = FeatureCache(folder / "cache")
    features = run(cache.encode_steps(model, pixels, stretch(pixels), encode))
    words = parse_prompts(["forest, trees", "water, lake", "building", "road"])

    def score() -> None:
        run(segment_large_steps(model, features, words, folder / "out"))

    score()  # reads the words
    return timed(score) / length**2


def aerial(length: int) -> Any:
    """A sample image, repeated."""
    from napari_gem.images.samples import read_sample

    sample = read_sample("aerial")[0].pixels[..., :3]
    times = -(-length // len(sample))
    return np.tile(sample, (times, times, 1))[:length, :length]


def timed(call: Callable[[], object]) -> float:
    """Seconds of processor time, so that other load on the machine counts little."""
    start = process_time()
    call()
    return process_time() - start


# ------------------------------------------------------------------------ simulated


def simulate(
    tiles: int, workers: int, encode: float, client: float, ahead: int = 2
) -> float:
    """Seconds until all tiles are blended.

    Workers take tiles in their order, ``encode`` seconds each; the client takes them in
    the same order, ``client`` seconds each, and at most ``ahead`` tiles for each worker
    are on their way, as in `napari_gem.cluster.schedule`.
    """
    free = [0.0] * workers
    taken = [0.0] * tiles
    done = 0.0
    window = ahead * workers + 1
    for number in range(tiles):
        allowed = taken[number - window] if number >= window else 0.0
        start = max(heapq.heappop(free), allowed)
        heapq.heappush(free, start + encode)
        done = max(done, start + encode) + client
        taken[number] = done
    return done


def terabyte(costs: list[Cost]) -> None:
    """Say what 1 TB of 8-bit RGB takes: 333 gigapixels, looked at as they are."""
    measured = {one.name: measure(one) for one in costs}
    names = [field.name for field in fields(Shares)]
    print("\n" + row("ms a tile", *names))
    print("|---" * (len(names) + 1) + "|")
    for name, shares in measured.items():
        print(row(name, *(f"{1e3 * getattr(shares, n):.2f}" for n in names)))
    heads = "model", "GPU", "tower alone, GPU hours", "GPUs"
    print("\n" + row(*heads, "encoding, hours", "limited by", "scoring there, hours"))
    print("|---" * 7 + "|")
    for one, (gpu, rate) in product(costs, RATES.items()):
        shares, tiles = measured[one.name], 1e12 / 3 / one.pixels
        tower = one.flops / rate
        # a tile is read while another one is in the tower, and written after it
        worker = max(tower, shares.read) + shares.put
        client = shares.get + shares.blend
        for count in (1, 8, 64):
            some = 100 * count
            seconds = simulate(some, count, worker, client) / some
            limit = "tower" if tower > shares.read + shares.put else "reading, writing"
            if seconds < 1.2 * client:
                limit = "blending"
            cells = (
                one.name,
                gpu,
                f"{tower * tiles / 3600:.1f}",
                str(count),
                f"{seconds * tiles / 3600:.1f}",
                limit,
                f"{shares.score * tiles / count / 3600:.1f}",
            )
            print(row(*cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--simulate", action="store_true")
    given = parser.parse_args()
    costs = [cost(name) for name in given.models]
    table(costs)
    if given.simulate:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        print(f"\nload {load:.1f}; one thread, tiles of 8-bit RGB in zarr")
        terabyte([one for one in costs if one.name != "embedded"])


if __name__ == "__main__":
    main()
