"""GEM written slowly after the paper: one image, one head, one token at a time.

Nothing of the package is used. Of the model only its smallest parts are called (norms,
MLPs, linear layers, the pooling head), one token at a time, in float64; how tokens
become heads, how they are rotated, attend and are added is written out here.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_gem.core.parameters import GemParameters

Vector = np.ndarray


@dataclass(frozen=True)
class PlainBlock:
    """A block as functions of one token."""

    norm: Callable[[Vector], Vector]
    qkv: Callable[[Vector], list[Vector]]  # (heads, D) each, unrotated
    turn: Callable[[Vector, int], Vector]  # one head's vector, the token's number
    out: Callable[[Vector], Vector]  # joined heads to what is added to the token
    mlp: Callable[[Vector], Vector]


@dataclass(frozen=True)
class PlainTower:
    """A tower: tokens of an image, blocks, and one token's way into text space."""

    tokens: list[Vector]
    blocks: list[PlainBlock]
    prefix: int
    alone: Callable[[Vector], Vector]


def patches(
    clip: Any, image: Tensor, grid: tuple[int, int], parameters: GemParameters
) -> np.ndarray:
    """Features of one image's patches: (rows, columns, channels).

    ``image`` is (3, height, width), normalised by mean and std.
    """
    tower = read(clip, image)
    stream = gem(tower, parameters)
    outputs = [tower.alone(token) for token in stream[tower.prefix :]]
    return np.array(outputs).reshape(*grid, -1)


def gem(tower: PlainTower, parameters: GemParameters) -> list[Vector]:
    x, stream = tower.tokens, None
    count = len(tower.blocks)
    first = {
        "plain": count,
        "maskclip": count - 1,
    }.get(parameters.method, max(0, count - (parameters.depth - 1)))
    for number, block in enumerate(tower.blocks):
        y = [block.norm(token) for token in x]
        q, k, v = zip(*(block.qkv(token) for token in y), strict=True)
        heads, size = q[0].shape
        if number == first:
            stream = [t.copy() if parameters.residual else 0 * t for t in x]
        beta = parameters.temperature_scale * size**-0.5
        beta *= sum(np.sqrt(sum(value**2 for value in token)) for token in y) / len(y)
        own, mixed = [], []
        for h in range(heads):
            qh, kh, vh = ([t[h] for t in p] for p in (q, k, v))
            turned = [[block.turn(t, i) for i, t in enumerate(p)] for p in (qh, kh)]
            own.append(attend(*turned, vh, size**-0.5))
            if stream is not None:
                mixed.append(mixture(qh, kh, vh, beta, parameters))
        if stream is not None:
            joined = [
                np.concatenate([head[i] for head in mixed]) for i in range(len(x))
            ]
            stream = [s + block.out(j) for s, j in zip(stream, joined, strict=True)]
        joined = [np.concatenate([head[i] for head in own]) for i in range(len(x))]
        x = [t + block.out(j) for t, j in zip(x, joined, strict=True)]
        x = [t + block.mlp(t) for t in x]
    return x if stream is None else stream


def mixture(q, k, v, beta: float, parameters: GemParameters) -> list[Vector]:
    if parameters.method == "maskclip":
        return v
    if parameters.method == "vv":
        return attend(v, v, v, len(v[0]) ** -0.5)
    total = [0 * t for t in v]
    for p in (q, k, v):
        for _ in range(parameters.iterations):
            n = [t / np.sqrt(sum(t * t)) for t in p]
            p = attend(n, n, n, beta)
        n = [t / np.sqrt(sum(t * t)) for t in p]
        for i, t in enumerate(attend(n, n, v, beta)):
            total[i] = total[i] + t / 3
    return total


def attend(a, b, v, beta: float) -> list[Vector]:
    out = []
    for one in a:
        weights = [np.exp(beta * sum(one * other)) for other in b]
        parts = [w * t for w, t in zip(weights, v, strict=True)]
        out.append(sum(parts) / sum(weights))
    return out


def read(clip: Any, image: Tensor) -> PlainTower:
    visual = deepcopy(clip.visual).double()
    image = image.double()[None]
    if hasattr(visual, "trunk"):
        return read_timm(visual, image)
    return read_open_clip(visual, image)


def read_open_clip(visual: Any, image: Tensor) -> PlainTower:
    rows, columns = (
        side // patch
        for side, patch in zip(image.shape[2:], visual.patch_size, strict=True)
    )
    visual.positional_embedding = torch.nn.Parameter(
        resampled(visual.positional_embedding, visual.grid_size, (rows, columns)), False
    )

    def block(b: Any) -> PlainBlock:
        a = b.attn
        bias = a.in_proj_bias.numpy()
        weight = a.in_proj_weight.numpy()
        width = weight.shape[1]

        def qkv(y: Vector) -> list[Vector]:
            q, k, v = (
                (weight[i * width : (i + 1) * width] @ y)
                + bias[i * width : (i + 1) * width]
                for i in range(3)
            )
            split = [np.array(np.split(p, a.num_heads)) for p in (q, k, v)]
            if hasattr(a, "ln_q"):
                split[0] = np.array([call(a.ln_q, head) for head in split[0]])
                split[1] = np.array([call(a.ln_k, head) for head in split[1]])
            return split

        def out(joined: Vector) -> Vector:
            if getattr(a, "head_scale", None) is not None:
                heads = np.split(joined, a.num_heads)
                scales = a.head_scale.flatten().tolist()
                joined = np.concatenate(
                    [s * h for s, h in zip(scales, heads, strict=True)]
                )
            if hasattr(a, "ln_inner"):
                joined = call(a.ln_inner, joined)
            output = call(a.out_proj, joined)
            if hasattr(b, "ln_attn"):
                output = call(b.ln_attn, output)
            return call(b.ls_1, output)

        return PlainBlock(
            norm=lambda t: call(b.ln_1, t),
            qkv=qkv,
            turn=lambda p, _: p,
            out=out,
            mlp=lambda t: call(b.ls_2, call(b.mlp, call(b.ln_2, t))),
        )

    def alone(token: Vector) -> Vector:
        if visual.attn_pool is not None:
            pooled = visual.attn_pool(torch.from_numpy(token)[None, None])
            token = pooled[0, -1].numpy()
        return call(visual.ln_post, token) @ visual.proj.numpy()

    return PlainTower(
        tokens=list(visual._embeds(image)[0].numpy()),
        blocks=[block(b) for b in visual.transformer.resblocks],
        prefix=1,
        alone=alone,
    )


def read_timm(visual: Any, image: Tensor) -> PlainTower:
    trunk = visual.trunk
    # older versions try their stem in float32, and forget that no gradient is wanted
    trunk.float().set_input_size(tuple(image.shape[2:]))
    trunk.double().requires_grad_(False)
    tokens = trunk._pos_embed(trunk.patch_embed(image))
    table = None
    if isinstance(tokens, tuple):
        tokens, table = tokens
    prefix = trunk.num_prefix_tokens

    def alone(token: Vector) -> Vector:
        token = call(trunk.norm, token)
        if trunk.attn_pool is not None:
            token = trunk.attn_pool(torch.from_numpy(token)[None, None])[0].numpy()
        return call(visual.head, call(trunk.head, call(trunk.fc_norm, token)))

    return PlainTower(
        tokens=list(trunk.norm_pre(tokens)[0].numpy()),
        blocks=[read_timm_block(b, table, prefix) for b in trunk.blocks],
        prefix=prefix,
        alone=alone,
    )


def read_timm_block(b: Any, table: Tensor | None, prefix: int) -> PlainBlock:
    a = b.attn
    after = type(b).__name__ == "EvaBlockPostNorm"

    def scaled(old: str, new: str, output: Vector) -> Vector:
        if hasattr(b, old):
            return call(getattr(b, old), output)
        gamma = getattr(b, new)
        return output if gamma is None else gamma.numpy() * output

    def out(joined: Vector) -> Vector:
        output = call(a.proj, call(a.norm, joined))
        return call(b.norm1, output) if after else scaled("ls1", "gamma_1", output)

    def mlp(token: Vector) -> Vector:
        if after:
            return call(b.norm2, call(b.mlp, token))
        return scaled("ls2", "gamma_2", call(b.mlp, call(b.norm2, token)))

    def norm(token: Vector) -> Vector:
        return token if after else call(b.norm1, token)

    return PlainBlock(
        norm, partial(timm_qkv, a), partial(rotate, table, prefix), out, mlp
    )


def timm_qkv(a: Any, y: Vector) -> list[Vector]:
    if a.qkv is None:
        three = [call(part, y) for part in (a.q_proj, a.k_proj, a.v_proj)]
    else:
        three = np.split(call(a.qkv, y), 3)
        if getattr(a, "q_bias", None) is not None:
            three[0] = three[0] + a.q_bias.numpy()
            three[2] = three[2] + a.v_bias.numpy()
    q, k, v = (np.split(p, a.num_heads) for p in three)
    q = [call(a.q_norm, head) for head in q]
    k = [call(a.k_norm, head) for head in k]
    return [np.array(p) for p in (q, k, v)]


def rotate(table: Tensor | None, prefix: int, p: Vector, number: int) -> Vector:
    """Turn pairs of a head's channels by the angles of a token's place."""
    if table is None or number < prefix:
        return p
    sine, cosine = np.split(table[number - prefix].double().numpy(), 2)
    turned = np.empty_like(p)
    for i in range(0, len(p), 2):
        turned[i] = p[i] * cosine[i] - p[i + 1] * sine[i]
        turned[i + 1] = p[i + 1] * cosine[i] + p[i] * sine[i]
    return turned


def resampled(position: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Position embedding for another grid, CLS first."""
    square = position[1:].T.reshape(1, -1, *old)
    grid = torch.nn.functional.interpolate(
        square, size=new, mode="bicubic", antialias=True
    )
    return torch.cat([position[:1], grid.flatten(2)[0].T])


def call(part: Any, token: Vector) -> Vector:
    return part(torch.from_numpy(token)[None])[0].numpy()
