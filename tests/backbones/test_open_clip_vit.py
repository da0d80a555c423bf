"""open_clip's vision transformer on small models with seeded weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, interpolate

from napari_gem.backbones import build_backbone
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.types import METHODS, GemError, GemParameters

MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.2, 0.25)
PATCH, SIDE, CONTEXT = 8, 32, 12
TEXT = {
    "context_length": CONTEXT,
    "vocab_size": 49408,
    "width": 16,
    "heads": 1,
    "layers": 1,
}
TOWERS: dict[str, dict[str, Any]] = {
    "OpenAI": {},
    "average": {"pool_type": "avg"},
    "norm after average": {"pool_type": "avg", "final_ln_after_pool": True},
    "layer scale, no first norm": {"ls_init_value": 0.5, "no_ln_pre": True},
    "own attention": {
        "block_type": "custom",
        "qk_norm": True,
        "scale_heads": True,
        "scale_attn_inner": True,
        "scale_attn": True,
        "scale_fc": True,
    },
}


def make_clip(quick_gelu: bool = False, **tower: Any) -> Any:
    vision = {
        "image_size": SIDE,
        "layers": 3,
        "width": 48,
        "head_width": 16,
        "patch_size": PATCH,
        **tower,
    }
    with torch.random.fork_rng():
        torch.manual_seed(5)
        clip = import_open_clip().model.CLIP(24, vision, TEXT, quick_gelu)
        for tensor in clip.visual.parameters():
            torch.nn.init.normal_(tensor, float(tensor.ndim == 1), 0.15)
    return clip.eval().requires_grad_(False)


def make_backbone(clip: Any) -> Any:
    tokenizer = import_open_clip().SimpleTokenizer(context_length=CONTEXT)
    return build_backbone(clip, tokenizer, MEAN, STD)


def make_pixels(batch: int, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (batch, 3, rows * PATCH, columns * PATCH)
    return torch.rand(shape, generator=generator)


def normed(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


@pytest.fixture(scope="module")
def clip() -> Any:
    return make_clip()


@pytest.fixture(scope="module")
def backbone(clip: Any) -> Any:
    return make_backbone(clip)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS.keys())
def test_image_is_the_models_own(tower: dict[str, Any], method) -> None:
    clip = make_clip(**tower, quick_gelu=method == "gem")
    pixels = make_pixels(2, 4, 4)
    features = make_backbone(clip).encode_patches(pixels, GemParameters(method))
    expected = clip.encode_image(normed(pixels))
    error = (features.image - expected).norm() / expected.norm()
    assert float(error) < 1e-5


def test_image_on_another_grid(clip: Any, backbone: Any) -> None:
    rows, columns = 6, 3
    pixels = make_pixels(1, rows, columns)
    found = backbone.encode_patches(pixels).image
    oblong = make_clip()
    native = clip.visual.positional_embedding
    square = native[1:].T.reshape(1, -1, SIDE // PATCH, SIDE // PATCH)
    size = (rows, columns)
    grid = interpolate(square, size=size, mode="bicubic", antialias=True)
    position = torch.cat([native[:1], grid.flatten(2)[0].T])
    oblong.visual.positional_embedding = torch.nn.Parameter(position, False)
    torch.testing.assert_close(found, oblong.encode_image(normed(pixels)))


def test_plain_patches_are_the_models_own(clip: Any, backbone: Any) -> None:
    pixels = make_pixels(2, 4, 4)
    clip.visual.output_tokens = True
    _, tokens = clip.visual(normed(pixels))
    clip.visual.output_tokens = False
    found = backbone.encode_patches(pixels, GemParameters("plain")).patches
    torch.testing.assert_close(found.flatten(1, 2), tokens @ clip.visual.proj)


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


def test_a_batch_is_its_images(backbone: Any) -> None:
    pixels = make_pixels(3, 5, 4)
    together = backbone.encode_patches(pixels)
    for i, image in enumerate(pixels):
        alone = backbone.encode_patches(image[None])
        torch.testing.assert_close(together.patches[i], alone.patches[0])


def test_rows_are_rows(backbone: Any) -> None:
    pixels = make_pixels(1, 2, 6)
    before = backbone.encode_patches(pixels, GemParameters("maskclip")).patches
    pixels[:, :, PATCH:, 5 * PATCH :] = 0
    after = backbone.encode_patches(pixels, GemParameters("maskclip")).patches
    change = (after - before).norm(dim=-1)[0]
    assert int(change.argmax()) == 1 * 6 + 5


def test_the_model_is_left_as_it_is(clip: Any) -> None:
    parts = [(name, type(part)) for name, part in clip.named_modules()]
    weights = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    backbone = make_backbone(clip)
    backbone.encode_patches(make_pixels(1, 4, 4))
    assert [(name, type(part)) for name, part in clip.named_modules()] == parts
    assert all(torch.equal(clip.state_dict()[n], w) for n, w in weights.items())


def test_bfloat16_is_near_float32(backbone: Any) -> None:
    pixels = make_pixels(2, 6, 5)
    half = make_backbone(make_clip().to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    expected = backbone.encode_patches(pixels)
    found = half.encode_patches(pixels)
    assert found.patches.dtype == torch.bfloat16
    for one, other in zip(
        (expected.patches, expected.image), (found.patches, found.image), strict=True
    ):
        assert float(cosine_similarity(one, other.float(), dim=-1).min()) > 0.99


def test_facts(backbone: Any) -> None:
    assert (backbone.patch_size, backbone.image_size) == (PATCH, SIDE)
    assert (backbone.channels, backbone.context_length) == (24, CONTEXT)
    assert (backbone.mean, backbone.std) == (MEAN, STD)
    assert (backbone.device.type, backbone.dtype) == ("cpu", torch.float32)


def test_texts(clip: Any, backbone: Any) -> None:
    texts = [f"a cat number {number}" for number in range(300)]
    found = backbone.encode_texts(texts)
    tokens = import_open_clip().SimpleTokenizer(context_length=CONTEXT)(texts)
    torch.testing.assert_close(found, clip.encode_text(tokens))


def test_long_text(backbone: Any) -> None:
    long = "one two three four five six seven eight nine ten eleven twelve"
    assert backbone.count_tokens(["one two", long]) == [4, 14]
    assert backbone.kept_text("one two") == "one two"
    kept = backbone.kept_text(long)
    assert kept == "one two three four five six seven eight nine ten"
    cut, same = backbone.encode_texts([long, kept])
    torch.testing.assert_close(cut, same)


def test_wrong_pixels(backbone: Any) -> None:
    for shape in [(1, 3, 9, 8), (1, 3, 8, 9), (3, 8, 8), (1, 1, 8, 8)]:
        with pytest.raises(GemError, match="multiples of the patch of 8"):
            backbone.encode_patches(torch.zeros(shape))


def test_attentional_pool_is_refused() -> None:
    clip = make_clip(attentional_pool=True, attn_pooler_queries=4, attn_pooler_heads=2)
    with pytest.raises(GemError, match="pools by attention"):
        make_backbone(clip)


def test_unknown_tower_is_named() -> None:
    class ResNet: ...

    with pytest.raises(GemError, match="ResNet has no patches"):
        build_backbone(SimpleNamespace(visual=ResNet()), None, MEAN, STD)
