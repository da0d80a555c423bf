from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job
from napari_gem.encoding import batches
from napari_gem.images.rendering import stretch
from napari_gem.models.find import load_model
from napari_gem.models.model import Model
from napari_gem.segmentation.job import job_steps
from napari_gem.segmentation.pipeline import encode, heat_maps
from napari_gem.segmentation.replay import replay
from napari_gem.segmentation.squashed import SHOWN
from tests.tiny import write_tiny_model

SIZE = 48
ENCODE = EncodeParameters(tile=2, overlap=1)
PROMPTS = (Prompt(("cat",), threshold=0.6), Prompt(("dog",), label=7, threshold=0.3))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("tiny"))))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (33, 70, 3), np.uint8)


def test_maps_are_those_of_the_squashed_image(model: Model, pixels) -> None:
    shown = stretch(pixels)
    score = model.card.score
    job = Job(
        appearance=shown, prompts=PROMPTS, encode=ENCODE, score=score, squash=SIZE
    )
    result = run(job_steps(job, pixels, model))
    square = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    whole = replace(ENCODE, tile=SIZE // model.backbone.patch_size, overlap=0)
    features = encode(
        np.asarray(square, np.float32) / 255,
        model,
        appearance=SHOWN,
        parameters=whole,
    )
    maps = torch.from_numpy(heat_maps(features, PROMPTS, model, parameters=score))
    assert [float(one.min()) for one in maps] == [0, 0]
    assert [float(one.max()) for one in maps] == [1, 1]
    expected = torch.nn.functional.interpolate(
        maps[None], size=(33, 70), mode="bilinear"
    )
    np.testing.assert_allclose(result.probabilities, expected[0].numpy(), atol=1e-4)
    cat, dog = result.probabilities
    labels = np.where(cat >= 0.6, np.where((dog >= 0.3) & (dog > cat), 7, 1), 0)
    labels[(cat < 0.6) & (dog >= 0.3)] = 7
    assert (result.labels == labels).all()
    assert set(np.unique(labels)) == {0, 1, 7}
    assert result.shares == pytest.approx([(labels == n).mean() for n in (1, 7)])
    assert result.recipe.squash == SIZE
    again = replay(result.recipe, pixels, model=model)
    assert (again.labels == result.labels).all()
    assert again.recipe == result.recipe


def test_bad_classes_are_refused(model: Model, pixels) -> None:
    bad = replace(PROMPTS[0], threshold=3.0)
    job = Job(appearance=stretch(pixels), prompts=(bad,), encode=ENCODE, squash=SIZE)
    with pytest.raises(GemError, match="threshold"):
        run(job_steps(job, pixels, model))
    off = replace(job, prompts=(replace(PROMPTS[0], on=False),))
    with pytest.raises(GemError, match="Every class is switched off"):
        run(job_steps(off, pixels, model))


def test_what_was_given_up_for_memory_is_said(
    model: Model, pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_batch = batches._encode_batch

    def short(used: Model, *more: object) -> list:
        if used.precision == "float32":
            raise MemoryError
        return encode_batch(used, *more)

    monkeypatch.setattr(batches, "_encode_batch", short)
    job = Job(appearance=stretch(pixels), prompts=PROMPTS, encode=ENCODE, squash=SIZE)
    result = run(job_steps(job, pixels, model))
    assert "it was encoded in bfloat16" in result.notices[0]


def test_holes_of_a_squashed_image_have_no_label_and_no_share(model: Model) -> None:
    grey = np.random.default_rng(3).random((33, 70)).astype(np.float32)
    hole = np.zeros(grey.shape, bool)
    hole[5:20, 10:50] = True
    grey[hole] = np.nan
    job = Job(
        appearance=stretch(grey),
        prompts=PROMPTS,
        encode=ENCODE,
        score=model.card.score,
        squash=SIZE,
    )
    result = run(job_steps(job, grey, model))
    assert not result.labels[hole].any()
    assert not result.probabilities[:, hole].any()
    assert sum(result.shares) == pytest.approx(
        (result.labels > 0).sum() / (~hole).sum()
    )
