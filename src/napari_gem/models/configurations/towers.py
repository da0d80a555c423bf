"""What a configuration of open_clip may say: its image tower, text tower, colours.

The keys are those of open_clip's ``CLIPVisionCfg`` and ``CLIPTextCfg`` that its own
configurations and those of the hub use. Bounds are a few times what the largest known
models have.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from napari_gem.models.configurations.fields import (
    MOST_PARAMETERS,
    Closed,
    Heads,
    Layers,
    Ratio,
    Share,
    Small,
    TokenId,
    Tokens,
    Vocabulary,
    Width,
)
from napari_gem.models.configurations.names import is_repository

TEXT_TOWERS = (
    "FacebookAI/roberta-base",
    "FacebookAI/xlm-roberta-base",
    "FacebookAI/xlm-roberta-large",
    "bert-base-uncased",
    "facebook/nllb-200-distilled-1.3B",
    "facebook/nllb-200-distilled-600M",
    "google-bert/bert-base-uncased",
    "google/mt5-base",
    "google/mt5-xl",
    "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
    "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext",
    "microsoft/BiomedNLP-PubMedBERT-base-uncased-abstract",
    "microsoft/BiomedNLP-PubMedBERT-base-uncased-abstract-fulltext",
    "roberta-base",
    "xlm-roberta-base",
    "xlm-roberta-large",
)
"""Repositories whose text towers a configuration may name.

The small description of such a tower is fetched from there, so that a configuration
from outside must not choose any: these are known, by open_clip's own configurations, by
the catalogue, or as other names of the same.
"""


def _check_tower(name: str) -> str:
    if name not in TEXT_TOWERS:
        raise ValueError(f"should be one of {', '.join(TEXT_TOWERS)}")
    return name


def _check_tokenizer(name: str) -> str:
    # the files beside the weights are taken, wherever they were copied from
    if not is_repository(name, with_owner=False):
        raise ValueError("should be a name such as OWNER/REPOSITORY")
    return name


_Untrained = Annotated[bool, AfterValidator(lambda _: False)]
"""Whether weights of a part come from elsewhere: never, the model's file has them."""

_Side = Annotated[int, Field(ge=1, le=8192)]
_Patch = Annotated[int, Field(ge=1, le=1024)]
_TimmName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}(\.[a-z0-9_]{1,99})?$")]
_Scale = Annotated[float, Field(ge=-1000, le=1000)]


class Norm(Closed):
    """Of a layer that normalises."""

    eps: Small | None = None
    elementwise_affine: bool | None = None
    bias: bool | None = None


class Activation(Closed):
    """Of GELU."""

    approximate: Literal["none", "tanh"] | None = None


class _Blocks(Closed):
    """What image and text towers of open_clip's own have alike."""

    ls_init_value: Share | None = None
    final_ln_after_pool: bool = False
    output_tokens: bool = False
    act_kwargs: Activation | None = None
    norm_kwargs: Norm | None = None
    block_type: Literal["default", "custom"] | None = None
    qk_norm: bool = False
    scaled_cosine_attn: bool = False
    scale_heads: bool = False
    scale_attn_inner: bool = False
    scale_attn: bool = False
    scale_fc: bool = False


class ImageTower(_Blocks):
    """``vision_cfg``."""

    # four numbers are a ResNet: it is refused as what it is, later
    layers: Layers | Annotated[list[Layers], Field(min_length=4, max_length=4)] = 12
    width: Width = 768
    head_width: Annotated[int, Field(ge=1, le=1024)] = 64
    mlp_ratio: Ratio = 4.0
    patch_size: (
        _Patch | Annotated[list[_Patch], Field(min_length=2, max_length=2)] | None
    ) = 16
    image_size: _Side | Annotated[list[_Side], Field(min_length=2, max_length=2)] = 224
    patch_dropout: Share = 0.0
    attentional_pool: bool | Literal["parallel", "cascade"] = False
    attn_pooler_queries: Tokens = 256
    attn_pooler_heads: Heads = 8
    no_ln_pre: bool = False
    pos_embed_type: Literal["learnable", "sin_cos_2d"] = "learnable"
    pool_type: Literal["tok", "avg", "none"] = "tok"
    timm_model_name: _TimmName | None = None
    timm_model_pretrained: _Untrained = False
    timm_pool: Literal[
        "", "token", "avg", "map", "max", "avgmax", "abs_attn", "rot_attn"
    ] = "avg"
    timm_proj: Literal["", "linear", "mlp", "none"] | None = "linear"
    timm_proj_bias: bool = False
    timm_drop: Share = 0.0
    timm_drop_path: Share | None = None

    @property
    def parameters(self) -> float:
        """How many the tower would have, about; of timm's nothing is known here."""
        if self.timm_model_name or isinstance(self.layers, list):
            return 0
        patch = _smallest(self.patch_size or 16)
        positions = (_largest(self.image_size) / patch) ** 2
        blocks = self.layers * (4 + 2 * self.mlp_ratio) * self.width**2
        queries = self.attn_pooler_queries if self.attentional_pool else 0
        return blocks + (positions + 3 * patch**2 + queries) * self.width


class Cleaning(Closed):
    """``tokenizer_kwargs``: what open_clip itself does with a text, nothing else."""

    clean: Literal["canonicalize", "lower", "whitespace"] = "whitespace"
    strip_sep_token: bool = False


class _Text(_Blocks):
    """What text towers and decoders have alike."""

    context_length: Tokens = 77
    vocab_size: Vocabulary = 49408
    width: Width = 512
    heads: Heads = 8
    layers: Layers = 12
    mlp_ratio: Ratio = 4.0
    embed_cls: bool = False
    pad_id: TokenId = 0
    eos_id: TokenId = 2
    no_causal_mask: bool = False
    pool_type: Literal["argmax", "eos", "first", "last", "none"] = "argmax"
    proj_bias: bool = False
    proj_type: Literal["linear", "none"] | None = "linear"

    @property
    def parameters(self) -> float:
        """How many the tower would have, about."""
        blocks = self.layers * (4 + 2 * self.mlp_ratio) * self.width**2
        return blocks + (self.vocab_size + self.context_length) * self.width


class TextTower(_Text):
    """``text_cfg``."""

    hf_tokenizer_name: Annotated[str, AfterValidator(_check_tokenizer)] | None = None
    tokenizer_mode: Literal["clips"] | None = None
    tokenizer_kwargs: Cleaning | None = None
    hf_model_name: Annotated[str, AfterValidator(_check_tower)] | None = None
    hf_model_pretrained: _Untrained = False
    hf_proj_type: Literal["linear", "mlp"] | None = "mlp"
    hf_pooler_type: (
        Literal["mean_pooler", "max_pooler", "cls_pooler"]
        | Literal["cls_last_hidden_state_pooler"]
        | None
    ) = "mean_pooler"


class Decoder(_Text):
    """``multimodal_cfg``: what CoCa writes captions with."""

    dim_head: Annotated[int, Field(ge=1, le=1024)] = 64
    n_queries: Tokens = 256
    attn_pooler_heads: Heads = 8

    @property
    def parameters(self) -> float:
        """How many it would have, about: each layer has a second one beside it."""
        return 2 * super().parameters


class ModelTable(Closed):
    """``model_cfg``."""

    embed_dim: Width
    vision_cfg: ImageTower
    text_cfg: TextTower
    multimodal_cfg: Decoder | None = None
    custom_text: bool = False
    quick_gelu: bool = False
    init_logit_scale: _Scale = 2.66
    init_logit_bias: _Scale | None = None
    nonscalar_logit_scale: bool = False

    @model_validator(mode="after")
    def _check_size(self) -> ModelTable:
        parts = (self.vision_cfg, self.text_cfg, self.multimodal_cfg)
        count = sum(part.parameters for part in parts if part)
        if count > MOST_PARAMETERS:
            raise ValueError(
                f"would have {count:.0e} parameters and should have at most "
                f"{MOST_PARAMETERS:.0e}"
            )
        return self


_Colour = Annotated[float, Field(ge=-10, le=10)]
_Spread = Annotated[float, Field(ge=1e-3, le=1000)]


class Colours(Closed):
    """``preprocess_cfg``."""

    size: _Side | Annotated[list[_Side], Field(min_length=2, max_length=2)] = 224
    mode: Literal["RGB"] = "RGB"
    mean: Annotated[list[_Colour], Field(min_length=3, max_length=3)] | None = None
    std: Annotated[list[_Spread], Field(min_length=3, max_length=3)] | None = None
    interpolation: Literal["bicubic", "bilinear", "nearest", "random"] = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"
    fill_color: Annotated[int, Field(ge=0, le=255)] = 0


class Whole(Closed):
    """The file ``open_clip_config.json``."""

    model_cfg: ModelTable
    preprocess_cfg: Colours = Colours()


def _smallest(sides: int | list[int]) -> int:
    return min(sides) if isinstance(sides, list) else sides


def _largest(sides: int | list[int]) -> int:
    return max(sides) if isinstance(sides, list) else sides
