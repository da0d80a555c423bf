"""The memory does not suffice: at each point where it may happen.

An error is raised where the memory would be taken. Each point either goes on with less,
and says so once, or ends with a sentence and leaves nothing half-written.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_gem.cli import app
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.memory import (
    NO_MEMORY,
    NoMemoryError,
    Portion,
    is_out_of_memory,
    places,
)
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job
from napari_gem.encoding import (
    batches,
    blending,
    feature_cache,
    scheduling,
    stored_features,
)
from napari_gem.encoding.encode import encode_steps
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.encoding.stored_features import RowWriter, StoredFeatures
from napari_gem.images import tile_reading
from napari_gem.images.rendering import stretch
from napari_gem.models import load
from napari_gem.models.find import load_model
from napari_gem.results import pyramid
from napari_gem.scoring import cosines as scores
from napari_gem.scoring import patch_scores, refinement
from napari_gem.scoring.text import embed_words
from napari_gem.segmentation import large
from napari_gem.segmentation import segment as segmenting
from napari_gem.segmentation.pipeline import encode, segment, segment_large
from napari_gem.segmentation.postprocess import regions, small
from napari_gem.worker.arrays import save_array
from napari_gem.worker.messages import Failed, Finished, Request
from napari_gem.worker.serve import Worker
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.core.results import Features, Segmentation
    from napari_gem.models.model import Model

ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("MPS backend out of memory (...)"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
WORDS = ["cat", "a dog", "house"]
ENCODE = EncodeParameters(tile=6, overlap=2)
SCORE = ScoreParameters(
    background=("sky", "soil"),
    templates=("{}", "a {}."),
    prototype_weight=0.4,
    refinement=3,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    loaded = load_model(str(folder), device="cpu", precision="float32")
    return replace(loaded, card=replace(loaded.card, encode=ENCODE, score=SCORE))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 255, (131, 90, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def features(model: Model, picture: np.ndarray) -> Features:
    return encode(picture, model)


@pytest.fixture(scope="module")
def expected(model: Model, features: Features) -> Segmentation:
    """What the words give where the memory suffices."""
    return segment(features, WORDS, model)


def fresh(model: Model) -> Model:
    """Return the model with no text read so far."""
    return replace(model, texts={})


def failing(
    real: Callable[..., Any], error: Exception, when: Callable[..., bool]
) -> Callable[..., Any]:
    """Raise an error whenever the arguments say so."""

    def call(*arguments: Any, **options: Any) -> Any:
        if when(*arguments, **options):
            raise error
        return real(*arguments, **options)

    return call


class Tiring:
    """A backbone whose memory is gone after so many tiles."""

    def __init__(self, backbone: Any, tiles: int) -> None:
        self._backbone, self._left = backbone, tiles

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def encode_patches(self, pixels: torch.Tensor, parameters: Any) -> Any:
        if self._left <= 0:
            raise MemoryError
        self._left -= 1
        return self._backbone.encode_patches(pixels, parameters)


def test_features_of_two_precisions_are_never_mixed(
    model: Model, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_gem.encoding.stored_features.CHUNK_BYTES", 2)
    picture = np.concatenate([picture] * 3)
    smallest = replace(ENCODE, tile=8)  # no smaller tile comes before the precision
    tiring = replace(model, backbone=Tiring(model.backbone, 9))
    cache = FeatureCache(tmp_path / "cache")
    encoded_image = run(cache.encode_steps(tiring, picture, stretch(picture), smallest))
    assert encoded_image.precision == "bfloat16"
    half = load_model(model.card.id, device="cpu", precision="bfloat16")
    expected = encode(picture, half, parameters=smallest)
    np.testing.assert_array_equal(np.asarray(encoded_image.array[:]), expected.array)


class Reader:
    """A backbone that has memory for so many texts at a time."""

    def __init__(self, backbone: Any, most: int, error: Exception) -> None:
        self._backbone, self._most, self._error = backbone, most, error
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def encode_texts(self, texts: Any) -> torch.Tensor:
        self.asked.append(len(texts))
        if len(texts) > self._most:
            raise self._error
        embeddings: torch.Tensor = self._backbone.encode_texts(texts)
        return embeddings


def test_half_the_precision_comes_before_the_processor() -> None:
    listed = [(place.device, place.precision) for place in places("cuda:1", "float32")]
    assert listed == [
        ("cuda:1", "float32"),
        ("cuda:1", "float16"),
        ("cpu", "float32"),
        ("cpu", "bfloat16"),
    ]
    assert [place.given_up for place in places("cpu", "float32")] == ["", "in bfloat16"]
    assert [place.device for place in places("mps", "float16")] == ["mps", "cpu", "cpu"]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_portion_that_does_not_fit_is_halved(error: Exception) -> None:
    asked: list[slice] = []

    def work(some: slice) -> int:
        asked.append(some)
        if some.stop - some.start > 3:
            raise error
        return some.stop

    portion = Portion(8)
    done = list(portion.over(slice(1, 12), work))
    expected = [slice(at, min(at + 2, 12)) for at in range(1, 12, 2)]
    assert done == [(some, some.stop) for some in expected]
    assert asked[:3] == [slice(1, 9), slice(1, 5), slice(1, 3)]
    assert portion.size == 2


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("shapes differ"), OSError(5, "disk")], ids=str
)
def test_a_portion_of_one_or_another_error_ends_it(error: Exception) -> None:
    def fail(_: slice) -> None:
        raise error

    with pytest.raises(type(error)):
        list(Portion(4).over(slice(0, 9), fail))


# Loading ---------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_model_is_loaded_in_half_the_precision(
    folder: Path,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    real, tried = load._create, []

    def create(card: Any, source: Any, texts: Any, precision: torch.dtype) -> Any:
        tried.append(precision)
        if precision == torch.float32:
            raise error
        return real(card, source, texts, precision)

    monkeypatch.setattr(load, "_create", create)
    short = load_model(str(folder), device="cpu", precision="float32")
    assert tried == [torch.float32, torch.bfloat16]
    assert (short.device, short.precision) == ("cpu", "bfloat16")
    result = segment(encode(picture, short), WORDS, short)
    assert [n for n in result.notices if "loaded in bfloat16" in n] == [short.notice]
    assert result.recipe.precision == "bfloat16"


def test_a_model_that_does_not_fit_the_gpu_goes_to_the_processor(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = torch.device("cuda:0")
    real = torch.nn.Module.to

    def to(module: Any, device: Any, *others: Any) -> Any:
        if "cuda" in str(device):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(module, device, *others)

    monkeypatch.setattr(load, "choose_device", lambda _: gpu)
    monkeypatch.setattr(load, "choose_precision", lambda *_: "float16")
    monkeypatch.setattr(torch.nn.Module, "to", to)
    short = load_model(str(folder), device="cuda:0")
    assert (short.device, short.precision) == ("cpu", "float32")
    assert "on the processor" in short.notice


@pytest.mark.parametrize("error", ERRORS[:2], ids=str)
@pytest.mark.parametrize("where", ["build_empty", "fill", "read_weights"])
def test_a_model_that_fits_nowhere_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    real = getattr(load, where)
    monkeypatch.setattr(load, where, failing(real, error, lambda *_: True))
    with pytest.raises(NoMemoryError, match="smaller model"):
        load_model(str(folder), device="cpu")


def test_a_place_where_the_model_does_not_fit_is_passed_over(
    model: Model, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the notice tells the place where it was encoded."""
    real, tried = load._create, []

    def create(card: Any, source: Any, texts: Any, precision: torch.dtype) -> Any:
        tried.append(precision)
        if precision == torch.float16:
            raise MemoryError
        return real(card, source, texts, precision)

    monkeypatch.setattr(load, "_create", create)
    monkeypatch.setattr(
        load,
        "choose_device",
        lambda name: torch.device("cpu" if name == "auto" else name),
    )
    monkeypatch.setattr(load, "choose_precision", lambda name, _: name)
    short = replace(model, device="cuda:7", backbone=Tiring(model.backbone, 0))
    encoded_image = run(encode_steps(short, picture, stretch(picture), batch=1))
    assert tried == [torch.float16, torch.float32]
    assert (encoded_image.device, encoded_image.precision) == ("cpu", "float32")
    assert ["processor" in notice for notice in encoded_image.notices] == [True]


def test_a_damaged_file_is_no_lack_of_memory(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    (weights,) = (p for p in folder.iterdir() if "open_clip_config" not in p.name)
    weights.write_bytes(b"nothing")
    with pytest.raises(GemError, match="damaged"):
        load_model(str(folder))


# Words -----------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_texts_that_do_not_fit_together_are_halved(
    model: Model, error: Exception
) -> None:
    templates = tuple(f"{{}} {number}" for number in range(5))
    reader = Reader(model.backbone, 2, error)
    embeddings = embed_words(reader, WORDS, templates, {})
    np.testing.assert_allclose(
        embeddings, embed_words(model.backbone, WORDS, templates, {}), atol=1e-5
    )
    assert reader.asked[0] == 15
    assert all(count <= 2 for count in reader.asked[4:])


def test_words_are_read_elsewhere_and_it_is_said_once(
    model: Model, features: Features
) -> None:
    short = replace(fresh(model), backbone=Reader(model.backbone, 0, MemoryError()))
    expected = segment(features, WORDS, fresh(model))
    result = segment(features, WORDS, short)
    assert sum("words were read in bfloat16" in n for n in result.notices) == 1
    assert (result.labels == expected.labels).mean() > 0.95
    # what is read is kept: the next run needs no other model, and says nothing
    again = segment(features, WORDS, short)
    assert not [n for n in again.notices if "memory" in n]


def test_words_that_can_be_read_nowhere_are_told(
    model: Model, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(fresh(model), backbone=Reader(model.backbone, 0, MemoryError()))
    real = segmenting.load_model_steps
    steps = failing(real, MemoryError(), lambda *_, **__: True)
    monkeypatch.setattr(segmenting, "load_model_steps", steps)
    with pytest.raises(NoMemoryError, match="fewer classes"):
        segment(features, WORDS, short)


# Scores, edges and maps ------------------------------------------------------------


def same_as(expected: Any, actual: Any) -> None:
    """Tell that less memory has changed nothing but rounding."""
    assert (actual.labels == expected.labels).mean() > 0.999
    np.testing.assert_allclose(actual.probabilities, expected.probabilities, atol=5e-3)


def test_scores_that_do_not_fit_are_made_band_by_band(
    model: Model,
    features: Features,
    expected: Segmentation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = features.array.shape[0]
    monkeypatch.setattr("napari_gem.core.arrays.BAND_ROWS", 3)
    real, asked = patch_scores.group_scores, []

    def score(array: Any, *others: Any, **options: Any) -> Any:
        asked.append(len(array))
        if len(array) == rows:
            raise MemoryError
        return real(array, *others, **options)

    monkeypatch.setattr(patch_scores, "group_scores", score)
    same_as(expected, segment(features, WORDS, model))
    assert rows in asked
    assert 3 in asked


@pytest.mark.parametrize("call", ["group_scores", "join_directions"])
def test_a_band_of_scores_that_does_not_fit_is_halved(
    model: Model,
    features: Features,
    expected: Segmentation,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    real, done = getattr(patch_scores, call), []

    def counted(*arguments: Any, **options: Any) -> Any:
        array = arguments[call == "join_directions"]
        if len(array) > 3:
            raise MemoryError
        done.append(len(array))
        return real(*arguments, **options)

    monkeypatch.setattr(patch_scores, call, counted)
    same_as(expected, segment(features, WORDS, model))
    assert max(done) in (2, 3)


def test_small_regions_that_do_not_fit_are_found_in_bands(
    model: Model, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = LabelParameters(minimum_size=30)
    expected = segment(features, WORDS, model, label=label)
    assert (segment(features, WORDS, model).labels != expected.labels).any()
    monkeypatch.setattr(regions, "BAND", 32)
    short = failing(small.ndimage.label, MemoryError(), lambda mask: len(mask) > 32)
    monkeypatch.setattr(small.ndimage, "label", short)
    result = segment(features, WORDS, model, label=label)
    np.testing.assert_array_equal(result.labels, expected.labels)


def test_a_strip_of_probabilities_that_does_not_fit_is_halved(
    model: Model,
    features: Features,
    expected: Segmentation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    real = patch_scores.softmax

    def softmax(fine: Any, scale: float) -> Any:
        asked.append(fine.shape[1])
        if fine.ndim == 3 and fine.shape[2] == 90 and fine.shape[1] > 40:
            raise MemoryError
        return real(fine, scale)

    monkeypatch.setattr(patch_scores, "softmax", softmax)
    result = segment(features, WORDS, model)
    assert (result.labels == expected.labels).all()
    assert max(asked) > 40 > min(asked)


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_edges_are_found_in_smaller_parts(
    model: Model,
    features: Features,
    expected: Segmentation,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    monkeypatch.setattr(refinement, "SMALLEST", 8)
    real, asked = refinement.shifts, []

    def shifts(seen: np.ndarray, rounds: int) -> Any:
        asked.append(seen.shape[:2])
        if seen.size > 60 * 60 * 3:
            raise error
        return real(seen, rounds)

    monkeypatch.setattr(refinement, "shifts", shifts)
    result = segment(features, WORDS, model)
    assert (result.labels == expected.labels).all()
    assert asked[0] == (131, 90)
    assert min(asked) < (60, 60)


def test_without_room_for_all_edges_they_are_found_in_bands(
    model: Model,
    features: Features,
    expected: Segmentation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = np.empty

    def empty(shape: Any, *others: Any, **options: Any) -> Any:
        if shape == (2, 131, 90):
            raise MemoryError
        return real(shape, *others, **options)

    monkeypatch.setattr(refinement.np, "empty", empty)
    result = segment(features, WORDS, model)
    assert (result.labels == expected.labels).all()


SHORT_OF = {
    "maps": ("napari_gem.segmentation.segment.largest", MemoryError()),
    "edges": (
        "napari_gem.scoring.refinement.shifts",
        RuntimeError("DefaultCPUAllocator: not enough memory"),
    ),
    "small regions": ("napari_gem.segmentation.segment.remove_small", MemoryError()),
}


@pytest.mark.parametrize("failure", SHORT_OF)
def test_what_fits_in_no_way_is_told(
    model: Model, features: Features, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    name, error = SHORT_OF[failure]
    monkeypatch.setattr(name, failing(len, error, lambda *_, **__: True))
    with pytest.raises(NoMemoryError, match="The memory does not suffice") as caught:
        segment(features, WORDS, model)
    assert is_out_of_memory(caught.value.__cause__)


def test_other_errors_stay_what_they_are(
    model: Model, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = failing(len, RuntimeError("shapes differ"), lambda *_, **__: True)
    monkeypatch.setattr("napari_gem.segmentation.segment.remove_small", wrong)
    with pytest.raises(RuntimeError, match="shapes differ"):
        segment(features, WORDS, model)


# Features ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS[:3:2], ids=str)
@pytest.mark.parametrize(
    "where",
    [(blending.Blending, "add"), (feature_cache._Sink, "write")],
    ids=["blending", "storing"],
)
def test_tiles_that_cannot_be_joined_are_halved(
    tmp_path: Path,
    model: Model,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[Any, str],
    error: Exception,
) -> None:
    seen: list[int] = []

    def second(*_: object) -> bool:
        seen.append(1)
        return len(seen) == 2

    cache, used = FeatureCache(tmp_path), replace(ENCODE, tile=16)
    with monkeypatch.context() as patch:
        patch.setattr(*where, failing(getattr(*where), error, second))
        features = encode(picture, model, parameters=used, cache=cache)
    assert len(seen) > 2
    assert features.parameters.tile == 8
    assert len([n for n in features.notices if "tiles of 8 patches" in n]) == 1
    plain = encode(picture, model, parameters=features.parameters)
    np.testing.assert_array_equal(features.array, plain.array)
    assert not list(tmp_path.rglob("*.part"))


def test_features_that_do_not_fit_stay_on_disk(
    tmp_path: Path,
    model: Model,
    features: Features,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def whole(_: object, index: object) -> bool:
        return index == slice(None)

    short = failing(StoredFeatures.__getitem__, MemoryError(), whole)
    monkeypatch.setattr(StoredFeatures, "__getitem__", short)
    encoded_image = encode(picture, model, cache=FeatureCache(tmp_path))
    assert isinstance(encoded_image.array, StoredFeatures)
    same_as(segment(features, WORDS, model), segment(encoded_image, WORDS, model))


@pytest.mark.parametrize("error", [ERRORS[0], ERRORS[-1]], ids=str)
def test_kept_features_are_not_called_damaged(
    tmp_path: Path,
    model: Model,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    cache = FeatureCache(tmp_path)
    encode(picture, model, cache=cache)
    entries = cache.entries()
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "_read", failing(len, error, lambda *_: True))
        with pytest.raises(NoMemoryError):
            encode(picture, model, cache=cache)
    assert cache.entries() == entries


# Results on disk -------------------------------------------------------------------

ON_DISK: dict[str, tuple[Any, str]] = {
    "reading pixels": (tile_reading, "render"),
    "reading tiles": (scheduling, "read_tile"),
    "tower": (batches, "_encode_batch"),
    "blending": (blending.Blending, "add"),
    "storing features": (feature_cache._Sink, "write"),
    "reading features": (StoredFeatures, "__getitem__"),
    "scoring": (patch_scores, "group_scores"),
    "smoothing": (scores.ndimage, "gaussian_filter"),
    "probabilities": (patch_scores, "softmax"),
    "edges": (refinement, "shifts"),
    "labels": (segmenting, "largest"),
    "small regions": (small.ndimage, "label"),
    "coarser levels": (pyramid.Pyramid, "_halved"),
    "recipe": (large, "write_result_recipe"),
    "writing": (RowWriter, "write"),
    "the last rows": (RowWriter, "close"),
}


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a small image stored and written in several parts."""
    monkeypatch.setattr(stored_features, "CHUNK_BYTES", 1)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(pyramid, "COARSEST", 60)


@pytest.mark.parametrize("failure", ON_DISK)
@pytest.mark.usefixtures("in_parts")
def test_nothing_half_written_is_left(
    tmp_path: Path,
    model: Model,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    out, label = tmp_path / "out", LabelParameters(minimum_size=30)
    last = replace(model, precision="bfloat16")  # nothing less is tried
    used = {
        "cache": FeatureCache(tmp_path / "cache"),
        "label": label,
        "parameters": replace(SCORE, smoothing=8.0),
    }
    owner, name = ON_DISK[failure]
    failed = failing(getattr(owner, name), MemoryError(), lambda *_, **__: True)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failed)
        with pytest.raises(NoMemoryError, match="The memory does not suffice"):
            segment_large(picture, WORDS, out, last, **used)
    assert not out.exists()
    stored = segment_large(picture, WORDS, out, last, **used)
    assert stored.notices == ()


class Pipe:
    """The worker's end of a pipe, in memory."""

    def write(self, line: bytes) -> None:
        pass

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("on_disk", [True, False], ids=["large", "small"])
@pytest.mark.usefixtures("in_parts")
def test_the_worker_of_the_dock_says_so_and_goes_on(
    tmp_path: Path,
    folder: Path,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    on_disk: bool,
) -> None:
    save_array(tmp_path / "pixels.npy", picture)
    out = tmp_path / "out"
    request = Request(
        1,
        Job(
            appearance=Appearance(rgb=True),
            prompts=(Prompt(("cat",)), Prompt(("dog",))),
            model=str(folder),
            encode=ENCODE,
            score=SCORE,
        ),
        str(tmp_path / "pixels.npy"),
        folder=str(out) if on_disk else "",
    )
    worker = Worker(tmp_path, Pipe(), Pipe())  # type: ignore[arg-type]
    worker._wanted = request.run
    with monkeypatch.context() as patch:
        short = failing(segmenting.largest, MemoryError(), lambda *_: True)
        patch.setattr(segmenting, "largest", short)
        failed = worker._answer(request)
    assert isinstance(failed, Failed)
    assert failed.message == NO_MEMORY
    assert not out.exists()
    finished = worker._answer(request)
    assert isinstance(finished, Finished)
    assert finished.result.notices == ()


def test_the_command_line_says_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from skimage.io import imsave

    imsave(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8), check_contrast=False)
    monkeypatch.setattr(
        "napari_gem.results.save.save",
        failing(len, MemoryError(), lambda *_, **__: True),
    )
    arguments = ["napari-gem", "segment", str(tmp_path / "a.png"), "-p", "cell"]
    monkeypatch.setattr("sys.argv", [*arguments, "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as left:
        app.main()
    assert left.value.code == 2
    assert NO_MEMORY in capsys.readouterr().err
