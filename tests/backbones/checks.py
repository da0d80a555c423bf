"""Checks of every small tower as figures: tests hold them, a table shows them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from napari_gem.core.parameters import GemParameters
from tests.backbones import reference
from tests.backbones.towers import GRID, make_backbone, make_pixels, normed

SQUARE, OBLONG = (GRID, GRID), (3, 5)
CASES = {
    "gem": (GemParameters("gem", depth=3), SQUARE),
    "gem, oblong": (
        GemParameters("gem", depth=9, iterations=2, residual=False),
        OBLONG,
    ),
    "vv": (GemParameters("vv", depth=3), OBLONG),
    "maskclip": (GemParameters("maskclip"), OBLONG),
    "plain": (GemParameters("plain"), SQUARE),
}


def relative_error(actual: Any, expected: Any) -> float:
    actual, expected = (np.asarray(x, np.float64) for x in (actual, expected))
    assert actual.shape == expected.shape
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def image_error(clip: Any, backbone: Any, method: Any, batch: int) -> float:
    """Compare the original stream with ``encode_image``."""
    pixels = make_pixels(batch, *SQUARE)
    actual = backbone.encode_patches(pixels, GemParameters(method)).image
    expected = clip.encode_image(normed(pixels), normalize=False)
    return relative_error(actual, expected)


def grid_error(clip: Any, backbone: Any) -> float:
    """Compare with ``encode_image`` of a copy that was set to an oblong grid."""
    pixels = make_pixels(3, *OBLONG)
    other = deepcopy(clip)
    if hasattr(other.visual, "trunk"):
        other.visual.trunk.set_input_size(tuple(pixels.shape[2:]))
        other.requires_grad_(False)  # older versions forget it
    else:
        position = reference.resampled(
            other.visual.positional_embedding, SQUARE, OBLONG
        )
        other.visual.positional_embedding = torch.nn.Parameter(position, False)
    actual = backbone.encode_patches(pixels).image
    expected = other.encode_image(normed(pixels), normalize=False)
    return relative_error(actual, expected)


def patches_error(clip: Any, backbone: Any, case: str) -> float:
    """Compare patches with the plain loops."""
    parameters, grid = CASES[case]
    pixels = make_pixels(3, *grid)
    actual = backbone.encode_patches(pixels, parameters).patches[1]
    expected = reference.patches(clip, normed(pixels)[1], grid, parameters)
    return relative_error(actual, expected)


def least_cosine(clip: Any, backbone: Any, dtype: torch.dtype) -> float:
    """Compare half precision with float32: the least cosine of patches and image."""
    pixels = make_pixels(2, *OBLONG)
    half = make_backbone(deepcopy(clip).to(dtype))
    assert half.dtype == dtype
    expected, actual = (b.encode_patches(pixels) for b in (backbone, half))
    cosines = []
    for name in ("patches", "image"):
        one, other = getattr(expected, name), getattr(actual, name)
        assert other.dtype == dtype
        cosines.append(cosine_similarity(one, other.float(), dim=-1).min())
    return float(min(cosines))
