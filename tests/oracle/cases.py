"""Models with seeded weights and images, the same in every version of open_clip.

What decides the reference arrays: weights, images, settings and what is kept of the
result. Used where the arrays are made (old open_clip) and where they are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from napari_gem.backbones.open_clip_import import import_open_clip

REFERENCE = Path(__file__).parent / "reference.npz"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
_KEPT = 24  # numbers kept of each patch's channels


@dataclass(frozen=True)
class Case:
    """One call: settings in the released code's words."""

    name: str
    architecture: str
    shape: tuple[int, int, int]  # images, height, width
    depth: int = 7
    iterations: int = 1
    inverse_temperature: float | None = None


CASES = (
    Case("b32", "ViT-B-32-quickgelu", (1, 224, 224)),
    Case("b32-oblong-batch", "ViT-B-32-quickgelu", (3, 160, 256), iterations=2),
    Case("b32-no-round", "ViT-B-32-quickgelu", (1, 192, 96), iterations=0),
    Case("b32-all-blocks", "ViT-B-32-quickgelu", (1, 224, 224), depth=13),
    Case("b16", "ViT-B-16", (1, 224, 224)),
    Case("b16-as-released", "ViT-B-16", (1, 448, 448)),
    Case("b16-three-rounds", "ViT-B-16", (1, 224, 224), iterations=3),
    Case("b16-oblong-batch", "ViT-B-16", (3, 112, 176), iterations=3),
    Case("b16-fixed", "ViT-B-16", (3, 96, 96), inverse_temperature=8.0),
    Case("b16-fixed-two", "ViT-B-16", (1, 208, 112), 4, 2, 2.5),
    Case("l14", "ViT-L-14", (1, 112, 112)),
    Case("l14-oblong", "ViT-L-14", (1, 84, 140), iterations=2),
)


@lru_cache(maxsize=1)
def build_model(architecture: str) -> torch.nn.Module:
    """Make open_clip's model with our weights in its image tower, one text layer."""
    open_clip = import_open_clip()
    config = open_clip.get_model_config(architecture)
    config["text_cfg"] |= {"layers": 1, "width": 64, "heads": 1, "vocab_size": 49408}
    with torch.device("meta"):
        clip = open_clip.model.CLIP(**config)
    clip = clip.to_empty(device="cpu").eval().requires_grad_(False)
    for name, tensor in clip.state_dict().items():
        if name.startswith("visual."):
            tensor.copy_(torch.from_numpy(_weights(name, tuple(tensor.shape))))
    return clip


def _weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng([7, crc32(name.encode())])
    values = rng.standard_normal(shape, dtype=np.float32)
    if ".ln_" in name:
        return np.float32(name.endswith("weight")) + np.float32(0.1) * values
    if name.endswith("bias"):
        return np.float32(0.05) * values
    if "embedding" in name:
        return np.float32(0.5) * values
    # rows keep the length of what comes in, so that attention is neither flat nor hard
    fan_in = shape[0] if name.endswith(".proj") else np.prod(shape[1:])
    return values * np.float32(fan_in**-0.5)


def make_pixels(case: Case) -> torch.Tensor:
    """Draw images of blobs with noise: (B, 3, H, W) float32, 0 to 1."""
    rng = np.random.default_rng([11, crc32(case.name.encode())])
    batch, height, width = case.shape
    coarse = rng.random((batch, 3, height // 16 + 1, width // 16 + 1), dtype=np.float32)
    blobs = coarse.repeat(16, axis=2).repeat(16, axis=3)[..., :height, :width]
    noise = rng.random(blobs.shape, dtype=np.float32)
    return torch.from_numpy(np.float32(0.7) * blobs + np.float32(0.3) * noise)


def keep(features: np.ndarray) -> np.ndarray:
    """Cut channels down: a seeded random projection of them, and their norm.

    (..., channels) to (..., 25). Any wrong channel changes every kept number.
    """
    rng = np.random.default_rng(13)
    channels = features.shape[-1]
    projection = rng.standard_normal((channels, _KEPT)) * channels**-0.5
    features = features.astype(np.float64)
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.concatenate([features @ projection, norm], axis=-1).astype(np.float32)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Length of the difference over length of the expected, in float64."""
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
