"""Make the reference arrays with the authors' released code.

Runs in an environment of its own, with ``gem_torch==1.0.1`` on
``open_clip_torch==2.24.0`` (newer open_clip makes the released code silently wrong)::

    PYTHONPATH=src python -m tests.oracle.make_reference           # write
    PYTHONPATH=src python -m tests.oracle.make_reference --check   # compare

``reference.npz`` holds for each case ``NAME/gem``, (B, rows, columns, 25) float32: the
patch features of the GEM stream, cut down by `tests.oracle.cases.keep`;
``NAME/plain``, the same of the model's own patch tokens; and ``NAME/image``,
(B, channels) float32: its CLS token. Nothing is of unit length.
"""

from __future__ import annotations

import sys
from copy import deepcopy

import numpy as np
import torch

from tests.oracle.cases import (
    CASES,
    MEAN,
    REFERENCE,
    STD,
    Case,
    build_model,
    keep,
    make_pixels,
    relative_error,
)


def main() -> None:
    arrays = {name: array for case in CASES for name, array in run(case).items()}
    if sys.argv[1:] != ["--check"]:
        np.savez_compressed(REFERENCE, **arrays)
        return
    with np.load(REFERENCE) as reference:
        if set(reference.files) != set(arrays):
            raise SystemExit(f"other arrays: {set(reference.files) ^ set(arrays)}")
        errors = {
            name: relative_error(arrays[name], reference[name]) for name in arrays
        }
    for name, error in errors.items():
        print(f"{name:30s} {error:.1e}")
    # the same code on another processor rounds differently
    if max(errors.values()) > 3e-6:
        raise SystemExit("the committed arrays are not what the released code gives")


@torch.no_grad()
def run(case: Case) -> dict[str, np.ndarray]:
    """Run the released code on a case."""
    clip = build_model(case.architecture)
    from gem.gem_wrapper import GEMWrapper  # may need what imported open_clip above

    released = GEMWrapper(
        deepcopy(clip),
        tokenizer=None,
        depth=case.depth,
        ss_attn_iter=case.iterations,
        ss_attn_temp=case.inverse_temperature,
    ).eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    stream, original = released.model.visual((make_pixels(case) - mean) / std)
    batch, height, width = case.shape
    grid = (batch, height // released.patch_size, width // released.patch_size, -1)
    return {
        f"{case.name}/gem": keep(stream[:, 1:].reshape(grid).numpy()),
        f"{case.name}/plain": keep(original[:, 1:].reshape(grid).numpy()),
        f"{case.name}/image": original[:, 0].numpy(),
    }


if __name__ == "__main__":
    main()
