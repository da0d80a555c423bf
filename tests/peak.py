"""What loading a model takes: ``python -m tests.peak PRECISION FOLDER...`` (Linux).

A line each tells the peak of memory above what was taken before, the bytes of the
weights as they stay in memory, and the seconds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parents[1]


def measure(*folders: Path, precision: str = "float32") -> list[dict[str, float]]:
    """Load each folder's model in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.peak", precision, *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_model(folder: Path, config: dict[str, Any]) -> Path:
    """Write a model that is as large as its configuration says; all weights are 0.5."""
    import torch
    from safetensors.torch import save_file

    from napari_gem.models.build import build_empty

    folder.mkdir(parents=True, exist_ok=True)
    content = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    clip = build_empty(folder, {})
    weights = {k: torch.full_like(v, 0.5) for k, v in clip.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def main(precision: str, *folders: str) -> None:
    from napari_gem.backbones.open_clip_import import import_open_clip

    import_open_clip()  # once for all
    for folder in folders:
        child = os.fork()
        if child == 0:
            print(json.dumps(load(folder, precision)), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def load(folder: str, precision: str) -> dict[str, float]:
    from napari_gem import load_model

    load_model(device="cpu", precision=precision)  # imports all that loading needs
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, start = status("VmRSS"), perf_counter()
    model = load_model(folder, device="cpu", precision=precision)
    seconds = perf_counter() - start
    clip: Any = model.backbone._clip
    size = sum(p.numel() * p.element_size() for p in clip.parameters())
    return {"peak": status("VmHWM") - before, "weights": size, "seconds": seconds}


def status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    match = re.search(rf"{name}:\s+(\d+) kB", text)
    assert match
    return int(match[1]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
