"""Tiles encoded by a dask cluster: scheduler and workers are processes of their own."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr

import napari_gem
from napari_gem.cluster import connection
from napari_gem.cluster import schedule as cluster_schedule
from napari_gem.cluster import writing as cluster_filling
from napari_gem.cluster.connection import WAITING, Cluster
from napari_gem.cluster.schedule import OnCluster
from napari_gem.cluster.tasks import Encoder, fill_part
from napari_gem.cluster.writing import FillOnCluster
from napari_gem.core import bounds
from napari_gem.core.errors import GemError
from napari_gem.core.memory import NoMemoryError
from napari_gem.core.parameters import EncodeParameters, GemParameters
from napari_gem.core.progress import run
from napari_gem.core.results import Job
from napari_gem.encoding import feature_cache
from napari_gem.encoding.encode import encode_steps
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.images.references import reference_to_array
from napari_gem.images.rendering import stretch
from napari_gem.models.add import add_address
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.results import pyramid
from napari_gem.segmentation.large import segment_large_steps
from napari_gem.segmentation.writing import fill_locally
from napari_gem.worker.messages import Request, Storage
from napari_gem.worker.session import Session
from tests.change_request import change
from tests.dask_processes import Processes
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Features
    from napari_gem.models.model import Model

    Call = Callable[..., tuple[int, str, str]]
    Steps = Generator[Progress, None, Features]

pytestmark = pytest.mark.slow

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.0, tile=6, overlap=2)
PIXELS = np.random.default_rng(0).integers(0, 255, (300, 130, 3)).astype(np.uint8)
SHOWN = stretch(PIXELS)
WORKERS = 3


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("cluster"), WORKERS)
    yield started
    started.end()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE))


@pytest.fixture
def call(
    call: Call, monkeypatch: pytest.MonkeyPatch, model: Model, tmp_path: Path
) -> Call:
    """Run the command line with the small model: (status, output, errors)."""
    monkeypatch.setenv("NAPARI_GEM_CACHE", str(tmp_path / "cache"))
    place = model.card.weights.partition(":")[2]
    return lambda *arguments: call(*arguments, "-m", place)


@pytest.fixture
def cluster(processes: Processes) -> Iterator[Cluster]:
    with Cluster(processes.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def expected(model: Model) -> Features:
    return run(encode_steps(model, PIXELS, SHOWN))


@pytest.fixture
def scene(tmp_path: Path) -> zarr.Array:
    return zarr.save_array(str(tmp_path / "scene.zarr"), PIXELS) or zarr.open_array(
        str(tmp_path / "scene.zarr"), mode="r"
    )


def on_cluster(
    cluster: Cluster, model: Model, pixels: object, cache: Path | None = None
) -> Steps:
    remote = run(cluster.model_steps(model))
    schedule = OnCluster(cluster, remote, reference_to_array(pixels))
    encode = FeatureCache(cache).encode_steps if cache else encode_steps
    return encode(remote, pixels, SHOWN, schedule=schedule)


def wait_for(cluster: Cluster, workers: int) -> None:
    end = time.monotonic() + 120
    while len(cluster.workers()) != workers and time.monotonic() < end:
        time.sleep(0.1)


def until(steps: Steps, done: int) -> None:
    """Go on until so many tiles are encoded."""
    while next(steps).done < done:
        pass


def same(actual: Features, expected: Features) -> bool:
    near = np.abs(actual.array[:].astype(np.float32) - expected.array[:]).max() < 2e-3
    tiles, wanted = actual.tile_embeddings, expected.tile_embeddings
    return bool(near) and np.allclose(tiles, wanted, atol=1e-4)


def test_each_worker_tells_what_it_has(cluster: Cluster, model: Model) -> None:
    wait_for(cluster, WORKERS)
    reports = run(cluster.report_steps(model.card))
    assert len({one.address for one in reports}) == WORKERS
    assert {one.model for one in reports} <= {"cpu, float32", "cuda:0, float16"}
    assert {one.revision for one in reports} == {model.revision}
    assert not any(one.problem for one in reports)


def test_places_and_pixels_give_what_this_process_gives(
    cluster: Cluster,
    model: Model,
    expected: Features,
    scene: zarr.Array,
    tmp_path: Path,
) -> None:
    progress = []
    features = run(
        on_cluster(cluster, model, scene, tmp_path / "cache"), progress.append
    )
    assert same(features, expected)
    assert (features.device, features.precision) == ("dask", "float32")
    encoding = [one.done for one in progress if one.stage == "Encoding"]
    assert encoding == sorted(encoding)
    assert encoding[-1] == progress[-1].total > 20
    assert same(run(on_cluster(cluster, model, PIXELS)), expected)
    assert not list(tmp_path.glob("cache/*/tiles"))


def test_an_image_that_workers_do_not_see_is_sent(
    cluster: Cluster, model: Model, expected: Features, scene: zarr.Array
) -> None:
    remote = run(cluster.model_steps(model))
    elsewhere = replace(reference_to_array(scene), piece="of another image")
    schedule = OnCluster(cluster, remote, elsewhere)
    assert same(run(encode_steps(remote, scene, SHOWN, schedule=schedule)), expected)


def test_tiles_that_cannot_be_read_here_are_sent_back(
    cluster: Cluster,
    model: Model,
    expected: Features,
    scene: zarr.Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = cluster_schedule.make_tiles

    def lame(*arguments):
        stored = read(*arguments)
        monkeypatch.setattr(stored, "get", lambda _: None)
        return stored

    monkeypatch.setattr(cluster_schedule, "make_tiles", lame)
    features = run(on_cluster(cluster, model, scene, tmp_path / "cache"))
    assert same(features, expected)


@pytest.mark.parametrize("most", [8 * 8, 0], ids=["tiles", "everything"])
def test_workers_without_memory_get_smaller_tiles(
    cluster: Cluster, model: Model, most: int
) -> None:
    """In the end the tiles are encoded here, where the memory suffices."""

    def shorten(most: int) -> None:
        from napari_gem.encoding import batches

        real = batches._encode_batch

        def encode(model: Model, images: list[np.ndarray], parameters: object) -> list:
            height, width = images[0].shape[:2]
            if len(images) * height * width > most * model.backbone.patch_size**2:
                raise MemoryError
            return real(model, images, parameters)

        batches._encode_batch, batches.real = encode, real

    def restore() -> None:
        from napari_gem.encoding import batches

        batches._encode_batch = batches.real

    large = replace(ENCODE, tile=16, overlap=4)
    card = replace(model.card, encode=large)
    wait_for(cluster, WORKERS)
    cluster._client.run(shorten, most)
    try:
        features = run(on_cluster(cluster, replace(model, card=card), PIXELS))
    finally:
        cluster._client.run(restore)
    (notice,) = features.notices
    if most:
        assert features.parameters == replace(ENCODE, tile=8, overlap=2)
        assert "tiles of 8 patches" in notice
    else:
        assert (features.device, features.parameters) == ("cpu", large)
        assert "the processor encoded the image" in notice


def test_what_workers_have_no_memory_to_write_is_written_here(
    cluster: Cluster, model: Model, scene: zarr.Array, tmp_path: Path
) -> None:
    def shorten() -> None:
        from napari_gem.segmentation import writing as filling

        def labels(*_: object) -> None:
            raise MemoryError

        filling.label_strips, filling.real = labels, filling.label_strips

    def restore() -> None:
        from napari_gem.segmentation import writing as filling

        filling.label_strips = filling.real

    features = run(on_cluster(cluster, model, scene, tmp_path / "cache"))
    prompts, results = parse_prompts(["cat", "dog"]), []
    cluster._client.run(shorten)
    try:
        for filling in (FillOnCluster(cluster), fill_locally):
            out = tmp_path / str(len(results))
            run(segment_large_steps(model, features, prompts, out, filling=filling))
            results.append(zarr.open_group(out / "labels.zarr")["0"][:])
    finally:
        cluster._client.run(restore)
    np.testing.assert_array_equal(*results)


def test_a_client_that_was_gone_goes_on(
    cluster: Cluster,
    processes: Processes,
    model: Model,
    expected: Features,
    scene: zarr.Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Cluster(processes.address) as other:
        steps = on_cluster(other, model, scene, tmp_path / "cache")
        until(steps, 9)
        steps.close()
    sent = []
    submit = cluster.submit
    monkeypatch.setattr(
        cluster, "submit", lambda f, o, n, *m: sent.extend(n) or submit(f, o, n, *m)
    )
    progress = []
    features = run(
        on_cluster(cluster, model, scene, tmp_path / "cache"), progress.append
    )
    assert same(features, expected)
    assert not set(range(9)) & set(sent)
    assert len(sent) == len(set(sent)) < progress[-1].total


def test_the_command_line_has_a_cluster_encode(
    call: Call, processes: Processes, scene: zarr.Array, tmp_path: Path
) -> None:
    asked = "segment", scene.store.root, "-p", "cat", "-p", "dog"
    options = "--scheduler", processes.address
    assert call(*asked, "-o", tmp_path / "here", "--zoom", 1)[0] == 0
    status, _, said = call(*asked, "-o", tmp_path / "there", "--zoom", 1, *options)
    assert (status, said) == (0, "")
    local, cluster = (
        tifffile.imread(tmp_path / name / "labels.tif") for name in ("here", "there")
    )
    assert (local == cluster).mean() > 0.999
    assert len(np.unique(local)) > 1
    recipe = json.loads((tmp_path / "there/recipe.json").read_text())
    assert (recipe["device"], recipe["precision"]) == ("dask", "float32")


@pytest.mark.parametrize("refinement", [0, 3])
def test_workers_write_large_results(
    call: Call,
    processes: Processes,
    scene: zarr.Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refinement: int,
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_TIFF", 1000)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(pyramid, "CHUNK", 64)
    options = "--scheduler", processes.address
    asked = "segment", scene.store.root, "-p", "cat", "-p", "dog", "--zoom", 1
    asked += "--refinement", refinement
    sent = []
    submit = Cluster.submit

    def note(self: Cluster, function: object, *arguments: object) -> object:
        sent.append(function)
        return submit(self, function, *arguments)

    monkeypatch.setattr(Cluster, "submit", note)
    assert call(*asked, "-o", tmp_path / "here")[0] == 0
    assert call(*asked, "-o", tmp_path / "there", *options)[0] == 0
    assert sent.count(fill_part) > 5
    places = [
        zarr.open_group(tmp_path / name / "labels.zarr")["0"][:]
        for name in ("here", "there")
    ]
    assert (places[0] == places[1]).mean() > 0.999
    maps = [
        zarr.open_group(tmp_path / name / "probabilities.zarr")["0"][:]
        for name in ("here", "there")
    ]
    assert np.allclose(*maps, atol=2e-3)
    names = sorted(path.name for path in (tmp_path / "there").iterdir())
    assert names == ["labels.zarr", "probabilities.zarr", "recipe.json"]

    # no worker finds the mark that is left in the folder
    monkeypatch.setattr(cluster_filling, "MARK", "another")
    assert call(*asked, "-o", tmp_path / "sent", *options)[0] == 0
    last = zarr.open_group(tmp_path / "sent/labels.zarr")["0"][:]
    assert (last == places[1]).all()


@pytest.mark.parametrize("refinement", [0, 3])
def test_workers_write_no_labels_where_there_is_no_data(
    call: Call,
    processes: Processes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refinement: int,
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_TIFF", 1000)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(pyramid, "CHUNK", 64)
    sent = []
    submit = Cluster.submit

    def note(self: Cluster, function: object, *arguments: object) -> object:
        sent.append(function)
        return submit(self, function, *arguments)

    monkeypatch.setattr(Cluster, "submit", note)
    pixels = PIXELS.copy()
    pixels[20:60, 30:90] = 7
    zarr.create_array(tmp_path / "scene.zarr", data=pixels)
    asked = "segment", tmp_path / "scene.zarr", "-p", "cat", "-p", "dog", "--zoom", 1
    asked += "--refinement", refinement, "--nodata", 7
    assert call(*asked, "-o", tmp_path / "here")[0] == 0
    options = "--scheduler", processes.address
    assert call(*asked, "-o", tmp_path / "there", *options)[0] == 0
    assert sent.count(fill_part) > 5
    local, cluster = (
        zarr.open_group(tmp_path / name / "labels.zarr")["0"][:]
        for name in ("here", "there")
    )
    assert (local == cluster).mean() > 0.999
    assert local.any()
    assert not cluster[20:60, 30:90].any()


def test_results_that_are_not_wanted_any_more_are_not_written(
    cluster: Cluster,
    processes: Processes,
    model: Model,
    scene: zarr.Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(pyramid, "CHUNK", 16)
    features = run(on_cluster(cluster, model, scene, tmp_path / "cache"))
    prompts = parse_prompts(["cat", "dog"])
    steps = segment_large_steps(
        model, features, prompts, tmp_path / "out", filling=FillOnCluster(cluster)
    )
    while (step := next(steps)).stage != "Scoring" or not step.done:
        pass
    steps.close()
    assert not (tmp_path / "out").exists()
    run(cluster.report_steps())  # after what the workers had still to do
    assert not (tmp_path / "out").exists()


def test_the_worker_of_the_widget_has_a_cluster_encode(
    processes: Processes, model: Model, tmp_path: Path
) -> None:
    pixels = tmp_path / "pixels.npy"
    np.save(pixels, PIXELS)
    request = Request(
        run=1,
        pixels=str(pixels),
        job=Job(
            appearance=SHOWN,
            prompts=parse_prompts(["cat", "dog"]),
            model=model.card.weights.partition(":")[2],
            device=processes.address,
            encode=ENCODE,
        ),
    )
    sizes = []
    for device in (processes.address, "cpu"):
        session = Session(tmp_path)
        progress = []
        done = run(session.steps(change(request, device=device)), progress.append)
        assert max(one.done for one in progress if one.stage == "Encoding") > 20
        sizes.append((done.result.recipe.device, np.load(done.result.labels)))
        words = change(
            request, device=device, pixels="", encoded=done.encoded, run=2, preview=True
        )
        assert not run(session.steps(words)).is_new
    assert [device for device, _ in sizes] == ["dask", "cpu"]
    assert (sizes[0][1] == sizes[1][1]).mean() > 0.999


def test_the_worker_of_the_widget_has_a_cluster_write_large_results(
    processes: Processes,
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NAPARI_GEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(pyramid, "CHUNK", 64)
    sent = []
    submit = Cluster.submit

    def note(self: Cluster, function: object, *arguments: object) -> object:
        sent.append(function)
        return submit(self, function, *arguments)

    monkeypatch.setattr(Cluster, "submit", note)
    np.save(tmp_path / "pixels.npy", PIXELS)
    session, labels = Session(tmp_path, Storage(disk=1)), []
    for number, device in enumerate((processes.address, "cpu")):
        request = Request(
            run=1,
            pixels=str(tmp_path / "pixels.npy"),
            job=Job(
                appearance=SHOWN,
                prompts=parse_prompts(["cat", "dog"]),
                model=model.card.weights.partition(":")[2],
                device=device,
                encode=ENCODE,
            ),
            folder=str(tmp_path / str(number)),
        )
        done = run(session.steps(request))
        labels.append(zarr.open_group(f"{done.folder}/labels.zarr")["0"][:])
        assert sent.count(fill_part) > 5
        words = replace(
            request, pixels="", encoded=done.encoded, folder=f"{done.folder}-words"
        )
        before = len(sent)
        assert not run(session.steps(words)).is_new
        assert len(sent) == before  # they need no cluster
    assert (labels[0] == labels[1]).mean() > 0.999


def test_the_command_line_tells_what_is_missing(
    call: Call, scene: zarr.Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "segment", scene.store.root, "-p", "cat", "-o", tmp_path / "out"
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.3)
    status, _, said = call(*asked, "--scheduler", "tcp://127.0.0.1:9")
    assert status == 2
    assert "No dask scheduler answers at 'tcp://127.0.0.1:9'" in said
    status, _, said = call(*asked, "--scheduler", "nonsense")
    assert status == 2
    assert "tcp://host:port" in said
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"tls://127.0.0.1:{server.getsockname()[1]}"
        assert "no certificate" in call(*asked, "--scheduler", address)[2]
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, said = call(*asked, "--scheduler", "tcp://127.0.0.1:9")
    assert status == 2
    assert "pip install napari-gem[distributed]" in said
    assert not (tmp_path / "out").exists()


def test_a_worker_of_another_version_is_named(
    cluster: Cluster, processes: Processes, model: Model, tmp_path: Path
) -> None:
    old = tmp_path / "napari_gem-0.0.0.dist-info"
    old.mkdir()
    (old / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: napari-gem\nVersion: 0.0.0\n"
    )
    worker = processes.add(path=str(tmp_path))
    wait_for(cluster, WORKERS + 1)
    try:
        with pytest.raises(GemError, match=r"has napari-gem 0\.0\.0, this computer"):
            run(cluster.model_steps(model))
    finally:
        worker.kill()
    wait_for(cluster, WORKERS)


@pytest.mark.parametrize("listed", [True, False])
def test_how_a_missing_model_comes_to_a_worker(
    listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models at addresses are on the list of whoever put them there."""
    monkeypatch.setenv("NAPARI_GEM_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "here"))
    url = "https://example.org/model.pt"
    card = add_address(url, "0" * 64, "ViT-B-16", name="lab model")
    if not listed:
        monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "worker"))
    encoder = Encoder()
    encoder.setup(SimpleNamespace(address="tcp://there:1"))
    with pytest.raises(GemError, match=r"not on the worker tcp://there:1\.") as error:
        encoder.model(card, "float32")
    said = str(error.value)
    assert ("'napari-gem models download lab-model' there" in said) is listed
    assert ("'napari-gem models export lab-model FILE' here" in said) is not listed


def test_a_worker_loads_a_model_as_asked_or_not_at_all(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its tiles would be of another precision than those of others."""

    def create(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("napari_gem.models.load._create", create)
    encoder = Encoder()
    encoder.setup(SimpleNamespace(address="tcp://there:1"))
    with pytest.raises(NoMemoryError, match=r"worker tcp://there:1: The memory"):
        encoder.model(model.card, "float32")


def test_a_worker_that_is_killed_changes_nothing(
    cluster: Cluster,
    processes: Processes,
    model: Model,
    expected: Features,
    scene: zarr.Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(pyramid, "CHUNK", 16)
    steps = on_cluster(cluster, model, scene, tmp_path / "cache")
    until(steps, 3)
    processes.workers[0].kill()
    features = run(steps)
    assert same(features, expected)
    labels = []
    for filling in (FillOnCluster(cluster), fill_locally):
        out = tmp_path / str(len(labels))
        steps = segment_large_steps(
            model, features, parse_prompts(["cat", "dog"]), out, filling=filling
        )
        while next(steps).stage != "Scoring":
            pass
        if not labels:
            processes.workers[1].kill()
        run(steps)
        labels.append(zarr.open_group(out / "labels.zarr")["0"][:])
    assert (labels[0] == labels[1]).all()


def test_without_workers_it_waits_and_can_be_cancelled(
    cluster: Cluster,
    processes: Processes,
    model: Model,
    expected: Features,
    scene: zarr.Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_schedule, "LOOK_SECONDS", 0.1)
    steps = on_cluster(cluster, model, scene, tmp_path / "cache")
    until(steps, 3)
    for worker in processes.workers:
        worker.kill()
    while (step := next(steps)).stage != WAITING:
        pass
    assert 3 <= step.done < step.total
    assert next(steps).stage == WAITING
    steps.close()
    processes.add()  # and all goes on with a new one
    steps = on_cluster(cluster, model, scene, tmp_path / "cache")
    assert same(run(steps), expected)


def test_a_scheduler_that_is_lost_ends_it_and_leaves_nothing_half_written(
    processes: Processes,
    model: Model,
    scene: zarr.Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(pyramid, "CHUNK", 16)
    prompts, out = parse_prompts(["cat", "dog"]), tmp_path / "out"
    address = processes.address  # its file goes with the scheduler
    with Cluster(address) as cluster, Cluster(address) as other:
        features = run(on_cluster(cluster, model, scene, tmp_path / "kept"))
        writing = segment_large_steps(
            model, features, prompts, out, filling=FillOnCluster(cluster)
        )
        while (step := next(writing)).stage != "Scoring" or not step.done:
            pass
        encoding = on_cluster(other, model, scene, tmp_path / "cache")
        until(encoding, 3)
        processes.scheduler.send_signal(signal.SIGTERM)
        for steps in (encoding, writing):
            with pytest.raises(GemError, match=r"scheduler at .* is lost"):
                run(steps)
    assert not list(tmp_path.glob("cache/*/entry"))
    with pytest.raises(GemError, match="No dask scheduler answers"):
        Cluster(address, seconds=1)
    assert not out.exists()
    assert list(tmp_path.glob("kept/*/entry"))  # what is encoded is kept
    run(segment_large_steps(model, features, prompts, out))
    assert (out / "labels.zarr").is_dir()
