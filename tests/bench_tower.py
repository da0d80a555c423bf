"""Time our tower against the released code: ViT-B/16, one image of 448 x 448.

The two need different versions of open_clip, so each runs in a process of its own
interpreter. Calls alternate, so that other load on the machine meets both; what counts
is the median of the ratios of neighbouring calls::

    python -m tests.bench_tower PYTHON_OF_THE_ORACLE [REPEATS]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).parents[1]
SIZE = 448
KINDS = ("released", "float32", "bfloat16")


def main(oracle: str, repeats: int) -> None:
    with worker(oracle, "released") as released, worker(sys.executable, "ours") as ours:
        ask = {"released": released, "float32": ours, "bfloat16": ours}
        for kind in KINDS:
            ask[kind](kind)  # the first call allocates
        rounds = [{kind: ask[kind](kind) for kind in KINDS} for _ in range(repeats)]
        cosine = ours("cosine")
    for kind in KINDS:
        seconds = [times[kind] for times in rounds]
        ratio = median(times[kind] / times["released"] for times in rounds)
        print(
            f"{kind:9s} median {median(seconds):.3f} s, least {min(seconds):.3f} s, "
            f"median ratio to released {ratio:.2f}"
        )
    print(f"bfloat16 against float32: least cosine of a patch {cosine:.5f}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{repeats} rounds, {os.cpu_count()} processors, load {load:.1f}")


@contextmanager
def worker(python: str, side: str) -> Iterator[Callable[[str], float]]:
    """Start a process that answers each line with a number."""
    process = subprocess.Popen(
        [python, "-W", "ignore", "-m", "tests.bench_tower", "--worker", side],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert process.stdin and process.stdout

    def ask(line: str) -> float:
        print(line, file=process.stdin, flush=True)
        return float(process.stdout.readline())

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()


def serve(side: str) -> None:
    calls = make_released() if side == "released" else make_ours()
    for line in sys.stdin:
        print(calls[line.strip()](), flush=True)


def make_released() -> dict[str, Callable[[], float]]:
    import torch

    from tests.oracle.cases import MEAN, STD, Case, build_model, make_pixels

    clip = build_model("ViT-B-16")
    from gem.gem_wrapper import GEMWrapper  # may need what imported open_clip above

    visual = GEMWrapper(clip, None).eval().model.visual
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    pixels = make_pixels(Case("bench", "ViT-B-16", (1, SIZE, SIZE)))
    call = torch.no_grad()(lambda: visual((pixels - mean) / std))
    return {"released": lambda: timed(call)}


def make_ours() -> dict[str, Callable[[], float]]:
    from copy import deepcopy

    import torch
    from torch.nn.functional import cosine_similarity

    from napari_gem.backbones import build_backbone
    from tests.oracle.cases import MEAN, STD, Case, build_model, make_pixels

    class Tokenizer:
        context_length = 77

    clip = build_model("ViT-B-16")
    pixels = make_pixels(Case("bench", "ViT-B-16", (1, SIZE, SIZE)))
    full = build_backbone(clip, Tokenizer(), MEAN, STD)
    half = build_backbone(deepcopy(clip).to(torch.bfloat16), Tokenizer(), MEAN, STD)

    def cosine() -> float:
        expected = full.encode_patches(pixels).patches
        actual = half.encode_patches(pixels).patches.float()
        return float(cosine_similarity(expected, actual, dim=-1).min())

    return {
        "float32": lambda: timed(lambda: full.encode_patches(pixels)),
        "bfloat16": lambda: timed(lambda: half.encode_patches(pixels)),
        "cosine": cosine,
    }


def timed(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


if __name__ == "__main__":
    if sys.argv[1] == "--worker":
        serve(sys.argv[2])
    else:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 15)
