"""What stands where an image holds no data changes nothing elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

import napari_gem
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job, Segmentation
from napari_gem.images.files import open_scene
from napari_gem.images.rendering import stretch
from napari_gem.segmentation.job import job_steps
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from napari_gem.models.model import Model

SHAPE = (40, 56)
PIXELS = np.random.default_rng(0).integers(1000, 3000, SHAPE)
WORDS = (Prompt(("cat",), label=1), Prompt(("dog",), label=2))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return napari_gem.load_model(str(folder))


def result_of(path: Path, model: Model) -> Segmentation:
    scene = open_scene(path)
    pixels, (valid,) = scene.levels[0], scene.valid
    job = Job(prompts=WORDS, appearance=stretch(pixels, valid=valid))
    done = run(job_steps(job, pixels, model, valid=valid))
    assert isinstance(done, Segmentation)
    return done


def write(path: Path, pixels: Any, valid: Any, how: str, value: float) -> Path:
    """Write an image whose hole is marked in one of the ways that there are."""
    pixels = np.where(valid, pixels, value)
    options: dict[str, Any] = {"nodata": value} if how == "value" else {}
    if how == "nan":
        pixels = np.where(valid, pixels, np.nan)
    dtype = "uint16" if value >= 0 and how != "nan" else "float32"
    size = {"width": SHAPE[1], "height": SHAPE[0], "count": 1, "dtype": dtype}
    place = {"crs": "EPSG:32633", "transform": Affine(1, 0, 5, 0, -1, 9)}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **size, **place, **options) as made,
    ):
        made.write(pixels.astype(dtype), 1)
        if how == "mask":
            made.write_mask(valid)
    return path


HOLES = st.tuples(
    st.integers(0, 30), st.integers(1, 39), st.integers(0, 40), st.integers(1, 55)
)
WAYS = st.one_of(
    st.tuples(st.just("value"), st.sampled_from([0, 1, 65535, -9999, -3.4e38])),
    st.tuples(st.just("mask"), st.sampled_from([0, 2000, 65535])),
    st.tuples(st.just("nan"), st.just(0)),
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(hole=HOLES, first=WAYS, second=WAYS)
def test_a_hole_changes_nothing_outside_of_it(
    model: Model, hole: tuple[int, int, int, int], first: Any, second: Any
) -> None:
    top, height, left, width = hole
    valid = np.ones(SHAPE, bool)
    valid[top : top + height, left : left + width] = False
    if not valid.any():
        return
    with tempfile.TemporaryDirectory() as folder:
        one, other = (
            result_of(write(Path(folder) / f"{n}.tif", PIXELS, valid, *way), model)
            for n, way in enumerate((first, second))
        )
    for done in (one, other):
        assert not done.labels[~valid].any()
        assert not done.probabilities[:, ~valid].any()
    assert np.array_equal(one.labels, other.labels)
    assert np.allclose(one.probabilities, other.probabilities, atol=1e-6)
    assert one.shares == pytest.approx(other.shares)
    counted = [np.count_nonzero(one.labels == p.label) / valid.sum() for p in WORDS]
    assert one.shares == pytest.approx(counted)
