"""Whatever happens to what is kept on disk: labels are those of an undamaged run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

import napari_gem
from napari_gem.cluster.stored_tiles import make_tiles, open_tiles
from napari_gem.core import atomic
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.core.progress import run
from napari_gem.encoding import feature_cache, stored_features
from napari_gem.encoding.feature_cache import ENCODED_ANEW, CacheError, FeatureCache
from napari_gem.images.rendering import stretch
from napari_gem.segmentation.pipeline import encode, segment
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.core.results import Features
    from napari_gem.models.model import Model

pytestmark = pytest.mark.contact("damaged caches")

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.0, tile=12, overlap=2)
PIXELS = np.random.default_rng(0).integers(0, 255, (300, 60, 3)).astype(np.uint8)
FILES = ["entry", "views", "features/zarr.json", "features/c/0/0/0", "features/c/1/0/0"]


def flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


DAMAGE: dict[str, Callable[[Path], object]] = {
    **{f"flip {at}": partial(flip, at=at) for at in (0, 0.2, 0.5, 0.8, 1)},
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "other": lambda path: path.write_bytes(b'{"\xff": 1}' * 99),
    "deleted": lambda path: path.unlink(),
    "folder": to_folder,
    "endless": lambda path: os.truncate(path, 1 << 40),
}
if os.name != "nt":
    DAMAGE |= {"pipe": to_pipe, "device": to_device}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 16 patch rows, nothing read into memory, no pauses."""
    monkeypatch.setattr(stored_features, "CHUNK_BYTES", 1)
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(atomic, "PAUSES", (0.0, 0.0))


@pytest.fixture(scope="module")
def plain(model: Model) -> Features:
    return encode(PIXELS, model)


@pytest.fixture(scope="module")
def whole(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with an entry."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_features, "CHUNK_BYTES", 1)
        encoded(folder, model)
    return folder


@pytest.fixture(scope="module")
def stopped(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with what a stopped run left: one row of chunks of three."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_features, "CHUNK_BYTES", 1)
        steps = FeatureCache(folder).encode_steps(model, PIXELS, stretch(PIXELS))
        step = next(steps)
        while step.stage != "Encoding" or step.done < step.total - 1:
            step = next(steps)
        steps.close()
    (part,) = folder.glob("*.part")
    assert (part / "features/c/0").exists()
    assert not (part / "features/c/1").exists()
    return folder


def encoded(folder: Path, model: Model) -> Features:
    return run(FeatureCache(folder).encode_steps(model, PIXELS, stretch(PIXELS)))


def check(folder: Path, model: Model, plain: Features, *, notice: bool = True) -> None:
    """Look that all is as if nothing had been damaged, now and from now on."""
    features = encoded(folder, model)
    assert (ENCODED_ANEW in features.notices) == notice
    again = encoded(folder, model)
    assert again.notices == ()
    for each in (features, again):
        assert (np.asarray(each.array[:]) == plain.array).all()
        assert (each.tile_embeddings == plain.tile_embeddings).all()
        assert (each.image_embedding == plain.image_embedding).all()
    (name,) = FeatureCache(folder).entries()
    assert "." not in name


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_entry_is_made_anew(
    model: Model, whole: Path, plain: Features, tmp_path: Path, file: str, damage: str
) -> None:
    folder = shutil.copytree(whole, tmp_path / "cache")
    (name,) = FeatureCache(folder).entries()
    DAMAGE[damage](folder / name / file)
    check(folder, model, plain)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["state", *FILES[1:4]])
def test_what_a_stopped_run_left_is_made_anew_if_it_is_damaged(
    model: Model, stopped: Path, plain: Features, tmp_path: Path, file: str, damage: str
) -> None:
    folder = shutil.copytree(stopped, tmp_path / "cache")
    (part,) = folder.glob("*.part")
    DAMAGE[damage](part / file)
    missing = damage == "deleted" and "/c/" not in file
    check(folder, model, plain, notice=not missing)


def test_what_a_stopped_run_left_is_gone_on_with(
    model: Model, stopped: Path, plain: Features, tmp_path: Path
) -> None:
    check(shutil.copytree(stopped, tmp_path / "cache"), model, plain, notice=False)


@pytest.mark.parametrize("instead", ["nothing", "a file", "an empty folder", "a link"])
def test_something_else_in_the_place_of_an_entry(
    model: Model, whole: Path, plain: Features, tmp_path: Path, instead: str
) -> None:
    folder = shutil.copytree(whole, tmp_path / "cache")
    (name,) = FeatureCache(folder).entries()
    shutil.rmtree(folder / name)
    if instead == "a file":
        (folder / name).write_text("?")
    elif instead == "an empty folder":
        (folder / name).mkdir()
    elif instead == "a link":
        (folder / name).symlink_to(tmp_path / "nowhere")
    check(folder, model, plain, notice=instead != "nothing")


def test_a_number_that_was_changed_does_not_change_labels(
    model: Model, whole: Path, plain: Features, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "cache")
    (name,) = FeatureCache(folder).entries()
    entry = folder / name / "entry"
    changed = entry.read_bytes().replace(b'"patch":8.0', b'"patch":7.5')
    assert changed != entry.read_bytes()
    entry.write_bytes(changed)
    features, score = encoded(folder, model), ScoreParameters()
    one, other = (
        segment(f, ["cat"], model, parameters=score) for f in (plain, features)
    )
    assert (one.labels == other.labels).all()


def test_damaged_entries_are_listed_and_removed_but_not_what_is_not_ours(
    model: Model, whole: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "cache")
    (name,) = FeatureCache(folder).entries()
    (folder / name / "entry").unlink()
    (folder / ("0" * 32)).write_text("a file")
    (folder / ("1" * 32)).symlink_to(tmp_path / "nowhere")
    (folder / f"{'2' * 32}.part").mkdir()
    (folder / "photographs").mkdir()
    (folder / "photographs" / "me.jpg").write_text("mine")
    (folder / "locks" / "my.lock").write_text("mine")
    cache = FeatureCache(folder, limit=0)
    assert len(cache.entries()) == 4
    cache.trim()
    assert cache.clear() >= 0
    assert cache.entries() == {}
    assert (folder / "photographs" / "me.jpg").read_text() == "mine"
    assert (folder / "locks" / "my.lock").read_text() == "mine"


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(CacheError, match="cannot be read"):
        cache.entries()


def refuse(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Path]:
    """Refuse to move finished entries, as Windows does while a file of them is open."""
    refused: list[Path] = []
    replace_path = Path.replace

    def try_to(path: Path, target: Path) -> Path:
        if path.suffix == ".part" and len(refused) < times:
            refused.append(path)
            raise PermissionError(13, "Access is denied", str(path), 5)
        return replace_path(path, target)

    monkeypatch.setattr(Path, "replace", try_to)
    return refused


def test_an_entry_that_is_held_open_for_a_moment_gets_its_place(
    model: Model, plain: Features, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refuse(monkeypatch, 2)
    check(tmp_path, model, plain, notice=False)
    assert len(refused) == 2


def test_an_entry_that_is_held_open_for_long_is_used_where_it_lies(
    model: Model, plain: Features, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, 3)
    features = encoded(tmp_path, model)
    assert "used where it lies" in features.notices[0]
    assert (np.asarray(features.array[:]) == plain.array).all()
    assert FeatureCache(tmp_path).clear() == 0  # it is in use
    del features
    (part,) = tmp_path.glob("*.part")
    before = (part / "features/c/0/0/0").stat().st_mtime_ns
    again = encoded(tmp_path, model)
    assert again.notices == ()
    (name,) = FeatureCache(tmp_path).entries()
    # nothing was encoded again
    assert (tmp_path / name / "features/c/0/0/0").stat().st_mtime_ns == before


def test_a_damaged_entry_that_is_in_use_does_not_stand_in_the_way(
    model: Model, whole: Path, plain: Features, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "cache")
    used = encoded(folder, model)
    (name,) = FeatureCache(folder).entries()
    flip(folder / name / "features/c/1/0/0", 0.5)
    features = encoded(folder, model)
    assert ENCODED_ANEW in features.notices
    assert (np.asarray(features.array[:]) == plain.array).all()
    del used, features
    check(folder, model, plain)


def test_parts_of_dead_processes_that_cannot_be_gone_on_with_are_removed(
    model: Model, plain: Features, tmp_path: Path
) -> None:
    code = (
        "import os, sys; from napari_gem.encoding.feature_cache import _Writing\n"
        "from pathlib import Path\n"
        "folder, name = Path(sys.argv[1]), '0' * 32\n"
        "(folder / 'locks').mkdir()\n"
        "with _Writing(folder, name), _Writing(folder, name) as own:\n"
        "    own._part.mkdir(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    left = tmp_path / f"{'1' * 32}.gone-{'2' * 32}"
    left.mkdir()
    assert len(list(tmp_path.iterdir())) == 3
    check(tmp_path, model, plain, notice=False)


@pytest.mark.parametrize("at", [n / 40 for n in range(41)])
@pytest.mark.parametrize("file", ["zarr.json", "c/0/0/0"])
def test_tiles_are_right_or_not_there(tmp_path: Path, file: str, at: float) -> None:
    values = np.random.default_rng(1).random((2, 3, 4)).astype(np.float32)
    folder = tmp_path / "tiles"
    make_tiles(folder, 2, (2, 3), 4).put(0, (values, values[0, 0]))
    flip(folder / file, at)
    for stored in (open_tiles(folder), make_tiles(folder, 2, (2, 3), 4)):
        row = stored and stored.get(0)
        assert row is None or (row[0] == values).all()
    stored.put(1, (values, values[0, 0]))
    row = stored.get(1)
    assert row is not None
    assert (row[0] == values).all()


@pytest.mark.skipif(
    not hasattr(os, "getuid") or not os.getuid(), reason="root reads all"
)
def test_an_entry_that_may_not_be_read(
    model: Model, whole: Path, plain: Features, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "cache")
    (name,) = FeatureCache(folder).entries()
    (folder / name).chmod(0)
    check(folder, model, plain)


def test_zarr_reads_what_it_should(whole: Path) -> None:
    """The metadata that are hashed are those that zarr reads."""
    (name,) = FeatureCache(whole).entries()
    assert (whole / name / "features/zarr.json").is_file()
    assert zarr.open_array(str(whole / name / "features"), mode="r").dtype == "float16"
