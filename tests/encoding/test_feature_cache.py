from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import napari_gem
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.folders import default_folder
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.core.progress import Progress, run
from napari_gem.core.region import Region
from napari_gem.core.results import Features, Job
from napari_gem.encoding import feature_cache, stored_features
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.encoding.stored_features import RowWriter, StoredFeatures
from napari_gem.images.rendering import stretch
from napari_gem.segmentation.pipeline import encode, segment
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from napari_gem.models.model import Model

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.0, tile=6, overlap=2)
SCORE = ScoreParameters(background=("sky", "soil"), templates=("{}", "a {}."))
PIXELS = np.random.default_rng(0).integers(0, 255, (211, 90, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE, score=SCORE))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 16 patch rows, and nothing read into memory."""
    monkeypatch.setattr(stored_features, "CHUNK_BYTES", 1)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)


def encoded(
    cache: FeatureCache,
    model: Model,
    progress: list[Progress] | None = None,
    **more: Any,
) -> Features:
    pixels = more.pop("pixels", PIXELS)
    steps = cache.encode_steps(model, pixels, stretch(pixels), **more)
    return run(steps, None if progress is None else progress.append)


def tiles(progress: list[Progress]) -> int:
    """Count the tiles that were encoded."""
    done = [step.done for step in progress if step.stage == "Encoding"]
    return done[-1] - done[0] if done else 0


def test_a_second_run_encodes_nothing(model: Model, tmp_path: Path) -> None:
    first, second = FeatureCache(tmp_path), FeatureCache(tmp_path)
    progress: list[Progress] = []
    one, two = encoded(first, model, progress), encoded(second, model, rest := [])
    assert tiles(progress) > 10
    assert tiles(rest) == 0
    plain = encode(PIXELS, model)
    for features in (one, two):
        assert (features.array == plain.array).all()
        assert (features.tile_embeddings == plain.tile_embeddings).all()
        assert (features.image_embedding == plain.image_embedding).all()
        for name in ("image_shape", "patch", "parameters", "appearance", "region"):
            assert getattr(features, name) == getattr(plain, name)
    encoded(first, model, part := [], region=Region((3, 40), (0, 50)))
    assert tiles(part) == 0
    assert next(iter(first.entries().values())) > 2 * one.array.size


def test_the_library_takes_a_cache(model: Model, tmp_path: Path) -> None:
    progress: list[Progress] = []
    for _ in range(2):
        progress.clear()
        cache = FeatureCache(tmp_path)
        features = encode(PIXELS, model, cache=cache, progress=progress.append)
    assert tiles(progress) == 0
    assert (features.array == encode(PIXELS, model).array).all()


@pytest.mark.parametrize(
    "change", ["pixels", "appearance", "parameters", "model", "precision"]
)
def test_what_decides_the_features_is_told_apart(
    model: Model, tmp_path: Path, change: str
) -> None:
    cache, shown = FeatureCache(tmp_path), stretch(PIXELS)
    pixels, parameters = PIXELS[:60], ENCODE
    run(cache.encode_steps(model, pixels, shown, parameters))
    if change == "pixels":
        pixels = pixels.copy()
        pixels[-1, -1] ^= 1
    elif change == "appearance":
        shown = replace(shown, gamma=1.1)
    elif change == "parameters":
        parameters = replace(ENCODE, overlap=3)
    elif change == "model":
        model = replace(model, revision="other")
    else:
        model = replace(model, precision="float64")
    progress: list[Progress] = []
    run(cache.encode_steps(model, pixels, shown, parameters), progress.append)
    assert tiles(progress) > 0
    assert len(cache.entries()) == 2


@pytest.mark.usefixtures("small_chunks")
def test_features_on_disk_segment_as_those_in_memory(
    model: Model, tmp_path: Path
) -> None:
    stored = encoded(FeatureCache(tmp_path), model)
    assert isinstance(stored.array, StoredFeatures)
    plain = encode(PIXELS, model)
    assert (np.asarray(stored.array[:]) == plain.array).all()
    one, other = (segment(f, ["cat", "dog"], model) for f in (plain, stored))
    assert (one.labels == other.labels).all()
    assert np.allclose(one.probabilities, other.probabilities, atol=1e-6)


@pytest.mark.usefixtures("small_chunks")
def test_a_stopped_run_goes_on(model: Model, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    steps = cache.encode_steps(model, PIXELS, stretch(PIXELS))
    progress = [next(steps)]
    while (
        progress[-1].done < 0.85 * progress[-1].total
        or progress[-1].stage != "Encoding"
    ):
        progress.append(next(steps))
    steps.close()
    features = encoded(FeatureCache(tmp_path), model, rest := [])
    assert 0 < tiles(rest) < 0.7 * rest[-1].total
    plain = encode(PIXELS, model)
    assert (np.asarray(features.array[:]) == plain.array).all()
    assert (features.tile_embeddings == plain.tile_embeddings).all()
    assert len(cache.entries()) == 1


@pytest.mark.usefixtures("small_chunks")
def test_damage_while_it_is_used_is_told(model: Model, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    features = encoded(cache, model)
    (name,) = cache.entries()
    (tmp_path / name / "features/c/0/0/0").write_bytes(b"0" * 40)
    with pytest.raises(GemError, match="encoded anew"):
        segment(features, "cat", model)


def test_the_limit_removes_what_is_oldest_but_not_what_is_used(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    cache = FeatureCache(tmp_path, limit=1)
    used = encoded(cache, model, pixels=PIXELS[:50])
    code = (
        "import sys; from napari_gem.encoding.feature_cache import FeatureCache;"
        "print(FeatureCache(sys.argv[1]).clear())"
    )
    other = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(other, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    encoded(cache, model, pixels=PIXELS[:60])
    encoded(cache, model, pixels=PIXELS[:70])
    assert len(cache.entries()) == 2
    segment(used, "cat", model)
    del used
    assert cache.clear() > 0
    assert not cache.entries()


def test_two_processes_make_the_same_entry(model: Model, tmp_path: Path) -> None:
    one, two = FeatureCache(tmp_path), FeatureCache(tmp_path)
    slow = one.encode_steps(model, PIXELS, stretch(PIXELS))
    while next(slow).stage != "Encoding":
        pass
    next(slow)
    quick = encoded(two, model, progress := [])
    assert tiles(progress) > 10
    one.clear()  # takes nothing from the one that is at work
    late = run(slow)
    assert (late.array == quick.array).all()
    assert len(one.entries()) == 1


def test_locks_of_the_past_are_swept(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "LOCK_SECONDS", -1.0)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    cache = FeatureCache(tmp_path)
    for rows in (40, 50, 60):
        used = encoded(cache, model, pixels=PIXELS[:rows])
    cache.trim()
    assert len(list((tmp_path / "locks").iterdir())) == 1
    assert cache.clear() > 0
    segment(used, "cat", model)


def test_a_full_disk_is_told(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = feature_cache.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        feature_cache.shutil, "disk_usage", lambda _: usage._replace(free=10)
    )
    with pytest.raises(GemError, match="Make room"):
        encoded(FeatureCache(tmp_path), model)


@pytest.mark.parametrize("band", [1, 3, 8, 50])
def test_rows_are_written_in_chunks(band: int) -> None:
    array = zarr.create_array({}, shape=(21, 4), chunks=(8, 4), dtype="int32")
    values = np.arange(84).reshape(21, 4)
    writer = RowWriter(array)
    for at in range(0, 15, band):
        rows = slice(at, min(at + band, 15))
        writer.write(rows, values[rows])
    writer.write(slice(18, 19), values[18:19])
    writer.close()
    expected = values.copy()
    expected[[15, 16, 17, 19, 20]] = 0
    assert (array[:] == expected).all()


@pytest.mark.contact("damaged caches")
def test_the_home_folder_may_be_named_by_its_sign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NAPARI_GEM_CACHE", "~/features")
    assert default_folder() == Path.home() / "features"
    monkeypatch.setenv("NAPARI_GEM_CACHE", "~nobody-of-this-name/features")
    assert default_folder() == Path("~nobody-of-this-name/features")


def test_an_image_is_known_to_be_kept_without_its_model(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path)
    region = Region((0, 100), (0, 90))
    encoded(cache, model, region=region)
    job = Job(
        model=model.card.id,
        prompts=(),
        encode=ENCODE,
        appearance=stretch(PIXELS),
        region=region,
    )
    assert run(cache.holds_steps(job, PIXELS))
    assert run(cache.holds_steps(replace(job, device="cpu"), PIXELS))
    others = PIXELS.copy()
    others[3, 3] += 1
    assert not run(cache.holds_steps(job, others))
    monkeypatch.setattr(feature_cache, "hash_steps", lambda _: pytest.fail("read"))
    for change in (
        {"model": "embedded"},
        {"encode": replace(ENCODE, zoom=2.0)},
        {"region": None},
        {"device": "cuda"},
        {"precision": "bfloat16"},
        {"appearance": Appearance(gamma=2.0)},
    ):
        assert not run(cache.holds_steps(replace(job, **change), PIXELS)), change
    assert not run(cache.holds_steps(job, PIXELS[:100]))
    (entry,) = cache.entries()
    (tmp_path / entry / feature_cache.ENTRY).write_bytes(b"damaged")
    assert not run(cache.holds_steps(job, PIXELS))
