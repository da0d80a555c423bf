"""Small things that every family of image towers needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from napari_gem.backbones import Rgb


def prepare(
    pixels: torch.Tensor, patch: int, mean: Rgb, std: Rgb, weight: torch.Tensor
) -> torch.Tensor:
    """Check pixels and normalise them, on the device and in the precision of a weight.

    Parameters
    ----------
    pixels
        (B, 3, height, width), floats 0..1.
    patch
        Side of a patch, of which height and width must be multiples.
    mean, std
        The model's normalisation; it is done in float32.
    weight
        A weight of the model.

    Raises
    ------
    GemError
        If the shape does not fit.
    """
    shape = tuple(pixels.shape)
    if len(shape) != 4 or shape[1] != 3 or shape[2] % patch or shape[3] % patch:
        raise GemError(
            f"Pixels of shape {shape} came; expected (images, 3, height, width) "
            f"with height and width multiples of the patch of {patch} pixels."
        )
    device = weight.device
    middle = torch.tensor(mean, device=device).view(3, 1, 1)
    spread = torch.tensor(std, device=device).view(3, 1, 1)
    normed = (pixels.to(device, torch.float32) - middle) / spread
    return normed.to(weight.dtype)


def apply(owner: Any, name: str, x: torch.Tensor) -> torch.Tensor:
    """Call a part that some models have; without it, return what came."""
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
    """Raise GemError with the reasons that hold, if one does.

    Parameters
    ----------
    reasons
        What is the matter, to be read after "The image tower", and whether it is.
    """
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise GemError(
            f"The image tower {' and '.join(found)}, which is not supported. "
            "Choose a model such as ViT-B-16 of OpenAI, LAION, DataComp or MetaCLIP."
        )
