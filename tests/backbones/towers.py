"""Small models of each family with seeded weights, made of the real classes."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any
from unittest.mock import patch

import torch

from napari_gem.backbones import Backbone, build_backbone
from napari_gem.backbones.open_clip_import import import_open_clip

MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.2, 0.25)
PATCH, SIDE, CONTEXT, CHANNELS = 8, 32, 12, 24
GRID = SIDE // PATCH
TEXT = {
    "context_length": CONTEXT,
    "vocab_size": 49408,
    "width": 16,
    "heads": 1,
    "layers": 1,
}
NATIVE = {
    "image_size": SIDE,
    "layers": 3,
    "width": 48,
    "head_width": 16,
    "patch_size": PATCH,
}
TRUNK = {
    "img_size": SIDE,
    "patch_size": PATCH,
    "embed_dim": 48,
    "depth": 3,
    "num_heads": 3,
}
COCA = {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}
ROPE = {"use_rot_pos_emb": True, "ref_feat_shape": (3, 3)}
PE = {
    **ROPE,
    "attn_type": "rope",
    "use_pre_transformer_norm": True,
    "rope_grid_offset": 1.0,
    "rope_grid_indexing": "xy",
    "attn_pool_num_heads": 2,
    "attn_pool_mlp_ratio": 4.0,
}
EVA02 = {
    **ROPE,
    "qkv_fused": False,
    "mlp_ratio": 8 / 3,
    "swiglu_mlp": True,
    "scale_mlp": True,
    "scale_attn_inner": True,
}

# vision_cfg of open_clip, or (pool, projection, class of timm, its arguments)
Tower = dict[str, Any] | tuple[str, str | None, str, dict[str, Any]]
# timm has it in its Eva class later than in its vision transformer
import_open_clip()
EVA = signature(import_module("timm.models.eva").Eva).parameters
QK_NORM = {"qk_norm": True} if "qk_norm" in EVA else {}
TOWERS: dict[str, Tower] = {
    "LAION": {},
    "OpenAI": {"quick_gelu": True},
    "no ln_pre": {"no_ln_pre": True},
    "average": {"pool_type": "avg"},
    "CLIPA": {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "layer scale": {"ls_init_value": 0.5},
    "sine positions": {"pos_embed_type": "sin_cos_2d"},
    "own attention": {
        "block_type": "custom",
        "qk_norm": True,
        "scale_heads": True,
        "scale_attn_inner": True,
        "scale_attn": True,
        "scale_fc": True,
    },
    "CoCa": COCA,
    "CoCa, wide": {**COCA, "width": CHANNELS, "head_width": 8},
    "CoCa, average": {**COCA, "pool_type": "avg"},
    "BiomedCLIP": ("", "linear", "vit", {}),
    "MobileCLIP": ("token", None, "vit", {"no_embed_class": True, "mci": True}),
    "SigLIP": ("map", "none", "vit", {"class_token": False}),
    "gap, registers": ("avg", "mlp", "vit", {"reg_tokens": 2, "init_values": 0.5}),
    "CLIP of timm": ("token", None, "vit", {"pre_norm": True, "qk_norm": True}),
    "map beside CLS": ("map", "linear", "vit", {}),
    "Perception Encoder": ("map", None, "eva", PE),
    "Perception Encoder G": ("map", None, "eva", {**PE, "class_token": False}),
    "EVA02": ("token", None, "eva", EVA02),
    "EVA02 E": ("token", None, "eva", {"use_post_norm": True}),
    "EVA01": ("token", None, "eva", {"qkv_bias": True, "init_values": 0.5}),
    "Eva, registers": (
        "avg",
        "linear",
        "eva",
        {**ROPE, **QK_NORM, "num_reg_tokens": 1, "no_embed_class": True},
    ),
}


def make_clip(tower: Tower) -> Any:
    """Make the whole model, with a text tower of one layer."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        clip = _timm(tower) if isinstance(tower, tuple) else _native(tower)
        for tensor in clip.visual.parameters():
            torch.nn.init.normal_(tensor, float(tensor.ndim == 1), 0.15)
    return clip.eval().requires_grad_(False)


def make_backbone(clip: Any) -> Backbone:
    tokenizer = import_open_clip().SimpleTokenizer(context_length=CONTEXT)
    return build_backbone(clip, tokenizer, MEAN, STD)


def make_pixels(batch: int, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (batch, 3, rows * PATCH, columns * PATCH)
    return torch.rand(shape, generator=generator)


def normed(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


def _native(tower: dict[str, Any]) -> Any:
    open_clip = import_open_clip()
    vision = {**NATIVE, **tower}
    quick_gelu = vision.pop("quick_gelu", False)
    if "attentional_pool" not in tower:
        return open_clip.model.CLIP(CHANNELS, vision, TEXT, quick_gelu)
    decoder = {key: TEXT[key] for key in TEXT if key != "width"} | {"width": CHANNELS}
    text = {**TEXT, "embed_cls": True, "output_tokens": True}
    vision["output_tokens"] = True
    return open_clip.coca_model.CoCa(CHANNELS, decoder, text, vision, quick_gelu)


def _timm(tower: tuple[str, str | None, str, dict[str, Any]]) -> Any:
    """Have open_clip make its wrapper around a trunk that timm has no name for."""
    pool, proj, kind, arguments = tower
    vision = {
        "timm_model_name": kind,
        "timm_pool": pool,
        "timm_proj": proj,
        "image_size": SIDE,
    }
    if proj in ("linear", "mlp") and pool == "map":
        # such a wrapper cannot add a pooling head afterwards
        arguments = {**arguments, "global_pool": "map"}
    open_clip = import_open_clip()
    with patch.object(
        open_clip.timm_model.timm,
        "create_model",
        lambda _, pretrained, **more: _trunk(kind, {**more, **arguments}),
    ):
        return open_clip.model.CustomTextCLIP(CHANNELS, vision, TEXT)


def _trunk(kind: str, arguments: dict[str, Any]) -> Any:
    from functools import partial

    from timm.layers import HybridEmbed
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer
    from timm.models.vision_transformer_hybrid import ConvStem

    arguments = {**TRUNK, **arguments}
    if arguments.pop("mci", False):
        stem = ConvStem(
            channels=(12, 12, 48), stride=(2, 2, 2), kernel_size=(2, 2, 2), padding=0
        )
        arguments["patch_size"] = 1
        arguments["embed_layer"] = partial(HybridEmbed, backbone=stem, proj=False)
    trunk = {"vit": VisionTransformer, "eva": Eva}[kind](**arguments)
    trunk.default_cfg = {}  # what timm knows of a model with a name
    return trunk
