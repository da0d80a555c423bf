"""Values are also mixed as the middle blocks attend (ResCLIP, arXiv 2411.15851)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_gem.gem.block import Block

    Guide = tuple[Block, Tensor, Tensor]


def middle_blocks(count: int) -> range:
    """Blocks whose attention keeps to things: as in ResCLIP, 6 to 9 of 12."""
    return range(5 * count // 12, max(5 * count // 12 + 1, 9 * count // 12))


def guided(guides: Sequence[Guide], v: Tensor) -> Tensor:
    """Mix values as other blocks attend, on average.

    Parameters
    ----------
    guides
        Other blocks, each with its queries and keys, (B, H, N, D).
    v
        (B, H, N, D): values of a block.

    Returns
    -------
    Tensor
        (B, H, N, D).
    """
    total = torch.zeros_like(v)
    for block, q, k in guides:
        total = total + block.attend(q, k, v)
    return total / len(guides)
