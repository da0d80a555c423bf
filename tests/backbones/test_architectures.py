"""Full-size architectures as open_clip configures them; nothing is downloaded."""

from __future__ import annotations

import re

import pytest
import torch

from napari_gem.backbones import check_tower
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.core.errors import GemError
from tests.backbones.full_size import (
    CARRIED,
    NAMED,
    SHAPES,
    build,
    build_tower,
    config,
    error,
)

# the others by `python -m tests.backbones.table`
RUN = [CARRIED, "coca_ViT-B-32", "ViT-B-16-SigLIP2", "PE-Core-B-16", "EVA02-B-16"]


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in NAMED])
def test_shapes(name: str) -> None:
    check_tower(name, config(name))
    backbone = build(build_tower(name))
    sizes = (backbone.patch_size, backbone.image_size, backbone.channels)
    assert sizes == SHAPES[name]
    side = backbone.patch_size
    features = backbone.encode_patches(torch.empty(2, 3, 3 * side, 2 * side))
    assert features.patches.shape == (2, 3, 2, backbone.channels)
    assert features.image.shape == (2, backbone.channels)


@pytest.mark.parametrize("name", RUN)
def test_image_is_the_models_own(name: str) -> None:
    assert error(name) < 1e-5


NOT_READ = re.compile("RN|.*convnext|ViTamin|MobileCLIP2?-S|swin|vit_relpos")


def test_what_is_read_of_open_clips_architectures() -> None:
    refused = set()
    names = import_open_clip().list_models()
    for name in names:
        try:
            check_tower(name, config(name))
        except GemError as error:
            refused.add(name)
            assert "PE-Core-B-16" in str(error)
    assert refused == {name for name in names if NOT_READ.match(name)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RN50", "ModifiedResNet has no patches"),
        ("convnext_tiny", "ConvNeXt has no patches"),
        ("MobileCLIP-S1", "FastVit has no patches"),
        ("ViTamin-S", "embeds patches by a network of its own.*ViT-B-16"),
        ("vit_relpos_medium_patch16_cls_224", "RelPos has no patches"),
    ],
)
def test_towers_that_cannot_be_read_are_refused(name: str, message: str) -> None:
    tower = build_tower(name, "cpu" if name == "ViTamin-S" else "meta")
    with pytest.raises(GemError, match=message):
        build(tower)
