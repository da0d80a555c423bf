"""Every family of image towers on small models: the model's own, and the paper's."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from napari_gem.types import METHODS, GemError, GemParameters
from tests.backbones import reference
from tests.backbones.towers import (
    GRID,
    PATCH,
    SIDE,
    TOWERS,
    make_backbone,
    make_clip,
    make_pixels,
    normed,
)

SQUARE, OBLONG = (GRID, GRID), (3, 5)


@pytest.fixture(scope="module", params=TOWERS, ids=str)
def clip(request: pytest.FixtureRequest) -> Any:
    return make_clip(TOWERS[request.param])


@pytest.fixture(scope="module")
def backbone(clip: Any) -> Any:
    return make_backbone(clip)


def relative_error(found: Any, expected: Any) -> float:
    found, expected = (np.asarray(x, np.float64) for x in (found, expected))
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [1, 3])
def test_image_is_the_models_own(clip: Any, backbone: Any, method, batch: int) -> None:
    pixels = make_pixels(batch, *SQUARE)
    found = backbone.encode_patches(pixels, GemParameters(method)).image
    expected = clip.encode_image(normed(pixels), normalize=False)
    assert relative_error(found, expected) < 1e-5


def test_image_on_another_grid(clip: Any, backbone: Any) -> None:
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
    found = backbone.encode_patches(pixels).image
    expected = other.encode_image(normed(pixels), normalize=False)
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize(
    ("parameters", "grid"),
    [
        (GemParameters("gem", depth=3), SQUARE),
        (GemParameters("gem", depth=9, iterations=2, residual=False), OBLONG),
        (GemParameters("vv", depth=3), OBLONG),
        (GemParameters("maskclip"), OBLONG),
        (GemParameters("plain"), SQUARE),
    ],
    ids=["gem", "gem, oblong", "vv", "maskclip", "plain"],
)
def test_patches_are_those_of_the_loops(
    clip: Any, backbone: Any, parameters: GemParameters, grid
) -> None:
    pixels = make_pixels(3, *grid)
    found = backbone.encode_patches(pixels, parameters).patches[1]
    expected = reference.patches(clip, normed(pixels)[1], grid, parameters)
    assert relative_error(found, expected) < 1e-5


def test_a_batch_is_its_images(backbone: Any) -> None:
    pixels = make_pixels(3, *OBLONG)
    together = backbone.encode_patches(pixels).patches
    alone = [backbone.encode_patches(image[None]).patches for image in pixels]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_float32(clip: Any, backbone: Any, dtype) -> None:
    pixels = make_pixels(2, *OBLONG)
    half = make_backbone(deepcopy(clip).to(dtype))
    assert half.dtype == dtype
    expected, found = (b.encode_patches(pixels) for b in (backbone, half))
    for name in ("patches", "image"):
        one, other = getattr(expected, name), getattr(found, name)
        assert other.dtype == dtype
        assert float(cosine_similarity(one, other.float(), dim=-1).min()) > 0.999


def test_the_model_is_left_as_it_is(clip: Any) -> None:
    parts = [(name, type(part)) for name, part in clip.named_modules()]
    tensors = clip.visual.state_dict() | dict(clip.visual.named_buffers())
    before = deepcopy(tensors)
    make_backbone(clip).encode_patches(make_pixels(1, *OBLONG))
    assert [(name, type(part)) for name, part in clip.named_modules()] == parts
    after = clip.visual.state_dict() | dict(clip.visual.named_buffers())
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_facts(backbone: Any) -> None:
    assert (backbone.patch_size, backbone.image_size) == (PATCH, SIDE)
    features = backbone.encode_patches(make_pixels(1, 2, 3))
    assert features.patches.shape == (1, 2, 3, backbone.channels)
    assert features.image.shape == (1, backbone.channels)
    assert (backbone.device.type, backbone.dtype) == ("cpu", torch.float32)


def test_wrong_pixels(backbone: Any) -> None:
    for shape in [(1, 3, 9, 8), (1, 3, 8, 9), (3, 8, 8), (1, 1, 8, 8)]:
        with pytest.raises(GemError, match="multiples of the patch of 8"):
            backbone.encode_patches(torch.zeros(shape))
