"""Every family of image towers on small models: the model's own, and the paper's."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import METHODS
from tests.backbones.checks import (
    CASES,
    OBLONG,
    grid_error,
    image_error,
    least_cosine,
    patches_error,
)
from tests.backbones.towers import (
    PATCH,
    SIDE,
    TOWERS,
    make_backbone,
    make_clip,
    make_pixels,
)


@pytest.fixture(scope="module", params=TOWERS, ids=str)
def clip(request: pytest.FixtureRequest) -> Any:
    return make_clip(TOWERS[request.param])


@pytest.fixture(scope="module")
def backbone(clip: Any) -> Any:
    return make_backbone(clip)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [1, 3])
def test_image_is_the_models_own(clip: Any, backbone: Any, method, batch: int) -> None:
    assert image_error(clip, backbone, method, batch) < 1e-5


def test_image_on_another_grid(clip: Any, backbone: Any) -> None:
    assert grid_error(clip, backbone) < 1e-5


@pytest.mark.parametrize("case", CASES)
def test_patches_are_those_of_the_loops(clip: Any, backbone: Any, case: str) -> None:
    assert patches_error(clip, backbone, case) < 1e-5


def test_a_batch_is_its_images(backbone: Any) -> None:
    pixels = make_pixels(3, *OBLONG)
    together = backbone.encode_patches(pixels).patches
    alone = [backbone.encode_patches(image[None]).patches for image in pixels]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_float32(clip: Any, backbone: Any, dtype) -> None:
    assert least_cosine(clip, backbone, dtype) > 0.999


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
