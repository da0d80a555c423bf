"""What open_clip's vision transformer alone can show, on a small model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gem.backbones import build_backbone
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import METHODS, GemParameters
from tests.backbones.towers import (
    CONTEXT,
    MEAN,
    PATCH,
    STD,
    make_backbone,
    make_clip,
    make_pixels,
    normed,
)


@pytest.fixture(scope="module")
def clip() -> Any:
    return make_clip({})


@pytest.fixture(scope="module")
def backbone(clip: Any) -> Any:
    return make_backbone(clip)


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_the_models_activation_is_used(quick_gelu: bool) -> None:
    clip = make_clip({"quick_gelu": quick_gelu})
    pixels = make_pixels(1, 4, 4)
    actual = make_backbone(clip).encode_patches(pixels).image
    torch.testing.assert_close(actual, clip.encode_image(normed(pixels)))
    kinds = {type(part).__name__ for part in clip.visual.modules()}
    assert ("QuickGELU" in kinds) == quick_gelu


def test_plain_patches_are_the_models_own(clip: Any, backbone: Any) -> None:
    pixels = make_pixels(2, 4, 4)
    clip.visual.output_tokens = True
    _, tokens = clip.visual(normed(pixels))
    clip.visual.output_tokens = False
    actual = backbone.encode_patches(pixels, GemParameters("plain")).patches
    torch.testing.assert_close(actual.flatten(1, 2), tokens @ clip.visual.proj)


@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(1, 3),
    rows=st.integers(1, 7),
    columns=st.integers(1, 7),
    method=st.sampled_from(METHODS),
)
def test_shape(backbone: Any, batch: int, rows: int, columns: int, method) -> None:
    pixels = make_pixels(batch, rows, columns)
    features = backbone.encode_patches(pixels, GemParameters(method))
    assert features.patches.shape == (batch, rows, columns, backbone.channels)
    assert features.image.shape == (batch, backbone.channels)
    assert bool(features.patches.isfinite().all())


def test_rows_are_rows(backbone: Any) -> None:
    pixels = make_pixels(1, 2, 6)
    before = backbone.encode_patches(pixels, GemParameters("maskclip")).patches
    pixels[:, :, PATCH:, 5 * PATCH :] = 0
    after = backbone.encode_patches(pixels, GemParameters("maskclip")).patches
    change = (after - before).norm(dim=-1)[0]
    assert int(change.argmax()) == 1 * 6 + 5


def test_texts(clip: Any, backbone: Any) -> None:
    texts = [f"a cat number {number}" for number in range(300)]
    actual = backbone.encode_texts(texts)
    tokens = import_open_clip().SimpleTokenizer(context_length=CONTEXT)(texts)
    torch.testing.assert_close(actual, clip.encode_text(tokens))
    assert (backbone.mean, backbone.std) == (MEAN, STD)
    assert backbone.context_length == CONTEXT


def test_long_text(backbone: Any) -> None:
    long = "one two three four five six seven eight nine ten eleven twelve"
    assert backbone.count_tokens(["one two", long]) == [4, 14]
    assert backbone.kept_text("one two") == "one two"
    kept = backbone.kept_text(long)
    assert kept == "one two three four five six seven eight nine ten"
    cut, same = backbone.encode_texts([long, kept])
    torch.testing.assert_close(cut, same)


def test_unknown_tower_is_named() -> None:
    class ResNet: ...

    with pytest.raises(GemError, match="ResNet has no patches"):
        build_backbone(SimpleNamespace(visual=ResNet()), None, MEAN, STD)
