"""Our features are those of the authors' released code (tests/oracle)."""

from __future__ import annotations

import numpy as np
import pytest

from napari_gem.backbones import build_backbone
from napari_gem.core.parameters import GemParameters
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

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(REFERENCE) as arrays:
        return {name: arrays[name] for name in arrays.files}


class Tokenizer:
    context_length = 77


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_released_code(case: Case, reference: dict[str, np.ndarray]) -> None:
    clip = build_model(case.architecture)
    backbone = build_backbone(clip, Tokenizer(), MEAN, STD)
    pixels = make_pixels(case)
    gem = backbone.encode_patches(
        pixels,
        GemParameters("gem", case.depth, case.iterations, case.inverse_temperature),
    )
    errors = {
        "gem": relative_error(keep(gem.patches.numpy()), reference[f"{case.name}/gem"]),
        "image": relative_error(gem.image.numpy(), reference[f"{case.name}/image"]),
    }
    if case.name in {"b32", "b16-oblong-batch", "l14"}:
        plain = backbone.encode_patches(pixels, GemParameters("plain")).patches
        expected = reference[f"{case.name}/plain"]
        errors["plain"] = relative_error(keep(plain.numpy()), expected)
    print(case.name, {name: f"{error:.1e}" for name, error in errors.items()})
    assert max(errors.values()) < TOLERANCE, errors
