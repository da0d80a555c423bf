"""timm's Eva: Perception Encoder and EVA-CLIP, with 2-D rotary position embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.backbones.parts import refuse
from napari_gem.backbones.timm_tower import TimmBlock, TimmTower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_gem.backbones import Rgb
    from napari_gem.gem.block import Block

READS = {
    "timm_model_name": "(eva|vit_pe_core).*",
    "timm_pool": "(token|avg|map)?",
}


class EvaBlock(TimmBlock):
    """A block of Eva, for one grid of patches.

    Self-self attention sees q and k after their norms, but before they are rotated by
    position (RoPE). The rotation is a part of the model's own attention only.

    - GEM compares tokens by likeness. If they were rotated, the product of two equal
      queries would fall with their distance, so that two parts of one thing would
      differ by their place. Without rotation it is the product that the model itself
      computes for two tokens at one place. v is never rotated, so that q-q, k-k and v-v
      attention compare in the same way.
    - An iteration averages queries of many places. Rotated queries of equal tokens
      differ by place and would cancel.
    - The norms of q and k do not depend on the place, and the model compares q and k
      after them.

    The second stream still has positions, since it starts from the first one.

    Parameters
    ----------
    block
        ``EvaBlock`` or ``EvaBlockPostNorm`` of timm.
    rope
        (patches, 2 D): sine and cosine of each patch, for this grid; None without.
    prefix
        Tokens before the patches, which are not rotated.
    """

    def __init__(self, block: Any, rope: Tensor | None, prefix: int) -> None:
        super().__init__(block)
        self._rope = rope
        self._prefix = prefix
        self._norm_first = hasattr(block, "gamma_1")  # else norms end the branches

    def norm(self, tokens: Tensor) -> Tensor:
        """``norm1``; none here where norms come after."""
        return super().norm(tokens) if self._norm_first else tokens

    def _project_in(self, normed: Tensor) -> Sequence[Tensor]:
        a = self._attention
        if a.qkv is None:
            return a.q_proj(normed), a.k_proj(normed), a.v_proj(normed)
        bias = a.qkv.bias
        if getattr(a, "q_bias", None) is not None:
            bias = torch.cat((a.q_bias, a.k_bias, a.v_bias))
        return linear(normed, a.qkv.weight, bias).chunk(3, dim=-1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention after rotation; the queries are all or the first ones."""
        return scaled_dot_product_attention(self._rotate(q), self._rotate(k), v)

    def _rotate(self, p: Tensor) -> Tensor:
        from timm.layers import apply_rot_embed_cat

        if self._rope is None or p.shape[2] <= self._prefix:
            return p
        first, patches = p[:, :, : self._prefix], p[:, :, self._prefix :]
        turned = apply_rot_embed_cat(patches, self._rope[: patches.shape[2]])
        return torch.cat([first, turned.to(p.dtype)], dim=2)

    def project(self, heads: Tensor) -> Tensor:
        """``proj`` and layer scale, or the norm that comes after."""
        out = super().project(heads)
        if not self._norm_first:
            normed: Tensor = self._block.norm1(out)
            return normed
        gamma = self._block.gamma_1
        return out if gamma is None else gamma * out

    def mlp(self, tokens: Tensor) -> Tensor:
        """MLP with norm and layer scale."""
        out: Tensor
        if not self._norm_first:
            out = self._block.norm2(self._block.mlp(tokens))
            return out
        out = self._block.mlp(self._block.norm2(tokens))
        gamma = self._block.gamma_2
        return out if gamma is None else gamma * out


class TimmEva(TimmTower):
    """A CLIP model whose image tower is timm's Eva."""

    def __init__(self, clip: Any, tokenizer: Any, mean: Rgb, std: Rgb) -> None:
        super().__init__(clip, tokenizer, mean, std)
        from timm.layers import RotaryEmbeddingCat

        rope = self._trunk.rope
        attentions = [block.attn for block in self._trunk.blocks]
        refuse(
            {
                "rotates in a way of its own": not (
                    rope is None or type(rope) is RotaryEmbeddingCat
                )
                or getattr(rope, "rotate_half", False),
                "shares keys between heads": any(
                    getattr(a, "num_kv_groups", 1) > 1 for a in attentions
                ),
            }
        )

    @staticmethod
    def accepts(clip: Any) -> bool:
        """Whether the image tower is timm's Eva."""
        import_open_clip()  # timm imports torchvision, which may need its help
        from timm.models.eva import Eva

        trunk = getattr(getattr(clip, "visual", None), "trunk", None)
        return isinstance(trunk, Eva)

    def _blocks(self, rows: int, columns: int) -> Sequence[Block]:
        rope = self._rope(rows, columns)
        prefix = self._trunk.num_prefix_tokens
        return [EvaBlock(block, rope, prefix) for block in self._trunk.blocks]

    def _rope(self, rows: int, columns: int) -> Tensor | None:
        """Sine and cosine of a grid, (patches, 2 D), float32.

        Computed from the model's settings, since the table that it keeps is for its
        own grid and in its own precision.
        """
        from timm.layers import build_rotary_pos_embed

        rope = self._trunk.rope
        if rope is None:
            return None
        sine, cosine = build_rotary_pos_embed(
            [rows, columns],
            dim=rope.dim,
            max_res=rope.max_res,
            temperature=rope.temperature,
            in_pixels=rope.in_pixels,
            ref_feat_shape=rope.ref_feat_shape,
            grid_offset=rope.grid_offset,
            grid_indexing=rope.grid_indexing,
            device=self.device,
        )
        return torch.cat([sine, cosine], dim=-1)


FAMILY = TimmEva
