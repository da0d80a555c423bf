"""Outlier tokens take the mean of their neighbours.

Large vision transformers store information about the whole image in a few very long
patch tokens (arXiv 2309.16588), which then no longer show what is at their place.
SC-CLIP (arXiv 2411.15869) and others replace them by the mean of the 3 x 3 patches
around. Only the length of a token decides here whether it is an outlier.
"""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d


def repair(tokens: torch.Tensor, grid: tuple[int, int], limit: float) -> torch.Tensor:
    """Replace patch tokens that are much longer than is usual in their image.

    Parameters
    ----------
    tokens
        (B, N, C): the patches, row by row, are the last of the N.
    grid
        (rows, columns) of patches.
    limit
        A token is an outlier if it is this many times longer than the median.

    Returns
    -------
    Tensor
        (B, N, C): an outlier becomes the mean of the 3 x 3 patches around that are no
        outliers; it stays if all of them are. The same tensor if there is no outlier.
    """
    rows, columns = grid
    others = tokens.shape[1] - rows * columns
    patches = tokens[:, others:].float()
    length = torch.linalg.vector_norm(patches, dim=-1)
    usual = (length <= limit * length.median(dim=1, keepdim=True).values).float()
    if bool(usual.all()):
        return tokens
    kept = (patches * usual[..., None]).transpose(1, 2).unflatten(2, grid)
    share = _around(usual.unflatten(1, grid)[:, None])
    mean = (_around(kept) / share.clamp_min(1e-6)).flatten(2).transpose(1, 2)
    replaced = (usual == 0) & (share.flatten(1) > 0)
    repaired = torch.where(replaced[..., None], mean, patches).to(tokens.dtype)
    return torch.cat([tokens[:, :others], repaired], dim=1)


def _around(maps: torch.Tensor) -> torch.Tensor:
    return avg_pool2d(maps, 3, stride=1, padding=1)
