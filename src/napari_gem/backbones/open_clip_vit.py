"""open_clip's own vision transformer: OpenAI CLIP, LAION, DataComp, MetaCLIP, CoCa ...

Only this file knows how open_clip builds an image tower. It reads weights and calls the
tower's small parts (norms, MLP, projections); it does not change the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import interpolate, linear, scaled_dot_product_attention

from napari_gem.backbones import PatchFeatures, Rgb
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.backbones.open_clip_text import OpenClipText
from napari_gem.backbones.parts import apply, prepare, refuse, split_heads
from napari_gem.core.parameters import GemParameters
from napari_gem.gem.method import patch_stream

if TYPE_CHECKING:
    from torch import Tensor

# None and False stand for what a configuration says or leaves out
READS = {
    "timm_model_name": "(None)?",
    "layers": r"\d*",
    "patch_size": r"\d*|\[(\d+), \1\]",
    "attentional_pool": "(False|True)?",
    "pool_type": "(tok|avg)?",
    "scaled_cosine_attn": "(False)?",
}

_PAPER = GemParameters()


class OpenClipBlock:
    """A residual attention block of open_clip as a `Block` of GEM.

    The attention is ``nn.MultiheadAttention`` or a class of open_clip's own; both keep
    q, k and v in ``in_proj_weight``. Its optional norms and scales are used if there.
    """

    def __init__(self, block: Any) -> None:
        self._block = block
        self._attention = block.attn

    def norm(self, tokens: Tensor) -> Tensor:
        """``ln_1``."""
        normed: Tensor = self._block.ln_1(tokens)
        return normed

    def qkv(self, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, (B, H, N, D) each, as attention uses them."""
        a = self._attention
        joined = linear(normed, a.in_proj_weight, a.in_proj_bias)
        q, k, v = (split_heads(x, a.num_heads) for x in joined.chunk(3, dim=-1))
        return apply(a, "ln_q", q), apply(a, "ln_k", k), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention at the usual temperature, 1 / sqrt(D)."""
        return scaled_dot_product_attention(q, k, v)

    def project(self, heads: Tensor) -> Tensor:
        """``out_proj`` and layer scale, with the norms that some models have there."""
        scale = getattr(self._attention, "head_scale", None)
        if scale is not None:
            heads = heads * scale
        joined = apply(self._attention, "ln_inner", heads.transpose(1, 2).flatten(2))
        out = apply(self._block, "ln_attn", self._attention.out_proj(joined))
        return apply(self._block, "ls_1", out)

    def mlp(self, tokens: Tensor) -> Tensor:
        """``ln_2``, MLP and layer scale."""
        return apply(self._block, "ls_2", self._block.mlp(self._block.ln_2(tokens)))


class OpenClipVit(OpenClipText):
    """A CLIP model whose image tower is open_clip's VisionTransformer.

    A patch goes into text space as the model's own pooled token does: through
    ``ln_post`` and ``proj``. CoCa pools by attention: learned queries attend to all
    tokens. There each patch goes through the pooling head alone, as if the image had no
    other token. A single token gets all the attention of every query, so the result is
    its value, whatever the query. The queries' attention among patches is left out on
    purpose: it would mix the patches into one vector, and GEM needs them apart.

    Raises
    ------
    GemError
        If the tower pools twice, attends by cosine or has oblong patches.
    """

    def __init__(self, clip: Any, tokenizer: Any, mean: Rgb, std: Rgb) -> None:
        super().__init__(clip, tokenizer)
        tower = clip.visual
        _check_tower(tower)
        self._tower = tower
        self._blocks = [OpenClipBlock(b) for b in tower.transformer.resblocks]
        self.patch_size = int(tower.patch_size[0])
        self.image_size = int(tower.image_size[0])
        self.channels = int(tower.proj.shape[1])
        self.mean = mean
        self.std = std

    @staticmethod
    def accepts(clip: Any) -> bool:
        """Whether the image tower is open_clip's own vision transformer."""
        known = import_open_clip().transformer.VisionTransformer
        return isinstance(getattr(clip, "visual", None), known)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = self._tower.conv1.weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        dtype: torch.dtype = self._tower.conv1.weight.dtype
        return dtype

    @torch.no_grad()
    def encode_patches(
        self, pixels: Tensor, parameters: GemParameters = _PAPER
    ) -> PatchFeatures:
        """Encode images: see `napari_gem.backbones.Backbone.encode_patches`."""
        tokens, (rows, columns) = self._embed(pixels)
        kept = slice(1, None)
        if self._tower.attn_pool is not None:
            kept = slice(None)
        elif self._tower.pool_type == "tok":
            kept = slice(0, 1)
        grid = (rows, columns)
        original, stream = patch_stream(self._blocks, tokens, parameters, kept, grid)
        patches = stream[:, 1:]
        if self._tower.attn_pool is not None:
            patches = _alone(self._tower.attn_pool, patches)
        patches = self._tower.ln_post(patches) @ self._tower.proj
        patches = patches.view(len(pixels), rows, columns, -1)
        return PatchFeatures(patches, self._pool(original))

    def _embed(self, pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
        weight = self._tower.conv1.weight
        grid = self._tower.conv1(
            prepare(pixels, self.patch_size, self.mean, self.std, weight)
        )
        rows, columns = grid.shape[2:]
        cls = self._tower.class_embedding.to(grid.dtype).expand(len(grid), 1, -1)
        tokens = torch.cat([cls, grid.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self._position(rows, columns).to(tokens.dtype)
        return self._tower.ln_pre(tokens), (rows, columns)

    def _position(self, rows: int, columns: int) -> Tensor:
        """Position embedding of a grid, CLS first: (1 + rows * columns, C)."""
        native: Tensor = self._tower.positional_embedding
        if (rows, columns) == tuple(self._tower.grid_size):
            return native
        # in float32, since not every device resamples half precision
        square = native[1:].float().view(*self._tower.grid_size, -1)
        resampled = interpolate(
            square.permute(2, 0, 1)[None],
            size=(rows, columns),
            mode="bicubic",
            antialias=True,
        )
        return torch.cat([native[:1].float(), resampled[0].flatten(1).T])

    def _pool(self, kept: Tensor) -> Tensor:
        by_cls = self._tower.pool_type == "tok"
        if self._tower.attn_pool is not None:
            kept = self._tower.attn_pool(kept)  # its first query does as CLS
            kept = kept[:, :1] if by_cls else kept[:, 1:]
        # one token if the CLS token is kept, so that the mean is that token
        if self._tower.final_ln_after_pool and self._tower.attn_pool is None:
            pooled = self._tower.ln_post(kept.mean(dim=1))
        else:
            pooled = self._tower.ln_post(kept).mean(dim=1)
        image: Tensor = pooled @ self._tower.proj
        return image


FAMILY = OpenClipVit


def _alone(pooler: Any, tokens: Tensor) -> Tensor:
    """Run an attention pooler on each token alone: the result is the token's value."""
    attention = pooler.attn
    # v is the last third; its own weight where tokens have another width than queries
    weight = attention.v_proj_weight
    if weight is None:
        weight = attention.in_proj_weight.chunk(3)[2]
    bias = attention.in_proj_bias.chunk(3)[2]
    value = linear(pooler.ln_k(tokens), weight, bias)
    pooled: Tensor = attention.out_proj(value)
    return pooled


def _check_tower(tower: Any) -> None:
    attentions = [block.attn for block in tower.transformer.resblocks]
    refuse(
        {
            "pools by two kinds of attention": bool(
                getattr(tower, "attn_pool_contrastive", None)
            ),
            "gives no single image embedding": tower.pool_type not in ("tok", "avg"),
            "attends by scaled cosine": any(
                getattr(a, "logit_scale", None) is not None for a in attentions
            ),
            "has oblong patches": tower.patch_size[0] != tower.patch_size[1],
        }
    )
