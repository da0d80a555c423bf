"""The tables of docs/towers.md: every tower, every check.

Small towers take a minute; of the architectures in full size, those are run whose image
tower takes no more than the memory given::

    python -m tests.backbones.table small
    python -m tests.backbones.table full [--gib 16] [ARCHITECTURE ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch

from napari_gem.core.parameters import METHODS
from tests.backbones import checks, full_size
from tests.backbones.towers import TOWERS, make_backbone, make_clip

SMALL = (
    "| tower | family | `encode_image` | on another grid | GEM | v-v | MaskCLIP "
    "| plain | bfloat16 | float16 |\n|---|---|---|---|---|---|---|---|---|---|"
)
FULL = (
    "| architecture | family | patch, image, channels | weights, GB "
    "| `encode_image` |\n|---|---|---|---|---|"
)


def small() -> Iterator[str]:
    """Check each small tower; a line each."""
    yield SMALL
    for name, tower in TOWERS.items():
        clip = make_clip(tower)
        backbone = make_backbone(clip)
        image = max(checks.image_error(clip, backbone, m, 3) for m in METHODS)
        loops = {c: checks.patches_error(clip, backbone, c) for c in checks.CASES}
        gem = max(loops.pop("gem"), loops.pop("gem, oblong"))
        errors = [image, checks.grid_error(clip, backbone), gem, *loops.values()]
        cosines = [
            checks.least_cosine(clip, backbone, dtype)
            for dtype in (torch.bfloat16, torch.float16)
        ]
        yield line(
            name,
            family(backbone),
            *(f"{error:.0e}" for error in errors),
            *(f"{cosine:.5f}" for cosine in cosines),
        )


def full(names: list[str], gib: float) -> Iterator[str]:
    """Build each architecture in full size, and run it where it fits; a line each."""
    yield FULL
    for name in names:
        tower = full_size.build_tower(name)
        backbone = full_size.build(tower)
        sizes = (backbone.patch_size, backbone.image_size, backbone.channels)
        assert sizes == full_size.SHAPES[name]
        size = sum(p.numel() * 4 for p in tower.parameters())
        ran = f"{full_size.error(name):.0e}" if size <= gib * 2**30 else "not run"
        shown = ", ".join(map(str, sizes))
        yield line(f"`{name}`", family(backbone), shown, f"{size / 1e9:.2f}", ran)


def family(backbone: object) -> str:
    return f"`{type(backbone).__module__.rpartition('.')[2]}`"


def line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("small", "full"))
    parser.add_argument("names", nargs="*", default=list(full_size.SHAPES))
    parser.add_argument("--gib", type=float, default=16)
    given = parser.parse_intermixed_args()
    lines = small() if given.which == "small" else full(given.names, given.gib)
    for text in lines:
        print(text, flush=True)
