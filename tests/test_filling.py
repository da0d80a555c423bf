"""Parts of large results are written in any order, by any process."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

import napari_gem
from napari_gem import feature_cache, stored_array
from napari_gem.feature_cache import FeatureCache
from napari_gem.filling import fill, fill_here, parts
from napari_gem.pipeline import encode
from napari_gem.segmenting import score_steps
from napari_gem.steps import run
from napari_gem.types import (
    EncodeParameters,
    Example,
    GemParameters,
    Prompt,
    Region,
    ScoreParameters,
)
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.models import Model

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.5, tile=6, overlap=2)
SCORE = ScoreParameters(background=("sky",), templates=("{}",), smoothing=7.0)
PIXELS = np.random.default_rng(0).integers(0, 255, (211, 90, 3)).astype(np.uint8)
PROMPTS = (Prompt(("cat",), label=4), Prompt(("dog",), examples=(Example((30, 40)),)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE, score=SCORE))


@pytest.mark.parametrize("refinement", [0, 2])
@pytest.mark.parametrize("region", [None, Region((30, 160), (10, 61))])
def test_parts_make_the_whole(
    model: Model,
    tmp_path: Path,
    region: Region | None,
    refinement: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_array, "CHUNK_BYTES", 1)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    features = encode(PIXELS, model, region=region, cache=FeatureCache(tmp_path))
    parameters = replace(SCORE, refinement=refinement)
    scored = run(score_steps(model, features, PROMPTS, parameters))

    def empty() -> tuple[zarr.Array, zarr.Array]:
        grid = 2, *features.array.shape[:2]
        return (
            zarr.full(PIXELS.shape[:2], fill_value=77, chunks=(32, 64), dtype="uint8"),
            zarr.full(grid, fill_value=7, chunks=(1, 16, 16), dtype="float16"),
        )

    whole, some = empty(), empty()
    told = list(fill_here(scored, *whole))
    assert set(np.unique(whole[0][:])) == {0, 1, 4}
    if not refinement:  # else it holds the image
        scored = pickle.loads(pickle.dumps(scored))
    found = []
    for part in reversed(parts(*some)):
        found += fill(scored, part, *some)
    assert len(found) > 4
    # rows that the region does not touch cost nothing
    rows = PIXELS.shape[0] if region is None else region.rows[1] - region.rows[0]
    assert sum(each.rows for each in found) == rows
    for one, other in zip(whole, some, strict=True):
        assert (one[:] == other[:]).all()
    assert np.sum(found, axis=0).tolist() == np.sum(told, axis=0).tolist()
