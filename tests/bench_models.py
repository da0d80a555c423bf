"""Time and memory of full-size models with random weights; prints a table.

One image of 448 x 448 pixels (batch 1; on a GPU 32 too) goes through the image tower by
GEM, as users have it. Operations are counted by torch; the share is what is achieved of
the rate of a large matrix product in the same precision. Rounds of product and models
alternate, so that other load on the machine meets all; the median counts::

    python -m tests.bench_models [--device cuda] [--rounds 5] [MODEL ...]
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

from napari_gem.backbones import build_backbone
from napari_gem.backbones.open_clip_import import import_open_clip
from tests import peak

MODELS = ("ViT-B-16", "ViT-L-14", "ViT-B-16-SigLIP2", "PE-Core-B-16")
SIZE = 448
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
HEAD = "| model | precision | batch | s per image | share of product | cosine |"


class Tokenizer:
    context_length = 64


def main(models: list[str], device: str, rounds: int) -> None:
    print(f"{machine(device)}; torch {torch.__version__}, {rounds} rounds")
    print(f"\n{HEAD}\n|---|---|---|---|---|---|")
    for name in models:
        for line in rows(name, device, rounds):
            print(line, flush=True)
    if sys.platform == "linux":
        print(
            "\n| model | weights, MB | peak of loading | seconds |\n|---|---|---|---|"
        )
        for name in models:
            print(loading(name), flush=True)
    if hasattr(os, "getloadavg"):
        print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f}")


def rows(name: str, device: str, rounds: int) -> list[str]:
    """Time a model in each precision and batch, and compare it with float32."""
    torch.manual_seed(0)
    clip = import_open_clip().create_model(name, load_weights=False).eval()
    clip.requires_grad_(False).to(device)
    patch = build_backbone(clip, Tokenizer(), MEAN, STD).patch_size
    side = SIZE // patch * patch
    pixels = torch.rand(1, 3, side, side, device=device)
    exact = build_backbone(clip, Tokenizer(), MEAN, STD).encode_patches(pixels).patches
    found = []
    for kind in kinds(device):
        dtype = getattr(torch, kind)
        backbone = build_backbone(deepcopy(clip).to(dtype), Tokenizer(), MEAN, STD)
        patches = backbone.encode_patches(pixels).patches.float()
        cosine = float(cosine_similarity(patches, exact, dim=-1).min())
        for batch in (1, 32) if device != "cpu" else (1,):
            images = pixels.expand(batch, -1, -1, -1)
            seconds, share = timed(
                lambda b=backbone, i=images: b.encode_patches(i), dtype, device, rounds
            )
            found.append(
                f"| {name} | {kind} | {batch} | {seconds / batch:.4f} | {share:.0%} | "
                f"{cosine:.5f} |"
            )
    return found


def kinds(device: str) -> tuple[str, ...]:
    return ("float32", "bfloat16", "float16")[: 3 if device != "cpu" else 2]


def timed(
    call: Callable[[], object], dtype: torch.dtype, device: str, rounds: int
) -> tuple[float, float]:
    """Give the seconds of a call, and its share of the rate of a matrix product."""
    with FlopCounterMode(display=False) as counter:
        call()
    work = counter.get_total_flops()
    side = 1536 if device == "cpu" else 8192
    square = torch.rand(side, side, device=device).to(dtype)

    def product() -> object:
        return square @ square

    product()
    pairs = [(clock(call, device), clock(product, device)) for _ in range(rounds)]
    shares = [work / ours / (2 * side**3 / theirs) for ours, theirs in pairs]
    return median(ours for ours, _ in pairs), median(shares)


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
        told = peak.measure(peak.write_model(Path(folder), config))
    size = told["weights"]
    share = told["peak"] / size
    return f"| {name} | {size / 1e6:.0f} | {share:.2f} x | {told['seconds']:.1f} |"


def machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        told = re.search(r"model name\s*: (.*)", info.read_text())
        name = told[1] if told else name
    threads = torch.get_num_threads()
    return f"{name}, {os.cpu_count()} processors, {threads} threads"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default=None)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    best = "cuda" if torch.cuda.is_available() else "cpu"
    main(list(given.models), given.device or best, given.rounds)
