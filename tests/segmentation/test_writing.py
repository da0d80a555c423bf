"""Parts of large results are written in any order, by any process."""

from __future__ import annotations

import pickle
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

import napari_gem
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.core.progress import run
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.encoding import feature_cache, stored_features
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.scoring import patch_scores, refinement
from napari_gem.segmentation.pipeline import encode
from napari_gem.segmentation.segment import score_steps
from napari_gem.segmentation.writing import fill, fill_locally, parts
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.models.model import Model
    from napari_gem.segmentation.segment import Scored

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
    monkeypatch.setattr(stored_features, "CHUNK_BYTES", 1)
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
    counts = list(fill_locally(scored, *whole))
    # rows that the region does not touch are not written: a new array is 0 there
    untouched = set() if region is None else {77}
    assert set(np.unique(whole[0][:])) == {0, 1, 4} | untouched
    if not refinement:  # else it holds the image
        scored = pickle.loads(pickle.dumps(scored))
    counted = []
    for part in reversed(parts(*some)):
        counted += fill(scored, part, *some)
    assert len(counted) > 4
    # rows that the region does not touch cost nothing
    rows = PIXELS.shape[0] if region is None else region.rows[1] - region.rows[0]
    assert sum(each.rows for each in counted) == rows
    for one, other in zip(whole, some, strict=True):
        assert (one[:] == other[:]).all()
    assert np.sum(counted, axis=0).tolist() == np.sum(counts, axis=0).tolist()


@pytest.fixture
def scored(model: Model, monkeypatch: pytest.MonkeyPatch) -> Scored:
    """An image whose edges are found in bands."""
    monkeypatch.setattr("napari_gem.core.bounds.LARGEST_HELD", 0)
    monkeypatch.setattr(refinement, "BAND", 64)
    monkeypatch.setattr(refinement, "BLOCK", 10)
    monkeypatch.setattr(patch_scores, "STRIP", 20 * PIXELS.shape[1])
    parameters = replace(SCORE, refinement=1)
    return run(score_steps(model, encode(PIXELS, model), PROMPTS, parameters))


def filled(scored: Scored) -> list[np.ndarray]:
    labels = zarr.zeros(PIXELS.shape[:2], chunks=(32, 64), dtype="uint8")
    grid = 2, *scored.features.array.shape[:2]
    maps = zarr.zeros(grid, chunks=(1, 16, 16), dtype="float16")
    list(fill_locally(scored, labels, maps))
    return [labels[:], maps[:]]


def test_strips_are_made_while_others_are_written(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = filled(scored)
    created: list[int] = []
    real, write = patch_scores.softmax, stored_features.RowWriter.write

    def softmax(*arguments: object) -> np.ndarray:
        created.append(1)
        return real(*arguments)

    def writing(
        writer: stored_features.RowWriter, rows: slice, part: np.ndarray
    ) -> bool:
        if writer._axis == 0 and rows.stop < 200:
            end, before = time.monotonic() + 10, len(created)
            while len(created) == before and rows.start == 0:
                assert time.monotonic() < end, "nothing is made meanwhile"
                time.sleep(0.01)
        return write(writer, rows, part)

    monkeypatch.setattr(patch_scores, "softmax", softmax)
    monkeypatch.setattr(stored_features.RowWriter, "write", writing)
    for one, other in zip(plain, filled(scored), strict=True):
        np.testing.assert_array_equal(one, other)


def test_edges_are_found_while_the_band_above_is_scored(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, second = filled(scored), threading.Event()
    real, sample = refinement._strip, patch_scores.sample

    def strip(picture: object, rows: slice, *others: object) -> np.ndarray:
        if rows.start:
            second.set()
        return real(picture, rows, *others)

    def sampled(*arguments: object) -> np.ndarray:
        assert second.wait(10)
        return sample(*arguments)

    monkeypatch.setattr(refinement, "_strip", strip)
    monkeypatch.setattr(patch_scores, "sample", sampled)
    for one, other in zip(plain, filled(scored), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_can_be_left_while_edges_are_found(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, real = filled(scored), refinement._strip
    go_on, blocks = threading.Event(), []

    def slow(*arguments: object) -> np.ndarray:
        blocks.append(1)
        go_on.wait(60)
        return real(*arguments)

    labels, maps = (zarr.zeros_like(array) for array in map(zarr.array, plain))
    with monkeypatch.context() as patch:
        patch.setattr(refinement, "_strip", slow)
        steps = fill_locally(scored, labels, maps)
        assert next(steps).rows == 0
        threading.Timer(0.05, go_on.set).start()
        steps.close()
    assert len(blocks) <= 2  # of ten a band: those in work end, no others begin
    for one, other in zip(plain, filled(scored), strict=True):
        np.testing.assert_array_equal(one, other)


def test_errors_of_edges_that_are_found_ahead_come_up(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = refinement._strip

    def strip(picture: object, rows: slice, *others: object) -> np.ndarray:
        if rows.start:
            raise OSError("disk")
        return real(picture, rows, *others)

    monkeypatch.setattr(refinement, "_strip", strip)
    with pytest.raises(OSError, match="disk"):
        filled(scored)
