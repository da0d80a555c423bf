"""Attention prefers near patches, by a Gaussian over their distance.

As in NACLIP (arXiv 2404.08181), it is added to the logits of attention.
"""

from __future__ import annotations

import torch


def neighbour_bias(
    grid: tuple[int, int],
    others: int,
    height: float,
    width: float,
    like: torch.Tensor,
) -> torch.Tensor:
    """Compute the bias that is added to the logits of attention between tokens.

    Parameters
    ----------
    grid
        (rows, columns) of patches.
    others
        Tokens before the patches, such as CLS; they have no place and get 0.
    height
        Value for a patch and itself.
    width
        Standard deviation in patches.
    like
        Gives device and precision.

    Returns
    -------
    Tensor
        (tokens, tokens).
    """
    precision = torch.promote_types(like.dtype, torch.float32)
    rows, columns = (
        _gaussian(torch.arange(length, device=like.device, dtype=precision), width)
        for length in grid
    )
    count = others + grid[0] * grid[1]
    bias = torch.zeros((count, count), dtype=like.dtype, device=like.device)
    bias[others:, others:] = (height * torch.kron(rows, columns)).to(like.dtype)
    return bias


def _gaussian(at: torch.Tensor, width: float) -> torch.Tensor:
    return torch.exp(-((at[:, None] - at) ** 2) / (2 * width**2))
