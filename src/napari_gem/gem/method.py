"""GEM: Grounding Everything Module (arXiv 2312.00878), to be read beside the paper.

A CLIP vision transformer is used as it is, without training. Beside its own stream of
tokens runs a second one, to which each of the last blocks adds its values, mixed by
self-self attention: tokens attend to tokens that are like them. So the tokens of one
thing gather, and stay close to the text.

In each of these blocks, from the block's own input x (`patch_stream`):

1. y = norm(x), and the block's own q, k, v of y.
2. Each p of q, k, v is drawn together some times (`self_self_attention`, section 3.2):
   n = p / |p|, then p = softmax(beta n n^T) n.
3. Each assigns the values (`ensemble`, section 3.3): n = p / |p|, then
   o_p = softmax(beta n n^T) v, and o = (o_q + o_k + o_v) / 3.
4. beta = mean |y| / sqrt(D), for each image and block
   (`adaptive_inverse_temperature`).
5. The second stream becomes stream + project(o); no MLP. It starts as x.

The model's final norm and projection then take the second stream into text space.

Letters: B images, N tokens (CLS and patches), C channels, H heads, D = C / H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize as _unit_length
from torch.nn.functional import scaled_dot_product_attention

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import GemParameters
from napari_gem.core.validation import check_gem
from napari_gem.gem.guidance import guided, middle_blocks
from napari_gem.gem.neighbours import neighbour_bias
from napari_gem.gem.outliers import repair

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gem.gem.block import Block
    from napari_gem.gem.guidance import Guide


def patch_stream(
    blocks: Sequence[Block],
    tokens: Tensor,
    parameters: GemParameters,
    kept: slice = slice(None),
    grid: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run a vision transformer's blocks with a second stream beside its own.

    The second stream starts as the model's own tokens before the last ``depth - 1``
    blocks (section 3.3 of the paper), or from zero without ``residual``. Each of these
    blocks adds its mixed values, after its output projection, and no MLP. How the
    values are mixed is the ``method``:

    ``gem``
        `ensemble` of self-self attention: the paper.
    ``vv``
        CLIPSurgery (arXiv 2304.05653): ``softmax(v v^T / sqrt(D)) v`` with v as it is;
        iterations and temperature are not used.
    ``maskclip``
        MaskCLIP (arXiv 2112.01071): the values themselves, in the last block alone,
        whatever the depth. ``residual`` decides whether the block's input is added.
    ``plain``
        No mixture: the second stream is the model's own.

    Three additions of later papers are off by default: a bias to neighbours and a share
    of the middle blocks' own attention (``gem`` and ``vv``), and repaired outliers (all
    but ``plain``); see `GemParameters`. None of them changes the model's own stream.

    Parameters
    ----------
    blocks
        All blocks of the model, first to last.
    tokens
        (B, N, C): what enters the first block.
    parameters
        Method and its settings.
    kept
        Tokens of the model's own stream wanted after the last block.
    grid
        (rows, columns) of the patches, which are the last tokens; None if the
        parameters need no places.

    Returns
    -------
    original : Tensor
        (B, kept, C): the model's own stream, as if nothing ran beside it.
    stream : Tensor
        (B, N, C): before the model's final norm and projection.

    Raises
    ------
    GemError
        If a parameter is out of range.
    """
    check_gem(parameters)
    p = parameters
    first = len(blocks) - _count_mixing_blocks(p, len(blocks))
    guiding = middle_blocks(len(blocks)) if p.middle else range(0)
    guides: list[Guide] = []
    bias = _neighbour_bias(p, tokens, grid)
    x = tokens
    stream = tokens
    for i, block in enumerate(blocks):
        y = block.norm(x)
        q, k, v = block.qkv(y)
        if i >= first:
            repaired = repair(x, _require_grid(grid), p.repair) if p.repair else x
            if i == first:
                stream = repaired if p.residual else torch.zeros_like(x)
            inputs = (q, k, v, y)
            if repaired is not x:
                y = block.norm(repaired)
                inputs = (*block.qkv(y), y)
            stream = stream + block.project(_mix(p, *inputs, guides, bias))
        if i in guiding:
            guides.append((block, q, k))
        if i == len(blocks) - 1 and first < len(blocks):
            q, x = q[:, :, kept], x[:, kept]
        x = x + block.project(block.attend(q, k, v))
        x = x + block.mlp(x)
    if first == len(blocks):
        return x[:, kept], x
    return x, stream


def _mix(
    parameters: GemParameters,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    y: Tensor,
    guides: Sequence[Guide],
    bias: Tensor | None,
) -> Tensor:
    """Mix the values of a block for the second stream."""
    p = parameters
    if p.method == "maskclip":
        return v
    if p.method == "vv":
        mixed = scaled_dot_product_attention(v, v, v, attn_mask=bias)
    else:
        beta: Tensor | float | None = p.inverse_temperature
        if beta is None:
            adaptive = adaptive_inverse_temperature(y, q.shape[-1])
            beta = p.temperature_scale * adaptive
        mixed = ensemble(q, k, v, beta, p.iterations, bias)
    if not guides:
        return mixed
    return (1 - p.middle) * mixed + p.middle * guided(guides, v)


def ensemble(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    inverse_temperature: Tensor | float,
    iterations: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Average what q-q, k-k and v-v attention make of the values (section 3.3).

    Parameters
    ----------
    q, k, v
        (B, H, N, D).
    inverse_temperature
        A number, or one per image: (B, 1, 1, 1).
    iterations
        Rounds of `self_self_attention` before the assignment to the values.
    bias
        (N, N), added to the logits of every attention; None for the paper.

    Returns
    -------
    Tensor
        (B, H, N, D).
    """
    total = torch.zeros_like(v)
    for p in (q, k, v):
        p = normalize(self_self_attention(p, inverse_temperature, iterations, bias))
        total = total + _attend(p, p, v, inverse_temperature, bias)
    return total / 3


def self_self_attention(
    p: Tensor,
    inverse_temperature: Tensor | float,
    iterations: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Let each token gather those like it (section 3.2).

    One round is ``p <- softmax(beta n n^T) n`` with ``n = normalize(p)``; each round
    draws the tokens of a group closer together.

    Parameters
    ----------
    p
        (B, H, N, D): queries, keys or values.
    inverse_temperature
        beta: a number, or one per image: (B, 1, 1, 1). Large keeps groups small.
    iterations
        Rounds, 0 or more; 0 returns ``p``.
    bias
        (N, N), added to the logits of every attention; None for the paper.

    Returns
    -------
    Tensor
        (B, H, N, D), not normalised.
    """
    for _ in range(iterations):
        p = normalize(p)
        p = _attend(p, p, p, inverse_temperature, bias)
    return p


def adaptive_inverse_temperature(y: Tensor, head_dim: int) -> Tensor:
    """Inverse temperature from the length of a block's normalised tokens.

    ``mean over tokens of |y| / sqrt(D)``: with it softmax works at about the scale
    at which the model was trained, though q, k and v are made unit length.

    Parameters
    ----------
    y
        (B, N, C): the block's input after its first norm.
    head_dim
        D.

    Returns
    -------
    Tensor
        (B, 1, 1, 1), float32 or better.
    """
    # float16 cannot hold the squares
    at_least_float32 = torch.promote_types(y.dtype, torch.float32)
    length = torch.linalg.vector_norm(y, dim=-1, dtype=at_least_float32)
    beta: Tensor = length.mean(dim=-1) * head_dim**-0.5
    return beta.reshape(-1, 1, 1, 1)


def normalize(p: Tensor) -> Tensor:
    """Scale to unit length along the last axis; zero stays zero in any precision."""
    unit: Tensor = _unit_length(p, dim=-1, eps=max(1e-12, torch.finfo(p.dtype).tiny))
    return unit


def _attend(
    a: Tensor,
    b: Tensor,
    v: Tensor,
    inverse_temperature: Tensor | float,
    bias: Tensor | None,
) -> Tensor:
    # The fused kernels know one scale for all; one per image goes into the query.
    query = (a * inverse_temperature).to(v.dtype)
    return scaled_dot_product_attention(query, b, v, attn_mask=bias, scale=1.0)


def _count_mixing_blocks(parameters: GemParameters, count: int) -> int:
    if parameters.method == "plain":
        return 0
    last = 1 if parameters.method == "maskclip" else parameters.depth - 1
    return min(last, count)


def _neighbour_bias(
    parameters: GemParameters, tokens: Tensor, grid: tuple[int, int] | None
) -> Tensor | None:
    p = parameters
    if not p.neighbours:
        return None
    rows, columns = _require_grid(grid)
    others = tokens.shape[1] - rows * columns
    return neighbour_bias(
        (rows, columns), others, p.neighbours, p.neighbour_width, tokens
    )


def _require_grid(grid: tuple[int, int] | None) -> tuple[int, int]:
    if grid is None:
        raise GemError(
            "A bias to neighbours, or a repair, needs the places of the tokens. Give "
            "the grid of patches, too."
        )
    return grid
