from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import napari_gem
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.core.region import Region
from napari_gem.core.results import Job
from napari_gem.encoding import feature_cache
from napari_gem.encoding.feature_cache import CacheError, FeatureCache
from napari_gem.segmentation.image_cache import Encoded, ImageCache
from napari_gem.segmentation.job import Resources, encode_job_steps
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.models.model import Model

JOB = Job(prompts=(), appearance=Appearance(limits=(0.0, 255.0)))
PIXELS = np.random.default_rng(0).integers(0, 255, (40, 56)).astype(np.uint8)


class Endless:
    """An image that says it has a million pixels along a side, and is never read."""

    shape = (1 << 20, 1 << 20)
    ndim = 2
    dtype = np.dtype(np.uint8)

    def __getitem__(self, index: Any) -> np.ndarray:
        raise AssertionError("read")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return napari_gem.load_model(str(folder))


@pytest.mark.parametrize("must_keep", [True, False])
def test_what_fits_nowhere_is_refused_before_it_is_read(
    model: Model, tmp_path: Path, *, must_keep: bool
) -> None:
    disk = Resources(disk=lambda: FeatureCache(tmp_path), must_keep=must_keep)
    sentence = "Make room, choose" if must_keep else "GiB of memory"
    with pytest.raises(GemError, match=sentence):
        run(encode_job_steps(JOB, Endless(), model, disk))
    with pytest.raises(GemError, match="GiB of memory"):
        run(encode_job_steps(JOB, Endless(), model, Resources()))


def test_what_is_kept_is_found_on_a_full_disk(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Resources(disk=lambda: FeatureCache(tmp_path), must_keep=True)
    assert run(encode_job_steps(JOB, PIXELS, model, disk)).is_new
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(feature_cache.shutil, "disk_usage", lambda _: usage)
    assert not run(encode_job_steps(JOB, PIXELS, model, disk)).is_new
    larger = np.tile(PIXELS, (40, 40))
    with pytest.raises(CacheError, match=r"0\.0 MiB are free"):
        run(encode_job_steps(JOB, larger, model, disk))


class Counted:
    """A large image that counts the pixels which are read."""

    shape = (8192, 8192)
    ndim = 2
    dtype = np.dtype(np.uint8)
    read = 0

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, columns = (range(n)[at] for n, at in zip(self.shape, index, strict=False))
        self.read += len(rows) * len(columns)
        return np.add.outer(np.asarray(rows), np.asarray(columns)).astype(np.uint8)


def test_of_a_large_image_only_what_a_region_sees_is_read(model: Model) -> None:
    pixels, cache = Counted(), ImageCache(1 << 30)
    job = replace(JOB, region=Region((4000, 4040), (100, 150)))
    resources = Resources(memory=cache)

    def encode(job: Job) -> Encoded:
        pixels.read = 0
        steps = encode_job_steps(job, pixels, model, resources, large=True)
        return run(steps)

    first = encode(job)
    assert first.is_new
    assert pixels.read < 1_000_000
    again = encode(job)
    assert (again.is_new, again.name) == (False, first.name)
    assert pixels.read < 1_000_000
    other = encode(replace(job, region=Region((0, 40), (0, 50))))
    assert other.name != first.name
    # of a whole that is encoded, a region is taken
    whole = replace(first, features=replace(first.features, image_shape=pixels.shape))
    cache.get("whole").add(None, whole)
    assert cache.has_whole(pixels.shape)
    assert not cache.has_whole((8192, 8191))
