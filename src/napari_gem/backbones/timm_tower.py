"""What towers of timm have in common: patch embedding, pooling, open_clip's wrapper.

Only this module, `timm_vit` and `timm_eva` know how timm builds a tower. They read
weights and call small parts; they do not change the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from napari_gem.backbones import PatchFeatures, Rgb
from napari_gem.backbones.open_clip_text import OpenClipText
from napari_gem.backbones.parts import apply, prepare, refuse, split_heads
from napari_gem.core.parameters import GemParameters
from napari_gem.gem.method import patch_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_gem.gem.block import Block

_PAPER = GemParameters()


class TimmBlock:
    """A pre-norm block of timm as a `Block` of GEM."""

    def __init__(self, block: Any) -> None:
        self._block = block
        self._attention = block.attn

    def norm(self, tokens: Tensor) -> Tensor:
        """``norm1``."""
        normed: Tensor = self._block.norm1(tokens)
        return normed

    def qkv(self, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, (B, H, N, D) each, after the norms of q and k."""
        a = self._attention
        q, k, v = (split_heads(x, a.num_heads) for x in self._project_in(normed))
        return apply(a, "q_norm", q), apply(a, "k_norm", k), v

    def _project_in(self, normed: Tensor) -> Sequence[Tensor]:
        return self._attention.qkv(normed).chunk(3, dim=-1)  # type: ignore[no-any-return]

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention at the usual temperature, 1 / sqrt(D)."""
        return scaled_dot_product_attention(q, k, v)

    def project(self, heads: Tensor) -> Tensor:
        """``proj`` and layer scale, with the norm that some models have before."""
        joined = apply(self._attention, "norm", heads.transpose(1, 2).flatten(2))
        return apply(self._block, "ls1", self._attention.proj(joined))

    def mlp(self, tokens: Tensor) -> Tensor:
        """``norm2``, MLP and layer scale."""
        return apply(self._block, "ls2", self._block.mlp(self._block.norm2(tokens)))


class TimmTower(OpenClipText):
    """A CLIP model whose image tower is a transformer of timm; families derive from it.

    A patch goes into text space as the model's own pooled token does. If the model
    pools the CLS token or the mean of all tokens, that is norm, head and projection. If
    it pools by attention (MAP: SigLIP, Perception Encoder), a learned query attends to
    all tokens. There each patch goes through the pooling head alone, as if the image
    had no other token. A single token gets all the attention, so the result is its
    value, whatever the query; the head's own MLP follows. The query's attention among
    patches is left out on purpose: it would mix the patches into one vector, and GEM
    needs them apart.

    Raises
    ------
    GemError
        If the tower embeds patches or pools in a way that is not known.
    """

    def __init__(self, clip: Any, tokenizer: Any, mean: Rgb, std: Rgb) -> None:
        super().__init__(clip, tokenizer)
        self._tower = clip.visual
        self._trunk = trunk = clip.visual.trunk
        _check(self._tower)
        self._grid = tuple(int(side) for side in trunk.patch_embed.grid_size)
        self.patch_size = int(trunk.patch_embed.feat_ratio())
        self.image_size = int(trunk.patch_embed.img_size[0])
        self.channels = _channels(self._tower)
        self.mean = mean
        self.std = std

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._weight().device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self._weight().dtype

    @torch.no_grad()
    def encode_patches(
        self, pixels: Tensor, parameters: GemParameters = _PAPER
    ) -> PatchFeatures:
        """Encode images: see `napari_gem.backbones.Backbone.encode_patches`."""
        tokens, (rows, columns) = self._embed(pixels)
        kept = slice(0, 1) if self._trunk.global_pool == "token" else slice(None)
        blocks = self._blocks(rows, columns)
        grid = (rows, columns)
        original, stream = patch_stream(blocks, tokens, parameters, kept, grid)
        patches = self._alone(stream[:, self._trunk.num_prefix_tokens :])
        image = self._tower.head(self._trunk.forward_head(self._trunk.norm(original)))
        return PatchFeatures(patches.view(len(pixels), rows, columns, -1), image)

    def _blocks(self, rows: int, columns: int) -> Sequence[Block]:
        """Blocks for a grid of patches."""
        raise NotImplementedError

    def _weight(self) -> Tensor:
        return next(self._trunk.patch_embed.parameters())  # type: ignore[no-any-return]

    def _embed(self, pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
        trunk, embed = self._trunk, self._trunk.patch_embed
        normed = prepare(pixels, self.patch_size, self.mean, self.std, self._weight())
        # its forward would insist on the size of its training
        grid = embed.proj(apply(embed, "backbone", normed))
        rows, columns = grid.shape[2:]
        patches = apply(embed, "norm", grid.flatten(2).transpose(1, 2))
        first = [
            token.expand(len(pixels), -1, -1)
            for token in (trunk.cls_token, getattr(trunk, "reg_token", None))
            if token is not None
        ]
        position = self._position(rows, columns)
        if trunk.no_embed_class:
            tokens = torch.cat([*first, patches + position], dim=1)
        else:
            tokens = torch.cat([*first, patches], dim=1) + position
        return trunk.norm_pre(tokens), (rows, columns)

    def _position(self, rows: int, columns: int) -> Tensor | float:
        """Position embedding of a grid, (1, tokens, C); 0 if the model has none."""
        from timm.layers import resample_abs_pos_embed

        trunk = self._trunk
        if trunk.pos_embed is None:
            return 0.0
        position: Tensor = resample_abs_pos_embed(
            trunk.pos_embed,
            new_size=[rows, columns],
            old_size=list(self._grid),
            num_prefix_tokens=0 if trunk.no_embed_class else trunk.num_prefix_tokens,
        )
        return position

    def _alone(self, tokens: Tensor) -> Tensor:
        """Take each token into text space as if it were pooled alone."""
        trunk = self._trunk
        x = trunk.norm(tokens)
        if trunk.attn_pool is not None:
            x = _pool_alone(trunk.attn_pool, x)
        text: Tensor = self._tower.head(trunk.head(trunk.fc_norm(x)))
        return text


def _pool_alone(pool: Any, tokens: Tensor) -> Tensor:
    """Run a MAP head on each token alone: the result of attention is its value."""
    bias = None if pool.kv.bias is None else pool.kv.bias.chunk(2)[1]
    x: Tensor = pool.proj(linear(tokens, pool.kv.weight.chunk(2)[1], bias))
    if pool.mlp is not None:
        x = x + pool.mlp(pool.norm(x))
    return x


def _channels(tower: Any) -> int:
    """Length of an embedding: what the last linear layer gives, if there is one."""
    trunk = tower.trunk
    linears = [
        part
        for head in (tower.head, trunk.head)
        for part in reversed(list(head.modules()))
        if isinstance(part, torch.nn.Linear)
    ]
    return int(linears[0].out_features if linears else trunk.num_features)


def _check(tower: Any) -> None:
    from timm.layers import AttentionPoolLatent, HybridEmbed, PatchEmbed
    from timm.models.vision_transformer_hybrid import ConvStem

    trunk, embed = tower.trunk, tower.trunk.patch_embed
    stem = isinstance(embed, HybridEmbed) and isinstance(embed.backbone, ConvStem)
    pool = trunk.attn_pool
    refuse(
        {
            "embeds patches by a network of its own": not (
                stem or isinstance(embed, PatchEmbed)
            ),
            "has oblong patches": len(set(embed.patch_size)) > 1,
            "pools in a way of its own": trunk.global_pool
            not in ("token", "avg", "map")
            or hasattr(tower.head, "pool")
            or not (pool is None or isinstance(pool, AttentionPoolLatent)),
            "pools with positions": getattr(pool, "pos_embed", None) is not None,
            "has gates in its attention": any(
                getattr(block.attn, "gate", None) is not None for block in trunk.blocks
            ),
        }
    )
