"""Full-size architectures as open_clip configures them; nothing is downloaded."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from napari_gem.backbones import Backbone, build_backbone, check_tower
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.types import GemError

BIOMED = "BiomedCLIP"  # QuiltNet-PMB has the same tower
CONFIGS = {
    BIOMED: {
        "embed_dim": 512,
        "vision_cfg": {
            "timm_model_name": "vit_base_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 224,
        },
    }
}
# patch, image, channels
SHAPES = {
    BIOMED: (16, 224, 512),
    "ViT-B-32-quickgelu": (32, 224, 512),
    "ViT-B-16-plus-240": (16, 240, 640),
    "ViT-L-14": (14, 224, 768),
    "ViT-H-14": (14, 224, 1024),
    "ViT-L-14-CLIPA": (14, 224, 768),
    "coca_ViT-B-32": (32, 224, 512),
    "ViT-B-16-SigLIP2": (16, 224, 768),
    "ViT-B-16-SigLIP2-512": (16, 512, 768),
    "ViT-SO400M-14-SigLIP-384": (14, 384, 1152),
    "PE-Core-T-16-384": (16, 384, 512),
    "PE-Core-L-14-336": (14, 336, 1024),
    "PE-Core-bigG-14-448": (14, 448, 1280),
    "EVA02-L-14-336": (14, 336, 768),
    "EVA02-E-14": (14, 224, 1024),
    "MobileCLIP-B": (16, 224, 512),
    "MobileCLIP2-L-14": (14, 224, 768),
}
RUN = [
    BIOMED,
    "coca_ViT-B-32",
    "ViT-B-16-SigLIP",
    "PE-Core-B-16",
    "EVA02-B-16",
]


class Tokenizer:
    context_length = 77


def config(name: str) -> dict[str, Any]:
    return CONFIGS.get(name) or import_open_clip().get_model_config(name)


def build_tower(name: str, device: str) -> Any:
    stated = config(name)
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(5)
        tower = import_open_clip().model._build_vision_tower(
            stated["embed_dim"], stated["vision_cfg"]
        )
    return tower.eval().requires_grad_(False)


def build(tower: Any) -> Backbone:
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return build_backbone(SimpleNamespace(visual=tower), Tokenizer(), mean, std)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    check_tower(name, config(name))
    backbone = build(build_tower(name, "meta"))
    found = (backbone.patch_size, backbone.image_size, backbone.channels)
    assert found == SHAPES[name]
    side = backbone.patch_size
    features = backbone.encode_patches(torch.empty(2, 3, 3 * side, 2 * side))
    assert features.patches.shape == (2, 3, 2, backbone.channels)
    assert features.image.shape == (2, backbone.channels)


@pytest.mark.parametrize("name", RUN)
def test_image_is_the_models_own(name: str) -> None:
    tower = build_tower(name, "cpu")
    backbone = build(tower)
    size = (1, 3, backbone.image_size, backbone.image_size)
    pixels = torch.rand(size, generator=torch.Generator().manual_seed(3))
    features = backbone.encode_patches(pixels)
    expected = tower((pixels - 0.5) / 0.5)
    if isinstance(expected, tuple):  # CoCa gives its tokens too
        expected = expected[0]
    error = (features.image - expected).norm() / expected.norm()
    assert float(error) < 1e-5
    rows = backbone.image_size // backbone.patch_size
    assert features.patches.shape == (1, rows, rows, backbone.channels)
    assert float(features.patches.std(dim=(1, 2)).min()) > 0


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
