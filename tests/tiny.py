"""A small, seeded, random CLIP in a folder, as open_clip saves its models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PATCH = 8
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 32,
        "layers": 3,
        "width": 48,
        "head_width": 16,
        "patch_size": PATCH,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}


def write_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write the model's configuration and weights, and return the folder."""
    import torch
    from safetensors.torch import save_file

    from napari_gem.backbones.open_clip_import import import_open_clip

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = import_open_clip().model.CLIP(**CONFIG)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    content = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return folder
