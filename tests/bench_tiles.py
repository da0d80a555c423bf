"""How far labels of many tiles agree with those of one tile, on images that fit both.

``python -m tests.bench_tiles [SIDE]`` segments each sample image as one tile and in
tiles of several sizes and overlaps, and tells the part of the pixels with equal labels.
A model's attention, temperature and position embedding look at a whole tile, so the two
cannot be equal; what the seams add is told by the agreement where tiles overlap.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from napari_gem import encode, load_model, segment
from napari_gem.core.parameters import EncodeParameters
from napari_gem.encoding.tiles import plan_tiles
from napari_gem.images.samples import SAMPLES, read_sample

SIDE = 192
SHAPES = ((16, 4), (16, 8), (24, 6), (24, 12), (32, 8))


def main(side: int = SIDE) -> None:
    model = load_model("embedded")
    print(f"samples of {side} x {side} px; tile and overlap in patches")
    for tile, overlap in SHAPES:
        agreements = [agreement(name, side, tile, overlap, model) for name in SAMPLES]
        whole, seam, chance = (
            np.mean(column) for column in zip(*agreements, strict=True)
        )
        each = ", ".join(f"{one[0]:.3f}" for one in agreements)
        print(
            f"tile {tile:2d}, overlap {overlap:2d}: {whole:.3f} of the pixels agree "
            f"({each}); where tiles overlap {seam:.3f}; by chance {chance:.3f}"
        )


def agreement(
    name: str, side: int, tile: int, overlap: int, model
) -> tuple[float, float, float]:
    """Part of equal labels: everywhere, where tiles overlap, and by chance."""
    image, prompts = read_sample(name)
    pixels = image.pixels[:side, :side]
    zoom = model.card.encode.zoom
    patches = int(np.ceil(side * zoom / model.backbone.patch_size))
    one = replace(model.card.encode, tile=patches, overlap=0)
    many = replace(one, tile=tile, overlap=overlap)
    labels = [
        labelled(pixels, prompts, model, parameters) for parameters in (one, many)
    ]
    same = labels[0] == labels[1]
    counts = np.zeros((patches, patches), int)
    for part in plan_tiles(patches, patches, tile, overlap):
        counts[part.where] += 1
    patch = model.backbone.patch_size / zoom
    at = np.minimum((np.arange(side) / patch).astype(int), patches - 1)
    shared = (counts > 1)[np.ix_(at, at)]
    shares = [np.bincount(one.ravel(), minlength=99) / one.size for one in labels]
    chance = float((shares[0] * shares[1]).sum())
    return float(same.mean()), float(same[shared].mean()), chance


def labelled(pixels, prompts, model, parameters: EncodeParameters) -> np.ndarray:
    return segment(encode(pixels, model, parameters=parameters), prompts, model).labels


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
