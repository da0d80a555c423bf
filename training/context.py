"""Context between tiles: what was tried, so that it can be measured again.

A tile knows nothing outside of it. What could tell it, all training-free:

- shared keys and values: all tiles of an image are one sequence for attention, in the
  self-self attention of the stream beside the model's own, or in the model's own too;
- the whole image, shrunk to one tile, as one more of these tiles;
- a coarse pass, whose features are added to those of the fine one.

One tile of the whole image bounds what the first can give, but for position embeddings
that are stretched. `training.measure_ingredients` prints what each gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from napari_gem.core.arrays import unit_vectors
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.results import Features
from napari_gem.encoding.blending import blend
from napari_gem.encoding.scheduling import TileWork
from napari_gem.gem.method import patch_stream
from napari_gem.models.model import Model
from napari_gem.scoring.upsampling import upsample
from training.evaluate import RGB, encode_scene
from training.left_out import Extra
from training.scenes import Scene


@dataclass(frozen=True)
class _Shared:
    """A block for which the tokens of several tiles, (1, tiles * N, C), are one image.

    The model's own attention stays within a tile, unless ``own`` is shared too.
    """

    block: Any
    tiles: int
    own: bool

    def norm(self, tokens: Tensor) -> Tensor:
        normed: Tensor = self.block.norm(tokens)
        return normed

    def qkv(self, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.block.qkv(normed)
        return q, k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.own:
            return self.block.attend(q, k, v)
        return _join(self.block.attend(*(self._apart(x) for x in (q, k, v))))

    def project(self, heads: Tensor) -> Tensor:
        projected: Tensor = self.block.project(heads)
        return projected

    def mlp(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.block.mlp(tokens)
        return found

    def _apart(self, heads: Tensor) -> Tensor:
        """Split (1, H, tiles * N, D) to (tiles, H, N, D)."""
        return heads[0].unflatten(1, (self.tiles, -1)).transpose(0, 1)


def _join(heads: Tensor) -> Tensor:
    return heads.transpose(0, 1).flatten(1, 2)[None]


def _encode_together(
    model: Model, images: Sequence[np.ndarray], how: EncodeParameters, *, own: bool
) -> np.ndarray:
    """Encode tiles, (tiles, height, width, 3), that attend to each other."""
    tower = model.backbone
    pixels = torch.from_numpy(np.stack(images)).movedim(-1, 1)
    with torch.inference_mode():
        tokens, (rows, columns) = tower._embed(pixels)
        blocks = [_Shared(block, len(pixels), own) for block in tower._blocks]
        together = tokens.flatten(0, 1)[None]
        _, stream = patch_stream(blocks, together, how.gem)
        patches = stream[0].view_as(tokens)[:, 1:]
        patches = tower._tower.ln_post(patches) @ tower._tower.proj
    return patches.unflatten(1, (rows, columns)).numpy()


def _together(
    model: Model, scene: Scene, how: EncodeParameters, *, own: bool, whole: bool
) -> Features:
    """Let all tiles attend to each other; the whole image may be one more of them."""
    features = encode_scene(model, scene, how)
    work = TileWork(scene.image, RGB, how, model.backbone.patch_size)
    images = [work.read(number) for number in range(len(work.tiles))]
    if whole:
        height, width = images[0].shape[:2]
        small = Image.fromarray(scene.image).resize((width, height))
        images.append(np.asarray(small, np.float32) / 255)
    found = _encode_together(model, images, how, own=own)
    array = blend(work.grid, how.overlap, zip(work.tiles, found, strict=False))
    return replace(features, array=unit_vectors(array).astype(np.float16))


def _coarse_too(
    model: Model, scene: Scene, how: EncodeParameters, *, zoom: float, weight: float
) -> Features:
    """Add the features of a coarser look, on the fine grid."""
    fine = encode_scene(model, scene, how)
    coarse = encode_scene(model, scene, replace(how, zoom=how.zoom * zoom))
    maps = np.moveaxis(coarse.array.astype(np.float32), -1, 0)
    rows, columns = fine.array.shape[:2]
    spread = upsample(maps, coarse.patch / fine.patch, columns, slice(0, rows))
    spread = unit_vectors(np.moveaxis(spread, 0, -1))
    array = unit_vectors((1 - weight) * fine.array.astype(np.float32) + weight * spread)
    return replace(fine, array=array.astype(np.float16))


CONTEXT: dict[str, Extra] = {
    "self-self attention shared by tiles": Extra(
        partial(_together, own=False, whole=False)
    ),
    "the same, and the image as a tile": Extra(
        partial(_together, own=False, whole=True)
    ),
    "all attention shared by tiles": Extra(partial(_together, own=True, whole=False)),
    **{
        f"{w} of features at half the zoom": Extra(
            partial(_coarse_too, zoom=0.5, weight=w)
        )
        for w in (0.1, 0.2, 0.3)
    },
}
"""What may tell a tile of the others."""

TILES: dict[str, dict[str, int]] = {
    "overlap 8": {"overlap": 8},
    "tile 24": {"tile": 24, "overlap": 6},
    "tile 32": {"tile": 32, "overlap": 8},
    "one tile": {"tile": 64, "overlap": 0},
}
"""Tiles that see more, which is what context could give at best."""
