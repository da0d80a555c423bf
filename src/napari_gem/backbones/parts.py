"""Small functions that every family of image towers needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from napari_gem.backbones import Rgb


def prepare(
    pixels: torch.Tensor, patch_size: int, mean: Rgb, std: Rgb, weight: torch.Tensor
) -> torch.Tensor:
    """Check pixels and normalise them in float32.

    The result, (B, 3, height, width), has the device and precision of ``weight``, which
    is any weight of the model.

    Raises
    ------
    GemError
        If height or width is no multiple of the patch.
    """
    shape = tuple(pixels.shape)
    fits = len(shape) == 4 and shape[1] == 3
    if not fits or any(side % patch_size for side in shape[2:]):
        raise GemError(
            f"The pixels have the shape {shape}; give (images, 3, height, width) with "
            f"height and width multiples of the patch of {patch_size} pixels."
        )
    device = weight.device
    middle = torch.tensor(mean, device=device).view(3, 1, 1)
    spread = torch.tensor(std, device=device).view(3, 1, 1)
    normed = (pixels.to(device, torch.float32) - middle) / spread
    return normed.to(weight.dtype)


def apply(owner: Any, name: str, x: torch.Tensor) -> torch.Tensor:
    """Apply a part that only some models have; without it, return the input."""
    part = getattr(owner, name, None)
    if part is None:
        return x
    result: torch.Tensor = part(x)
    return result


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, heads * D) to (B, heads, N, D)."""
    batch, count, _ = x.shape
    return x.reshape(batch, count, heads, -1).transpose(1, 2)


def refuse(reasons: dict[str, bool]) -> None:
    """Raise GemError with the reasons that hold, to be read after "The image tower"."""
    holding = [reason for reason, holds in reasons.items() if holds]
    if holding:
        raise GemError(
            f"The image tower {' and '.join(holding)}, which is not supported. "
            "Choose a model such as ViT-B-16 of OpenAI, LAION, DataComp or MetaCLIP."
        )
