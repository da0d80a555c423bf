from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import GemParameters
from napari_gem.evaluation.protocols import (
    Protocol,
    encoding_of,
    find_protocol,
    list_protocols,
    resize,
    scale_of,
    templates_of,
)
from napari_gem.prompts.word_lists import list_templates

if TYPE_CHECKING:
    from napari_gem.models.model import Model

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3)).astype(np.uint8)
IMAGE = PIXELS.astype(np.float32) / 255


def test_protocols_are_whole() -> None:
    for protocol in list_protocols().values():
        assert protocol.about
        assert protocol.templates in ("", *list_templates())


def test_squashing_is_that_of_the_released_code() -> None:
    squashed = resize(IMAGE, find_protocol("paper"), 0)
    picture = Image.fromarray(PIXELS).resize((448, 448), Image.Resampling.BICUBIC)
    assert squashed.shape == (448, 448, 3)
    np.testing.assert_allclose(squashed, np.asarray(picture) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "short_side", "expected"),
    [
        ((375, 500), 336, (336, 448)),
        ((500, 334), 336, (503, 336)),
        ((1024, 2048), 560, (560, 1120)),
        ((100, 1000), 336, (205, 2048)),
    ],
)
def test_the_short_side_is_as_mmcv_has_it(
    shape: tuple[int, int], short_side: int, expected: tuple[int, int]
) -> None:
    image = np.zeros((*shape, 3), np.float32)
    resized = resize(image, find_protocol("sliding"), short_side)
    assert resized.shape[:2] == expected


def test_resizing_is_linear_between_pixels() -> None:
    resized = resize(IMAGE, Protocol(resize="short"), 120)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(IMAGE.transpose(2, 0, 1))[None],
        scale_factor=2,
        mode="bilinear",
    )
    np.testing.assert_allclose(
        resized, expected[0].numpy().transpose(1, 2, 0), atol=1e-6
    )


def test_windows_on_the_patch_grid(model: Model) -> None:
    gem = GemParameters("vv")
    sliding = encoding_of(find_protocol("sliding"), model, gem, (336, 448))
    assert (sliding.tile, sliding.overlap, sliding.zoom) == (28, 14, 1)
    whole = encoding_of(find_protocol("paper"), model, gem, (448, 448))
    assert (whole.tile, whole.overlap) == (56, 0)
    own = encoding_of(find_protocol("model"), model, gem, (64, 64))
    assert own.tile == model.card.encode.tile and own.gem == gem


def test_the_model_gives_what_a_protocol_leaves_open(model: Model) -> None:
    own, paper = find_protocol("model"), find_protocol("paper")
    assert templates_of(own, model) == model.card.score.templates
    assert templates_of(paper, model) == ("a photo of a {}.",)
    assert scale_of(own, model) == model.card.score.scale
    assert scale_of(paper, model) == 100
    assert len(templates_of(find_protocol("sliding"), model)) == 80


def test_changes_and_refusals() -> None:
    changed = find_protocol("sliding", scale=65, threshold=0.1)
    assert (changed.scale, changed.threshold) == (65, 0.1)
    with pytest.raises(GemError, match="choose one of paper, paper-cosine"):
        find_protocol("fast")
    with pytest.raises(GemError, match="scale is 0"):
        find_protocol("paper", scale=0)
    with pytest.raises(GemError, match="threshold is 2"):
        find_protocol("paper", threshold=2)
