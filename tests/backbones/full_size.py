"""Architectures in full size by their configurations; nothing is downloaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from napari_gem.backbones import Backbone, build_backbone
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.models.architectures import configuration
from napari_gem.models.catalogue import list_models
from napari_gem.models.find import find_model

CARRIED = "ViT-B-16-BiomedBERT-256"
"""The architecture that the catalogue carries: BiomedCLIP, QuiltNet-PMB."""

NAMED = tuple(
    dict.fromkeys(card.architecture for card in list_models() if card.id != "embedded")
)
"""Architectures of the catalogue."""

SHAPES = {
    "ViT-B-32": (32, 224, 512),
    "ViT-B-32-quickgelu": (32, 224, 512),
    "ViT-B-16": (16, 224, 512),
    "ViT-B-16-quickgelu": (16, 224, 512),
    "ViT-L-14": (14, 224, 768),
    "ViT-L-14-quickgelu": (14, 224, 768),
    "ViT-L-14-336-quickgelu": (14, 336, 768),
    "ViT-H-14": (14, 224, 1024),
    "ViT-B-16-SigLIP2": (16, 224, 768),
    "ViT-B-16-SigLIP2-512": (16, 512, 768),
    "PE-Core-B-16": (16, 224, 1024),
    "PE-Core-L-14-336": (14, 336, 1024),
    CARRIED: (16, 224, 512),
    # not in the catalogue
    "ViT-B-16-plus-240": (16, 240, 640),
    "ViT-g-14": (14, 224, 1024),
    "ViT-bigG-14": (14, 224, 1280),
    "ViT-L-14-CLIPA": (14, 224, 768),
    "coca_ViT-B-32": (32, 224, 512),
    "coca_ViT-L-14": (14, 224, 768),
    "ViT-SO400M-14-SigLIP-384": (14, 384, 1152),
    "PE-Core-T-16-384": (16, 384, 512),
    "PE-Core-bigG-14-448": (14, 448, 1280),
    "EVA02-B-16": (16, 224, 512),
    "EVA02-L-14-336": (14, 336, 768),
    "EVA02-E-14": (14, 224, 1024),
    "MobileCLIP-B": (16, 224, 512),
    "MobileCLIP2-L-14": (14, 224, 768),
}
"""Patch, image and channels of each."""


def config(name: str) -> dict[str, Any]:
    """What the catalogue carries, or else open_clip."""
    card = next((c for c in list_models() if c.architecture == name), None)
    stated = configuration(card) if card else import_open_clip().get_model_config(name)
    assert stated is not None
    return stated


def build_tower(name: str, device: str = "meta") -> Any:
    """Build an image tower; with memory it has seeded random weights."""
    stated = config(name)
    quick = stated.get("quick_gelu", False)
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(5)
        tower = import_open_clip().model._build_vision_tower(
            stated["embed_dim"], stated["vision_cfg"], quick
        )
    return tower.eval().requires_grad_(False)


def build(tower: Any) -> Backbone:
    """Make the backbone of an image tower without a text tower."""
    half = (0.5, 0.5, 0.5)
    clip, tokenizer = SimpleNamespace(visual=tower), SimpleNamespace(context_length=77)
    return build_backbone(clip, tokenizer, half, half)


def error(name: str) -> float:
    """Run a tower with random weights by GEM: the image embedding's relative error."""
    tower = build_tower(name, "cpu")
    backbone = build(tower)
    side = backbone.image_size
    generator = torch.Generator().manual_seed(3)
    pixels = torch.rand(1, 3, side, side, generator=generator)
    card = next((c for c in list_models() if c.architecture == name), None)
    gem = (card or find_model("ViT-B-16/openai")).encode.gem
    # patches may not fill the image: then the model leaves its edge out
    rows = side // backbone.patch_size
    whole = slice(0, rows * backbone.patch_size)
    features = backbone.encode_patches(pixels[:, :, whole, whole], gem)
    expected = tower((pixels - 0.5) / 0.5)
    if isinstance(expected, tuple):  # CoCa gives its tokens too
        expected = expected[0]
    assert features.patches.shape == (1, rows, rows, backbone.channels)
    assert bool(features.patches.isfinite().all())
    assert float(features.patches.std(dim=(1, 2)).min()) > 0
    return float((features.image - expected).norm() / expected.norm())
