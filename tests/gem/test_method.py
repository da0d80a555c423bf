"""The paper's equations against a slow version with loops, on random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import METHODS, GemParameters
from napari_gem.gem.method import (
    adaptive_inverse_temperature,
    ensemble,
    normalize,
    patch_stream,
    self_self_attention,
)
from napari_gem.gem.outliers import repair

HEADS, WIDTH = 2, 12
GRID = (2, 3)
MIDDLE = (1, 2)
"""Of four blocks."""


class LinearBlock:
    """A block whose parts are plain matrices, so that loops can follow them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        shape = (WIDTH, WIDTH)
        self.q, self.k, self.v, self.out, self.hidden = (
            torch.tensor(rng.normal(0, WIDTH**-0.5, shape)) for _ in range(5)
        )
        self.calls = {"qkv": 0, "mlp": 0}

    def norm(self, tokens: Tensor) -> Tensor:
        return tokens * 1.5

    def qkv(self, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.calls["qkv"] += 1
        return tuple(split(normed @ w) for w in (self.q, self.k, self.v))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT * (WIDTH // HEADS) ** -0.5
        return scores.softmax(dim=-1) @ v

    def project(self, heads: Tensor) -> Tensor:
        return heads.transpose(1, 2).flatten(2) @ self.out

    def mlp(self, tokens: Tensor) -> Tensor:
        self.calls["mlp"] += tokens.shape[1]
        return (tokens @ self.hidden).tanh()


def split(x: Tensor) -> Tensor:
    return x.unflatten(2, (HEADS, -1)).transpose(1, 2)


def loop_attention(
    p: np.ndarray, v: np.ndarray, beta: float, bias: np.ndarray
) -> np.ndarray:
    """softmax(beta n n^T + bias) v of one head, token by token."""
    n = [row / np.sqrt(sum(x * x for x in row)) for row in p]
    out = np.zeros_like(v)
    for i in range(len(p)):
        weights = [np.exp(beta * sum(n[i] * n[j]) + bias[i, j]) for j in range(len(p))]
        for j in range(len(p)):
            out[i] += weights[j] / sum(weights) * v[j]
    return out


def loop_gem(blocks, tokens: np.ndarray, parameters: GemParameters) -> np.ndarray:
    """One image through all blocks by the steps of the paper: (N, C) to (N, C)."""
    x, stream = tokens, None
    size = WIDTH // HEADS
    bias = loop_bias(parameters, len(tokens))
    guides = []
    for number, block in enumerate(blocks):
        y = 1.5 * x
        q, k, v = (y @ w.numpy() for w in (block.q, block.k, block.v))
        own, gem, guided = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
        attentions = []
        beta = parameters.inverse_temperature
        if beta is None:
            lengths = [np.sqrt(sum(row * row)) for row in y]
            beta = parameters.temperature_scale * np.mean(lengths) / np.sqrt(size)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = np.exp(q[:, part] @ k[:, part].T / np.sqrt(size))
            attentions.append(scores / scores.sum(1, keepdims=True))
            own[:, part] = attentions[-1] @ v[:, part]
            guided[:, part] = sum(guide[head] @ v[:, part] for guide in guides)
            for p in (q[:, part], k[:, part], v[:, part]):
                for _ in range(parameters.iterations):
                    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
                    p = loop_attention(p, unit, beta, bias)
                gem[:, part] += loop_attention(p, v[:, part], beta, bias) / 3
        if number >= len(blocks) - (parameters.depth - 1):
            stream = parameters.residual * x if stream is None else stream
            if guides:
                share = parameters.middle
                gem = (1 - share) * gem + share * guided / len(guides)
            stream = stream + gem @ block.out.numpy()
        x = x + own @ block.out.numpy()
        x = x + np.tanh(x @ block.hidden.numpy())
        guides += [attentions] if parameters.middle and number in MIDDLE else []
    return stream


def loop_bias(parameters: GemParameters, count: int) -> np.ndarray:
    """Gaussian over the distance on the grid; 0 for the first token."""
    bias = np.zeros((count, count))
    for i in range(1, count):
        for j in range(1, count):
            (a, b), (c, d) = divmod(i - 1, GRID[1]), divmod(j - 1, GRID[1])
            squared = ((a - c) ** 2 + (b - d) ** 2) / parameters.neighbour_width**2
            bias[i, j] = parameters.neighbours * np.exp(-squared / 2)
    return bias


@pytest.fixture
def blocks() -> list[LinearBlock]:
    return [LinearBlock(seed) for seed in range(4)]


@pytest.fixture
def tokens() -> Tensor:
    return torch.tensor(np.random.default_rng(9).normal(size=(2, 7, WIDTH)))


CASES = {
    "paper": GemParameters(depth=3),
    "no round": GemParameters(depth=3, iterations=0),
    "three rounds": GemParameters(depth=3, iterations=3),
    "fixed temperature": GemParameters(depth=3, inverse_temperature=2.5),
    "scaled temperature": GemParameters(depth=3, temperature_scale=2.0),
    "from zero": GemParameters(depth=3, residual=False),
    "last block": GemParameters(depth=2),
    "all blocks": GemParameters(depth=5),
    "deeper than the model": GemParameters(depth=40),
    "neighbours": GemParameters(depth=3, neighbours=2.0, neighbour_width=0.8),
    "middle": GemParameters(depth=3, middle=0.3),
    "middle before the first": GemParameters(depth=5, middle=0.3),
    "no outlier": GemParameters(depth=3, repair=20.0),
}


@pytest.mark.parametrize("parameters", CASES.values(), ids=CASES.keys())
def test_equals_loops(parameters: GemParameters, blocks, tokens: Tensor) -> None:
    _, stream = patch_stream(blocks, tokens, parameters, grid=GRID)
    for image, output in zip(tokens, stream, strict=True):
        expected = loop_gem(blocks, image.numpy(), parameters)
        np.testing.assert_allclose(output.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_own_stream_is_untouched(method, blocks, tokens: Tensor) -> None:
    x = tokens
    for block in blocks:
        x = x + block.project(block.attend(*block.qkv(block.norm(x))))
        x = x + block.mlp(x)
    original, stream = patch_stream(blocks, tokens, GemParameters(method, depth=3))
    torch.testing.assert_close(original, x)
    assert (method == "plain") == torch.equal(stream, original)
    cls, same = patch_stream(
        blocks, tokens, GemParameters(method, depth=3), kept=slice(0, 1)
    )
    torch.testing.assert_close(cls, x[:, :1])
    torch.testing.assert_close(same, stream)


def test_nothing_is_computed_twice_or_for_nobody(blocks, tokens: Tensor) -> None:
    patch_stream(blocks, tokens, GemParameters(depth=3), kept=slice(0, 1))
    count = tokens.shape[1]
    assert [block.calls["qkv"] for block in blocks] == [1, 1, 1, 1]
    assert [block.calls["mlp"] for block in blocks] == [count, count, count, 1]


def test_outliers_are_mended_beside_the_own_stream(blocks, tokens: Tensor) -> None:
    tokens = tokens.clone()
    tokens[0, 5] *= 1000
    plain = GemParameters(depth=2)
    mended = replace(plain, repair=20.0)
    own, stream = patch_stream(blocks[-1:], tokens, mended, grid=GRID)
    same, _ = patch_stream(blocks[-1:], tokens, plain)
    torch.testing.assert_close(own, same)
    _, expected = patch_stream(blocks[-1:], repair(tokens, GRID, 20.0), plain)
    torch.testing.assert_close(stream, expected)


def test_vv_is_attention_of_values(blocks, tokens: Tensor) -> None:
    _, stream = patch_stream(blocks, tokens, GemParameters("vv", 2, residual=False))
    before = tokens
    for block in blocks[:-1]:
        before = before + block.project(block.attend(*block.qkv(block.norm(before))))
        before = before + block.mlp(before)
    last = blocks[-1]
    _, _, v = last.qkv(last.norm(before))
    torch.testing.assert_close(stream, last.project(last.attend(v, v, v)))


@pytest.mark.parametrize("residual", [True, False])
def test_maskclip_is_the_last_values(residual, blocks, tokens: Tensor) -> None:
    parameters = GemParameters("maskclip", residual=residual)
    _, stream = patch_stream(blocks, tokens, parameters)
    before, _ = patch_stream(blocks[:-1], tokens, GemParameters("plain"))
    last = blocks[-1]
    values = last.project(last.qkv(last.norm(before))[2])
    torch.testing.assert_close(stream, before + values if residual else values)


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    count=st.integers(1, 9),
    size=st.integers(1, 8),
    rounds=st.integers(0, 3),
    beta=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
def test_attention_keeps_shape_and_stays_within_its_values(
    batch, heads, count, size, rounds, beta, seed
) -> None:
    rng = np.random.default_rng(seed)
    q, k, v = (
        torch.tensor(rng.normal(size=(batch, heads, count, size)), dtype=torch.float32)
        for _ in range(3)
    )
    p = self_self_attention(q, beta, rounds)
    assert p.shape == q.shape
    if rounds:
        assert float(p.norm(dim=-1).max()) <= 1 + 1e-5
    out = ensemble(q, k, v, beta, rounds)
    assert out.shape == v.shape
    low, high = v.amin(dim=2, keepdim=True), v.amax(dim=2, keepdim=True)
    assert bool(((out >= low - 1e-4) & (out <= high + 1e-4)).all())
    order = torch.tensor(rng.permutation(count))
    moved = ensemble(q[:, :, order], k[:, :, order], v[:, :, order], beta, rounds)
    torch.testing.assert_close(moved, out[:, :, order], rtol=1e-3, atol=1e-4)


def test_each_image_has_its_own_temperature(blocks, tokens: Tensor) -> None:
    pair = torch.stack([tokens[0], 5 * tokens[1]])
    _, together = patch_stream(blocks, pair, GemParameters(depth=3))
    _, alone = patch_stream(blocks, pair[1:], GemParameters(depth=3))
    torch.testing.assert_close(together[1:], alone)


def test_adaptive_inverse_temperature() -> None:
    y = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[6.0, 8.0], [0.0, 2.0]]])
    beta = adaptive_inverse_temperature(y, head_dim=4)
    assert beta.shape == (2, 1, 1, 1)
    torch.testing.assert_close(beta.flatten(), torch.tensor([1.5, 3.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_normalize_leaves_zero(dtype: torch.dtype) -> None:
    p = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=dtype)
    expected = torch.tensor([[0.0, 0.0], [0.6, 0.8]], dtype=dtype)
    torch.testing.assert_close(normalize(p), expected)


BAD = {
    "Method": {"method": "magic"},
    "Depth": {"depth": 1},
    "Iterations": {"iterations": -1},
    "Inverse temperature": {"inverse_temperature": 0.0},
    "Inverse temperature is nan": {"inverse_temperature": float("nan")},
    "Temperature scale": {"temperature_scale": float("inf")},
    "Neighbours": {"neighbours": float("nan")},
    "Neighbour width": {"neighbour_width": 0.0},
    "Middle": {"middle": 1.5},
    "Repair": {"repair": 0.5},
    "needs the places of the tokens": {"repair": 5.0},
    "needs the places of the tokens too": {"neighbours": 1.0},
}


@pytest.mark.parametrize(("said", "changes"), BAD.items(), ids=BAD.keys())
def test_bad_parameters_are_told(said: str, changes, blocks, tokens: Tensor) -> None:
    with pytest.raises(GemError, match=said.removesuffix(" too")):
        patch_stream(blocks, tokens, replace(GemParameters(), **changes))


@pytest.mark.parametrize("method", ["maskclip", "plain"])
def test_depth_is_free_where_it_is_not_used(method, blocks, tokens: Tensor) -> None:
    patch_stream(blocks, tokens, GemParameters(method, depth=0))
