from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from napari_gem.core.appearance import Appearance
from napari_gem.core.arrays import bands, unit_vectors
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.results import Features
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.patch_scores import patch_scores, probability_strips
from napari_gem.scoring.words import Words


class Given:
    """Scores that are there, in bands of some rows."""

    def __init__(self, scores: np.ndarray, band: int) -> None:
        rows = scores.shape[1]
        self.scores = scores.astype(np.float32)
        self.bands = [slice(i, min(i + band, rows)) for i in range(0, rows, band)]

    def rows(self, first: int, end: int) -> np.ndarray:
        return self.scores[:, first:end]


@given(
    st.integers(1, 4),
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from([8, 0.4, 2.5]),
    st.integers(1, 9),
)
def test_bands_and_strips_join_to_the_whole(
    classes: int, height: int, width: int, patch: float, band: int
) -> None:
    shape = classes + 1, *(int(-(-n // patch)) for n in (height, width))
    scores = np.random.default_rng(0).uniform(-1, 1, shape)
    one = list(probability_strips(Given(scores, 10**6), patch, (height, width), 40))
    patches: list = []
    parts = list(
        probability_strips(
            Given(scores, band),
            patch,
            (height, width),
            40,
            lambda rows, values: patches.append((rows, values)),
        )
    )
    whole = np.concatenate([strip for _, strip in one], axis=1)
    assert whole.shape == (classes + 1, height, width)
    assert whole.min() >= 0
    assert np.allclose(whole.sum(axis=0), 1, atol=1e-5)
    assert (np.concatenate([strip for _, strip in parts], axis=1) == whole).all()
    assert [rows.start for rows, _ in parts[1:]] == [r.stop for r, _ in parts[:-1]]
    assert np.concatenate([v for _, v in patches], axis=1).shape == shape


class Away:
    """Random shifts, so far at most."""

    def __init__(self, shape: tuple[int, int], reach: float) -> None:
        self.reach = reach
        random = np.random.default_rng(1)
        self.shifts = random.uniform(-reach, reach, (2, *shape)).astype(np.float32)

    def rows(self, rows: slice) -> np.ndarray:
        return self.shifts[:, rows]


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from([8, 0.4, 2.5]),
    st.integers(1, 9),
    st.sampled_from([0.5, 12.0]),
)
def test_shifted_pixels_are_read_elsewhere(
    height: int, width: int, patch: float, band: int, reach: float
) -> None:
    shape = 3, *(int(-(-n // patch)) for n in (height, width))
    scores = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    away = Away((height, width), reach)
    parts = probability_strips(
        Given(scores, band), patch, (height, width), 4, shifts=away
    )
    actual = np.concatenate([strip for _, strip in parts], axis=1)
    at = (np.mgrid[:height, :width] + away.shifts + 0.5) / patch - 0.5
    logits = 4 * np.stack(
        [map_coordinates(one, at, order=1, mode="nearest") for one in scores]
    )
    expected = np.exp(logits) / np.exp(logits).sum(axis=0)
    assert np.allclose(actual, expected, atol=1e-4)


def test_strips_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_gem.scoring.patch_scores.STRIP", 66 * 7)
    scores = Given(np.random.default_rng(0).random((3, 9, 9)), 100)
    assert len(list(probability_strips(scores, 8, (70, 66), 40))) == 10


@pytest.mark.parametrize("smoothing", [0.0, 10.0, 300.0])
@pytest.mark.parametrize("background", [("soil",), ()])
@pytest.mark.parametrize("prototype_weight", [0.0, 0.4])
def test_scores_of_features_on_disk_are_those_of_features_in_memory(
    smoothing: float, background: tuple[str, ...], prototype_weight: float
) -> None:
    rng = np.random.default_rng(0)
    array = unit_vectors(rng.normal(size=(41, 23, 16)) + 1).astype(np.float16)
    lazy = zarr.array(array, chunks=(8, 8, 16))
    words = unit_vectors(rng.normal(size=(6, 16)))
    groups = [words[:1], words[1:3], words[3:]]
    kept = tuple(float(x) for x in words[4])
    prompts = (
        Prompt(("a",), examples=(Example((30.0, 40.0)), Example((99.0, 9.0)))),
        Prompt(("b", "c"), examples=(Example(None, kept, "m", positive=False),)),
    )
    parameters = ScoreParameters(
        background=background,
        background_weight=2.0,
        smoothing=smoothing,
        synonyms="mean" if smoothing else "max",
        prototype_weight=prototype_weight,
    )
    features = Features(
        array=array,
        image_embedding=words[0],
        image_shape=(162, 91),
        patch=4.0,
        model="m",
        revision="r",
        parameters=EncodeParameters(),
        appearance=Appearance(),
    )
    scores = [
        patch_scores(
            replace(features, array=source),
            Words(groups, [False, False], np.array([0.1, 0.2, -0.3], np.float32)),
            prompts,
            parameters,
            ScoreCache(),
        )
        for source in (array, lazy)
    ]
    assert len(bands(lazy)) == 6
    whole = scores[0].rows(0, 41)
    for first, end in ((0, 41), (0, 3), (5, 17), (39, 41)):
        part = scores[1].rows(first, end)
        assert np.allclose(part, whole[:, first:end], atol=1e-5)
