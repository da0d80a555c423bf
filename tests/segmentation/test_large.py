from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_gem
from napari_gem.core.parameters import (
    EncodeParameters,
    GemParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.encoding import feature_cache, stored_features
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.results import pyramid as zarr_results
from napari_gem.results.pyramid import Pyramid
from napari_gem.results.recipe import read_recipe
from napari_gem.segmentation.large import segment_large_steps
from napari_gem.segmentation.pipeline import encode, segment, segment_large
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from napari_gem.models.model import Model

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.5, tile=6, overlap=2)
SCORE = ScoreParameters(
    background=("sky", "soil"), templates=("{}", "a {}."), smoothing=7.0
)
PIXELS = np.random.default_rng(0).integers(0, 255, (211, 90, 3)).astype(np.uint8)
PROMPTS = (
    Prompt(("cat", "kitten"), label=4, title="Cats"),
    Prompt(("dog",), examples=(Example((30.0, 40.0)),)),
    Prompt(("house",), on=False),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE, score=SCORE))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_features, "CHUNK_BYTES", 1)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(zarr_results, "COARSEST", 60)


@pytest.mark.parametrize(
    "region",
    [
        None,
        Region((30, 160), (10, 61)),
        Region((30, 160), (10, 61), ((30, 10), (160, 30), (60, 60))),
    ],
)
def test_results_on_disk_are_those_in_memory(
    model: Model, tmp_path: Path, region: Region | None
) -> None:
    label = LabelParameters(minimum_size=30)
    stored = segment_large(
        zarr.array(PIXELS, chunks=(50, 50, 3)),
        PROMPTS,
        tmp_path / "out",
        model,
        label=label,
        region=region,
        cache=FeatureCache(tmp_path / "cache"),
    )
    features = encode(PIXELS, model, region=region)
    plain = segment(features, PROMPTS, model, label=label)
    labels = zarr.open_group(stored.labels, mode="r")
    assert (labels["0"][:] == plain.labels).all()
    assert labels["0"].dtype == plain.labels.dtype
    assert [labels[str(i)].shape for i in range(3)] == [(211, 90), (106, 45), (53, 23)]
    assert (labels["1"][:] == plain.labels[::2, ::2]).all()
    assert np.allclose(stored.shares, plain.shares)
    assert stored.absent == plain.absent
    assert stored.notices == plain.notices
    assert stored.recipe == plain.recipe == read_recipe(tmp_path / "out")
    maps = zarr.open_group(stored.probabilities, mode="r")
    assert maps["0"].shape == (2, *features.array.shape[:2])
    middle = ((np.arange(5, 30) + 0.5) * features.patch).astype(int)
    expected = plain.probabilities[:, middle][:, :, [50]]
    column = int(50.5 / features.patch)
    actual = maps["0"][:, 5:30, column : column + 1]
    overlap = (expected > 0) & (actual > 0)
    assert overlap.any()
    assert overlap.mean() > ((expected > 0) | (actual > 0)).mean() - 0.1
    assert np.allclose(actual[overlap], expected[overlap], atol=0.15)
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert recipe["labels"] == {"0": "background", "4": "Cats", "1": "dog"}
    assert not list((tmp_path / "out").glob(".unfinished*"))


def test_a_run_that_is_stopped_leaves_nothing(model: Model, tmp_path: Path) -> None:
    features = encode(PIXELS, model)
    for stage in ("Scoring", "Removing small regions", "Writing levels"):
        steps = segment_large_steps(
            model,
            features,
            PROMPTS,
            tmp_path / "new" / "out",
            label=LabelParameters(30),
        )
        while next(steps).stage != stage:
            pass
        steps.close()
        assert not list(tmp_path.iterdir())


def test_an_earlier_result_is_replaced_whole(model: Model, tmp_path: Path) -> None:
    features = encode(PIXELS, model)
    (tmp_path / "notes.txt").write_text("mine")
    for prompts in (PROMPTS, PROMPTS[:1]):
        napari_gem.core.progress.run(
            segment_large_steps(model, features, prompts, tmp_path)
        )
    assert zarr.open_group(tmp_path / "probabilities.zarr")["0"].shape[0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "labels.zarr",
        "notes.txt",
        "probabilities.zarr",
        "recipe.json",
    ]


def test_napari_opens_the_labels_lazily(model: Model, tmp_path: Path) -> None:
    read = pytest.importorskip("napari_builtins.io").read_zarr_dataset
    features = encode(PIXELS, model)
    napari_gem.core.progress.run(
        segment_large_steps(model, features, PROMPTS, tmp_path)
    )
    levels, _ = read(str(tmp_path / "labels.zarr"))
    assert [level.shape for level in levels] == [(211, 90), (106, 45), (53, 23)]
    assert hasattr(levels[0], "dask")


@given(st.integers(1, 90), st.integers(1, 90), st.booleans())
@settings(max_examples=20, deadline=None)
def test_levels_lie_on_each_other(height: int, width: int, labels: bool) -> None:
    """A ramp keeps its values at the places that the attributes tell."""
    down, right = np.mgrid[:height, :width].astype(np.float32)
    kind = "uint16" if labels else "float16"
    ramp = (down + right).astype(kind)
    with tempfile.TemporaryDirectory() as folder:
        pyramid = Pyramid(Path(folder) / "p.zarr", (height, width), kind, chunk=16)
        pyramid.finest[:] = ramp
        list(pyramid.coarser())
        pyramid.describe("p", [], (1.0, 1.0), (0.0, 0.0), {})
        group = zarr.open_group(Path(folder) / "p.zarr", mode="r")
        for level in group.attrs["ome"]["multiscales"][0]["datasets"]:
            scale, move = (t[t["type"]] for t in level["coordinateTransformations"])
            values = group[level["path"]][:].astype(float)
            rows, columns = (n - 2 for n in values.shape)  # edges are repeated
            i, j = np.mgrid[: max(0, rows), : max(0, columns)]
            expected = i * scale[0] + move[0] + j * scale[1] + move[1]
            actual = values[: max(0, rows), : max(0, columns)]
            assert np.allclose(actual, expected, atol=0.1)
