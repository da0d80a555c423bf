"""Time and memory of full-size models with random weights; prints a table.

One image of 448 x 448 pixels (batch 1; on a GPU 32 too) goes through the image tower by
GEM, as users have it. Operations are counted by torch; the share is what is achieved of
the rate of a large matrix product in the same precision. In each round all precisions
and their products take turns, so that other load on the machine meets all; medians of
the rounds count, also of what is compared within one. The time given is shared among
the models, two rounds at least; the peaks of loading come after it::

    python -m tests.bench_models [--device cuda] [--rounds 7] [--minutes 6] [MODEL ...]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from torch.nn.functional import cosine_similarity
from torch.utils.flop_counter import FlopCounterMode

from napari_gem.backbones import Backbone, build_backbone
from napari_gem.backbones.open_clip_import import import_open_clip
from tests import peak

MODELS = ("ViT-B-16", "ViT-L-14", "ViT-B-16-SigLIP2", "PE-Core-B-16")
SIZE = 448
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
HEAD = (
    "| model | precision | batch | s per image | share of product | times float32 "
    "| cosine | rounds |"
)


class Tokenizer:
    context_length = 64


def main(models: list[str], device: str, rounds: int, minutes: float) -> None:
    print(f"{machine(device)}; torch {torch.__version__}, at most {rounds} rounds")
    print(f"\n{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
    end = perf_counter() + 60 * minutes
    for left, name in zip(range(len(models), 0, -1), models, strict=True):
        now = perf_counter()
        for line in rows(name, device, rounds, now + (end - now) / left):
            print(line, flush=True)
    if sys.platform == "linux":
        print(
            "\n| model | weights, MB | peak of loading | seconds |\n|---|---|---|---|"
        )
        for name in models:
            print(loading(name), flush=True)
    if hasattr(os, "getloadavg"):
        print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f}")


def rows(name: str, device: str, rounds: int, end: float) -> list[str]:
    """Time a model in each precision and batch, and compare it with float32."""
    torch.manual_seed(0)
    clip = import_open_clip().create_model(name, load_weights=False).eval()
    clip.requires_grad_(False).to(device)
    backbones = {
        kind: build_backbone(
            deepcopy(clip).to(getattr(torch, kind)), Tokenizer(), MEAN, STD
        )
        for kind in kinds(device)
    }
    patch = backbones["float32"].patch_size
    side = SIZE // patch * patch
    pixels = torch.rand(1, 3, side, side, device=device)
    seen = {kind: b.encode_patches(pixels).patches for kind, b in backbones.items()}
    with FlopCounterMode(display=False) as counter:
        backbones["float32"].encode_patches(pixels)
    work = counter.get_total_flops()
    batches = (1, 32) if device != "cpu" else (1,)
    lines = []
    for number, batch in enumerate(batches):
        now = perf_counter()
        until = now + (end - now) / (len(batches) - number)
        images = pixels.expand(batch, -1, -1, -1)
        times = timed(backbones, images, device, rounds, until)
        for kind, (seconds, share, faster) in shares(
            times, batch * work, device
        ).items():
            cosine = cosine_similarity(seen[kind].float(), seen["float32"], dim=-1)
            lines.append(
                f"| {name} | {kind} | {batch} | {seconds / batch:.4f} | {share:.0%} | "
                f"{faster:.2f} | {float(cosine.min()):.5f} | {len(times)} |"
            )
    return lines


def kinds(device: str) -> tuple[str, ...]:
    return ("float32", "bfloat16", "float16")[: 3 if device != "cpu" else 2]


Times = list[dict[str, tuple[float, float]]]


def timed(
    backbones: dict[str, Backbone],
    images: torch.Tensor,
    device: str,
    rounds: int,
    until: float,
) -> Times:
    """Time each precision's model and matrix product, round by round; at least two."""
    side = product_side(device)
    squares = {
        kind: torch.rand(side, side, device=device).to(getattr(torch, kind))
        for kind in backbones
    }
    for square in squares.values():
        square @ square
    times: Times = []
    while len(times) < 2 or (len(times) < rounds and perf_counter() < until):
        times.append(
            {
                kind: (
                    clock(lambda b=backbone: b.encode_patches(images), device),
                    clock(lambda s=squares[kind]: s @ s, device),
                )
                for kind, backbone in backbones.items()
            }
        )
    return times


def shares(
    times: Times, work: float, device: str
) -> dict[str, tuple[float, float, float]]:
    """Seconds, share of the product's rate, and how many times as fast as float32."""
    product = 2 * product_side(device) ** 3
    return {
        kind: (
            median(ours[kind][0] for ours in times),
            median(work / ours[kind][0] / (product / ours[kind][1]) for ours in times),
            median(ours["float32"][0] / ours[kind][0] for ours in times),
        )
        for kind in times[0]
    }


def product_side(device: str) -> int:
    return 1536 if device == "cpu" else 8192


def clock(call: Callable[[], object], device: str) -> float:
    wait: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else int
    wait()
    start = perf_counter()
    call()
    wait()
    return perf_counter() - start


def loading(name: str) -> str:
    """Measure the peak of loading the model from a file in full precision."""
    config: dict[str, Any] = import_open_clip().get_model_config(name)
    text = config["text_cfg"]
    # its tokenizer comes from the hub; any other takes the same memory
    text.pop("hf_tokenizer_name", None)
    text.pop("tokenizer_kwargs", None)
    with TemporaryDirectory() as folder:
        measured = peak.measure(peak.write_model(Path(folder), config))[0]
    size = measured["weights"]
    share = measured["peak"] / size
    return f"| {name} | {size / 1e6:.0f} | {share:.2f} x | {measured['seconds']:.1f} |"


def machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        match = re.search(r"model name\s*: (.*)", info.read_text())
        name = match[1] if match else name
    threads = torch.get_num_threads()
    return f"{name}, {os.cpu_count()} processors, {threads} threads"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default=None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=6)
    given = parser.parse_args()
    best = "cuda" if torch.cuda.is_available() else "cpu"
    main(list(given.models), given.device or best, given.rounds, given.minutes)
