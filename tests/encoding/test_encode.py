from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import torch
import xarray
import zarr

import napari_gem
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.core.progress import run
from napari_gem.encoding import encode as encoding
from napari_gem.encoding.encode import encode_steps
from napari_gem.images.rendering import stretch
from napari_gem.segmentation.pipeline import encode, segment
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from napari_gem.models.model import Model

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.0, tile=6, overlap=2)
SCORE = ScoreParameters(background=("sky", "soil"), templates=("{}", "a {}."))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE, score=SCORE))


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("zoom", [0.4, 1.0, 1.7])
def test_arrays_that_are_read_in_parts_give_the_same(model: Model, zoom: float) -> None:
    pixels = picture(131, 90)
    parameters = replace(ENCODE, zoom=zoom)
    expected = encode(pixels, model, parameters=parameters)
    for source in (
        zarr.array(pixels, chunks=(32, 32, 3)),
        da.from_array(pixels, chunks=(40, 40, 3)),
        xarray.DataArray(
            da.from_array(pixels, chunks=(40, 40, 3)), dims=("y", "x", "c")
        ),
    ):
        features = encode(source, model, parameters=parameters)
        assert (features.array == expected.array).all()
        assert features.appearance == expected.appearance
        assert (features.image_embedding == expected.image_embedding).all()
    one, other = (segment(f, "cat", model) for f in (expected, features))
    assert (one.labels == other.labels).all()


@pytest.mark.parametrize("batch", [2, 5, 100])
def test_batches_change_nothing_but_rounding(model: Model, batch: int) -> None:
    pixels, progress = picture(131, 90), []
    steps = encode_steps(model, pixels, stretch(pixels), batch=batch)
    features = run(steps, progress.append)
    assert np.allclose(features.array, encode(pixels, model).array, atol=2e-3)
    assert [step.done for step in progress] == list(range(progress[-1].total + 1))


def test_a_constant_image_shows_no_grid_of_tiles(model: Model) -> None:
    features = encode(np.full((150, 140, 3), 90, np.uint8), model).array
    edge = 2  # patches, beyond which all tiles see the same
    inner = features[edge:-edge, edge:-edge].astype(np.float32)
    single = encode(np.full((48, 48, 3), 90, np.uint8), model).array
    within = single.reshape(-1, 32).astype(np.float32)
    spread = np.linalg.norm(within - within.mean(axis=0), axis=-1).max()
    away = np.linalg.norm(inner - within.mean(axis=0), axis=-1)
    assert away.max() <= spread + 0.01  # blending adds nothing that one tile has not
    steps = np.linalg.norm(np.diff(inner, axis=1), axis=-1)
    one = np.linalg.norm(np.diff(single.astype(np.float32), axis=1), axis=-1)
    assert steps.max() <= one.max() + 0.01


class Short:
    """A backbone that has memory for so many patches at a time."""

    def __init__(self, backbone: Any, most: int, error: type[Exception]) -> None:
        self._backbone, self._most, self._error = backbone, most, error
        self.asked: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def encode_patches(self, pixels: torch.Tensor, parameters: GemParameters) -> Any:
        side = pixels.shape[-1] // self.patch_size
        self.asked.append((len(pixels), side))
        if len(pixels) * side * side > self._most:
            raise self._error("DefaultCPUAllocator: can't allocate memory")
        return self._backbone.encode_patches(pixels, parameters)


ERRORS = [MemoryError, RuntimeError, torch.OutOfMemoryError]


@pytest.mark.parametrize("error", ERRORS)
def test_a_batch_that_does_not_fit_is_halved(
    model: Model, error: type[Exception]
) -> None:
    pixels = picture(131, 90)
    short = Short(model.backbone, 3 * 36, error)
    steps = encode_steps(
        replace(model, backbone=short), pixels, stretch(pixels), batch=8
    )
    features = run(steps)
    assert np.allclose(features.array, encode(pixels, model).array, atol=2e-3)
    assert features.notices == ()
    assert [size for size, _ in short.asked[:3]] == [8, 4, 2]
    assert all(size <= 2 for size, _ in short.asked[3:])


def test_a_tile_that_does_not_fit_is_halved_and_said_so(model: Model) -> None:
    pixels = picture(300, 200)
    large = replace(ENCODE, tile=16, overlap=4)
    short = replace(model, backbone=Short(model.backbone, 64, MemoryError))
    features = encode(pixels, short, parameters=large)
    assert features.parameters == replace(ENCODE, tile=8, overlap=2)
    result = segment(features, "cat", short)
    assert [n for n in result.notices if "tiles of 8 patches" in n]
    assert result.recipe.encode == features.parameters


def test_half_the_precision_comes_next(model: Model) -> None:
    nothing = replace(model, backbone=Short(model.backbone, 0, MemoryError))
    features = encode(picture(60, 60), nothing)
    assert features.precision == "bfloat16"
    assert "bfloat16" in features.notices[0]
    result = segment(features, "cat", nothing)
    assert result.recipe.precision == "bfloat16"


def test_the_processor_comes_last(model: Model) -> None:
    on_gpu = replace(
        model,
        device="cuda:7",
        precision="float16",
        backbone=Short(model.backbone, 0, torch.OutOfMemoryError),
    )
    pixels = picture(60, 60)
    features = run(encode_steps(on_gpu, pixels, stretch(pixels), batch=4))
    assert (features.device, features.precision) == ("cpu", "float32")
    assert features.parameters == ENCODE
    assert "processor" in features.notices[0]
    assert (features.array == encode(pixels, model).array).all()


def test_other_errors_are_told_as_they_are(model: Model) -> None:
    class Broken(Short):
        def encode_patches(self, pixels: object, parameters: object) -> Any:
            raise RuntimeError("shapes differ")

    broken = replace(model, backbone=Broken(model.backbone, 0, MemoryError))
    with pytest.raises(RuntimeError, match="shapes differ"):
        encode(picture(20, 20), broken)


def test_nothing_suffices(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise MemoryError
        yield

    monkeypatch.setattr(encoding, "load_model_steps", refuse)
    nothing = replace(model, backbone=Short(model.backbone, 0, MemoryError))
    with pytest.raises(GemError, match="memory does not suffice"):
        encode(picture(20, 20), nothing)


def test_features_that_do_not_fit_are_refused_before_work(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "LARGEST_FEATURES", 1000)
    with pytest.raises(GemError, match="features of 13 x 13 patches"):
        encode(picture(100, 100), model)


def test_of_a_large_image_only_the_first_tiles_are_kept(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, kept = picture(131, 90), {}
    whole = encode(pixels, model, parameters=ENCODE)
    one = 4 * ENCODE.tile**2 * whole.array.shape[2]
    monkeypatch.setattr(encoding, "LARGEST_PARTIAL", 3 * one)
    steps = encode_steps(model, pixels, stretch(pixels), ENCODE, partial=kept)
    features = run(steps)
    assert sorted(kept) == [0, 1, 2]
    again = encode_steps(model, pixels, stretch(pixels), ENCODE, partial=kept)
    np.testing.assert_array_equal(run(again).array, features.array)
    np.testing.assert_array_equal(features.array, whole.array)
